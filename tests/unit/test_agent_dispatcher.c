#include <stdio.h>
#include <string.h>

#include "agent/outside.h"
#include "sandbox/process.h"
#include "support/dispatcher_fixture.h"
#include "tools/tool_process.h"

// The dispatcher with a channel that delivers, and with somebody who waits.

static void arrives(const char *text)
{
    dispatcher_world_arrives(&fixture, text);
}

static void arrives_in(const char *chat, const char *text, bool cut)
{
    dispatcher_world_arrives_in(&fixture, chat, text, cut);
}

static void answers(const char *text, const char *script)
{
    dispatcher_world_answers(&fixture, text, script);
}

static void passes(int count)
{
    dispatcher_world_passes(&fixture, count);
}

static void until_idle(void)
{
    dispatcher_world_until_idle(&fixture);
}

static void until_heard(const char *what)
{
    dispatcher_world_until_heard(&fixture, what);
}

static const char *outbox(void)
{
    return dispatcher_world_outbox(&fixture);
}

static void a_message_is_answered_once(void **state)
{
    answers("hi", "say Hello.");
    assert_string_equal(outbox(), "Hello.");
    assert_string_equal(buf_text(&fixture.heard), "turn 7\ntext Hel\ntext lo.\nend 7\n");
    dispatcher_wake(fixture.dispatcher);
    until_idle();
    assert_string_equal(outbox(), "Hello.");
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM turns"), 1);
}

static void the_conversation_goes_on_and_begins_anew(void **state)
{
    answers("one", "say First.");
    answers("two", "say Second.");
    assert_non_null(
        strstr(buf_text(&fixture.world.prompt), "user: one\nassistant: First.\nuser: two\n"));
    answers("/new A title", "");
    answers("three", "say Third.");
    assert_null(strstr(buf_text(&fixture.world.prompt), "First"));
    assert_string_equal(outbox(), "First.|Second.|A new conversation.|Third.");
    assert_string_equal(
        agent_world_text(&fixture.world, "SELECT group_concat(title, '|') FROM sessions"),
        "one|A title");
}

static void a_message_interrupts(void **state)
{
    fixture.world.script = "hang Once upon";
    arrives("one");
    until_heard("upon");
    fixture.world.script = "say Second.";
    arrives("two");
    until_idle();
    assert_string_equal(outbox(), "Second.");
    assert_string_equal(agent_world_text(&fixture.world, "SELECT group_concat(state) FROM turns"),
                        "cancelled,done");
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: two"));
}

static void a_message_queues(void **state)
{
    fixture.config.busy_mode = "queue";
    fixture.world.script = "say First.\nsay Second.";
    arrives("one");
    arrives("two");
    until_idle();
    assert_string_equal(outbox(), "First.|Second.");
}

static void a_backlog_is_answered_in_order(void **state)
{
    static const char *const texts[] = {"m0", "m1", "m2", "m3", "m4"};
    for (size_t i = 0; i < 5; i++) // nobody tells the dispatcher
        dispatcher_world_lands(&fixture, "7", texts[i], false);
    fixture.world.script = "say a\nsay b\nsay c\nsay d\nsay e";
    dispatcher_world_restart(&fixture);
    until_idle();
    assert_string_equal(outbox(), "a|b|c|d|e");
}

static void a_message_steers(void **state)
{
    fixture.config.busy_mode = "steer";
    fixture.world.script = "call recall {'query':'x'}\nsay Done.\nsay never";
    arrives("one");
    arrives("faster");
    until_idle();
    const char *prompt = buf_text(&fixture.world.prompt);
    assert_non_null(strstr(prompt, "[While you worked, the user wrote:]\nfaster"));
    assert_string_equal(outbox(), "Done.");
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM turns"), 1);
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM inbox WHERE handled_ms IS NULL"),
        0);
}

// Quoted text is nobody's order: the mark goes where the text goes, and stays when it is retried.
static void a_quote_taints(void **state)
{
    fixture.config.busy_mode = "steer";
    fixture.world.script = "call recall {'query':'x'}\nsay Done.\nsay never";
    arrives("one");
    fixture.tainted = true;
    arrives("> do this\n\nfaster");
    until_idle();
    static const char marks[] =
        "SELECT group_concat(role || tainted) FROM (SELECT * FROM messages WHERE dropped = 0"
        " ORDER BY id)";
    assert_string_equal(agent_world_text(&fixture.world, marks),
                        "user0,assistant0,tool1,assistant1");
    fixture.tainted = false;
    answers("/new", "");
    fixture.tainted = true;
    answers("> do that\n\nlook", "say No.");
    fixture.tainted = false;
    answers("/retry", "say Never.");
    assert_string_equal(agent_world_text(&fixture.world, marks),
                        "user0,assistant0,tool1,assistant1,user1,assistant1");
}

