#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "agent/turn_taint.h"
#include "base/mem.h"
#include "support/dispatcher_world.h"
#include "support/scripted_source.h"
#include "tools/toolbox.h"

/*
 * A conversation that is too long for its model: what was said first is summed up, once in a turn,
 * whatever comes of that. Messages of 3,000 bytes are 1,000 tokens, of which 2,000 are allowed.
 */
static struct dispatcher_world fixture;
static struct agent_world *const world = &fixture.world;
static struct scripted_source scripted;
static char large[3001];

static int setup(void **state)
{
    tool_source_id id;
    dispatcher_world_make(&fixture, NULL);
    scripted_source_init(&scripted, scripted_tools);
    assert_int_equal(toolbox_add_source(world->toolbox, &scripted.source, &id, NULL), 0);
    world->config.compression = true;
    world->config.compression_tokens = 2000;
    world->config.compression_share = 500;
    world->config.compression_target = 200;
    world->config.compression_last = 4;
    world->config.compression_ms = 60 * 1000;
    world->config.approvals_mode = "off";
    memset(large, 'x', sizeof large - 1);
    return 0;
}

static int teardown(void **state)
{
    dispatcher_world_remove(&fixture);
    return 0;
}

static void until(const char *sql)
{
    for (int i = 0; i < 2000 && !agent_world_number(world, sql); i++)
        dispatcher_world_passes(&fixture, 1);
    assert_true(agent_world_number(world, sql));
}

// A message and what comes of it; `script` has a line for each call to a model.
static void say(const char *text, const char *script)
{
    world->script = script;
    world->asked = 0;
    dispatcher_world_arrives(&fixture, text);
    dispatcher_world_until_idle(&fixture);
}

// So many calls, one after the other, get a result of 1,000 tokens each; then the turn ends.
static void they_ring(int times)
{
    for (int n = 1; n <= times; n++) {
        for (int i = 0; i < 2000 && scripted.started < n; i++)
            dispatcher_world_passes(&fixture, 1);
        CLEANUP(mem_cleanup) char *result = mem_printf("ding %d %s", n, large);
        scripted_source_answer(&scripted, n - 1, result, false);
    }
    dispatcher_world_until_idle(&fixture);
}

static void begin(void)
{
    CLEANUP(mem_cleanup) char *fine = mem_printf("say A fine name. %.1200s", large);
    CLEANUP(mem_cleanup) char *seen = mem_printf("say Noted, Bo. %.1200s", large);
    say("my cat is Mia", fine);
    say("and my dog is Bo", seen);
}

static bool prompt_has(const char *text)
{
    return strstr(buf_text(&world->prompt), text) != NULL;
}

static int64_t summaries(void)
{
    return agent_world_number(world, "SELECT count(*) FROM messages WHERE role = 'summary'");
}

static void last_reply_is(const char *text)
{
    assert_string_equal(
        agent_world_text(world, "SELECT text FROM outbox ORDER BY number DESC LIMIT 1"), text);
}

static void what_was_said_first_is_summed_up(void **state)
{
    begin();
    say(large, "say Fine."); // 1,000 and a little: it fits
    assert_int_equal(world->asked, 1);
    assert_int_equal(summaries(), 0);
    char text[3100];
    snprintf(text, sizeof text, "once more %s", large);
    world->config.compression_tokens = 1050;
    say(text, "say Goal: a cat, Mia.\nsay Still here.");
    assert_int_equal(world->asked, 2);
    last_reply_is("Still here.");
    assert_true(prompt_has("in short; the messages themselves are not shown any more]\n"
                           "Goal: a cat, Mia.\nassistant: Noted.\nuser: once more"));
    assert_false(prompt_has("my cat is Mia"));
    assert_int_equal(summaries(), 1);
    assert_string_equal(agent_world_text(world, "SELECT role || ':' || content FROM messages WHERE"
                                                " id = (SELECT covers FROM messages WHERE role ="
                                                " 'summary')"),
                        "assistant:Fine.");
    // What was said is there, and another process goes on with the summary.
    assert_int_equal(agent_world_number(world, "SELECT count(*) FROM messages WHERE content ="
                                               " 'my cat is Mia' AND dropped = 0"),
                     1);
    dispatcher_world_restart(&fixture);
    world->config.compression_tokens = 5000;
    say("and now?", "say Yes.");
    assert_true(prompt_has("Goal: a cat, Mia.\nassistant: Noted.\nuser: once more"));
    assert_true(prompt_has("assistant: Still here.\nuser: and now?"));
    assert_false(prompt_has("my cat is Mia"));
}

