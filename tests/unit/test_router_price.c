#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/money.h"
#include "router/plan/price.h"

static const struct router_price unknown_price = ROUTER_PRICE_UNKNOWN;
static const struct chat_usage unknown_usage = CHAT_USAGE_UNKNOWN;

static struct router_price plain(int64_t input, int64_t output)
{
    struct router_price price = unknown_price;
    price.input_pico = input;
    price.output_pico = output;
    return price;
}

static struct chat_usage used(int64_t prompt, int64_t completion)
{
    struct chat_usage usage = unknown_usage;
    usage.prompt_tokens = prompt;
    usage.completion_tokens = completion;
    return usage;
}

static void test_cost(void **state)
{
    (void)state;
    struct router_price price = plain(10, 100);
    struct chat_usage usage = used(1000, 50);
    assert_int_equal(router_price_cost(&price, &usage, -1), 10000 + 5000);

    // Parts of the prompt and of the completion cost as the whole does, until they have a price.
    usage.cached_tokens = 600;
    usage.cache_write_tokens = 100;
    usage.reasoning_tokens = 20;
    assert_int_equal(router_price_cost(&price, &usage, -1), 15000);
    price.cache_read_pico = 1;
    price.cache_write_pico = 12;
    price.reasoning_pico = 200;
    assert_int_equal(router_price_cost(&price, &usage, -1), 3000 + 600 + 1200 + 3000 + 4000);
    price.cache_read_pico = 0;
    assert_int_equal(router_price_cost(&price, &usage, -1), 3000 + 1200 + 3000 + 4000);

    price.request_pico = 7;
    price.image_pico = 1000;
    assert_int_equal(router_price_cost(&price, &usage, -1), -1); // how many images?
    assert_int_equal(router_price_cost(&price, &usage, 2), 11200 + 7 + 2000);

    usage.cost_pico = 0; // the provider's own figure, be it nothing
    assert_int_equal(router_price_cost(&price, &usage, -1), 0);
    usage.cost_pico = 5;
    assert_int_equal(router_price_cost(&unknown_price, &usage, -1), 5);
}

static void test_cost_unknown(void **state)
{
    (void)state;
    struct router_price price = plain(10, 100);
    struct chat_usage usage = used(-1, 5);
    assert_int_equal(router_price_cost(&price, &usage, -1), -1);
    usage = used(5, -1);
    assert_int_equal(router_price_cost(&price, &usage, -1), -1);
    usage = used(5, 0);
    assert_int_equal(router_price_cost(&price, &usage, -1), 50);
    assert_int_equal(router_price_cost(&unknown_price, &usage, -1), -1);

    struct router_price free_model = plain(0, 0);
    assert_int_equal(router_price_cost(&free_model, &unknown_usage, -1), 0);
    struct router_price embedding = plain(10, -1);
    assert_int_equal(router_price_cost(&embedding, &usage, -1), 50);
    assert_true(router_price_known(&price));
    assert_true(router_price_known(&free_model));
    assert_false(router_price_known(&embedding));

    // Usage that contradicts itself is never a discount.
    usage = used(100, 10);
    usage.cached_tokens = 500;
    usage.reasoning_tokens = 30;
    assert_int_equal(router_price_cost(&price, &usage, -1), 5000 + 3000);
    usage = used(INT64_MAX, 10);
    assert_int_equal(router_price_cost(&price, &usage, -1), INT64_MAX);
}

static struct router_size sized(int64_t bytes, int64_t max_tokens)
{
    return (struct router_size){.body_bytes = bytes,
                                .n = -1,
                                .images = -1,
                                .remote_parts = -1,
                                .max_tokens = max_tokens,
                                .max_output_tokens = -1,
                                .max_input_tokens = -1};
}