// Without another step of tools it is the next question.
static void a_message_steers_too_late(void **state)
{
    fixture.config.busy_mode = "steer";
    fixture.world.script = "say Done.\nsay Next.";
    arrives("one");
    arrives("two");
    until_idle();
    assert_string_equal(outbox(), "Done.|Next.");
}

static void an_edit_replaces_a_message_that_waits(void **state)
{
    fixture.config.busy_mode = "queue";
    fixture.world.script = "hang Once\nsay b\nsay c";
    arrives("one");
    arrives("two");
    arrives("three");
    passes(10);
    dispatcher_world_edits(&fixture, 2, "2nd");
    dispatcher_world_edits(&fixture, 2, "second");
    dispatcher_world_edits(&fixture, 2, "second"); // which changes nothing
    passes(10);
    fixture.world.script = "say b\nsay c";
    arrives("/stop");
    until_idle();
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: second\n"));
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: three\n"));
    assert_null(strstr(buf_text(&fixture.world.prompt), "two"));
    assert_int_equal(dispatcher_world_unhandled(&fixture), 0);
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM turns"), 3);
}

static void an_edit_of_what_is_answered_is_a_message(void **state)
{
    dispatcher_world_answers(&fixture, "one", "say a");
    dispatcher_world_edits(&fixture, 1, "one"); // a link's preview, say
    until_idle();
    assert_string_equal(outbox(), "a");
    fixture.world.script = "say b";
    dispatcher_world_edits(&fixture, 1, "eins");
    dispatcher_world_edits(&fixture, 77, "never seen");
    until_idle();
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: (edited) eins\n"));
    dispatcher_world_edits(&fixture, 1, "/title One"); // a command is one
    until_idle();
    assert_string_equal(outbox(), "a|b|Title: One");
    assert_int_equal(dispatcher_world_unhandled(&fixture), 0);
}

// The running answer is for the old text.
static void an_edit_of_what_is_being_answered_interrupts(void **state)
{
    fixture.world.script = "hang Once";
    arrives("one");
    passes(10);
    fixture.world.script = "say b";
    dispatcher_world_edits(&fixture, 1, "eins");
    until_idle();
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: (edited) eins\n"));
    assert_string_equal(agent_world_text(&fixture.world, "SELECT group_concat(state) FROM turns"),
                        "cancelled,done");
}

static void an_edit_outlives_the_process(void **state)
{
    dispatcher_world_lands(&fixture, "7", "one", false);
    dispatcher_world_edits(&fixture, 1, "eins");
    fixture.world.script = "say a";
    dispatcher_world_restart(&fixture);
    until_idle();
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: eins\n"));
    assert_string_equal(outbox(), "a");
    assert_int_equal(dispatcher_world_unhandled(&fixture), 0);
}

static void pieces_of_one_text(void **state)
{
    dispatcher_world_awaits_the_rest(&fixture);
    fixture.world.script = "say Long.";
    arrives_in("7", "first half ", true);
    passes(3);
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 0);
    arrives_in("7", "second half", false);
    until_idle();
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: first half second half\n"));
    assert_string_equal(outbox(), "Long.");
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM turns"), 1);
}

static void the_rest_of_a_text_does_not_come(void **state)
{
    fixture.world.script = "say Long.";
    arrives_in("7", "first half", true);
    until_idle();
    assert_string_equal(outbox(), "Long.");
}

static void chats_do_not_wait_for_each_other(void **state)
{
    fixture.world.script = "hang Once";
    arrives_in("1", "one", false);
    until_heard("text ");
    arrives_in("2", "/status", false);
    passes(5);
    assert_int_equal(strncmp(outbox(), "Idle", 4), 0);
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 1);
    dispatcher_stop(fixture.dispatcher, "post", "1");
    until_idle();
}

static void commands_in_the_middle(void **state)
{
    fixture.world.script = "hang Once";
    arrives("one");
    until_heard("text ");
    arrives("/status");
    passes(5);
    assert_non_null(strstr(outbox(), "Working for"));
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 1);
    arrives("/stop");
    until_idle();
    assert_non_null(strstr(outbox(), "|Stopped."));
    answers("/stop", "");
    assert_non_null(strstr(outbox(), "|Nothing is running."));
}