static void it_is_shown_to_the_model_that_sums_up_as_data(void **state)
{
    begin();
    world->config.compression_tokens = 800;
    world->script = "hang \n";
    world->asked = 0;
    dispatcher_world_arrives(&fixture, large);
    for (int i = 0; i < 2000 && world->asked < 1; i++)
        dispatcher_world_passes(&fixture, 1);
    assert_string_equal(world->asked_as, "compression");
    assert_true(prompt_has("[user] my cat is Mia\n[assistant] A fine name. xxx"));
    assert_true(prompt_has("user: --- "));
    assert_false(prompt_has(large)); // the question stays
    dispatcher_world_arrives(&fixture, "/stop");
    dispatcher_world_until_idle(&fixture);
}

// Whatever becomes of the call: then what is oldest goes without a summary.
static void without_a_summary_the_oldest_goes(void **state)
{
    static const char *const answers[] = {
        "say ",        "say   ",      "flood 4000", "fail well it broke", "refuse no money",
        "long it oh.", "call ring {}"};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        CLEANUP(mem_cleanup) char *script = mem_printf("%s\nsay Still here.", answers[i]);
        world->config.compression_tokens = 100000;
        begin();
        world->config.compression_tokens = 800;
        say(large, script);
        if (world->asked != 2 || scripted.started)
            fail_msg("%s: asked %d times", answers[i], world->asked);
        last_reply_is("Still here.");
        assert_true(prompt_has("Earlier messages were left out to make room"));
        assert_false(prompt_has("my cat is Mia"));
        dispatcher_world_answers(&fixture, "/new", "");
    }
}

static void it_does_not_answer_in_time(void **state)
{
    world->config.compression_ms = 100;
    begin();
    world->config.compression_tokens = 800;
    world->script = "hang \nsay Still here.";
    dispatcher_world_arrives(&fixture, large);
    until("SELECT count(*) = 3 FROM turns WHERE state = 'done'");
    dispatcher_world_until_idle(&fixture);
    last_reply_is("Still here.");
    assert_int_equal(summaries(), 1);
}

static void a_summary_is_a_text_and_nothing_else(void **state)
{
    begin();
    world->config.compression_tokens = 800;
    say(large, "say <tool_call>{\"name\":\"ring\"}</tool_call>\nsay Still here.");
    assert_int_equal(scripted.started, 0);
    assert_true(prompt_has("<tool_call>"));
    last_reply_is("Still here.");
}

static void a_model_that_finds_it_too_long_is_asked_once_more(void **state)
{
    begin();
    say("so?", "long it The conversation is too long.\nsay Goal: Mia.\nsay Still here.");
    assert_int_equal(world->asked, 3);
    last_reply_is("Still here.");
    assert_true(prompt_has("Goal: Mia."));
    assert_int_equal(agent_world_number(world, "SELECT iteration FROM turns ORDER BY number DESC"),
                     1);
}

// Where what was said takes hardly any of the room, as the rest of the prompt takes most of it.
static void a_short_conversation_may_be_too_long_too(void **state)
{
    say("my cat is Mia", "say A fine name.");
    say("so?", "long it The conversation is too long.\nsay Goal: Mia.\nsay Still here.");
    assert_int_equal(world->asked, 3);
    last_reply_is("Still here.");
    assert_true(prompt_has("Goal: Mia.\nassistant: Noted.\nuser: so?"));
}

static void it_is_never_done_twice_in_a_turn(void **state)
{
    begin();
    say("so?", "long it It is too long.\nsay Goal: Mia.\nlong it It is too long.");
    assert_int_equal(world->asked, 3);
    assert_int_equal(summaries(), 1);
    last_reply_is("⚠️ It is too long.; start a new conversation, or use a model with a larger "
                  "context");
    assert_string_equal(agent_world_text(world, "SELECT state FROM turns ORDER BY number DESC"),
                        "failed");
    // Nor in one that goes on with tools, although what the first of them gave could go now.
    begin();
    world->config.compression_tokens = 700;
    CLEANUP(mem_cleanup) char *text = mem_printf("ring twice %s", large);
    world->script = "say Goal: Bo.\ncall ring {'n':1}\ncall ring {'n':2}\nsay Rung.";
    world->asked = 0;
    dispatcher_world_arrives(&fixture, text);
    they_ring(2);
    assert_int_equal(world->asked, 4);
    assert_int_equal(summaries(), 2);
    assert_true(prompt_has("tool: ding 1 xxx"));
    last_reply_is("Rung.");
}

