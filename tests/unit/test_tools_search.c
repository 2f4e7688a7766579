#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/tool_world.h"
#include "tools/tool.h"

static struct tool_world world;

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

static void says(const char *arguments, const char *wanted)
{
    const char *text = tool_world_run(&world, "search_files", arguments);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s:\n%s\nwanted:\n%s", arguments, text, wanted);
}

static void mentions(const char *arguments, const char *part)
{
    const char *text = tool_world_run(&world, "search_files", arguments);
    if (!strstr(text, part))
        fail_msg("%s:\n%s\nwanted in it:\n%s", arguments, text, part);
}

static void finding(void **state)
{
    tool_world_put_text(&world, "b.md", "alpha\nbeta alpha\n");
    tool_world_put_text(&world, "a/c.txt", "Alpha\nx alpha"); // no line break at the end
    tool_world_put(&world, "bin", "alpha\0alpha\n", 12);
    tool_world_link(&world, "out", "../secret");
    tool_world_link(&world, "etc", "/etc");
    tool_world_link(&world, "round", ".");
    says("{'pattern':'alpha'}", "a/c.txt:2: x alpha\nb.md:1: alpha\nb.md:2: beta alpha\n");
    says("{'pattern':'^[Aa]lpha$'}", "a/c.txt:1: Alpha\nb.md:1: alpha\n");
    says("{'pattern':'alpha','file_glob':'*.md'}", "b.md:1: alpha\nb.md:2: beta alpha\n");
    says("{'pattern':'alpha','file_glob':null}",
         "a/c.txt:2: x alpha\nb.md:1: alpha\nb.md:2: beta alpha\n");
    says("{'pattern':'alpha','path':'a'}", "a/c.txt:2: x alpha\n");
    says("{'pattern':'alpha','path':'a/../b.md'}", "a/../b.md:1: alpha\na/../b.md:2: beta alpha\n");
    says("{'pattern':'zeppelin'}",
         "[no match in 3 files]\n[1 binary files were searched up to their "
         "first NUL only]\n");
    // A file that was named is searched, whatever the glob says of others.
    says("{'pattern':'alpha','path':'a/c.txt','file_glob':'*.md'}", "a/c.txt:2: x alpha\n");
    says("{'pattern':'do not tell'}",
         "[no match in 3 files]\n[1 binary files were searched up to their first NUL only]\n");
    says("{'pattern':'gamma','file_glob':'*.md'}", "[no match in 1 files]\n");
    says("{'pattern':'alpha','limit':1}",
         "a/c.txt:2: x alpha\n[more matches are not shown: continue with offset=1]\n");
    says("{'pattern':'Alpha','limit':1}", "a/c.txt:1: Alpha\n");
}

static void paging(void **state)
{
    tool_world_put_text(&world, "a", "x1\nx2\nx3\n");
    tool_world_put_text(&world, "b", "x4\n");
    says("{'pattern':'x','limit':2,'offset':1}",
         "a:2: x2\na:3: x3\n[more matches are not shown: continue with offset=3]\n");
    says("{'pattern':'x','limit':2,'offset':3}", "b:1: x4\n");
    says("{'pattern':'x','offset':4}", "[there are only 4 matches]\n");
    says("{'pattern':'y','offset':4}", "[no match in 2 files]\n");
}

static void output_modes(void **state)
{
    tool_world_put_text(&world, "a", "x\nx\ny\n");
    tool_world_put_text(&world, "d/b", "x\n");
    tool_world_put_text(&world, "z", "z\n");
    says("{'pattern':'x','output_mode':'content'}", "a:1: x\na:2: x\nd/b:1: x\n");
    says("{'pattern':'x','output_mode':'files_only'}", "a\nd/b\n");
    says("{'pattern':'x','output_mode':'count'}", "a:2\nd/b:1\n");
    says("{'pattern':'x','output_mode':'count','limit':1}",
         "a:2\n[more files are not shown: continue with offset=1]\n");
    says("{'pattern':'x','output_mode':'files_only','offset':1}", "d/b\n");
    says("{'pattern':'q','output_mode':'files_only'}", "[no match in 3 files]\n");
    says("{'pattern':'x','output_mode':'files'}",
         "refused: the parameter \"output_mode\" must be content, files_only or count");
}

