#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/text_patch.h"
#include "codec/text_patch_apply.h"

enum { TEXT_MAX = 4 << 20 };

// What the patch makes of the text of its first file, or why it does not.
static const char *patched(const char *patch_text, const char *old)
{
    static char said[8192];
    struct error err = ERROR_INIT;
    TEXT_PATCH_AUTO patch = {0};
    TEXT_EDITS_AUTO edits;
    BUF_AUTO remarks = BUF_INIT(4096);
    BUF_AUTO help = BUF_INIT(4096);
    BUF_AUTO new = BUF_INIT(TEXT_MAX);
    text_edits_init(&edits, TEXT_MAX);
    int r = text_patch_parse(span_of(patch_text), &patch, &err);
    if (r == 0 && patch.files[0].kind == TEXT_PATCH_ADD)
        assert_true(text_patch_new_text(&patch, &patch.files[0], &new));
    else if (r == 0)
        r = text_patch_find(&patch, &patch.files[0], span_of(old), &edits, &remarks, &help, &err);
    if (r == 0 && patch.files[0].kind != TEXT_PATCH_ADD) {
        assert_true(text_edits_apply(&edits, span_of(old), &new));
        assert_int_equal(new.len, text_edits_size(&edits, span_of(old)));
    }
    if (r < 0)
        snprintf(said, sizeof said, "refused: %s%s%s", err.text, help.len ? "\n" : "",
                 buf_text(&help));
    else
        snprintf(said, sizeof said, "%s%s%s", buf_text(&new), remarks.len ? "# " : "",
                 buf_text(&remarks));
    return said;
}

#define MAKES(patch, old, new) assert_string_equal(patched(patch, old), new)
#define DIFF "--- a/f\n+++ b/f\n"
#define SECTION "*** Begin Patch\n*** Update File: f\n"
#define END "*** End Patch\n"

static void test_a_diff(void **state)
{
    (void)state;
    MAKES(DIFF "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", "a\nb\nc\n", "a\nB\nc\n");
    MAKES(DIFF "@@ -2 +2 @@\n-b\n+B\n", "a\nb\nc\n", "a\nB\nc\n");
    // Two hunks, the second further down than it says.
    MAKES(DIFF "@@ -1,1 +1,2 @@\n a\n+new\n@@ -3,2 +4,1 @@ int main(void)\n-c\n d\n",
          "a\nb\nx\ny\nc\nd\n", "a\nnew\nb\nx\ny\nd\n# hunk 2: it is at line 5, not at 3\n");
    // As a program writes it, and as a mail carries it.
    MAKES("From: somebody\n\ndiff --git a/f b/f\nindex 1..2 100644\n" DIFF
          "@@ -1 +1 @@\n-a\n+b\n-- \n2.39\n",
          "a\n", "b\n");
    MAKES("```diff\n" DIFF "@@ -1 +1 @@\n-a\n+b\n```\n", "a\n", "b\n");
    // Numbers that are wrong, or not there.
    MAKES(DIFF "@@ -90,7 +1,9 @@\n a\n-b\n+B\n", "a\nb\n",
          "a\nB\n# hunk 1: it is at line 1, not at 90\n");
    MAKES(DIFF "@@\n-b\n+B\n@@ ... @@\n-c\n+C\n", "a\nb\nc\n",
          "a\nB\nC\n# hunk 2: its \"@@\" line is not in the file just once; it is at line 3\n");
    // An empty line has lost its blank.
    MAKES(DIFF "@@ -1,3 +1,3 @@\n a\n\n-b\n+B\n\n", "a\n\nb\n", "a\n\nB\n");
    // A line that goes and one that comes look like the names of a file.
    MAKES(DIFF "@@ -1,2 +1,2 @@\n a\n--- x\n+++ y\n", "a\n-- x\n", "a\n++ y\n");
    MAKES(DIFF "@@ -0,0 +1,2 @@\n+a\n+b\n", "", "a\nb\n");
    MAKES(DIFF "@@ -2,0 +3,1 @@\n+new\n", "a\nb\nc\n", "a\nb\nnew\nc\n");
    MAKES(DIFF "@@ -1,2 +0,0 @@\n-a\n-b\n", "a\nb\n", "");
    MAKES("--- /dev/null\n+++ b/f\n@@ -0,0 +1,2 @@\n+a\n+b\n", "", "a\nb\n");
    MAKES("--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n", "", "a");
    MAKES("--- a/f\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n", "a\nb\n", "");
    MAKES("--- a/f\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n", "a\nb\nc\n",
          "refused: the patch deletes the file, but not all of its lines");
}

