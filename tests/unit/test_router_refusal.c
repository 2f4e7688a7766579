// links: router/refusal.c base/mem.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "router/refusal.h"

static void test_who_repeats_waits_ever_longer(void **state)
{
    (void)state;
    struct router_refusals *refusals = router_refusals_create();
    static const int64_t expected[] = {0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(router_refusals_note(refusals, 42, 1000 + (int64_t)i), expected[i]);
    assert_int_equal(router_refusals_note(refusals, 43, 2000), 0); // somebody else
    assert_int_equal(router_refusals_count(refusals), 2);
    router_refusals_destroy(refusals);
}

static void test_quiet_brings_back_step_by_step(void **state)
{
    (void)state;
    struct router_refusals *refusals = router_refusals_create();
    int64_t now = 1000;
    for (int i = 0; i < 20; i++)
        router_refusals_note(refusals, 42, now);
    now += ROUTER_REFUSAL_DECAY_MS - 1;
    assert_int_equal(router_refusals_note(refusals, 42, now), 8000);
    now += 2 * ROUTER_REFUSAL_DECAY_MS;
    assert_int_equal(router_refusals_note(refusals, 42, now), 2000);
    now += 100 * ROUTER_REFUSAL_DECAY_MS;
    assert_int_equal(router_refusals_note(refusals, 42, now), 0);
    assert_int_equal(router_refusals_note(refusals, 42, now - 5000),
                     250); // a clock that steps back
    router_refusals_destroy(refusals);
}

static void test_the_table_is_bounded_and_forgets_the_oldest(void **state)
{
    (void)state;
    struct router_refusals *refusals = router_refusals_create();
    for (uint64_t caller = 0; caller < 3 * ROUTER_REFUSAL_CALLERS_MAX; caller++) {
        router_refusals_note(refusals, caller, 1000);
        assert_true(router_refusals_note(refusals, UINT64_MAX, 1000) <= ROUTER_REFUSAL_MAX_MS);
    }
    assert_int_equal(router_refusals_count(refusals), ROUTER_REFUSAL_CALLERS_MAX);
    assert_int_equal(router_refusals_note(refusals, UINT64_MAX, 1000), ROUTER_REFUSAL_MAX_MS);
    assert_int_equal(router_refusals_note(refusals, 3 * ROUTER_REFUSAL_CALLERS_MAX - 1, 1000), 250);
    assert_int_equal(router_refusals_note(refusals, 0, 1000), 0); // forgotten
    router_refusals_destroy(refusals);
    router_refusals_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_repeats_waits_ever_longer),
        cmocka_unit_test(test_quiet_brings_back_step_by_step),
        cmocka_unit_test(test_the_table_is_bounded_and_forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