static void lines_around(void **state)
{
    tool_world_put_text(&world, "f", "1\n2\nx3\n4\n5\n6\n7\nx8\nx9\n10\n");
    says("{'pattern':'x','context':1}",
         "f-2- 2\nf:3: x3\nf-4- 4\n--\nf-7- 7\nf:8: x8\nf:9: x9\nf-10- 10\n");
    says("{'pattern':'x','context':2}",
         "f-1- 1\nf-2- 2\nf:3: x3\nf-4- 4\nf-5- 5\nf-6- 6\nf-7- 7\nf:8: x8\nf:9: x9\nf-10- 10\n");
    says("{'pattern':'x','context':1,'limit':1,'offset':1}",
         "f-7- 7\nf:8: x8\n[more matches are not shown: continue with offset=2]\n");
    says("{'pattern':'x3','context':20}",
         "f-1- 1\nf-2- 2\nf:3: x3\nf-4- 4\nf-5- 5\nf-6- 6\nf-7- 7\nf-8- x8\nf-9- x9\nf-10- 10\n");
    says("{'pattern':'x','context':21}", "refused: the parameter \"context\" must be from 0 to 20");
    BUF_AUTO file = BUF_INIT(1 << 20);
    for (int i = 0; i < 1000; i++)
        buf_printf(&file, "%0400d\n", i);
    tool_world_put(&world, "wide", file.data, file.len);
    const char *text = tool_world_run(&world, "search_files",
                                      "{'pattern':'00[0-9]*5','path':'wide','context':20}");
    assert_true(strlen(text) < TOOL_TEXT_MAX);
    assert_non_null(strstr(text, "continue with offset="));
}

static void finding_files(void **state)
{
    tool_world_put_text(&world, "a.c", "");
    tool_world_put_text(&world, "src/b.c", "");
    tool_world_put_text(&world, "src/deep/c.c", "");
    tool_world_put(&world, "src/bin.h", "\0", 1);
    tool_world_link(&world, "src/out.c", "../../secret");
    says("{'pattern':'*.c','target':'files'}", "a.c\nsrc/b.c\nsrc/deep/c.c\n");
    says("{'pattern':'**/*.c','target':'files'}", "a.c\nsrc/b.c\nsrc/deep/c.c\n");
    says("{'pattern':'src/**/*.c','target':'files'}", "src/b.c\nsrc/deep/c.c\n");
    says("{'pattern':'deep/*.c','target':'files','path':'src'}", "src/deep/c.c\n");
    says("{'pattern':'*','target':'find','path':'src','limit':1,'offset':1}",
         "src/bin.h\n[more files are not shown: continue with offset=2]\n");
    says("{'pattern':'[ab]*','target':'files','file_glob':'*.c'}", "a.c\nsrc/b.c\n");
    says("{'pattern':'b.c','target':'files','path':'src/b.c'}", "src/b.c\n");
    says("{'pattern':'*.py','target':'files'}", "[no match in 4 files]\n");
    says("{'pattern':'(','target':'files'}", "[no match in 4 files]\n");
    says("{'pattern':'','target':'grep','file_glob':'src/*.h'}",
         "[no match in 1 files]\n[1 binary files were searched up to their first NUL only]\n");
    says("{'pattern':'x','target':'names'}",
         "refused: the parameter \"target\" must be content or files");
}

static void refusing(void **state)
{
    tool_world_put_text(&world, "f", "x\n");
    tool_world_link(&world, "out", "../secret");
    says("{}", "refused: the parameter \"pattern\" is missing");
    mentions("{'pattern':'('}",
             "refused: the pattern is not a regular expression (POSIX extended)");
    says("{'pattern':'x','limit':0}", "refused: the parameter \"limit\" must be from 1 to 500");
    says("{'pattern':'x','limit':501}", "refused: the parameter \"limit\" must be from 1 to 500");
    says("{'pattern':'x','path':'..'}", "refused: .. leads out of the workspace");
    says("{'pattern':'x','path':'out'}", "refused: out leads out of the workspace");
    says("{'pattern':'x','path':'nope'}", "refused: nope does not exist");
    // A glob that is not understood must not become a search of everything.
    says("{'pattern':'x','file_glob':7}", "refused: the parameter \"file_glob\" must be a string");
    char arguments[1200];
    snprintf(arguments, sizeof arguments, "{'pattern':'x','file_glob':'%01001d'}", 0);
    says(arguments, "refused: the parameter \"file_glob\" is longer than 1000 bytes");
    char path[1024];
    snprintf(path, sizeof path, "%s/fifo", world.workspace);
    assert_int_equal(mkfifo(path, 0644), 0);
    says("{'pattern':'x','path':'fifo'}", "refused: fifo is not a regular file");
    says("{'pattern':'x'}", "f:1: x\n"); // the FIFO is passed by
}

