#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "channels/telegram_pace.h"

// How many go within `ms` when there is always one that wants to.
static int greedy(const struct telegram_rate *rate, int64_t ms)
{
    struct telegram_pace pace = {0};
    int count = 0;
    for (int64_t now = 1000000; now < 1000000 + ms; now++)
        while (telegram_pace_next(&pace, rate) <= now) {
            telegram_pace_take(&pace, rate, now);
            count++;
        }
    return count;
}

static void test_a_burst_and_then_the_rate(void **state)
{
    (void)state;
    struct telegram_rate rate = {.interval_ms = 1000, .burst = 3};
    struct telegram_pace pace = {0};
    for (int i = 0; i < 3; i++) {
        assert_true(telegram_pace_next(&pace, &rate) <= 5000);
        telegram_pace_take(&pace, &rate, 5000);
    }
    assert_int_equal(telegram_pace_next(&pace, &rate), 6000);
    telegram_pace_take(&pace, &rate, 6000);
    assert_int_equal(telegram_pace_next(&pace, &rate), 7000);
    assert_true(telegram_pace_next(&pace, &rate) <= 60000); // rested: all of the burst again
}

static void test_what_telegram_bears(void **state)
{
    (void)state;
    assert_true(greedy(&telegram_rate_chat, 60000) <= 63);
    assert_true(greedy(&telegram_rate_edit, 60000) <= 19);
    assert_true(greedy(&telegram_rate_all, 1000) <= 35);
    assert_true(greedy(&telegram_rate_all, 60000) <= 25 * 60 + 10);
}

static void test_backoff_doubles_up_to_its_maximum(void **state)
{
    (void)state;
    assert_int_equal(telegram_backoff_ms(1, 1000, 60000), 1000);
    assert_int_equal(telegram_backoff_ms(2, 1000, 60000), 2000);
    assert_int_equal(telegram_backoff_ms(6, 1000, 60000), 32000);
    assert_int_equal(telegram_backoff_ms(7, 1000, 60000), 60000);
    assert_int_equal(telegram_backoff_ms(1000000, 1000, 60000), 60000);
    assert_int_equal(telegram_backoff_ms(0, 1000, 60000), 1000);
}

static void test_jitter_only_adds(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t wait = telegram_backoff_jitter_ms(3, 1000, 60000);
        assert_true(wait >= 4000 && wait <= 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_then_the_rate),
        cmocka_unit_test(test_what_telegram_bears),
        cmocka_unit_test(test_backoff_doubles_up_to_its_maximum),
        cmocka_unit_test(test_jitter_only_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