static void test_the_last_line_break(void **state)
{
    (void)state;
    // Nothing is said of it: it stays as it is.
    MAKES(DIFF "@@\n-b\n+B\n", "a\nb", "a\nB");
    MAKES(DIFF "@@\n b\n+c\n", "a\nb", "a\nb\nc");
    MAKES(DIFF "@@\n+x\n b\n", "a\nb", "a\nx\nb");
    MAKES(SECTION "@@\n-b\n+B\n+C\n" END, "a\r\nb", "a\r\nB\r\nC");
    // Something is.
    MAKES(DIFF "@@\n-b\n+b\n\\ No newline at end of file\n", "a\nb\n", "a\nb");
    MAKES(DIFF "@@\n-b\n\\ No newline at end of file\n+b\n", "a\nb", "a\nb\n");
    MAKES(DIFF "@@\n-b\n\\ No newline at end of file\n+B\n\\ No newline at end of file\n", "a\nb",
          "a\nB");
    MAKES(DIFF "@@\n-a\n b\n\\ No newline at end of file\n", "a\nb", "b");
}

static void test_line_breaks_of_the_file(void **state)
{
    (void)state;
    MAKES(DIFF "@@ -1,2 +1,2 @@\n a\n-b\n+B\n+C\n", "a\r\nb\r\n", "a\r\nB\r\nC\r\n");
    MAKES("--- a/f\r\n+++ b/f\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n", "a\n", "b\n");
    MAKES(SECTION "-a\n+b\n" END, "a\r\nx\r\n", "b\r\nx\r\n");
}

static void test_sections(void **state)
{
    (void)state;
    MAKES(SECTION "@@\n a\n-b\n+B\n" END, "a\nb\n", "a\nB\n");
    MAKES(SECTION " a\n-b\n+B\n", "a\nb\n", "a\nB\n"); // neither "@@" nor an end
    MAKES("*** Update File: f\n-b\n+B\n", "a\nb\n", "a\nB\n");
    MAKES(SECTION "@@ -2,1 +2,1 @@\n-b\n+B\n" END, "b\nb\n", "b\nB\n");
    MAKES("*** Begin Patch\n*** Add File: f\n+a\n\n+b\n\n" END, "", "a\n\nb\n");
    MAKES("*** Begin Patch\n*** Add File: f\n" END, "", "");
    MAKES("*** Begin Patch\n*** Delete File: f\n" END, "a\n", "a\n");
    // Behind a line that is named.
    static const char two[] = "def f():\n    x = 1\n\ndef g():\n    x = 1\n";
    MAKES(SECTION "@@ def g():\n-    x = 1\n+    x = 2\n" END, two,
          "def f():\n    x = 1\n\ndef g():\n    x = 2\n");
    MAKES(SECTION "@@ def f\n-    x = 1\n+    x = 2\n" END, two,
          "def f():\n    x = 2\n\ndef g():\n    x = 1\n");
    MAKES(SECTION "@@ class B\n@@ def f\n-  x\n+  y\n" END,
          "class A\ndef f\n  x\nclass B\ndef f\n  x\n",
          "class A\ndef f\n  x\nclass B\ndef f\n  y\n");
    MAKES(SECTION "@@ def g():\n+    y = 1\n" END, two,
          "def f():\n    x = 1\n\ndef g():\n    y = 1\n    x = 1\n");
    MAKES(SECTION "@@\n+end\n" END, "a\n", "a\nend\n");
    MAKES(SECTION "@@\n-a\n+b\n*** End of File\n" END, "a\na\n", "a\nb\n");
    // Hunks that are not in the order of the file.
    MAKES(SECTION "@@\n-d\n+D\n@@\n-a\n+A\n" END, "a\nb\nc\nd\n", "A\nb\nc\nD\n");
    // What fits exactly goes before what does not, wherever it is.
    MAKES(SECTION "@@\n-x\n+X\n@@\n-a\n+A\n" END, "a\nx\n  a\n", "A\nX\n  a\n");
    MAKES(SECTION "@@\n-x\n+X\n@@\n-a\n+A\n" END, "  a\nx\n  a\n",
          "refused: hunk 2 (line 6 of the patch) fits at lines 1 and 3; give it more lines of what "
          "is around it");
    // Neighbours.
    MAKES(SECTION "@@\n a\n+1\n@@\n-b\n+B\n@@\n c\n+2\n" END, "a\nb\nc\n", "a\n1\nB\nc\n2\n");
}