static void undo_and_retry(void **state)
{
    answers("one", "say First.");
    answers("two", "say Wrong.");
    answers("/retry", "say Right.");
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "assistant: First.\nuser: two\n"));
    assert_null(strstr(buf_text(&fixture.world.prompt), "Wrong."));
    answers("/undo", "");
    answers("three", "say Third.");
    assert_null(strstr(buf_text(&fixture.world.prompt), "two"));
    assert_string_equal(outbox(), "First.|Wrong.|Right.|Taken back: two|Third.");
    answers("/undo", "");
    answers("/undo", "");
    answers("/undo", "");
    assert_non_null(strstr(outbox(), "There is no question yet"));
}

static void model_and_title(void **state)
{
    answers("/model other/model", "");
    answers("hi", "say Hello.");
    assert_string_equal(agent_world_text(&fixture.world, "SELECT model FROM turns"), "other/model");
    answers("/model default", "");
    answers("hi", "say Hello.");
    assert_string_equal(
        agent_world_text(&fixture.world, "SELECT model FROM turns ORDER BY number DESC LIMIT 1"),
        "scripted");
    answers("/title My talk", "");
    assert_string_equal(agent_world_text(&fixture.world, "SELECT title FROM sessions"), "My talk");
    answers("/model a b", "");
    assert_non_null(strstr(outbox(), "That failed: that is not a model's name"));
}

static void odd_commands(void **state)
{
    answers("/nonsense", "");
    assert_non_null(strstr(outbox(), "There is no command /nonsense; see /help."));
    answers("/etc/hosts is empty", "say So it is.");
    assert_non_null(strstr(outbox(), "So it is."));
    answers("/HELP@some_bot", "");
    assert_non_null(strstr(outbox(), "/retry: "));
    answers("/usage", "");
    assert_non_null(strstr(outbox(), "This conversation: 1 answers, 100 tokens in"));
    answers("/context", "");
    answers("/whoami", "");
    answers("/start", "");
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM inbox WHERE handled_ms IS NULL"),
        0);
}

/* Commands that others carry out */

static struct {
    outside_reply_fn *fn;
    void *context;
    char said[64];
    int forgotten;
    bool news;
} other;

static void on_ask(void *owner, struct span command, struct span rest,
                   const struct store_address *from, outside_reply_fn *fn, void *context)
{
    other.fn = fn;
    other.context = context;
    snprintf(other.said, sizeof other.said, "%.*s(%.*s)", (int)command.len, command.data,
             (int)rest.len, rest.len ? rest.data : "");
}

static void on_forget(void *owner, const void *context)
{
    assert_ptr_equal(context, other.context);
    other.forgotten++;
}

static char *have_news(void *owner)
{
    return other.news ? mem_strdup("A server has changed") : NULL;
}

static void hear_told(void *owner)
{
    other.news = false;
}

static const struct outside outside = {on_ask, on_forget, have_news, hear_told, NULL};

static void others_carry_out_a_command(void **state)
{
    answers("/mcp", "");
    assert_string_equal(outbox(), "There is nothing here that could do that.");
    fixture.outside = &outside;
    dispatcher_world_restart(&fixture);
    arrives("/mcp login  notes");
    passes(5);
    arrives("/status");
    arrives("hi");
    passes(5);
    assert_string_equal(other.said, "/mcp(login  notes)");
    assert_int_equal(dispatcher_world_unhandled(&fixture), 3); // all wait for it
    fixture.world.script = "say Hello.";
    other.fn(other.context, SPAN_LITERAL("Open this"), SPAN_ABSENT);
    until_idle();
    assert_non_null(strstr(outbox(), "Open this"));
    assert_non_null(strstr(outbox(), "Hello."));
    assert_null(strstr(outbox(), "Open this|Open this"));
}

static void nobody_waits_for_others_any_more(void **state)
{
    fixture.outside = &outside;
    dispatcher_world_restart(&fixture);
    other.forgotten = 0;
    arrives("/reload-mcp");
    passes(5);
    assert_string_equal(other.said, "/reload-mcp()");
    *other.said = '\0';
    dispatcher_world_restart(&fixture); // and it is asked anew
    assert_int_equal(other.forgotten, 1);
    passes(5);
    assert_string_equal(other.said, "/reload-mcp()");
    other.fn(other.context, SPAN_LITERAL("Done."), SPAN_ABSENT);
    until_idle();
    assert_string_equal(outbox(), "Done.");
}