static void limits(void **state)
{
    BUF_AUTO file = BUF_INIT(32 << 20);
    for (int i = 0; i < 600; i++)
        buf_printf(&file, "line %d\n", i);
    tool_world_put(&world, "many", file.data, file.len);
    mentions("{'pattern':'line'}",
             "many:50: line 49\n[more matches are not shown: continue with offset=50]\n");
    mentions("{'pattern':'line','limit':500}",
             "many:500: line 499\n[more matches are not shown: continue with offset=500]\n");

    buf_clear(&file);
    for (int i = 0; i < 299; i++)
        buf_append_char(&file, 'y');
    buf_append_text(&file, "zz\n");
    tool_world_put(&world, "long", file.data, file.len);
    mentions("{'pattern':'yz'}", "yyyz [cut]\n");
    BUF_AUTO wide = BUF_INIT(1 << 20);
    for (int i = 0; i < 500; i++)
        buf_append_span(&wide, buf_span(&file));
    tool_world_put(&world, "wide", wide.data, wide.len);
    const char *text = tool_world_run(&world, "search_files", "{'pattern':'yz','limit':500}");
    assert_true(strlen(text) < TOOL_TEXT_MAX);
    assert_non_null(strstr(text, "[more matches are not shown: continue with offset="));

    // A line is searched to a limit, and what follows it all the same.
    buf_clear(&file);
    buf_append_text(&file, "begun");
    while (file.len < 3 << 20)
        buf_append_text(&file, "0123456789abcdef");
    buf_append_text(&file, "ended\nnext\n");
    tool_world_put(&world, "line", file.data, file.len);
    mentions("{'pattern':'^begun','path':'line'}", "line:1: begun0123");
    says("{'pattern':'ended$','path':'line'}",
         "[no match in 1 files]\n[1 lines were searched in their first 1024 KiB only]\n");
    mentions("{'pattern':'^next$','path':'line'}", "line:2: next\n");

    // Where a line ends beside the pieces in which a file is read.
    buf_clear(&file);
    for (int extra = 0; extra < 4; extra++) {
        for (int i = 0; i < 64 * 1024 - 2 + extra; i++)
            buf_append_char(&file, 'z');
        buf_append_text(&file, "\nshort\n\n");
    }
    tool_world_put(&world, "edges", file.data, file.len);
    says("{'pattern':'^(short)?$','path':'edges'}",
         "edges:2: short\nedges:3: \nedges:5: short\nedges:6: \n"
         "edges:8: short\nedges:9: \nedges:11: short\nedges:12: \n");

    buf_clear(&file);
    while (file.len <= 16 << 20)
        buf_append(&file, "0123456789abcdef", 16);
    tool_world_put(&world, "big", file.data, file.len);
    says("{'pattern':'0123','path':'big'}",
         "[no match in 0 files]\n[1 files over 16 MiB were not searched]\n");
}

static void depth(void **state)
{
    char name[256] = "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/f"; // 24 directories
    tool_world_put_text(&world, name, "here\n");
    mentions("{'pattern':'here'}", "/f:1: here\n");
    memcpy(name + 48, "d/f", 4);
    tool_world_put_text(&world, name, "deeper\n");
    says("{'pattern':'deeper'}", "[no match in 1 files]\n"
                                 "[1 directories below level 24 were not searched]\n");
}

// Nobody may be told "no match" of what could not be read. Root can read everything, so the search
// is done by somebody else.
static void unreadable(void **state)
{
    tool_world_put_text(&world, "open/f", "x\n");
    tool_world_put_text(&world, "closed/f", "x\n");
    tool_world_put_text(&world, "private", "x\n");
    assert_int_equal(fchmodat(world.fd, "private", 0, 0), 0);
    assert_int_equal(fchmodat(world.fd, "closed", 0, 0), 0);
    assert_int_equal(chmod(world.root, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() == 0 && setuid(65534) < 0)
            _exit(2);
        const char *text = tool_world_run(&world, "search_files", "{'pattern':'y'}");
        _exit(strcmp(text, "[no match in 1 files]\n"
                           "[2 files or directories could not be read whole]\n") != 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

// The lines around a match with such a path are more than a result holds: it goes on all the same.
static void context_beside_a_long_path(void **state)
{
    BUF_AUTO path = BUF_INIT(4096);
    for (int i = 0; i < 20; i++)
        buf_printf(&path, "%s%0180d", i ? "/" : "", i);
    BUF_AUTO text = BUF_INIT(65536);
    for (int i = 0; i < 100; i++)
        buf_printf(&text, "%s %d %0290d\n", i == 30 || i == 60 ? "needle" : "hay", i, 0);
    tool_world_put_text(&world, buf_text(&path), buf_text(&text));
    for (int offset = 0; offset < 2; offset++) {
        char arguments[128], wanted[64];
        snprintf(arguments, sizeof arguments, "{'pattern':'needle','context':20,'offset':%d}",
                 offset);
        snprintf(wanted, sizeof wanted, "%d: needle %d ", offset ? 61 : 31, offset ? 60 : 30);
        mentions(arguments, wanted);
        snprintf(wanted, sizeof wanted, "continue with offset=%d]", offset + 1);
        mentions(arguments, wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finding, setup, teardown),
        cmocka_unit_test_setup_teardown(context_beside_a_long_path, setup, teardown),
        cmocka_unit_test_setup_teardown(paging, setup, teardown),
        cmocka_unit_test_setup_teardown(output_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_around, setup, teardown),
        cmocka_unit_test_setup_teardown(finding_files, setup, teardown),
        cmocka_unit_test_setup_teardown(refusing, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(depth, setup, teardown),
        cmocka_unit_test_setup_teardown(unreadable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