static void nothing_is_asked_where_nothing_can_go(void **state)
{
    world->config.compression_tokens = 500;
    say(large, "say Fine.");
    assert_int_equal(world->asked, 1);
    assert_int_equal(summaries(), 0);
    world->config.compression = false;
    say(large, "say Fine.");
    assert_int_equal(world->asked, 1);
}

static void old_results_are_only_named(void **state)
{
    world->config.compression_tokens = 1050;
    world->script = "call ring {'n':1}\ncall ring {'n':2}\nsay Rung.";
    dispatcher_world_arrives(&fixture, "ring twice");
    they_ring(2);
    last_reply_is("Rung.");
    assert_int_equal(world->asked, 3);
    assert_true(prompt_has("+ring({\"n\":1})#c0\ntool: (a result of 3007 bytes was left out here"));
    assert_true(prompt_has("tool: ding 2 xxx"));
    assert_string_equal(agent_world_text(world, "SELECT content FROM messages WHERE role ="
                                                " 'summary'"),
                        "");
    dispatcher_world_restart(&fixture);
    world->config.compression_tokens = 100000;
    say("and?", "say Yes.");
    assert_true(prompt_has("user: ring twice\nassistant:  +ring({\"n\":1})#c0\n"
                           "tool: (a result of 3007 bytes was left out here"));
    assert_true(prompt_has("tool: ding 2 xxx"));
}

static void a_summary_of_tainted_text_is_tainted(void **state)
{
    fixture.tainted = true;
    say("somebody says: so it is", "say It is.");
    fixture.tainted = false;
    begin();
    world->config.compression_tokens = 800;
    say(large, "say Goal: Mia.\nsay Still here.");
    assert_int_equal(agent_world_number(world, "SELECT tainted FROM messages WHERE role ="
                                               " 'summary'"),
                     1);
    dispatcher_world_answers(&fixture, "/status", "");
    assert_non_null(strstr(dispatcher_world_outbox(&fixture),
                           "nobody vouches for: tainted by what was said before"));
}

static void what_is_taken_back_takes_its_summary_with_it(void **state)
{
    begin();
    world->config.compression_tokens = 800;
    say(large, "say Goal: Mia.\nsay Still here.");
    world->config.compression_tokens = 100000;
    dispatcher_world_answers(&fixture, "/undo", ""); // the turn that summed up
    say("so?", "say Yes.");
    assert_true(prompt_has("my cat is Mia"));
    assert_false(prompt_has("Goal: Mia."));
    dispatcher_world_answers(&fixture, "/undo", "");
    dispatcher_world_answers(&fixture, "/compress", "say Goal: a cat.");
    dispatcher_world_answers(&fixture, "/undo", "");
    dispatcher_world_answers(&fixture, "/undo", ""); // of what is summed up
    say("so?", "say Yes.");
    assert_false(prompt_has("cat"));
}

/* The command */

static void somebody_may_ask_for_it(void **state)
{
    begin();
    say("/compress the dog", "say Goal: a cat, Mia.");
    assert_int_equal(world->asked, 1);
    assert_string_equal(world->asked_as, "compression");
    assert_true(prompt_has("Above all keep what concerns: the dog\n"));
    assert_non_null(strstr(dispatcher_world_outbox(&fixture), "Compressed: 4 messages are 4 now"));
    say("so?", "say Yes.");
    assert_true(prompt_has("Goal: a cat, Mia.\nassistant: Noted.\nuser: and my dog is Bo"));
    assert_false(prompt_has("my cat is Mia"));
}

