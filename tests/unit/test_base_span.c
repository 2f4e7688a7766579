#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/span.h"

static void is(struct span span, const char *wanted)
{
    assert_int_equal(span.len, strlen(wanted));
    assert_memory_equal(span.data, wanted, span.len);
}

static void absent_is_not_empty(void **state)
{
    (void)state;
    assert_null(span_of(NULL).data);
    assert_false(span_is(SPAN_ABSENT, ""));
    assert_true(span_is(SPAN_LITERAL(""), ""));
    assert_true(span_equal(SPAN_ABSENT, span_of("")));
}

// What has no bytes may have no address; no function may look at it.
static void absent_is_bearable(void **state)
{
    (void)state;
    struct span rest = SPAN_ABSENT;
    uint64_t u;
    int64_t i;
    bool b;
    assert_true(span_starts_with(rest, ""));
    assert_false(span_starts_with(rest, "a"));
    assert_true(span_ends_with(rest, ""));
    assert_false(span_ends_with(rest, "a"));
    assert_int_equal(span_find(rest, span_of("a")), -1);
    assert_int_equal(span_find(span_of("a"), rest), 0);
    assert_int_equal(span_trim(rest).len, 0);
    assert_int_equal(span_skip(rest, 5).len, 0);
    assert_int_equal(span_cut(&rest, ',').len, 0);
    assert_false(span_to_u64(rest, &u));
    assert_false(span_to_i64(rest, &i));
    assert_false(span_to_fixed(rest, 3, &i));
    assert_false(span_to_bool(rest, &b));
}

static void comparing(void **state)
{
    (void)state;
    assert_true(span_equal(span_make("a\0b", 3), span_make("a\0b", 3)));
    assert_false(span_equal(span_make("a\0b", 3), span_make("a\0c", 3)));
    assert_false(span_equal(span_of("ab"), span_of("a")));
    assert_true(span_is(span_make("abc", 2), "ab"));
    assert_false(span_is(span_of("ab"), "abc"));
    assert_false(span_is(span_of("abc"), "ab"));
    assert_true(span_starts_with(span_of("abc"), "ab"));
    assert_true(span_starts_with(span_of("abc"), "abc"));
    assert_false(span_starts_with(span_of("abc"), "abcd"));
    assert_false(span_starts_with(span_of("abc"), "b"));
    assert_true(span_ends_with(span_of("abc"), "bc"));
    assert_true(span_ends_with(span_of("abc"), "abc"));
    assert_false(span_ends_with(span_of("abc"), "0abc"));
    assert_false(span_ends_with(span_of("abc"), "ab"));
}

static void cutting(void **state)
{
    (void)state;
    is(span_skip(span_of("abc"), 2), "c");
    is(span_skip(span_of("abc"), 99), "");
    is(span_trim(span_of(" \t\r\n\f\va b\v \n")), "a b");
    is(span_trim(span_of("  ")), "");
    assert_int_equal(span_trim(span_make(" \0 ", 3)).len, 1); // NUL is not white space

    struct span rest = span_of("a,,b");
    is(span_cut(&rest, ','), "a");
    is(span_cut(&rest, ','), "");
    is(span_cut(&rest, ','), "b");
    assert_int_equal(rest.len, 0);
    rest = span_of("a,");
    is(span_cut(&rest, ','), "a");
    is(rest, "");
    is(span_cut(&rest, ','), "");
}

static void finding(void **state)
{
    (void)state;
    assert_int_equal(span_find(span_of("hello"), span_of("l")), 2);
    assert_int_equal(span_find(span_of("hello"), span_of("hello")), 0);
    assert_int_equal(span_find(span_of("hello"), span_of("hellos")), -1);
    assert_int_equal(span_find(span_make("hello", 3), span_of("lo")), -1); // not past the end
    assert_int_equal(span_find(span_of(""), span_of("")), 0);
}

