#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/agent_world.h"
#include "support/scripted_source.h"
#include "tools/toolbox.h"

/*
 * A turn and a source of tools that comes, goes and dawdles while it runs. Nothing here needs a
 * process.
 */

static struct agent_world world;
static struct scripted_source scripted;
static tool_source_id scripted_id;

static int setup(void **state)
{
    agent_world_make(&world, NULL);
    scripted_source_init(&scripted, scripted_tools);
    assert_int_equal(toolbox_add_source(world.toolbox, &scripted.source, &scripted_id, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    agent_world_remove(&world);
    return 0;
}

static void start(const char *script, struct heard_turn *heard)
{
    assert_int_equal(agent_world_start(&world, "go", script, heard), 0);
}

static void end_as(enum turn_state state, struct heard_turn *heard)
{
    agent_world_wait(&world, heard);
    if (heard->state != state)
        fail_msg("ended as %d: %s", heard->state, heard->error);
}

static void history_is(const char *wanted)
{
    BUF_AUTO history = BUF_INIT(0);
    agent_world_history(&world, &history);
    assert_string_equal(buf_text(&history), wanted);
}

static void results_in_the_order_of_the_calls(void **state)
{
    HEARD_AUTO heard = {0};
    start("call slow; look; at_once\nsay Done.", &heard);
    agent_world_until(&world, &heard, "result at_once ok here");
    scripted_source_answer(&scripted, 1, "seen", false);
    scripted_source_answer(&scripted, 0, "no luck", true);
    end_as(TURN_DONE, &heard);
    history_is("user: go\nassistant:  +slow({})#c0 +look({})#c1 +at_once({})#c2\n"
               "tool: error: no luck\ntool: seen\ntool: here\nassistant: Done.\n");
    // What came of a text that nobody vouches for says so, in the call and in the message.
    assert_string_equal(agent_world_text(&world,
                                         "SELECT group_concat(name || tainted || flags) "
                                         "FROM (SELECT * FROM tool_calls ORDER BY ordinal)"),
                        "slow00,look13,at_once01");
    assert_string_equal(
        agent_world_text(&world, "SELECT group_concat(role || tainted) FROM messages"),
        "user0,assistant0,tool0,tool1,tool0,assistant1");
}

// The turn goes on with what it has, and the next one is not offered what is gone.
static void a_source_vanishes_in_mid_turn(void **state)
{
    HEARD_AUTO heard = {0}, next = {0};
    size_t count = agent_tools(world.agent)->count;
    start("call slow\ncall at_once\nsay Done.", &heard);
    agent_world_until(&world, &heard, "call slow");
    toolbox_remove_source(world.toolbox, scripted_id);
    assert_int_equal(agent_tools(world.agent)->count, count - 6);
    scripted_source_answer(&scripted, 0, "late", false);
    end_as(TURN_DONE, &heard);
    history_is("user: go\nassistant:  +slow({})#c0\n"
               "tool: error: the tool \"slow\" is not available any more; it had begun and may "
               "have had an effect\n"
               "assistant:  +at_once({})#c0\n"
               "tool: error: the tool \"at_once\" is not available any more\nassistant: Done.\n");
    agent_world_turn(&world, "go", "call at_once\nsay Done.", TURN_DONE, &next);
    assert_non_null(strstr(buf_text(&next.log), "there is no tool \"at_once\""));
}

// What comes in mid-turn is for the next one: the schemas that a model was shown stay the same.
static void a_source_appears_in_mid_turn(void **state)
{
    static const struct tool_description more[] = {
        {"more_at_once", "Answers later.", SCRIPTED_SCHEMA, 0}, {0}};
    HEARD_AUTO heard = {0}, next = {0};
    struct scripted_source other;
    tool_source_id id;
    scripted_source_init(&other, more);
    start("call slow\ncall more_at_once\nsay Done.", &heard);
    agent_world_until(&world, &heard, "call slow");
    assert_int_equal(toolbox_add_source(world.toolbox, &other.source, &id, NULL), 0);
    scripted_source_answer(&scripted, 0, "done", false);
    end_as(TURN_DONE, &heard);
    assert_non_null(strstr(buf_text(&heard.log), "there is no tool \"more_at_once\""));
    start("call more_at_once\nsay Done.", &next);
    agent_world_until(&world, &next, "call more_at_once");
    scripted_source_answer(&other, 0, "more", false);
    end_as(TURN_DONE, &next);
    toolbox_remove_source(world.toolbox, id);
}

// A source that never answers does not keep the turn beyond its limit.
static void a_call_ends_with_the_time_of_its_turn(void **state)
{
    HEARD_AUTO heard = {0};
    world.request.terms.limit_ms = 200;
    start("call slow\nsay never", &heard);
    end_as(TURN_FAILED, &heard);
    assert_non_null(strstr(heard.error, "stopped after "));
    assert_in_range(world.asked, 0, 1);
    assert_int_equal(scripted.started, scripted.cancelled);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM tool_calls WHERE failed"),
                     world.asked);
}

// It cannot be shown to anybody as it would run.
static void a_call_that_nobody_approved(void **state)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "go", "call ring nonsense\nsay Done.", TURN_DONE, &heard);
    assert_non_null(strstr(buf_text(&heard.log), "runs only when somebody has approved the call"));
    assert_int_equal(scripted.started, 0);
}

// The id is dead at once, whatever the source still says.
static void an_answer_after_the_cancel(void **state)
{
    HEARD_AUTO heard = {0};
    start("call slow; look\nsay never", &heard);
    agent_world_until(&world, &heard, "call look");
    agent_turn_cancel(world.agent, heard.id);
    assert_int_equal(scripted.cancelled, 2);
    scripted_source_answer(&scripted, 0, "late", false);
    end_as(TURN_CANCELLED, &heard);
    history_is("user: go\nassistant:  +slow({})#c0 +look({})#c1\n"
               "tool: interrupted before it ended; it may have had an effect\n"
               "tool: interrupted before it ended; it may have had an effect\n"
               "assistant: (no answer)\n");
}

// What the model had said of a stranger's text stays marked when its answer does not end.
static void a_cancel_keeps_the_mark(void **state)
{
    HEARD_AUTO heard = {0};
    start("call slow; look\nsay never", &heard);
    agent_world_until(&world, &heard, "call look");
    scripted_source_answer(&scripted, 1, "seen", false);
    agent_turn_cancel(world.agent, heard.id);
    end_as(TURN_CANCELLED, &heard);
    assert_string_equal(
        agent_world_text(&world, "SELECT group_concat(role || tainted) FROM messages"),
        "user0,assistant0,tool0,tool1,assistant1");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(results_in_the_order_of_the_calls), TEST(a_source_vanishes_in_mid_turn),
        TEST(a_source_appears_in_mid_turn),      TEST(a_call_ends_with_the_time_of_its_turn),
        TEST(a_call_that_nobody_approved),       TEST(an_answer_after_the_cancel),
        TEST(a_cancel_keeps_the_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
