#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/wait.h"

static void nothing_is_scaled_unasked(void **state)
{
    (void)state;
    assert_null(getenv("HERMES_DEBUG_WAIT_SCALE"));
    assert_int_equal(wait_scaled(500), 500);
    assert_int_equal(wait_scaled(0), 0);
}

#ifdef HERMES_DEBUG_WAITS
static void waits_are_multiplied(void **state)
{
    (void)state;
    assert_int_equal(wait_scaled_by(500, "0.1"), 50);
    assert_int_equal(wait_scaled_by(500, "1"), 500);
    assert_int_equal(wait_scaled_by(86400000, "0.001"), 86400);
}

static void a_wait_stays_one(void **state)
{
    (void)state;
    assert_int_equal(wait_scaled_by(5, "0.1"), 1);
    assert_int_equal(wait_scaled_by(0, "0.1"), 0);
    assert_int_equal(wait_scaled_by(-1, "0.1"), -1);
}

static void what_is_no_scale_changes_nothing(void **state)
{
    (void)state;
    const char *const texts[] = {NULL, "", "0", "-1", "-0.1", "1.001", "2", "x", "0.1x", "1e-1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(wait_scaled_by(500, texts[i]), 500);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_scaled_unasked),
#ifdef HERMES_DEBUG_WAITS
        cmocka_unit_test(waits_are_multiplied),
        cmocka_unit_test(a_wait_stays_one),
        cmocka_unit_test(what_is_no_scale_changes_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
