#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "router/money/names.h"

static struct span take(struct router_names *names, int number, int64_t day)
{
    static char text[16];
    snprintf(text, sizeof text, "slot-%d", number);
    return router_names_take(names, ROUTER_SLOT_NAMES_MAX, span_of(text), day * 86400000,
                             SPAN_LITERAL("other"));
}

static void some_of_a_day_are_taken(void **state)
{
    (void)state;
    struct router_names some = {.count = 0}, *names = &some;
    for (int64_t day = 5; day > 2; day--) { // also when the clock goes back
        for (int i = 0; i < 2 * ROUTER_SLOT_NAMES_MAX; i++)
            assert_int_equal(span_is(take(names, i, day), "other"), i >= ROUTER_SLOT_NAMES_MAX);
        assert_true(span_is(take(names, 0, day), "slot-0"));
        assert_true(span_is(take(names, ROUTER_SLOT_NAMES_MAX, day), "other"));
    }
    assert_true(span_is(take(names, ROUTER_SLOT_NAMES_MAX, 2), "slot-64"));
    assert_true(span_is(take(names, 1, 2), "slot-1"));
    router_names_finish(names);
    router_names_finish(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(some_of_a_day_are_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
