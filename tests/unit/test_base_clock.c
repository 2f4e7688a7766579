#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"

static int64_t seven(void *context)
{
    return *(int64_t *)context + 7;
}

static int64_t nine(void *context)
{
    return *(int64_t *)context + 9;
}

static void asks_the_clock_that_was_handed_in(void **state)
{
    (void)state;
    int64_t base = 100;
    struct clock clock = {seven, nine, &base, NULL};
    assert_int_equal(clock_monotonic_ms(&clock), 107);
    assert_int_equal(clock_wall_ms(&clock), 109);
    assert_int_equal(clock_boot_ms(&clock), 107);
    clock.boot_ms = nine;
    assert_int_equal(clock_boot_ms(&clock), 109);
}

static void the_system_counts_milliseconds(void **state)
{
    (void)state;
    struct timespec now, nap = {0, 30 * 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t before = clock_monotonic_ms(&clock_system);
    assert_in_range(before - now.tv_sec * 1000, 0, 5000);
    nanosleep(&nap, NULL);
    assert_in_range(clock_monotonic_ms(&clock_system) - before, 29, 5000);
    assert_true(clock_boot_ms(&clock_system) >= clock_monotonic_ms(&clock_system));
    clock_gettime(CLOCK_REALTIME, &now);
    assert_in_range(clock_wall_ms(&clock_system) - now.tv_sec * 1000, 0, 5000);
}

static void rfc_3339(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {999, "1970-01-01T00:00:00Z"},
        {951782400000, "2000-02-29T00:00:00Z"},
        {1763689632999, "2025-11-21T01:47:12Z"},
        {4294967296000, "2106-02-07T06:28:16Z"}, // past 32 bits
        {253402300799999, "9999-12-31T23:59:59Z"},
    };
    char text[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(text, '#', sizeof text);
        assert_ptr_equal(clock_format_utc(cases[i].ms, text), text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_the_clock_that_was_handed_in),
        cmocka_unit_test(the_system_counts_milliseconds),
        cmocka_unit_test(rfc_3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