static void test_what_does_not_fit_exactly(void **state)
{
    (void)state;
    MAKES(DIFF "@@ -1,2 +1,2 @@\n a\n-b\n+B\n", "a  \nb\t\n",
          "a  \nB\n# hunk 1: line 1 has other blanks at the ends of lines\n");
    MAKES(SECTION " if a:\n-    b\n+    B\n+    C\n" END, "x:\n  if a:\n      b\n",
          "x:\n  if a:\n      B\n      C\n# hunk 1: line 2 has another indentation, which the new "
          "lines got as well\n");
    MAKES(SECTION "     b\n+    c\n" END, "  b\n",
          "  b\n  c\n# hunk 1: line 1 has another indentation, which the new lines got as well\n");
    MAKES(SECTION "     b\n+  c\n" END, " b\n",
          "refused: hunk 1 (line 3 of the patch) fits only with another indentation, which a line "
          "that it adds cannot have");
}

static void test_several_places(void **state)
{
    (void)state;
    MAKES(DIFF "@@ -3 +3 @@\n-a\n+b\n", "a\nx\na\n", "a\nx\nb\n"); // its number decides
    MAKES(DIFF "@@ -2 +2 @@\n-a\n+b\n", "a\nx\na\n",
          "refused: hunk 1 (line 3 of the patch) fits at lines 1 and 3; give it more lines of what "
          "is around it");
    MAKES(SECTION "@@\n-a\n+b\n" END, "a\nx\na\n",
          "refused: hunk 1 (line 3 of the patch) fits at lines 1 and 3; give it more lines of what "
          "is around it");
    // Not where it does not fit exactly.
    MAKES(DIFF "@@ -2 +2 @@\n-a\n+b\n", "a \na\t\n",
          "refused: hunk 1 (line 3 of the patch) fits at lines 1 and 2; give it more lines of what "
          "is around it");
    MAKES(SECTION "@@ f\n-a\n+b\n" END, "f\na\nf\na\n",
          "refused: hunk 1 (line 3 of the patch) fits at lines 2 and 4; give it more lines of what "
          "is around it");
    MAKES(SECTION "@@ f\n+b\n" END, "f\na\nf\na\n",
          "refused: hunk 1 (line 3 of the patch) only adds lines, and its \"@@\" line is not in "
          "the file just once");
    MAKES(
        DIFF "@@ -2,3 +2,4 @@\n+new\n", "a\nb\nc\nd\n",
        "refused: hunk 1 (line 3 of the patch) shows none of the lines of the file that its first "
        "line announces; write those around what is added, or a count of 0");
    MAKES(DIFF "@@ -9,0 +10 @@\n+b\n", "a\n",
          "refused: hunk 1 (line 3 of the patch) only adds lines, behind one that the file does "
          "not have");
}