static void unsigned_numbers(void **state)
{
    (void)state;
    static const char *const refused[] = {"",
                                          "+1",
                                          "-1",
                                          " 1",
                                          "1 ",
                                          "1x",
                                          "0x1",
                                          "1.0",
                                          "18446744073709551616",
                                          "99999999999999999999",
                                          "20000000000000000000"};
    uint64_t value = 77;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_false(span_to_u64(span_of(refused[i]), &value));
        assert_int_equal(value, 77);
    }
    assert_true(span_to_u64(span_of("0"), &value));
    assert_int_equal(value, 0);
    assert_true(span_to_u64(span_of("007"), &value));
    assert_int_equal(value, 7);
    assert_true(span_to_u64(span_make("123", 2), &value));
    assert_int_equal(value, 12);
    assert_true(span_to_u64(span_of("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
}

static void signed_numbers(void **state)
{
    (void)state;
    static const char *const refused[] = {"",
                                          "-",
                                          "+",
                                          "--1",
                                          "+-1",
                                          " 1",
                                          "1 ",
                                          ".",
                                          "1.",
                                          ".5",
                                          "1.5",
                                          "1.0",
                                          "1e3",
                                          "9223372036854775808",
                                          "-9223372036854775809"};
    int64_t value = 77;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_false(span_to_i64(span_of(refused[i]), &value));
        assert_int_equal(value, 77);
    }
    assert_true(span_to_i64(span_of("-12"), &value));
    assert_int_equal(value, -12);
    assert_true(span_to_i64(span_of("+12"), &value));
    assert_int_equal(value, 12);
    assert_true(span_to_i64(span_of("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(span_to_i64(span_of("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
}

static void fractions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned digits;
        int64_t value;
    } taken[] = {
        {"1.5", 3, 1500},
        {"1.5", 0, 1},
        {"0.0009", 3, 0},
        {"-1.25", 2, -125},
        {"12", 2, 1200},
        {"+0.05", 2, 5},
        {"-0.5", 1, -5},
        {"1.23456789", 4, 12345},
        {"-0.001", 3, -1},
        {"-1.999", 0, -1},
        {"9223372036.854775807", 9, INT64_MAX},
    };
    int64_t value;
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        assert_true(span_to_fixed(span_of(taken[i].text), taken[i].digits, &value));
        assert_true(value == taken[i].value);
    }
    static const char *const refused[] = {"",
                                          ".",
                                          "1.",
                                          ".1",
                                          "1.x",
                                          "1.00x",
                                          "1.-5",
                                          "1.2.3",
                                          "x",
                                          "1,5",
                                          "-",
                                          "1.0\xff",
                                          "9223372036854775807"};
    value = 77;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_false(span_to_fixed(span_of(refused[i]), 2, &value));
        assert_int_equal(value, 77);
    }
    assert_false(span_to_fixed(span_of("9223372036.854775808"), 9, &value));
    assert_false(span_to_fixed(span_of("1"), 20, &value));
}

static void truth(void **state)
{
    (void)state;
    static const char *const yes[] = {"true", "YES", "On", "1"};
    static const char *const no[] = {"false", "No", "OFF", "0"};
    static const char *const neither[] = {"", "t", "tru", "truex", "2", "01", " true", "nope"};
    bool value;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        value = false;
        assert_true(span_to_bool(span_of(yes[i]), &value));
        assert_true(value);
        assert_true(span_to_bool(span_of(no[i]), &value));
        assert_false(value);
    }
    for (size_t i = 0; i < ARRAY_LEN(neither); i++)
        assert_false(span_to_bool(span_of(neither[i]), &value));
}

static void what_acts_on_a_terminal(void **state)
{
    (void)state;
    static const uint32_t ranges[][2] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},
                                         {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    for (uint32_t rune = 0; rune < 0x3000; rune++) {
        bool expected = false;
        for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
            expected |= rune >= ranges[i][0] && rune <= ranges[i][1];
        assert_int_equal(rune_is_unsafe(rune), expected);
    }
}

static void runes(void **state)
{
    (void)state;
    assert_int_equal(span_character(SPAN_LITERAL("a")).rune, 'a');
    assert_int_equal(span_character(SPAN_LITERAL("\u00df")).rune, 0xdf);
    assert_int_equal(span_character(SPAN_LITERAL("\u2029")).rune, 0x2029);
    assert_int_equal(span_character(SPAN_LITERAL("\U0001f600")).rune, 0x1f600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_is_not_empty),
        cmocka_unit_test(absent_is_bearable),
        cmocka_unit_test(comparing),
        cmocka_unit_test(cutting),
        cmocka_unit_test(finding),
        cmocka_unit_test(unsigned_numbers),
        cmocka_unit_test(signed_numbers),
        cmocka_unit_test(fractions),
        cmocka_unit_test(truth),
        cmocka_unit_test(what_acts_on_a_terminal),
        cmocka_unit_test(runes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
