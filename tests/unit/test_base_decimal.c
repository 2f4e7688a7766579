// links: base/decimal.c
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/decimal.h"

static const uint64_t numbers[] = {0,
                                   1,
                                   9,
                                   10,
                                   99,
                                   100,
                                   12345,
                                   INT64_MAX,
                                   UINT64_MAX,
                                   UINT32_MAX,
                                   1000000000,
                                   255,
                                   (uint64_t)INT64_MAX + 1};

static void like_printf(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char room[DECIMAL_SIZE], wanted[32];
        snprintf(wanted, sizeof wanted, "%" PRIu64, numbers[i]);
        assert_string_equal(decimal_of_uint(numbers[i], room), wanted);
        for (int sign = -1; sign <= 1; sign += 2) {
            int64_t value = (int64_t)(sign < 0 ? -numbers[i] : numbers[i]);
            snprintf(wanted, sizeof wanted, "%" PRId64, value);
            assert_string_equal(decimal_of_int(value, room), wanted);
        }
    }
}

static void fixed(void **state)
{
    (void)state;
    static const struct {
        int64_t units;
        unsigned digits, least;
        const char *text;
    } cases[] = {
        {1500, 6, 0, "0.0015"},
        {-1500000, 6, 0, "-1.5"},
        {3, 0, 1, "3.0"},
        {30, 1, 2, "3.00"},
        {0, 12, 0, "0"},
        {0, 12, 2, "0.00"},
        {INT64_MIN, 20, 20, "-0.09223372036854775808"},
        {INT64_MAX, 0, 20, "9223372036854775807.00000000000000000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char room[DECIMAL_FIXED_SIZE];
        assert_string_equal(decimal_of_fixed(cases[i].units, cases[i].digits, cases[i].least, room),
                            cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(like_printf), cmocka_unit_test(fixed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
