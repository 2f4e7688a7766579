#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/tool_world.h"
#include "tools/spool.h"

// read_result, and the names that it takes.
static struct tool_world world;

#define HANDLE "out_0123abcd"

static int setup(void **state)
{
    tool_world_make(&world);
    return 0;
}

static int teardown(void **state)
{
    tool_world_remove(&world);
    return 0;
}

static void says(const char *arguments, const char *expected)
{
    assert_string_equal(tool_world_run(&world, "read_result", arguments), expected);
}

static void test_names(void **state)
{
    static const char *const others[] = {"",
                                         "out_",
                                         "out_0123abc",
                                         "out_0123abcde",
                                         "out_0123abcg",
                                         "out_0123ABCD",
                                         "Out_0123abcd",
                                         "out_0123abcd/",
                                         "../0123abcd",
                                         "out_/../abcd"};
    char name[SPOOL_NAME_SIZE];
    spool_make_name(name);
    assert_true(spool_is_name(name));
    assert_true(spool_is_name(HANDLE));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(spool_is_name(others[i]));
}

static void test_lines(void **state)
{
    tool_world_put_text(&world, HANDLE, "one\ntwo\nthree\nfour");
    says("{'handle':'" HANDLE "'}", "1|one\n2|two\n3|three\n4|four\n[end: 4 lines]\n");
    says("{'handle':'" HANDLE "','offset':2,'limit':2}",
         "2|two\n3|three\n[more follows: continue with offset=4]\n");
    says("{'handle':'" HANDLE "','offset':9}", "[end: 4 lines]\n");
    tool_world_put_text(&world, HANDLE, "");
    says("{'handle':'" HANDLE "'}", "[end: 0 lines]\n");
}

static void test_matches(void **state)
{
    tool_world_put_text(&world, HANDLE, "a\nB1\nc\nd\ne\nB2\nB3\nf\n");
    says("{'handle':'" HANDLE "','pattern':'^B[0-9]$'}",
         "2|B1\n6|B2\n7|B3\n[3 of 8 lines match]\n");
    says("{'handle':'" HANDLE "','pattern':'B','context':1}",
         "1-a\n2|B1\n3-c\n--\n5-e\n6|B2\n7|B3\n8-f\n[3 of 8 lines match]\n");
    says("{'handle':'" HANDLE "','pattern':'B','context':2}",
         "1-a\n2|B1\n3-c\n4-d\n5-e\n6|B2\n7|B3\n8-f\n[3 of 8 lines match]\n");
    says("{'handle':'" HANDLE "','pattern':'B','context':20,'offset':4}",
         "4-d\n5-e\n6|B2\n7|B3\n8-f\n[2 of 8 lines match]\n");
    says("{'handle':'" HANDLE "','pattern':'B','limit':1}",
         "2|B1\n[more follows: continue with offset=6]\n");
    says("{'handle':'" HANDLE "','pattern':'zeppelin'}", "[0 of 8 lines match]\n");
}

// Its context may be of another length than the ring that keeps it.
static void test_context_that_wraps(void **state)
{
    char text[2048] = "";
    for (int i = 1; i <= 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "line %d\n", i);
    tool_world_put_text(&world, HANDLE, text);
    const char *said = tool_world_run(&world, "read_result",
                                      "{'handle':'" HANDLE "','pattern':'line 60','context':20}");
    assert_true(strncmp(said, "40-line 40\n41-line 41\n", 22) == 0);
    assert_non_null(strstr(said, "59-line 59\n60|line 60\n61-line 61\n"));
    assert_non_null(strstr(said, "80-line 80\n[1 of 100 lines match]\n"));
}

static void test_a_long_line(void **state)
{
    char *text = malloc(200001);
    memset(text, 'x', 200000);
    text[199999] = 'y';
    tool_world_put(&world, HANDLE, text, 200000);
    free(text);
    const char *said = tool_world_run(&world, "read_result", "{'handle':'" HANDLE "'}");
    assert_non_null(strstr(said, "x [line cut: 2000 of 200000 bytes shown]\n[end: 1 lines]\n"));
    says("{'handle':'" HANDLE "','pattern':'y'}", "[0 of 1 lines match]\n"
                                                  "[of 1 long lines only the first 64 KiB were "
                                                  "searched]\n");
}

static void test_a_line_with_nuls(void **state)
{
    static const char text[] = "a\0needle\0b\nnone\n";
    tool_world_put(&world, HANDLE, text, sizeof text - 1);
    says("{'handle':'" HANDLE "','pattern':'needle.b$'}", "1|a\xffneedle\xff"
                                                          "b\n[1 of 2 lines match]\n");
}

static void test_refusals(void **state)
{
    assert_non_null(strstr(tool_world_run(&world, "read_result", "{}"), "refused: "));
    says("{'handle':'out_00000000'}",
         "refused: out_00000000 is not kept any more; run it again if you need it");
    tool_world_put_text(&world, HANDLE, "text\n");
    assert_non_null(strstr(tool_world_run(&world, "read_result", "{'handle':'../secret'}"),
                           "refused: \"../secret\" is no handle"));
    tool_world_link(&world, "out_00000001", "../secret");
    assert_non_null(
        strstr(tool_world_run(&world, "read_result", "{'handle':'out_00000001'}"), "refused: "));
    assert_non_null(
        strstr(tool_world_run(&world, "read_result", "{'handle':'" HANDLE "','pattern':'(a'}"),
               "refused: the pattern is not a regular expression"));
    assert_non_null(
        strstr(tool_world_run(&world, "read_result", "{'handle':'" HANDLE "','context':21}"),
               "refused: the parameter \"context\" must be from 0 to 20"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_matches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_context_that_wraps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_line_with_nuls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
