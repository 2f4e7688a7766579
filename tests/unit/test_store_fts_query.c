#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "store/fts_query.h"

static void expect(const char *text, const char *query, int words)
{
    BUF_AUTO buf = BUF_INIT(FTS_QUERY_BYTES_MAX);
    assert_int_equal(fts_query_build(span_of(text), &buf), words);
    assert_string_equal(buf_text(&buf), query);
}

static void words_are_quoted(void **state)
{
    (void)state;
    expect("", "", 0);
    expect("  ?!\"*() ", "", 0);
    expect("car", "\"car\"", 1);
    expect("red car", "\"red\" OR \"car\"", 2);
    expect("x AND NOT(y:z*)", "\"x\" OR \"AND\" OR \"NOT\" OR \"y\" OR \"z\"", 5);
    expect("a\"b", "\"a\" OR \"b\"", 2);
    expect("apples", "\"apples\" *", 1);
    expect("Z\xc3\xbcrich", "\"Z\xc3\xbcrich\" *", 1);
}

static void nul_bytes_separate(void **state)
{
    (void)state;
    BUF_AUTO buf = BUF_INIT(FTS_QUERY_BYTES_MAX);
    assert_int_equal(fts_query_build(SPAN_LITERAL("a\0b"), &buf), 2);
    assert_string_equal(buf_text(&buf), "\"a\" OR \"b\"");
}

static void there_is_an_end(void **state)
{
    (void)state;
    BUF_AUTO many = BUF_INIT(8192);
    for (int i = 0; i < 100; i++)
        buf_append_text(&many, "abcdefghij0123456789abcdefghij0123456789abcdefghij0123456789 ");
    BUF_AUTO buf = BUF_INIT(FTS_QUERY_BYTES_MAX);
    assert_int_equal(fts_query_build(buf_span(&many), &buf), FTS_WORDS_MAX);
    assert_false(buf_is_full(&buf));

    char longest[FTS_WORD_BYTES_MAX + 3];
    memset(longest, 'w', sizeof longest);
    longest[FTS_WORD_BYTES_MAX + 1] = ' ';
    longest[FTS_WORD_BYTES_MAX + 2] = '\0';
    buf_clear(&buf);
    assert_int_equal(fts_query_build(span_of(longest), &buf), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_quoted),
        cmocka_unit_test(nul_bytes_separate),
        cmocka_unit_test(there_is_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
