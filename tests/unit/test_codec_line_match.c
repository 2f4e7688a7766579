#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/line_match.h"
#include "codec/line_nearest.h"
#include "codec/text_line.h"

enum { LINES_MAX = 64 };

// The lines of `wanted`, each with a line break behind it, looked for in the text.
static struct line_matches find(const char *text, const char *wanted)
{
    struct span lines[LINES_MAX], rest = span_of(wanted);
    struct text_line line;
    size_t count = 0;
    while (text_line_next(&rest, &line))
        lines[count++] = line.text;
    struct line_search search = {
        .text = span_of(text), .from_line = 1, .lines = lines, .count = count};
    struct line_matches found;
    line_match_find(&search, &found);
    return found;
}

static void is_at(struct line_matches found, enum line_fit fit, int64_t line, size_t at, size_t end)
{
    assert_int_equal(found.count, 1);
    assert_int_equal(found.fit, fit);
    assert_int_equal(found.first[0].line, line);
    assert_int_equal(found.first[0].at, at);
    assert_int_equal(found.first[0].end, end);
}

static void test_exactly(void **state)
{
    (void)state;
    is_at(find("a\nb\nc\n", "b\n"), LINE_FIT_EXACT, 2, 2, 4);
    is_at(find("a\nb\nc", "b\nc\n"), LINE_FIT_EXACT, 2, 2, 5);
    is_at(find("a\r\nb\r\nc\r\n", "b\nc\n"), LINE_FIT_EXACT, 2, 3, 9);
    is_at(find("x\n\n\ny\n", "\n\n"), LINE_FIT_EXACT, 2, 2, 4);
    assert_int_equal(find("ab\n", "a\n").count, 0);
    assert_int_equal(find("", "a\n").count, 0);
    assert_int_equal(find("a\nb\n", "b\nc\n").count, 0); // it would end behind the text
    assert_int_equal(find("a\n", "").count, 0);
    // A beginning of it inside of it must not be passed by.
    is_at(find("a\na\na\nb\n", "a\na\nb\n"), LINE_FIT_EXACT, 2, 2, 8);
    is_at(find("a\nb\na\nb\na\nc\n", "a\nb\na\nc\n"), LINE_FIT_EXACT, 3, 4, 12);
    struct line_matches several = find("a\na\na\n", "a\na\n");
    assert_int_equal(several.count, 2);
    assert_int_equal(several.first[1].line, 2);
    assert_int_equal(several.last.end, 6);
}

static void test_with_other_blanks(void **state)
{
    (void)state;
    is_at(find("a \t\nb\n", "a\nb  \n"), LINE_FIT_TRAILING, 1, 0, 6);
    // What fits exactly goes before what does not, wherever it is.
    is_at(find("a \na\n", "a\n"), LINE_FIT_EXACT, 2, 3, 5);
    assert_int_equal(find("a \na\t\n", "a\n").count, 2);
    assert_int_equal(find("x\n \n", "\n").count, 0); // blanks alone are found nowhere else
}

static void test_indented(void **state)
{
    (void)state;
    struct line_matches found = find("if x:\n    a\n\n        b\n", "a\n  \n    b\n");
    is_at(found, LINE_FIT_INDENT, 2, 6, 23);
    assert_false(found.first[0].shift.less);
    assert_true(span_is(found.first[0].shift.blanks, "    "));
    found = find("a\n  b\n", "\ta\n\t  b\n");
    is_at(found, LINE_FIT_INDENT, 1, 0, 6);
    assert_true(found.first[0].shift.less);
    assert_true(span_is(found.first[0].shift.blanks, "\t"));
    assert_int_equal(find("    a\n    b\n", "a\n  b\n").count, 0); // not by the same
    assert_int_equal(find("    a\n\tb\n", "a\nb\n").count, 0);     // nor with the same blanks
    assert_int_equal(find("  a\nb\n", "a\n  b\n").count, 0);       // one more, one less
    assert_int_equal(find("  a\n\n   a\n", "a\n").count, 2);
}

static void test_shifting_a_line(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(64);
    struct line_shift more = {.blanks = SPAN_LITERAL("  ")};
    struct line_shift less = {.blanks = SPAN_LITERAL("  "), .less = true};
    assert_true(line_shift_append(&more, SPAN_LITERAL("\ta"), &out));
    assert_true(line_shift_append(&more, SPAN_LITERAL(""), &out));
    assert_string_equal(buf_text(&out), "  \ta");
    buf_clear(&out);
    assert_true(line_shift_append(&less, SPAN_LITERAL("   a"), &out));
    assert_true(line_shift_append(&less, SPAN_LITERAL(""), &out));
    assert_false(line_shift_append(&less, SPAN_LITERAL(" a"), &out));
    assert_string_equal(buf_text(&out), " a");
}

// Nothing takes long, whatever is in it: 4 MiB of equal lines, and many of them looked for.
static void test_equal_lines(void **state)
{
    (void)state;
    enum { TEXT = 1 << 20, WANTED = 20000 };
    BUF_AUTO text = BUF_INIT(4 << 20);
    CLEANUP(mem_cleanup) struct span *lines = mem_alloc(WANTED * sizeof *lines);
    for (int i = 0; i < TEXT / 2; i++)
        buf_append_text(&text, "x\n");
    for (int i = 0; i < WANTED; i++)
        lines[i] = SPAN_LITERAL("x");
    lines[WANTED - 1] = SPAN_LITERAL("y");
    struct line_search search = {
        .text = buf_span(&text), .from_line = 1, .lines = lines, .count = WANTED};
    struct line_matches found;
    line_match_find(&search, &found);
    assert_int_equal(found.count, 0);
    lines[WANTED - 1] = SPAN_LITERAL("x");
    search.hint = 500;
    line_match_find(&search, &found);
    assert_int_equal(found.count, LINE_MATCHES_MAX);
    assert_int_equal(found.at_hint.line, 500);
    BUF_AUTO list = BUF_INIT(256);
    line_matches_list(&found, &list);
    assert_string_equal(buf_text(&list), "lines 1, 2, 3, 4, 5, 6, 7, 8 and more");
}

static void nearest(const char *text, const char *wanted, const char *shown)
{
    struct span lines[LINES_MAX], rest = span_of(wanted);
    struct text_line line;
    size_t count = 0;
    while (text_line_next(&rest, &line))
        lines[count++] = line.text;
    BUF_AUTO out = BUF_INIT(4096);
    assert_true(line_nearest_show(span_of(text), lines, count, &out) == (*shown != 0));
    assert_string_equal(buf_text(&out), shown);
}

static void test_nearest(void **state)
{
    (void)state;
    nearest("one\ntwo\nthree\nfour\n", "two\nthere\n", "2|two\n3|three\n");
    nearest("one\n  int value = 3;\n", "int value = 4;\n", "2|  int value = 3;\n");
    nearest("aaa\nbbb\n", "zzzz\n", "");
    nearest("", "a\n", "");
    nearest("\n\n\n", "\n", ""); // an empty line is like every other one
    nearest("x\nlast one", "last won\n", "2|last one\n");
    char text[400], shown[400];
    snprintf(text, sizeof text, "%0200d", 7);
    snprintf(shown, sizeof shown, "1|%0160d [cut]\n", 0);
    nearest(text,
            "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "0000000000000000000000000000000000000000000000000000000000000000000000000000\n",
            shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly),     cmocka_unit_test(test_with_other_blanks),
        cmocka_unit_test(test_indented),    cmocka_unit_test(test_shifting_a_line),
        cmocka_unit_test(test_equal_lines), cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
