#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/text_patch.h"
#include "codec/text_patch_apply.h"
#include "codec/unified_diff.h"

enum { BUDGET = 16 * 1024, TEXT_MAX = 1 << 20 };

static void edit(struct text_edits *edits, size_t at, size_t len, const char *text)
{
    assert_true(text_edits_begin(edits, at, len));
    buf_append_text(&edits->texts, text);
    text_edits_end(edits);
}

static const char *shown(const char *old, struct text_edits *edits, size_t budget)
{
    static char said[2 * BUDGET];
    BUF_AUTO new = BUF_INIT(TEXT_MAX);
    BUF_AUTO out = BUF_INIT(2 * BUDGET);
    assert_true(text_edits_sort(edits));
    assert_true(text_edits_apply(edits, span_of(old), &new));
    unified_diff_write(span_of(old), buf_span(&new), edits, budget, &out);
    snprintf(said, sizeof said, "%s", buf_text(&out));
    text_edits_finish(edits);
    text_edits_init(edits, TEXT_MAX);
    return said;
}

static void test_one_change(void **state)
{
    (void)state;
    TEXT_EDITS_AUTO edits;
    text_edits_init(&edits, TEXT_MAX);
    edit(&edits, 2, 1, "B"); // a part of a line
    assert_string_equal(shown("a\nbxx\nc\n", &edits, BUDGET),
                        "@@ -1,3 +1,3 @@\n a\n-bxx\n+Bxx\n c\n");
    edit(&edits, 10, 2, "");
    assert_string_equal(shown("1\n2\n3\n4\n5\n6\n7\n8\n9\n", &edits, BUDGET),
                        "@@ -3,7 +3,6 @@\n 3\n 4\n 5\n-6\n 7\n 8\n 9\n");
    edit(&edits, 0, 0, "new\n");
    assert_string_equal(shown("", &edits, BUDGET), "@@ -0,0 +1,1 @@\n+new\n");
    edit(&edits, 0, 2, "");
    assert_string_equal(shown("a\n", &edits, BUDGET), "@@ -1,1 +0,0 @@\n-a\n");
    edit(&edits, 1, 1, ""); // two lines become one
    assert_string_equal(shown("a\nb\n", &edits, BUDGET), "@@ -1,2 +1,1 @@\n-a\n-b\n+ab\n");
    edit(&edits, 3, 0, "\nc");
    assert_string_equal(shown("a\nb", &edits, BUDGET),
                        "@@ -1,2 +1,3 @@\n a\n-b\n\\ No newline at end of file\n+b\n+c\n"
                        "\\ No newline at end of file\n");
    edit(&edits, 0, 8, "a\nB\nc\nd\n"); // what stayed is not shown as if it had changed
    assert_string_equal(shown("a\nb\nc\nd\n", &edits, BUDGET),
                        "@@ -1,4 +1,4 @@\n a\n-b\n+B\n c\n d\n");
    edit(&edits, 0, 2, "a\n");
    assert_string_equal(shown("a\n", &edits, BUDGET), "");
}

static void test_several(void **state)
{
    (void)state;
    TEXT_EDITS_AUTO edits;
    text_edits_init(&edits, TEXT_MAX);
    static const char text[] = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
    edit(&edits, 2, 1, "B\nB2");
    edit(&edits, 20, 1, "K");
    assert_string_equal(shown(text, &edits, BUDGET),
                        "@@ -1,5 +1,6 @@\n a\n-b\n+B\n+B2\n c\n d\n e\n"
                        "@@ -8,5 +9,5 @@\n h\n i\n j\n-k\n+K\n l\n");
    edit(&edits, 2, 1, "B");
    edit(&edits, 14, 1, "H"); // near enough to share what is between them
    assert_string_equal(shown(text, &edits, BUDGET),
                        "@@ -1,11 +1,11 @@\n a\n-b\n+B\n c\n d\n e\n f\n g\n-h\n+H\n i\n j\n k\n");
    edit(&edits, 0, 1, "x");
    edit(&edits, 2, 1, "y"); // on one line
    assert_string_equal(shown("a.b.c\n", &edits, BUDGET), "@@ -1,1 +1,1 @@\n-a.b.c\n+x.y.c\n");
    edit(&edits, 0, 1, "x");
    edit(&edits, 1, 0, "y");
    edit(&edits, 1, 1, "");
    edit(&edits, 2, 1, "z");
    assert_string_equal(shown("a\nb\n", &edits, BUDGET), "@@ -1,2 +1,1 @@\n-a\n-b\n+xyz\n");
    edit(&edits, 1, 2, ""); // the second takes the line that the first one joined to its own
    edit(&edits, 3, 2, "");
    assert_string_equal(shown("ax\nx\nb\n", &edits, BUDGET), "@@ -1,3 +1,1 @@\n-ax\n-x\n-b\n+ab\n");
    edit(&edits, 1, 2, "");
    edit(&edits, 3, 2, "");
    edit(&edits, 5, 2, "");
    assert_string_equal(shown("ax\nx\nx\nb\nc\n", &edits, BUDGET),
                        "@@ -1,5 +1,2 @@\n-ax\n-x\n-x\n-b\n+ab\n c\n");
}

