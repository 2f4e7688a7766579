#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/text_replace.h"

enum { TEXT_MAX = 4 << 20 };

static const char *replaced(const char *old_text, const char *new_text, bool all, const char *text)
{
    static char said[8192];
    struct error err = ERROR_INIT;
    TEXT_EDITS_AUTO edits;
    BUF_AUTO remarks = BUF_INIT(4096);
    BUF_AUTO help = BUF_INIT(4096);
    BUF_AUTO new = BUF_INIT(TEXT_MAX);
    text_edits_init(&edits, TEXT_MAX);
    struct text_replace replace = {span_of(old_text), span_of(new_text), all};
    if (text_replace_find(&replace, span_of(text), &edits, &remarks, &help, &err) < 0) {
        snprintf(said, sizeof said, "refused: %s%s%s", err.text, help.len ? "\n" : "",
                 buf_text(&help));
        return said;
    }
    assert_true(text_edits_apply(&edits, span_of(text), &new));
    assert_int_equal(new.len, text_edits_size(&edits, span_of(text)));
    snprintf(said, sizeof said, "%s%s%s", buf_text(&new), remarks.len ? "# " : "",
             buf_text(&remarks));
    return said;
}

#define ONCE(old, new, text, result) assert_string_equal(replaced(old, new, false, text), result)
#define ALL(old, new, text, result) assert_string_equal(replaced(old, new, true, text), result)

static void test_as_it_is(void **state)
{
    (void)state;
    ONCE("b", "B", "abc", "aBc");
    ONCE("b\n", "", "a\nb\nc\n", "a\nc\n");
    ONCE("a\nb", "x", "a\nb\n", "x\n");
    ONCE("c", "c\nd", "a\nc", "a\nc\nd");
    ALL("a", "xyz", "a.a.a", "xyz.xyz.xyz");
    ALL("aa", "b", "aaaaa", "bba");
    ALL("a\n", "", "a\na\n", "");
    ALL("one", "1", "one", "1");
}

static void test_line_breaks(void **state)
{
    (void)state;
    ONCE("a\nb\n", "x\ny\n", "a\r\nb\r\nc\r\n", "x\r\ny\r\nc\r\n");
    ONCE("b", "x\ny", "a\r\nb\r\n", "a\r\nx\r\ny\r\n");
    ONCE("b", "x\r\ny", "a\r\nb\r\n", "a\r\nx\r\ny\r\n");
    ONCE("a\r\nb\r\n", "x\r\ny\r\n", "a\nb\nc\n", "x\ny\nc\n");
    ALL("a\nb", "x\ny", "a\r\nb\r\na\r\nb\r\n", "x\r\ny\r\nx\r\ny\r\n");
    // A file with both.
    ONCE("c\nd", "x\ny", "a\r\nb\r\nc\nd\n", "a\r\nb\r\nx\ny\n");
    ONCE("b\nc\n", "x\ny\n", "a\nb\r\nc\nd\n", "a\nx\r\ny\r\nd\n");
    // The last line has none, and gets none.
    ONCE("b\n", "x\n", "a\nb", "a\nx");
    ONCE("b\n", "x\ny\n", "a\nb", "a\nx\ny");
}

static void test_other_blanks(void **state)
{
    (void)state;
    ONCE("a\nb\n", "x\n", "a \nb\t\nc\n", "x\nc\n# line 1 has other blanks at the ends of lines\n");
    ONCE("a\nb", "x", "a \nb\t\nc\n", "x\nc\n# line 1 has other blanks at the ends of lines\n");
    ONCE(
        "if a:\n    b\n", "if a:\n    c\n\n    d\n", "x\n\tif a:\n\t    b\n",
        "x\n\tif a:\n\t    c\n\n\t    d\n# line 2 has another indentation, which the new lines got "
        "as well\n");
    ONCE("    a\n    b\n", "    c\n", "a\nb\n",
         "c\n# line 1 has another indentation, which the new lines got as well\n");
    ONCE("    a\n    b\n", "c\n", "a\nb\n",
         "refused: old_string is there only with another indentation, at line 1, which a line of "
         "new_string cannot have; write both as the file is");
    // In one place only, even for all of them.
    ALL("a\nb\n", "x\n", " a\n b\n\n  a\n  b\n",
        "refused: old_string is not in the file as it is; with another indentation it is at lines "
        "1 and 4");
    // A part of a line is looked for as it is.
    ONCE("a  =", "x", "a =\n",
         "refused: old_string is not in the file. What is most like it there:\n1|a =\n");
}

static void test_refusals(void **state)
{
    (void)state;
    ONCE("", "x", "a", "refused: old_string is empty; write_file makes a file");
    ONCE("a", "a", "a", "refused: old_string and new_string are the same");
    ONCE("a", "b", "x a\ny\na a\n",
         "refused: old_string is there more than once, at lines 1, 3 and 3; give more of what is "
         "around it, or replace_all");
    ONCE("aa", "b", "aaa\n",
         "refused: old_string is there more than once, at lines 1 and 1; give more of what is "
         "around it, or replace_all");
    ONCE("a", "b", "aaaaaaaaaaaaaaaaaa",
         "refused: old_string is there more than once, at lines 1, 1, 1, 1, 1, 1, 1, 1 and more; "
         "give more of what is around it, or replace_all");
    ONCE("zzz", "b", "abc\n", "refused: old_string is not in the file, nor anything like it");
    ONCE("a", "b", "", "refused: old_string is not in the file, nor anything like it");
}

static void test_limits(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(TEXT_MAX);
    for (int i = 0; i < TEXT_EDITS_MAX; i++)
        buf_append_text(&text, "a");
    assert_memory_equal(replaced("a", "b", true, buf_text(&text)), "bbb", 3);
    buf_append_text(&text, "a");
    ALL("a", "b", buf_text(&text), "refused: old_string is there more than 16384 times");
    // Many lines that are not there as they are.
    BUF_AUTO lines = BUF_INIT(TEXT_MAX);
    for (int i = 0; i <= TEXT_REPLACE_LINES_MAX; i++)
        buf_append_text(&lines, "a\n");
    assert_non_null(strstr(replaced(buf_text(&lines), "b", false, "a \n"), "is not in the file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_it_is),     cmocka_unit_test(test_line_breaks),
        cmocka_unit_test(test_other_blanks), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
