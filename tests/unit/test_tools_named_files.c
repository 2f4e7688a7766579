#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/tool_world.h"
#include "tools/changed_files.h"
#include "tools/file_prints.h"

// Which files a call names, what is kept of their content, and which of all have changed.
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

static const char *named(const char *tool, const char *arguments)
{
    static char text[8192];
    BUF_AUTO json = BUF_INIT(1 << 20);
    BUF_AUTO all = BUF_INIT(sizeof text - 1);
    for (const char *c = arguments; *c; c++)
        buf_append(&json, *c == '\'' ? "\"" : *c == '`' ? "'" : c, 1);
    CLEANUP(named_files_finish) struct named_files files;
    named_files_find("/ws", tool, buf_span(&json), &files);
    for (size_t i = 0; i < files.count; i++)
        buf_printf(&all, "%s%s%s", i ? "," : "", files.all[i].path,
                   files.all[i].pattern ? "(pattern)" : "");
    snprintf(text, sizeof text, "%s%s", buf_text(&all), files.more ? ",..." : "");
    return text;
}

static const struct {
    const char *tool, *arguments, *names; // in the arguments ' stands for ", and ` for '
} table[] = {
    {"read_file", "{'path':'a/b.txt'}", "a/b.txt"},
    {"write_file", "{'path':'./a//b/../c','content':'x y'}", "a/c"},
    {"write_file", "{'path':'../a'}", ""},
    {"write_file", "{'path':'/etc/passwd'}", ""},
    {"write_file", "{'path':'/ws/a'}", "a"},
    {"write_file", "{'path':'/wsx/a'}", ""},
    {"write_file", "{'path':5}", ""},
    {"write_file", "{", ""},
    {"list_files", "{}", ""},
    {"search_files", "{'pattern':'x'}", ""},
    {"patch", "{'patch':'nothing that is one'}", ""},
    {"patch", "{'path':'a','old_string':'b'}", "a"},
    {"patch", "{'patch':'*** Begin Patch\\n*** Update File:a\\n@@\\n-x\\n+y\\n*** End Patch'}",
     ",a"},
    {"patch", "{'patch':'--- a/x y\\t2020\\n+++ b/x y\\n@@ -1 +1 @@\\n-x\\n+y\\n'}", ",x y"},
    {"current_time", "{'path':'a'}", NULL},
    {"terminal", "{'command':'sh run.sh'}", "sh,run.sh"},
    {"terminal", "{'command':'./run.sh; cat <in >out'}", "run.sh,cat,in,out"},
    {"terminal", "{'command':'x=a/b prog --file=c/d @e'}", "prog,--file=c/d,c/d,@e,e,x=a/b,a/b"},
    {"terminal", "{'command':'sh run.sh','workdir':'sub'}", "sub/sh,sub/run.sh"},
    {"terminal", "{'command':'cat x','workdir':'..'}", NULL},
    {"terminal", "{'command':'cd sub; ./x'}", "cd,sub/cd,sub,sub/sub,x,sub/x"},
    {"terminal", "{'command':'cat /ws/a ~/b $HOME/c ~root/d /etc/e'}", "cat,a,b,c"},
    {"terminal", "{'command':'cat *.txt'}", "cat,*.txt(pattern)"},
    {"terminal", "{'command':'cat $X/a'}", "cat"},
    {"terminal", "{'command':'cat `a b`'}", "cat,a b,a,b"},
    {"terminal", "{'command':'bash -c `sh run.sh`'}", "bash,-c,sh run.sh,sh,run.sh"},
    {"terminal", "{'command':'echo $(cat a)'}", "cat,a,echo"},
    {"terminal", "{'command':'sh <<E\\n./a\\nE\\n'}", "sh,a"},
    {"terminal", "{'command':'cat `unclosed'}", ""},
    {"terminal", "{}", ""},
};

static void names(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const char *found = named(table[i].tool, table[i].arguments);
        const char *wanted = table[i].names ? table[i].names : "";
        if (strcmp(found, wanted) != 0)
            fail_msg("%s %s: %s, not %s", table[i].tool, table[i].arguments, found, wanted);
    }
}

static void many_names(void **state)
{
    BUF_AUTO line = BUF_INIT(1 << 16);
    buf_append_text(&line, "{'command':'cat");
    for (int i = 0; i < 2 * NAMED_FILES_MAX; i++)
        buf_printf(&line, " f%d", i);
    buf_append_text(&line, "'}");
    const char *found = named("terminal", buf_text(&line));
    assert_non_null(strstr(found, ",f254,..."));
    assert_null(strstr(found, "f255"));
}

