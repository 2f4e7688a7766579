#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "router/route/prng.h"
#include "router/route/window.h"

static void test_counted_for_sixty_seconds_and_at_most_one_more(void **state)
{
    (void)state;
    for (int64_t at = 5000; at < 7000; at += 37) {
        struct router_window window = {0};
        router_window_add(&window, 10, at);
        assert_int_equal(router_window_sum(&window, at + 60000), 10);
        assert_int_equal(router_window_sum(&window, at + 61000), 0);
    }
}

static void test_when_is_the_first_instant(void **state)
{
    (void)state;
    struct router_window window = {0};
    router_window_add(&window, 10, 1000);
    router_window_add(&window, 20, 31500);
    assert_int_equal(router_window_when(&window, 30, 40000), 40000);
    assert_int_equal(router_window_when(&window, 29, 40000), 62000);
    assert_int_equal(router_window_when(&window, 20, 40000), 62000);
    assert_int_equal(router_window_when(&window, 19, 40000), 92000);
    assert_int_equal(router_window_when(&window, 0, 40000), 92000);
    assert_int_equal(router_window_sum(&window, 61999), 30);
    assert_int_equal(router_window_sum(&window, 62000), 20);
    assert_int_equal(router_window_sum(&window, 92000), 0);
}

static void test_given_back_only_where_it_was_added(void **state)
{
    (void)state;
    struct router_window window = {0};
    router_window_add(&window, 10, 1000);
    router_window_add(&window, 5, 3000);
    router_window_give_back(&window, 8, 1500, 4000); // the same second
    assert_int_equal(router_window_sum(&window, 4000), 7);
    router_window_give_back(&window, 100, 3000, 4000); // never below nothing
    assert_int_equal(router_window_sum(&window, 4000), 2);
    router_window_give_back(&window, 2, 1000, 70000); // forgotten long ago
    assert_int_equal(router_window_sum(&window, 70000), 0);
}

static void test_a_clock_that_steps_back_forgets_nothing(void **state)
{
    (void)state;
    struct router_window window = {0};
    router_window_add(&window, 10, 100000);
    router_window_add(&window, 1, 50000);
    assert_int_equal(router_window_sum(&window, 50000), 11);
    assert_int_equal(router_window_sum(&window, 160999), 11);
    assert_int_equal(router_window_sum(&window, 161000), 0);
}

enum { EVENTS = 3000 };

// Whatever comes: no less than what a list of everything says, and no more than that of 61 s.
static void test_against_a_list_of_everything(void **state)
{
    (void)state;
    static int64_t at[EVENTS], amount[EVENTS];
    uint64_t dice = 7;
    for (int run = 0; run < 5; run++) {
        struct router_window window = {0};
        int64_t now = 12345;
        for (int n = 0; n < EVENTS; n++) {
            int64_t exact = 0, loose = 0;
            now += (int64_t)router_prng_below(&dice, run == 4 ? 40000 : 300);
            amount[n] = (int64_t)router_prng_below(&dice, 1000);
            at[n] = now;
            router_window_add(&window, amount[n], now);
            for (int i = n; i >= 0 && at[i] > now - 61000; i--) {
                loose += amount[i];
                exact += at[i] >= now - 60000 ? amount[i] : 0;
            }
            assert_true(router_window_sum(&window, now) >= exact);
            assert_true(router_window_sum(&window, now) <= loose);
            int64_t then = router_window_when(&window, 500, now);
            struct router_window copy = window;
            assert_true(router_window_sum(&copy, then) <= 500);
            copy = window;
            assert_true(then == now || router_window_sum(&copy, then - 1) > 500);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted_for_sixty_seconds_and_at_most_one_more),
        cmocka_unit_test(test_when_is_the_first_instant),
        cmocka_unit_test(test_given_back_only_where_it_was_added),
        cmocka_unit_test(test_a_clock_that_steps_back_forgets_nothing),
        cmocka_unit_test(test_against_a_list_of_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
