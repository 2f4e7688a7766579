// links: codec/money.c codec/json.c codec/utf8.c
// links: base/buf.c base/span.c base/mem.c base/error.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/money.h"

static int64_t parse(const char *text)
{
    int64_t pico = -1;
    return money_parse(span_of(text), &pico) ? pico : -1;
}

static void test_parse(void **state)
{
    (void)state;
    assert_int_equal(parse("0.5"), MONEY_DOLLAR / 2);
    assert_int_equal(parse("1e-7"), 100000);
    assert_int_equal(parse("$3"), 3 * MONEY_DOLLAR);
    assert_int_equal(parse(" $ 3.25 "), 325 * (MONEY_DOLLAR / 100));
    assert_int_equal(parse("2.50E+01"), 25 * MONEY_DOLLAR);
    assert_int_equal(parse("3e-06"), 3000000);
    assert_int_equal(parse("0.00000015"), 150000);
    assert_int_equal(parse("1."), MONEY_DOLLAR);
    assert_int_equal(parse(".5"), MONEY_DOLLAR / 2);
    assert_int_equal(parse("+1"), MONEY_DOLLAR);
    assert_int_equal(parse("007"), 7 * MONEY_DOLLAR);
    assert_int_equal(parse("0"), 0);
    assert_int_equal(parse("0e99"), 0);
    assert_int_equal(parse("0.000e-99"), 0);
    assert_int_equal(parse("9223372"), 9223372 * MONEY_DOLLAR);
    assert_int_equal(parse("9223372.036854775807"), INT64_MAX);
}

static void test_parse_rounds_up(void **state)
{
    (void)state;
    assert_int_equal(parse("1e-12"), 1);
    assert_int_equal(parse("1e-13"), 1);
    assert_int_equal(parse("1e-99"), 1);
    assert_int_equal(parse("1.5e-12"), 2);
    assert_int_equal(parse("0.0000000000000001"), 1);
    assert_int_equal(parse("0.1234567890120000000000000000000000000000"), 123456789012);
    assert_int_equal(parse("0.1234567890120000000000000000000000000001"), 123456789013);
    assert_int_equal(parse("0.30000000000000004"), 300000000001); // 0.1 + 0.2 as a double
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "$",
        " ",
        ".",
        "-1",
        "-0.5",
        "1,5",
        "1 000",
        "0x10",
        "1e",
        "1e+",
        "e5",
        "1e-",
        "1.2.3",
        "NaN",
        ".inf",
        "$$3",
        "3$",
        "1e1x",
        "1e-100",
        "1e8",
        "9223373",
        "1e100000",
        "99999999999999999999999",
        "1_0",
        "1e--5",
        "1e+-5",
        "1e+ 5",
        "0.00000000000000000000000000000000000000000000000000000000000000001", // 67 bytes
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (parse(texts[i]) != -1)
            fail_msg("\"%s\" was taken", texts[i]);
}

static int64_t from_json(const char *text)
{
    JSON_AUTO doc = JSON_INIT;
    int64_t pico = -1;
    assert_int_equal(json_parse(&doc, span_of(text), NULL), 0);
    return money_from_json(json_root(&doc), &pico) ? pico : -1;
}

static void test_json(void **state)
{
    (void)state;
    assert_int_equal(from_json("0.00123"), 1230000000);
    assert_int_equal(from_json("1.5e-7"), 150000);
    assert_int_equal(from_json("\"0.0000006\""), 600000);
    assert_int_equal(from_json("\"\\u0031\""), MONEY_DOLLAR);
    assert_int_equal(from_json("-0.1"), -1);
    assert_int_equal(from_json("null"), -1);
    assert_int_equal(from_json("true"), -1);
    assert_int_equal(from_json("[1]"), -1);
    assert_int_equal(from_json("\"cheap\""), -1);
    int64_t pico = 7;
    assert_false(money_from_json(JSON_VALUE_ABSENT, &pico));
    assert_int_equal(pico, 7);
}

static void test_arithmetic(void **state)
{
    (void)state;
    assert_int_equal(money_add(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(money_add(INT64_MIN, -1), INT64_MIN);
    assert_int_equal(money_add(-5, 3), -2);
    assert_int_equal(money_sub(INT64_MIN, 1), INT64_MIN);
    assert_int_equal(money_sub(0, INT64_MIN), INT64_MAX);
    assert_int_equal(money_mul(INT64_MAX, 2), INT64_MAX);
    assert_int_equal(money_mul(INT64_MAX, -2), INT64_MIN);
    assert_int_equal(money_mul(-3, -4), 12);
    assert_int_equal(money_mul(INT64_MIN, -1), INT64_MAX);
}

static void test_format(void **state)
{
    (void)state;
    static const struct {
        int64_t pico;
        const char *text, *decimal;
    } cases[] = {
        {0, "$0.00", "0"},
        {MONEY_DOLLAR, "$1.00", "1"},
        {MONEY_DOLLAR / 2, "$0.50", "0.5"},
        {12300000000, "$0.0123", "0.0123"},
        {12349000000, "$0.0123", "0.012349"},
        {12350000000, "$0.0124", "0.01235"},
        {999400000000, "$0.999", "0.9994"},
        {999600000000, "$1.00", "0.9996"},
        {12345000000000, "$12.35", "12.345"},
        {1, "$0.000000000001", "0.000000000001"},
        {150000, "$0.00000015", "0.00000015"},
        {1234567, "$0.00000123", "0.000001234567"},
        {-12300000000, "-$0.0123", "-0.0123"},
        {INT64_MAX, "$9223372.04", "9223372.036854775807"},
        {INT64_MIN, "-$9223372.04", "-9223372.036854775808"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[MONEY_TEXT_SIZE];
        assert_string_equal(money_format(cases[i].pico, text), cases[i].text);
        assert_string_equal(money_decimal(cases[i].pico, text), cases[i].decimal);
        if (cases[i].pico >= 0)
            assert_int_equal(parse(text), cases[i].pico);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),         cmocka_unit_test(test_parse_rounds_up),
        cmocka_unit_test(test_parse_refuses), cmocka_unit_test(test_json),
        cmocka_unit_test(test_arithmetic),    cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
