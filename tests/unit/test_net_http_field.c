// links: net/http_field.c base/span.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "net/http_field.h"

static void tokens(void **state)
{
    (void)state;
    static const char all[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    assert_true(http_is_token(span_of(all)));
    assert_false(http_is_token(SPAN_ABSENT));
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool expected = c && strchr(all, c);
        assert_int_equal(http_is_token(span_make(&byte, 1)), expected);
        assert_int_equal(http_is_field_value(span_make(&byte, 1)),
                         c == '\t' || (c >= ' ' && c != 0x7f));
    }
    assert_true(http_is_field_value(SPAN_ABSENT));
}

static void fields(void **state)
{
    (void)state;
    struct span name, value;
    assert_true(http_field_split(span_of("X-A:\t a b \t "), &name, &value));
    assert_true(span_is(name, "X-A"));
    assert_true(span_is(value, "a b"));
    assert_true(http_field_split(span_of("X-A:"), &name, &value));
    assert_int_equal(value.len, 0);
    assert_true(http_field_split(span_of("X: a:b"), &name, &value));
    assert_true(span_is(value, "a:b"));
    static const char *const none[] = {"",      "X",      ":",       ": a",    "X : a",
                                       " X: a", "X\t: a", "X: \x01", "X Y: a", "(X): a"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(http_field_split(span_of(none[i]), &name, &value));
    assert_true(span_is(value, "a:b")); // untouched
}

static void lists(void **state)
{
    (void)state;
    assert_true(http_list_has(span_of("close"), "close"));
    assert_true(http_list_has(span_of(" , ,Keep-Alive\t,CLOSE "), "close"));
    assert_false(http_list_has(span_of("closed, clos"), "close"));
    assert_false(http_list_has(span_of(""), "close"));
    assert_false(http_list_has(SPAN_ABSENT, "close"));
    struct span rest = span_of("a,, b c ,"), member;
    assert_true(http_list_next(&rest, &member));
    assert_true(span_is(member, "a"));
    assert_true(http_list_next(&rest, &member));
    assert_true(span_is(member, "b c"));
    assert_false(http_list_next(&rest, &member));
}

static void lengths(void **state)
{
    (void)state;
    int64_t bytes = -7;
    static const char *const none[] = {"",
                                       "-1",
                                       "+1",
                                       "1 ",
                                       " 1",
                                       "1,1",
                                       "0x1",
                                       "1.0",
                                       "9223372036854775808",
                                       "99999999999999999999"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(http_content_length(span_of(none[i]), &bytes));
    assert_int_equal(bytes, -7);
    assert_true(http_content_length(span_of("0"), &bytes));
    assert_int_equal(bytes, 0);
    assert_true(http_content_length(span_of("00042"), &bytes));
    assert_int_equal(bytes, 42);
    assert_true(http_content_length(span_of("9223372036854775807"), &bytes));
    assert_true(bytes == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens),
        cmocka_unit_test(fields),
        cmocka_unit_test(lists),
        cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
