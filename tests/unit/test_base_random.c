#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"

// Each of so many bytes is left as it was, four times over, once in 2^32 runs.
static void fills_all_and_only_that(void **state)
{
    (void)state;
    enum { LEN = 1000, ROUNDS = 8 };
    unsigned char data[LEN + 8], changed[LEN] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        memset(data, 0, sizeof data);
        random_bytes(data, LEN);
        for (size_t i = 0; i < LEN; i++)
            changed[i] |= data[i];
        for (size_t i = LEN; i < sizeof data; i++)
            assert_int_equal(data[i], 0);
    }
    for (size_t i = 0; i < LEN; i++)
        assert_int_not_equal(changed[i], 0);
    random_bytes(data, 0);
}

static void hex_has_all_digits_and_an_end(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdef";
    char text[4096], again[4096];
    memset(text, '#', sizeof text);
    random_hex(text, sizeof text);
    random_hex(again, sizeof again);
    assert_int_equal(strlen(text), sizeof text - 1);
    assert_int_equal(strspn(text, digits), sizeof text - 1);
    for (const char *digit = digits; *digit; digit++)
        assert_non_null(strchr(text, *digit));
    assert_string_not_equal(text, again);
    random_hex(text, 1);
    assert_string_equal(text, "");
    text[0] = '#';
    random_hex(text, 0);
    assert_int_equal(text[0], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_all_and_only_that),
        cmocka_unit_test(hex_has_all_digits_and_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