static void test_what_is_long_is_cut(void **state)
{
    (void)state;
    TEXT_EDITS_AUTO edits;
    text_edits_init(&edits, TEXT_MAX);
    char line[501] = "";
    memset(line, 'x', 500);
    edit(&edits, 0, 1, "y");
    const char *said = shown(line, &edits, BUDGET);
    assert_non_null(strstr(said, "xxx [cut: 500 bytes]\n\\ No newline at end of file\n+yxx"));
    assert_true(strlen(said) < 1000);

    BUF_AUTO many = BUF_INIT(TEXT_MAX);
    for (int i = 0; i < 5000; i++)
        buf_append_text(&many, "a line\n");
    for (size_t i = 0; i < 300; i++)
        edit(&edits, i * 7 * 16, 1, "A");
    said = shown(buf_text(&many), &edits, 1000);
    assert_true(strlen(said) < 1200);
    assert_true(span_ends_with(span_of(said), "[more changes are not shown]\n"));
    edit(&edits, 0, many.len, "x\n");
    said = shown(buf_text(&many), &edits, 1000);
    assert_true(strlen(said) < 1200);
    assert_true(span_ends_with(span_of(said), "[more changes are not shown]\n"));
}

static unsigned next_number(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

static void append_random(struct buf *out, unsigned *seed, unsigned most)
{
    static const char letters[] = "ab+- @\n\n\n";
    for (unsigned i = next_number(seed, most + 1); i > 0; i--)
        buf_append_char(out, letters[next_number(seed, sizeof letters - 1)]);
}

// What is shown is a patch that makes the new text of the old one.
static void test_what_is_shown_is_a_patch(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned seed = round;
        BUF_AUTO old = BUF_INIT(TEXT_MAX);
        BUF_AUTO new = BUF_INIT(TEXT_MAX);
        BUF_AUTO diff = BUF_INIT(TEXT_MAX);
        BUF_AUTO again = BUF_INIT(TEXT_MAX);
        BUF_AUTO remarks = BUF_INIT(TEXT_MAX);
        BUF_AUTO help = BUF_INIT(TEXT_MAX);
        TEXT_EDITS_AUTO edits;
        TEXT_EDITS_AUTO found;
        text_edits_init(&edits, TEXT_MAX);
        text_edits_init(&found, TEXT_MAX);
        append_random(&old, &seed, 80);
        for (size_t at = 0; at <= old.len; at += 1 + next_number(&seed, 40)) {
            size_t len = next_number(&seed, 5);
            len = len < old.len - at ? len : old.len - at;
            text_edits_begin(&edits, at, len);
            append_random(&edits.texts, &seed, 6);
            text_edits_end(&edits);
            at += len;
        }
        assert_true(text_edits_sort(&edits));
        assert_true(text_edits_apply(&edits, buf_span(&old), &new));
        buf_append_text(&diff, "--- a/f\n+++ b/f\n");
        size_t head = diff.len;
        unified_diff_write(buf_span(&old), buf_span(&new), &edits, TEXT_MAX / 2, &diff);
        if (diff.len == head) {
            assert_true(span_equal(buf_span(&old), buf_span(&new)));
            continue;
        }
        TEXT_PATCH_AUTO patch = {0};
        struct error err = ERROR_INIT;
        int r = text_patch_parse(buf_span(&diff), &patch, &err);
        if (r == 0)
            r = text_patch_find(&patch, &patch.files[0], buf_span(&old), &found, &remarks, &help,
                                &err);
        if (r < 0)
            fail_msg("%u: %s\n%s\nof:\n%s", round, err.text, buf_text(&diff), buf_text(&old));
        assert_true(text_edits_apply(&found, buf_span(&old), &again));
        if (!span_equal(buf_span(&again), buf_span(&new)))
            fail_msg("%u: of:\n%s\nby:\n%s\ncame:\n%s\nwanted:\n%s", round, buf_text(&old),
                     buf_text(&diff), buf_text(&again), buf_text(&new));
        assert_int_equal(remarks.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_change),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_what_is_long_is_cut),
        cmocka_unit_test(test_what_is_shown_is_a_patch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