static void news_go_out_with_an_answer_once(void **state)
{
    struct agent_env env = *agent_env(fixture.world.agent);
    env.outside = &outside;
    agent_configure(fixture.world.agent, &env);
    other.news = true;
    answers("hi", "say Hello.");
    assert_string_equal(outbox(), "Hello.\n\nℹ️ A server has changed");
    assert_false(other.news);
    assert_int_equal(agent_world_number(&fixture.world,
                                        "SELECT count(*) FROM outbox WHERE buttons LIKE '%/mcp%'"),
                     1);
    answers("hi", "say Hello.");
    assert_null(strstr(strstr(outbox(), "changed"), "changed|changed"));
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM outbox WHERE buttons <> ''"), 1);
}

static void a_failure_is_told(void **state)
{
    answers("hi", "refuse no such luck");
    assert_non_null(strstr(outbox(), "⚠️ no such luck"));
}

// The program is stopped with a turn running and a message waiting.
static void stopped_and_started(void **state)
{
    fixture.config.busy_mode = "queue";
    fixture.world.script = "hang Once";
    arrives("one");
    until_heard("text ");
    arrives("two");
    fixture.world.script = "say First.\nsay Second.";
    dispatcher_world_restart(&fixture);
    until_idle();
    assert_string_equal(outbox(), "First.|Second.");
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM turns WHERE ended_ms IS NULL"), 0);
}

static bool drained;
static void on_drained(void *context)
{
    (void)context;
    drained = true;
}

static void draining(void **state)
{
    drained = false;
    fixture.config.busy_mode = "queue";
    fixture.world.script = "hang Once";
    arrives("one");
    until_heard("text ");
    arrives("two");
    dispatcher_drain(fixture.dispatcher, 1000, on_drained, NULL);
    passes(3);
    assert_false(drained);
    for (int i = 0; i < 2000 && !drained; i++)
        passes(1);
    assert_true(drained);
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 1); // parked, not cancelled
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM turns WHERE ended_ms IS NULL"), 1);
}

// The message is nowhere else, so its sender must hear that nobody answers it.
static void somebody_waits_while_it_drains(void **state)
{
    drained = false;
    HEARD_AUTO heard = {.world = &fixture.world};
    buf_init(&heard.log, 1 << 20);
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", SPAN_LITERAL("hi"),
                                    agent_world_heard, &heard, NULL),
                     0);
    dispatcher_drain(fixture.dispatcher, 1000, on_drained, NULL);
    agent_world_wait(&fixture.world, &heard);
    assert_non_null(strstr(heard.error, "Hermes is stopping"));
    for (int i = 0; i < 2000 && !drained; i++)
        passes(1);
    assert_true(drained);
}

static void somebody_who_waits(void **state)
{
    struct error err = ERROR_INIT;
    HEARD_AUTO turn = {.world = &fixture.world}, command = {.world = &fixture.world};
    buf_init(&turn.log, 1 << 20);
    buf_init(&command.log, 1 << 20);
    fixture.world.script = "say Hello.";
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", SPAN_LITERAL("hi"),
                                    agent_world_heard, &turn, &err),
                     0);
    assert_true(dispatcher_say(fixture.dispatcher, "console", "x", SPAN_LITERAL("hi"),
                               agent_world_heard, &turn, &err) < 0);
    agent_world_wait(&fixture.world, &turn);
    assert_string_equal(turn.text, "Hello.");
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", SPAN_LITERAL("/status"),
                                    agent_world_heard, &command, &err),
                     0);
    agent_world_wait(&fixture.world, &command);
    assert_non_null(strstr(command.text, "2 messages"));
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_answered_once),
        TEST(the_conversation_goes_on_and_begins_anew),
        TEST(a_message_interrupts),
        TEST(an_edit_replaces_a_message_that_waits),
        TEST(an_edit_of_what_is_answered_is_a_message),
        TEST(an_edit_of_what_is_being_answered_interrupts),
        TEST(an_edit_outlives_the_process),
        TEST(a_message_queues),
        TEST(a_backlog_is_answered_in_order),
        TEST(a_message_steers),
        TEST(a_quote_taints),
        TEST(a_message_steers_too_late),
        TEST(pieces_of_one_text),
        TEST(the_rest_of_a_text_does_not_come),
        TEST(chats_do_not_wait_for_each_other),
        TEST(commands_in_the_middle),
        TEST(undo_and_retry),
        TEST(model_and_title),
        TEST(odd_commands),
        TEST(others_carry_out_a_command),
        TEST(nobody_waits_for_others_any_more),
        TEST(a_failure_is_told),
        TEST(news_go_out_with_an_answer_once),
        TEST(stopped_and_started),
        TEST(draining),
        TEST(somebody_waits_while_it_drains),
        TEST(somebody_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
