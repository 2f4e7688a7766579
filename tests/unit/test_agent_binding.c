#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/process.h"
#include "support/dispatcher_fixture.h"
#include "tools/tool_process.h"

// What was approved is what was in the files, too: the program looks at them before the call runs.

#define WRITE "write_file {'path':'AGENTS.md','content':'new'}" // which asks in every mode

static void until(const char *sql)
{
    for (int i = 0; i < 4000 && !agent_world_number(&fixture.world, sql); i++)
        dispatcher_world_passes(&fixture, 1);
    assert_true(agent_world_number(&fixture.world, sql));
}

static void put(const char *name, const char *text)
{
    tool_world_put_text(&fixture.world.tools, name, text);
}

static void has(const char *text)
{
    if (!tool_world_holds(&fixture.world.tools, "AGENTS.md", text))
        fail_msg("AGENTS.md is not \"%s\"", text);
}

static void ask(const char *script)
{
    fixture.world.script = script;
    dispatcher_world_arrives(&fixture, "go");
    until("SELECT count(*) FROM turns WHERE state = 'waiting'");
    dispatcher_world_until_idle(&fixture);
}

// "/approve" of each question, and the end of the turn.
static void approve(int questions)
{
    fixture.world.script = "say Done.";
    for (int i = 0; i < questions; i++) {
        char sql[96], text[64];
        snprintf(sql, sizeof sql, "SELECT code FROM approvals WHERE ordinal = %d", i);
        snprintf(text, sizeof text, "/approve %s", agent_world_text(&fixture.world, sql));
        dispatcher_world_arrives(&fixture, text);
        dispatcher_world_passes(&fixture, 5);
    }
    until("SELECT count(*) FROM turns WHERE state = 'done'");
    dispatcher_world_until_idle(&fixture);
}

static void told(const char *text)
{
    if (!strstr(buf_text(&fixture.world.prompt), text))
        fail_msg("not in the prompt: %s\n%s", text, buf_text(&fixture.world.prompt));
}

static void nothing_has_changed(void **state)
{
    put("AGENTS.md", "old");
    ask("call " WRITE);
    approve(1);
    has("new");
}

static void the_file_has_changed(void **state)
{
    put("AGENTS.md", "old");
    ask("call " WRITE);
    put("AGENTS.md", "other");
    approve(1);
    has("other");
    told("not run: since somebody approved this call, AGENTS.md has changed. Look at it, and make "
         "the call again");
}

static void the_file_has_changed_before_a_restart(void **state)
{
    put("AGENTS.md", "old");
    ask("call " WRITE);
    put("AGENTS.md", "other");
    dispatcher_world_restart(&fixture);
    dispatcher_world_until_idle(&fixture);
    approve(1);
    has("other");
    told("AGENTS.md has changed");
}

static void the_file_is_gone(void **state)
{
    char path[1024];
    put("AGENTS.md", "old");
    ask("call " WRITE);
    snprintf(path, sizeof path, "%s/AGENTS.md", fixture.world.tools.workspace);
    assert_int_equal(unlink(path), 0);
    approve(1);
    told("AGENTS.md is gone");
}

static void the_file_was_not_there(void **state)
{
    ask("call " WRITE);
    put("AGENTS.md", "other");
    approve(1);
    has("other");
    told("AGENTS.md was not there");
}

// Those of one reply run side by side, but what was approved runs behind all others, and alone.
static void another_call_changes_it(void **state)
{
    put("AGENTS.md", "old");
    ask("call " WRITE "; write_file {'path':'AGENTS.md','content':'newer'}");
    approve(2);
    has("new");
    told("AGENTS.md has changed");
}

static void a_call_that_nobody_was_asked_for_changes_it(void **state)
{
    put("note", "a");
    ask("call patch {'patch':'*** Begin Patch\\n*** Update File: note\\n@@\\n-a\\n+b\\n"
        "*** Add File: AGENTS.md\\n+x\\n*** End Patch'}; write_file {'path':'note','content':'c'}");
    approve(1);
    assert_true(tool_world_holds(&fixture.world.tools, "note", "c"));
    told("note has changed");
}

static void what_is_too_large_is_said(void **state)
{
    static char large[33 << 20];
    tool_world_put(&fixture.world.tools, "AGENTS.md", large, sizeof large);
    ask("call " WRITE);
    assert_non_null(strstr(dispatcher_world_outbox(&fixture),
                           "AGENTS.md may change before it runs: only 64 files of 32 MiB"));
    approve(1);
    has("new");
}

// The processes of another start than this: nothing is asked twice, and nothing leaks.
static void a_stop_while_it_looks(void **state)
{
    put("AGENTS.md", "old");
    for (int passes = 0; passes < 6; passes++) {
        HEARD_AUTO heard = {.log = BUF_INIT(1 << 20)};
        fixture.world.script = "call " WRITE;
        assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "", SPAN_LITERAL("go"),
                                        agent_world_heard, &heard, NULL),
                         0);
        for (int i = 0; i < 200 && fixture.world.asked == passes; i++)
            dispatcher_world_passes(&fixture, 1);
        for (int i = 0; i < passes; i++)
            dispatcher_world_passes(&fixture, 1);
        dispatcher_stop(fixture.dispatcher, "console", "");
        agent_world_wait(&fixture.world, &heard);
        if (heard.state == TURN_WAITING)
            return;
        assert_int_equal(heard.state, TURN_CANCELLED);
        dispatcher_world_until_idle(&fixture);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    const struct CMUnitTest tests[] = {
        TEST(nothing_has_changed),
        TEST(the_file_has_changed),
        TEST(the_file_has_changed_before_a_restart),
        TEST(the_file_is_gone),
        TEST(the_file_was_not_there),
        TEST(another_call_changes_it),
        TEST(a_call_that_nobody_was_asked_for_changes_it),
        TEST(what_is_too_large_is_said),
        TEST(a_stop_while_it_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