static void there_may_be_nothing_for_it(void **state)
{
    dispatcher_world_answers(&fixture, "/compress", "");
    last_reply_is("There is nothing to compress before the last question.");
    say("my cat is Mia", "say A fine name.");
    dispatcher_world_answers(&fixture, "/compress", "");
    last_reply_is("There is nothing to compress before the last question.");
    assert_int_equal(world->asked, 1);
}

static void it_may_fail_or_be_stopped(void **state)
{
    begin();
    say("/compress", "fail oh It broke.");
    last_reply_is("That failed: It broke.. The conversation is as it was");
    say("/compress", "refuse no money");
    last_reply_is("That failed: no money. The conversation is as it was");
    world->script = "hang \n";
    world->asked = 0;
    dispatcher_world_arrives(&fixture, "/compress");
    for (int i = 0; i < 2000 && world->asked < 1; i++)
        dispatcher_world_passes(&fixture, 1);
    dispatcher_world_arrives(&fixture, "/stop");
    until("SELECT count(*) = 0 FROM inbox WHERE handled_ms IS NULL");
    dispatcher_world_until_idle(&fixture);
    last_reply_is("That failed: it was stopped. The conversation is as it was");
    assert_int_equal(summaries(), 0);
}

static void a_kill_leaves_it_as_before(void **state)
{
    begin();
    world->script = "hang \n";
    world->asked = 0;
    dispatcher_world_arrives(&fixture, "/compress");
    for (int i = 0; i < 2000 && world->asked < 1; i++)
        dispatcher_world_passes(&fixture, 1);
    assert_int_equal(summaries(), 0);
    world->script = "say Goal: Mia.";
    dispatcher_world_restart(&fixture);
    until("SELECT count(*) = 1 FROM messages WHERE role = 'summary'");
    dispatcher_world_until_idle(&fixture);
    assert_int_equal(world->asked, 2);
    world->config.compression_tokens = 800; // and in a turn
    world->script = "hang \n";
    dispatcher_world_arrives(&fixture, large);
    for (int i = 0; i < 2000 && world->asked < 3; i++)
        dispatcher_world_passes(&fixture, 1);
    world->script = "say Goal: Bo.\nsay Still here.";
    dispatcher_world_restart(&fixture);
    until("SELECT count(*) = 2 FROM messages WHERE role = 'summary'");
    dispatcher_world_until_idle(&fixture);
    last_reply_is("Still here.");
}

static void it_may_be_stopped_in_a_turn(void **state)
{
    begin();
    world->config.compression_tokens = 800;
    world->script = "hang \n";
    world->asked = 0;
    dispatcher_world_arrives(&fixture, large);
    for (int i = 0; i < 2000 && world->asked < 1; i++)
        dispatcher_world_passes(&fixture, 1);
    dispatcher_world_arrives(&fixture, "/stop");
    until("SELECT count(*) = 1 FROM turns WHERE state = 'cancelled'");
    dispatcher_world_until_idle(&fixture);
    assert_int_equal(summaries(), 0);
}

static void one_that_was_cut_off_says_so(void **state)
{
    begin();
    CLEANUP(mem_cleanup) char *text = mem_printf("once more %s", large);
    world->config.compression_tokens = 1050;
    say(text, "cut Goal: a cat, and its name is\nsay Still here.");
    assert_true(prompt_has("and its name is … [cut off here; session_search finds the rest]\n"));
    assert_int_equal(summaries(), 1);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(what_was_said_first_is_summed_up),
        ROW(one_that_was_cut_off_says_so),
        ROW(it_is_shown_to_the_model_that_sums_up_as_data),
        ROW(without_a_summary_the_oldest_goes),
        ROW(it_does_not_answer_in_time),
        ROW(a_summary_is_a_text_and_nothing_else),
        ROW(a_model_that_finds_it_too_long_is_asked_once_more),
        ROW(a_short_conversation_may_be_too_long_too),
        ROW(it_is_never_done_twice_in_a_turn),
        ROW(nothing_is_asked_where_nothing_can_go),
        ROW(old_results_are_only_named),
        ROW(a_summary_of_tainted_text_is_tainted),
        ROW(what_is_taken_back_takes_its_summary_with_it),
        ROW(somebody_may_ask_for_it),
        ROW(there_may_be_nothing_for_it),
        ROW(it_may_fail_or_be_stopped),
        ROW(a_kill_leaves_it_as_before),
        ROW(it_may_be_stopped_in_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