static bool differ(const char *before, const char *now, const char *told)
{
    BUF_AUTO out = BUF_INIT(1 << 16);
    bool differs = file_prints_differ(span_of(before), span_of(now), &out);
    assert_string_equal(buf_text(&out), told);
    return differs;
}

static const char *gaps(const char *prints)
{
    static char text[1024];
    BUF_AUTO out = BUF_INIT(sizeof text - 1);
    file_prints_tell_gaps(span_of(prints), &out);
    snprintf(text, sizeof text, "%s", buf_text(&out));
    return text;
}

static void digests(void **state)
{
    char before[512], now[512];
    tool_world_put_text(&world, "d/a", "abc");
    tool_world_put_text(&world, "empty", "");
    tool_world_link(&world, "link", "d/a");
    tool_world_link(&world, "out", "../secret");
    const char *asked = "{'paths':['d','d/a','link','empty','out','none','','/etc/passwd']}";
    snprintf(before, sizeof before, "%s", tool_world_run(&world, "file_prints", asked));
    assert_string_equal(
        before, "{\"files\":[[\"d/a\",\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
                "f20015ad\"],[\"link\",\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
                "f20015ad\"],[\"empty\",\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b"
                "7852b855\"]],\"left_out\":[],\"more\":false}");
    assert_false(differ(before, before, ""));
    assert_string_equal(gaps(before), "");
    tool_world_put_text(&world, "d/a", "abd");
    tool_world_put_text(&world, "none", "here");
    snprintf(now, sizeof now, "%s", tool_world_run(&world, "file_prints", asked));
    assert_true(
        differ(before, now, "d/a has changed, link has changed, none was not there, or too large"));
    assert_true(differ(now, "{\"files\":[]}",
                       "d/a is gone, or too large by now, link is gone, or too large by now, empty "
                       "is gone, or too large by now, none is gone, or too large by now"));
    assert_true(differ(before, "", "its files cannot be read"));
    assert_false(differ("", before, "")); // of a question that knew nothing, and said so
    assert_non_null(strstr(gaps(""), "could not be read"));
}

static void bounds(void **state)
{
    static char large[FILE_PRINTS_BYTES_MAX];
    tool_world_put(&world, "large", large, sizeof large);
    tool_world_put_text(&world, "small", "x");
    const char *prints =
        tool_world_run(&world, "file_prints", "{'paths':['large','small'],'more':true}");
    assert_non_null(strstr(prints, "\"left_out\":[\"small\"],\"more\":true"));
    assert_string_equal(gaps(prints),
                        "small may change before it runs: only 64 files of 32 MiB together are "
                        "compared; it names more than 256 files, of which the others may change "
                        "before it runs");
    BUF_AUTO asked = BUF_INIT(1 << 16);
    buf_append_text(&asked, "{'paths':[''");
    for (int i = 0; i <= FILE_PRINTS_FILES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        tool_world_put_text(&world, name, "x");
        buf_printf(&asked, ",'%s'", name);
    }
    buf_append_text(&asked, "]}");
    prints = tool_world_run(&world, "file_prints", buf_text(&asked));
    assert_non_null(strstr(prints, "\"f63\",\""));
    assert_non_null(strstr(prints, "\"left_out\":[\"f64\"]"));
}

// By the kernel's time of each change: what is looked for is what a command has written.
static void changed(void **state)
{
    const char *later = "{'since_ms':9000000000000}", *ever = "{'since_ms':0}";
    tool_world_put_text(&world, "d/a", "x");
    tool_world_put_text(&world, "b", "x");
    tool_world_link(&world, "link", "../secret");
    assert_string_equal(tool_world_run(&world, "changed_files", later),
                        "{\"gone\":[],\"files\":[],\"more\":false}");
    assert_string_equal(tool_world_run(&world, "changed_files", ever),
                        "{\"gone\":[],\"files\":[\"b\",\"d\",\"d/a\",\"link\"],\"more\":false}");
    assert_string_equal(tool_world_run(&world, "changed_files", "{}"), "refused: since when?");
    for (int i = 0; i < 600; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/e/f%d", i);
        tool_world_put_text(&world, name, "x");
    }
    assert_string_equal(
        tool_world_run(&world, "changed_files", ever),
        "{\"gone\":[],\"files\":[\"b\",\"d\",\"d/a\",\"d/e\",\"d/e/\",\"link\"],\"more\":false}");
    for (int i = 0; i < 600; i++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", i); // the workspace stands for nothing but itself
        tool_world_put_text(&world, name, "x");
    }
    assert_non_null(strstr(tool_world_run(&world, "changed_files", ever), "],\"more\":true}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(many_names),
        cmocka_unit_test_setup_teardown(digests, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(changed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