static void test_bound(void **state)
{
    (void)state;
    struct router_price price = plain(10, 100);
    struct router_size size = sized(1000, 50);
    int64_t hidden = ROUTER_HIDDEN_TOKENS;
    assert_int_equal(router_price_bound(&price, &size), 10 * (1000 + hidden) + 5000);
    size.n = 3;
    assert_int_equal(router_price_bound(&price, &size), 10 * (1000 + hidden) + 15000);
    size.n = 1;
    price.cache_write_pico = 12;
    price.cache_read_pico = 13; // whatever for: a bound is a bound
    price.reasoning_pico = 200;
    assert_int_equal(router_price_bound(&price, &size), 13 * (1000 + hidden) + 10000);
    price.cache_read_pico = 1;
    assert_int_equal(router_price_bound(&price, &size), 12 * (1000 + hidden) + 10000);
    price.request_pico = 9;
    price.image_pico = 1000;
    assert_int_equal(router_price_bound(&price, &size), 12 * (1000 + hidden) + 10009);
    size.images = 2;
    assert_int_equal(router_price_bound(&price, &size),
                     12 * (1000 + hidden + 2 * (int64_t)ROUTER_IMAGE_TOKENS) + 12009);
    size.max_input_tokens = 500;
    assert_int_equal(router_price_bound(&price, &size), 12 * 500 + 12009);
    size.max_output_tokens = 40;
    assert_int_equal(router_price_bound(&price, &size), 12 * 500 + 8000 + 2009);
    size.max_tokens = -1;
    assert_int_equal(router_price_bound(&price, &size), 12 * 500 + 8000 + 2009);
}

static void test_no_bound(void **state)
{
    (void)state;
    struct router_price price = plain(10, 100);
    struct router_size size = sized(1000, -1);
    assert_int_equal(router_price_bound(&price, &size), -1); // output without an end
    size.max_tokens = 5;
    assert_int_equal(router_price_bound(&unknown_price, &size), -1);
    size.remote_parts = 1;
    assert_int_equal(router_price_bound(&price, &size), -1); // input of any size
    size.max_input_tokens = 2000;
    assert_int_equal(router_price_bound(&price, &size), 20000 + 500);

    struct router_size endless = sized(1000, -1);
    struct router_price free_model = plain(0, 0);
    assert_int_equal(router_price_bound(&free_model, &endless), 0);
    struct router_price embedding = plain(10, -1);
    struct router_size no_output = sized(1000, 0);
    assert_int_equal(router_price_bound(&embedding, &no_output),
                     10 * (1000 + ROUTER_HIDDEN_TOKENS));
    struct router_size huge = sized(INT64_MAX, INT64_MAX);
    assert_int_equal(router_price_bound(&price, &huge), INT64_MAX);
}

static void test_affordable(void **state)
{
    (void)state;
    struct router_price price = plain(10, 100);
    struct router_size size = sized(1000, -1);
    int64_t input = 10 * (1000 + ROUTER_HIDDEN_TOKENS);
    assert_int_equal(router_price_affordable_tokens(&price, &size, input - 1), 0);
    assert_int_equal(router_price_affordable_tokens(&price, &size, input + 99), 0);
    assert_int_equal(router_price_affordable_tokens(&price, &size, input + 100), 1);
    size.n = 2;
    assert_int_equal(router_price_affordable_tokens(&price, &size, input + 1000), 5);
    size.max_tokens = 3;
    assert_int_equal(router_price_affordable_tokens(&price, &size, input + 1000), 3);
    assert_int_equal(router_price_affordable_tokens(&unknown_price, &size, INT64_MAX), 0);
    struct router_price free_model = plain(0, 0);
    assert_int_equal(router_price_affordable_tokens(&free_model, &size, 0), 3);
    size.max_tokens = -1;
    assert_int_equal(router_price_affordable_tokens(&free_model, &size, 0), INT64_MAX);

    // What is affordable is within the money, and one token more is not.
    uint32_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        int64_t numbers[6];
        for (int j = 0; j < 6; j++) {
            seed = seed * 1664525u + 1013904223u;
            numbers[j] = seed >> 12;
        }
        price = plain(numbers[0] % 500, numbers[1] % 900 + 1);
        price.request_pico = numbers[2] % 3 ? -1 : numbers[2];
        size = sized(numbers[3] % 5000, -1);
        size.n = numbers[4] % 4;
        int64_t money = numbers[5] * 8;
        size.max_tokens = router_price_affordable_tokens(&price, &size, money);
        if (size.max_tokens > 0)
            assert_true(router_price_bound(&price, &size) <= money);
        size.max_tokens++;
        assert_true(router_price_bound(&price, &size) > money);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost),       cmocka_unit_test(test_cost_unknown),
        cmocka_unit_test(test_bound),      cmocka_unit_test(test_no_bound),
        cmocka_unit_test(test_affordable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
