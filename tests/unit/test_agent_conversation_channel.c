#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/process.h"
#include "support/dispatcher_world.h"
#include "tools/tool_process.h"

// A channel whose chats have threads and several senders.

static struct dispatcher_world fixture;

static int setup(void **state)
{
    (void)state;
    dispatcher_world_make(&fixture, NULL);
    fixture.config.group_sessions_per_user = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dispatcher_world_remove(&fixture);
    return 0;
}

static void arrives(const char *thread, const char *sender, const char *text)
{
    fixture.thread = thread;
    fixture.sender = sender;
    dispatcher_world_arrives(&fixture, text);
}

static void answers(const char *thread, const char *sender, const char *text, const char *script)
{
    fixture.world.script = script;
    arrives(thread, sender, text);
    dispatcher_world_until_idle(&fixture);
}

static const char *replies(void)
{
    return agent_world_text(&fixture.world, "SELECT group_concat(thread || ':' || text, '|')"
                                            " FROM (SELECT * FROM outbox ORDER BY number)");
}

static const char *sessions(void)
{
    return agent_world_text(&fixture.world, "SELECT group_concat(thread || '/' || sender, '|')"
                                            " FROM (SELECT * FROM sessions ORDER BY number)");
}

static void threads_are_conversations_of_their_own(void **state)
{
    (void)state;
    answers("1", NULL, "one", "say First.");
    answers("2", NULL, "two", "say Second.");
    assert_null(strstr(buf_text(&fixture.world.prompt), "user: one"));
    answers("1", NULL, "three", "say Third.");
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: one\nassistant: First.\n"));
    assert_string_equal(replies(), "1:First.|2:Second.|1:Third.");
    assert_string_equal(sessions(), "1/|2/");
}

static void threads_do_not_wait_for_each_other(void **state)
{
    (void)state;
    fixture.world.script = "hang Once";
    arrives("1", NULL, "one");
    dispatcher_world_until_heard(&fixture, "text ");
    arrives("2", NULL, "/stop");
    dispatcher_world_passes(&fixture, 5);
    assert_string_equal(replies(), "2:Nothing is running.");
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 1);
    arrives("1", NULL, "/stop");
    dispatcher_world_until_idle(&fixture);
    assert_non_null(strstr(replies(), "1:Stopped."));
}

static void senders_are_keyed_apart(void **state)
{
    (void)state;
    answers("", "ann", "one", "say First.");
    answers("", "bob", "two", "say Second.");
    assert_null(strstr(buf_text(&fixture.world.prompt), "user: one"));
    fixture.world.script = "hang Once";
    arrives("", "ann", "three");
    dispatcher_world_until_heard(&fixture, "text On");
    arrives("", "bob", "/stop");
    dispatcher_world_passes(&fixture, 5);
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 1);
    assert_string_equal(replies(), ":First.|:Second.|:Nothing is running.");
    arrives("", "ann", "/stop");
    dispatcher_world_until_idle(&fixture);
    assert_string_equal(sessions(), "/ann|/bob");
}

static void senders_share_a_thread(void **state)
{
    (void)state;
    answers("1", "ann", "one", "say First.");
    answers("1", "bob", "two", "say Second.");
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: one"));
    fixture.config.thread_sessions_per_user = true;
    answers("1", "bob", "three", "say Third.");
    assert_null(strstr(buf_text(&fixture.world.prompt), "user: one"));
    assert_string_equal(sessions(), "1/|1/bob");
}

static void senders_share_a_chat_where_that_is_wanted(void **state)
{
    (void)state;
    fixture.config.group_sessions_per_user = false;
    fixture.world.script = "hang Once";
    arrives("", "ann", "one");
    dispatcher_world_until_heard(&fixture, "text ");
    arrives("", "bob", "/stop");
    dispatcher_world_until_idle(&fixture);
    assert_non_null(strstr(replies(), "Stopped."));
    assert_string_equal(sessions(), "/");
}

static void stopped_in_the_middle(void **state)
{
    (void)state;
    fixture.config.busy_mode = "queue";
    fixture.world.script = "hang Once";
    arrives("1", NULL, "one");
    dispatcher_world_until_heard(&fixture, "text ");
    arrives("1", NULL, "two");
    fixture.world.script = "say First.\nsay Second.";
    dispatcher_world_restart(&fixture);
    dispatcher_world_until_idle(&fixture);
    assert_string_equal(replies(), "1:First.|1:Second.");
    assert_string_equal(sessions(), "1/");
    assert_int_equal(dispatcher_world_unhandled(&fixture), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(threads_are_conversations_of_their_own),
        TEST(threads_do_not_wait_for_each_other),
        TEST(senders_are_keyed_apart),
        TEST(senders_share_a_thread),
        TEST(senders_share_a_chat_where_that_is_wanted),
        TEST(stopped_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