// Hunks that say where they are need not be in the order of the file.
static void test_places_in_another_order(void **state)
{
    (void)state;
    static const char old[] = "def a():\n    return 1\ndef b():\n    return 2\ndef c():\n"
                              "    return 1\n";
    static const char new[] = "def a():\n    return 9\ndef b():\n    return 3\ndef c():\n"
                              "    return 1\n";
    MAKES(DIFF "@@ -4,1 +4,1 @@\n-    return 2\n+    return 3\n"
               "@@ -2,1 +2,1 @@\n-    return 1\n+    return 9\n",
          old, new);
    MAKES(SECTION "@@ def b():\n-    return 2\n+    return 3\n"
                  "@@ def a():\n-    return 1\n+    return 9\n" END,
          old, new);
    MAKES(SECTION "@@ def c():\n-    return 2\n+    return 3\n" END, old,
          "refused: hunk 1 (line 3 of the patch) is in the file only in front of the line that its "
          "\"@@\" names");
    MAKES(DIFF "@@ -5,1 +5,1 @@\n-    return 2\n+    return 3\n", old,
          "def a():\n    return 1\ndef b():\n    return 3\ndef c():\n    return 1\n"
          "# hunk 1: it is at line 4, not at 5\n");
    MAKES(SECTION "@@ def z():\n-    return 2\n+    return 3\n" END, old,
          "def a():\n    return 1\ndef b():\n    return 3\ndef c():\n    return 1\n"
          "# hunk 1: its \"@@\" line is not in the file just once; it is at line 4\n");
    // Behind the same line they are in their order, where there is one.
    MAKES(SECTION "@@ f\n-x\n+1\n@@ f\n-x\n+2\n@@ f\n-x\n+3\n" END, "x\nf\nx\nx\nx\n",
          "x\nf\n1\n2\n3\n");
    MAKES(SECTION "@@ f\n-y\n+1\n@@ f\n-x\n+2\n" END, "f\nx\ny\n", "f\n2\n1\n");
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    MAKES(DIFF "@@ -1,2 +1,2 @@\n one\n-tow\n+2\n", "zero\none\ntwo\n",
          "refused: hunk 1 (line 3 of the patch) is not in the file. What is most like it there:\n"
          "2|one\n3|two\n");
    MAKES(DIFF "@@ -1 +1 @@\n-zzz\n+2\n", "abc\n",
          "refused: hunk 1 (line 3 of the patch) is not in the file, nor anything like it");
    MAKES(DIFF "@@ -1 +1 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+c\n", "a\n",
          "refused: two hunks change the same lines");
}

static void test_what_is_no_patch(void **state)
{
    (void)state;
    MAKES("", "",
          "refused: the patch names no file: begin with \"--- a/PATH\" and \"+++ b/PATH\", or with "
          "\"*** Begin Patch\" and \"*** Update File: PATH\"");
    MAKES(
        "@@ -1 +1 @@\n-a\n+b\n", "a\n",
        "refused: line 1 of the patch begins a hunk of no file: \"--- a/PATH\" and \"+++ b/PATH\" "
        "come first");
    // What was left out of it would be taken for made.
    MAKES(DIFF "@@ -1,2 +1,2 @@\n-a\n+b\nc\n-d\n", "a\nc\nd\n",
          "refused: line 6 of the patch begins with none of \" \", \"+\", \"-\" and \"@@\"; each "
          "line of a hunk does");
    MAKES(SECTION "-a\n+b\nc\n" END, "a\nc\n",
          "refused: line 5 of the patch begins with none of \" \", \"+\", \"-\" and \"@@\"; each "
          "line of a hunk does");
    MAKES(SECTION " a\n" END, "a\n", "refused: the hunk at line 3 of the patch changes nothing");
    MAKES(SECTION END, "a\n", "refused: f has 0 hunks in the patch, which must be one at least");
    MAKES("*** Begin Patch\n*** Update File:\n" END, "",
          "refused: line 2 of the patch names no file; write the path as it is, unquoted");
    MAKES("--- \"a/\\303\\274\"\n+++ \"b/\\303\\274\"\n", "",
          "refused: line 2 of the patch names no file; write the path as it is, unquoted");
    MAKES("*** Begin Patch\n*** Rename File: f\n", "",
          "refused: line 2 of the patch is no line of a patch: \"*** Update File: PATH\", \"*** "
          "Add File: PATH\", \"*** Delete File: PATH\" and \"*** End Patch\" are");
    MAKES(SECTION "*** Move to: g\n", "",
          "refused: line 3 of the patch moves a file, which patch cannot: add the new one and "
          "delete the old one");
    MAKES("diff --git a/f b/g\nrename from f\nrename to g\n", "",
          "refused: line 2 of the patch renames a file, which patch cannot: add the new one and "
          "delete the old one");
    MAKES("diff --git a/f b/f\nBinary files a/f and b/f differ\n", "",
          "refused: line 2 of the patch is about a binary file");
    MAKES("diff --git a/f b/f\nold mode 100644\nnew mode 100755\n", "",
          "refused: line 2 of the patch changes the mode of a file, which patch cannot");
    MAKES("*** Begin Patch\n*** Add File: f\n-a\n" END, "",
          "refused: the hunk at line 2 of the patch may hold only lines with \"+\", as its file is "
          "new");
    MAKES("*** Begin Patch\n*** Delete File: f\n+a\n" END, "",
          "refused: the hunk at line 3 of the patch may hold only lines with \"-\", as its file is "
          "deleted");
    MAKES("*** Begin Patch\nhello\n" END, "", "refused: line 2 of the patch belongs to no file");
    MAKES(DIFF "@@ -1 +1 @@\n\\ No newline\n-a\n+b\n", "a\n",
          "refused: line 4 of the patch stands behind no line of a file");
    MAKES("--- /dev/null\n+++ /dev/null\n", "", "refused: line 2 of the patch names no file");
}

static void test_paths_and_several_files(void **state)
{
    (void)state;
    static const char text[] = "--- a/one\t2024-01-01\n+++ b/one\t2024-01-02\n@@ -1 +1 @@\n-a\n+b\n"
                               "--- two.orig\n+++ dir/two\n@@ -1 +1 @@\n-a\n+b\n"
                               "--- a/three\n+++ /dev/null\n"
                               "--- /dev/null\n+++ b/four\n@@ -0,0 +1 @@\n+x\n";
    static const char *const paths[] = {"one", "dir/two", "three", "four"};
    static const enum text_patch_kind kinds[] = {TEXT_PATCH_UPDATE, TEXT_PATCH_UPDATE,
                                                 TEXT_PATCH_DELETE, TEXT_PATCH_ADD};
    TEXT_PATCH_AUTO patch = {0};
    struct error err = ERROR_INIT;
    if (text_patch_parse(span_of(text), &patch, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(patch.file_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(span_is(patch.files[i].path, paths[i]));
        assert_int_equal(patch.files[i].kind, kinds[i]);
        assert_int_equal(patch.files[i].count, i != 2);
    }
}

static void refused_as_too_much(const struct buf *text, const char *part)
{
    TEXT_PATCH_AUTO patch = {0};
    struct error err = ERROR_INIT;
    assert_true(text_patch_parse(buf_span(text), &patch, &err) < 0);
    if (!strstr(err.text, part))
        fail_msg("%s\nwanted in it: %s", err.text, part);
    assert_null(patch.files);
}

static void test_limits(void **state)
{
    (void)state;
    BUF_AUTO text = BUF_INIT(4 << 20);
    for (int i = 0; i <= TEXT_PATCH_FILES_MAX; i++)
        buf_printf(&text, "*** Delete File: %d\n", i);
    refused_as_too_much(&text, "begins file 65");
    buf_clear(&text);
    buf_append_text(&text, DIFF);
    for (int i = 0; i <= TEXT_PATCH_HUNKS_MAX; i++)
        buf_append_text(&text, "@@\n-a\n");
    refused_as_too_much(&text, "begins hunk 2049");
    buf_clear(&text);
    buf_append_text(&text, DIFF "@@\n");
    for (int i = 0; i <= TEXT_PATCH_LINES_MAX; i++)
        buf_append_text(&text, "-a\n");
    refused_as_too_much(&text, "is too many");
    while (text.len <= TEXT_PATCH_BYTES_MAX)
        buf_append_text(&text, "0123456789abcdef");
    refused_as_too_much(&text, "the patch is longer than 1024 KiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_diff),
        cmocka_unit_test(test_the_last_line_break),
        cmocka_unit_test(test_line_breaks_of_the_file),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_what_does_not_fit_exactly),
        cmocka_unit_test(test_several_places),
        cmocka_unit_test(test_places_in_another_order),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_what_is_no_patch),
        cmocka_unit_test(test_paths_and_several_files),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
