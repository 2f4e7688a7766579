#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/desk.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "sandbox/worker.h"
#include "store/inbox.h"
#include "support/agent_world.h"
#include "tools/toolbox.h"

/*
 * The desk with a channel that delivers: messages are put into the inbox, and what leaves is read
 * from the outbox.
 */
static struct agent_world world;
static struct desk *desk;
static struct desk_config config;
static struct buf heard; // what the channel was told
static int64_t cursor;

static void on_turn(void *context, const char *chat, const char *turn)
{
    (void)context, (void)turn;
    buf_printf(&heard, "turn %s\n", chat);
}

static void on_text(void *context, const char *chat, const char *turn, struct span delta)
{
    (void)context, (void)turn, (void)chat;
    buf_printf(&heard, "text %.*s\n", (int)delta.len, delta.data);
}

static void on_turn_end(void *context, const char *chat, const char *turn)
{
    (void)context, (void)turn;
    buf_printf(&heard, "end %s\n", chat);
}

static const struct desk_channel channel = {.name = "post",
                                            .cut_wait_ms = 100,
                                            .on_turn = on_turn,
                                            .on_text = on_text,
                                            .on_turn_end = on_turn_end};

static void open_desk(void)
{
    struct desk_env env = {
        .loop = world.loop, .store = world.store, .agent = world.agent, .config = &config};
    desk = desk_create(&env);
    desk_attach(desk, &channel, NULL);
}

static int setup(void **state)
{
    agent_world_make(&world, NULL);
    config = (struct desk_config){.busy_mode = "interrupt", .drain_ms = 1000};
    buf_init(&heard, 1 << 20);
    cursor = 0;
    open_desk();
    return 0;
}

static int teardown(void **state)
{
    desk_destroy(desk);
    desk = NULL;
    buf_finish(&heard);
    agent_world_remove(&world);
    return 0;
}

static void arrives_in(const char *chat, const char *text, bool cut)
{
    char id[32];
    snprintf(id, sizeof id, "%d", (int)++cursor);
    struct store_inbound message = {.channel = SPAN_LITERAL("post"),
                                    .chat = span_of(chat),
                                    .external_id = span_of(id),
                                    .sender = SPAN_LITERAL("owner"),
                                    .text = span_of(text),
                                    .cut = cut,
                                    .sent_ms = clock_wall_ms(&clock_system)};
    assert_true(store_inbox_add(world.store, SPAN_LITERAL("post"), cursor, &message, 1, NULL, NULL,
                                NULL) > 0);
    store_wait(world.store);
    desk_wake(desk);
}

static void arrives(const char *text)
{
    arrives_in("7", text, false);
}

static void passes(int count)
{
    while (count-- > 0) {
        loop_run_once(world.loop, 5);
        store_dispatch(world.store);
    }
}

static void until_idle(void)
{
    for (int i = 0; i < 2000 && !desk_idle(desk); i++)
        passes(1);
    assert_true(desk_idle(desk));
    passes(2);
}

static const char *outbox(void)
{
    return agent_world_text(&world, "SELECT group_concat(text, '|') FROM (SELECT text FROM outbox "
                                    "ORDER BY number)");
}

static void until_heard(const char *what)
{
    for (int i = 0; i < 2000 && !strstr(buf_text(&heard), what); i++)
        passes(1);
    assert_non_null(strstr(buf_text(&heard), what));
}

static void answers(const char *text, const char *script)
{
    world.script = script;
    arrives(text);
    until_idle();
}

static void a_message_is_answered_once(void **state)
{
    answers("hi", "say Hello.");
    assert_string_equal(outbox(), "Hello.");
    assert_string_equal(buf_text(&heard), "turn 7\ntext Hel\ntext lo.\nend 7\n");
    desk_wake(desk);
    until_idle();
    assert_string_equal(outbox(), "Hello.");
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM turns"), 1);
}

static void the_conversation_goes_on_and_begins_anew(void **state)
{
    answers("one", "say First.");
    answers("two", "say Second.");
    assert_non_null(strstr(buf_text(&world.prompt), "user: one\nassistant: First.\nuser: two\n"));
    answers("/new A title", "");
    answers("three", "say Third.");
    assert_null(strstr(buf_text(&world.prompt), "First"));
    assert_string_equal(outbox(), "First.|Second.|A new conversation.|Third.");
    assert_string_equal(agent_world_text(&world, "SELECT group_concat(title, '|') FROM sessions"),
                        "one|A title");
}

static void a_message_interrupts(void **state)
{
    world.script = "hang Once upon";
    arrives("one");
    until_heard("upon");
    world.script = "say Second.";
    arrives("two");
    until_idle();
    assert_string_equal(outbox(), "Second.");
    assert_string_equal(agent_world_text(&world, "SELECT group_concat(state) FROM turns"),
                        "cancelled,done");
    assert_non_null(strstr(buf_text(&world.prompt), "user: two"));
}

static void a_message_queues(void **state)
{
    config.busy_mode = "queue";
    world.script = "say First.\nsay Second.";
    arrives("one");
    arrives("two");
    until_idle();
    assert_string_equal(outbox(), "First.|Second.");
}

static void a_backlog_is_answered_in_order(void **state)
{
    desk_destroy(desk); // as long as it is away, messages arrive
    desk = NULL;
    for (int i = 0; i < 5; i++) {
        char id[8], text[8];
        snprintf(id, sizeof id, "%d", i);
        snprintf(text, sizeof text, "m%d", i);
        struct store_inbound message = {.channel = SPAN_LITERAL("post"),
                                        .chat = SPAN_LITERAL("7"),
                                        .external_id = span_of(id),
                                        .text = span_of(text)};
        store_inbox_add(world.store, SPAN_LITERAL("post"), i, &message, 1, NULL, NULL, NULL);
    }
    store_wait(world.store);
    world.script = "say a\nsay b\nsay c\nsay d\nsay e";
    open_desk();
    desk_resume(desk);
    until_idle();
    assert_string_equal(outbox(), "a|b|c|d|e");
}

static void a_message_steers(void **state)
{
    config.busy_mode = "steer";
    world.script = "call recall {'query':'x'}\nsay Done.\nsay never";
    arrives("one");
    arrives("faster");
    until_idle();
    const char *prompt = buf_text(&world.prompt);
    assert_non_null(strstr(prompt, "[While you worked, the user wrote:]\nfaster"));
    assert_string_equal(outbox(), "Done.");
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM turns"), 1);
    assert_int_equal(
        agent_world_number(&world, "SELECT count(*) FROM inbox WHERE handled_ms IS NULL"), 0);
}

// Without another step of tools it is the next question.
static void a_message_steers_too_late(void **state)
{
    config.busy_mode = "steer";
    world.script = "say Done.\nsay Next.";
    arrives("one");
    arrives("two");
    until_idle();
    assert_string_equal(outbox(), "Done.|Next.");
}

static void pieces_of_one_text(void **state)
{
    world.script = "say Long.";
    arrives_in("7", "first half ", true);
    passes(3);
    assert_int_equal(desk_turns(desk), 0);
    arrives_in("7", "second half", false);
    until_idle();
    assert_non_null(strstr(buf_text(&world.prompt), "user: first half second half\n"));
    assert_string_equal(outbox(), "Long.");
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM turns"), 1);
}

static void the_rest_of_a_text_does_not_come(void **state)
{
    world.script = "say Long.";
    arrives_in("7", "first half", true);
    until_idle();
    assert_string_equal(outbox(), "Long.");
}

static void chats_do_not_wait_for_each_other(void **state)
{
    world.script = "hang Once";
    arrives_in("1", "one", false);
    until_heard("text ");
    arrives_in("2", "/status", false);
    passes(5);
    assert_int_equal(strncmp(outbox(), "Idle", 4), 0);
    assert_int_equal(desk_turns(desk), 1);
    desk_stop(desk, "post", "1");
    until_idle();
}

static void commands_in_the_middle(void **state)
{
    world.script = "hang Once";
    arrives("one");
    until_heard("text ");
    arrives("/status");
    passes(5);
    assert_non_null(strstr(outbox(), "Working for"));
    assert_int_equal(desk_turns(desk), 1);
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
    assert_non_null(strstr(buf_text(&world.prompt), "assistant: First.\nuser: two\n"));
    assert_null(strstr(buf_text(&world.prompt), "Wrong."));
    answers("/undo", "");
    answers("three", "say Third.");
    assert_null(strstr(buf_text(&world.prompt), "two"));
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
    assert_string_equal(agent_world_text(&world, "SELECT model FROM turns"), "other/model");
    answers("/model default", "");
    answers("hi", "say Hello.");
    assert_string_equal(
        agent_world_text(&world, "SELECT model FROM turns ORDER BY number DESC LIMIT 1"),
        "scripted");
    answers("/title My talk", "");
    assert_string_equal(agent_world_text(&world, "SELECT title FROM sessions"), "My talk");
    answers("/model a b", "");
    assert_non_null(strstr(outbox(), "That does not work: that is no name of a model"));
}

static void odd_commands(void **state)
{
    answers("/nonsense", "");
    assert_non_null(strstr(outbox(), "There is no command /nonsense; /help lists them."));
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
        agent_world_number(&world, "SELECT count(*) FROM inbox WHERE handled_ms IS NULL"), 0);
}

static void a_failure_is_told(void **state)
{
    answers("hi", "refuse no such luck");
    assert_non_null(strstr(outbox(), "⚠️ no such luck"));
}

// The program is stopped with a turn running and a message waiting.
static void stopped_and_started(void **state)
{
    config.busy_mode = "queue";
    world.script = "hang Once";
    arrives("one");
    until_heard("text ");
    arrives("two");
    struct agent_env env = *agent_env(world.agent);
    desk_destroy(desk);
    agent_destroy(world.agent);
    world.agent = agent_create(&env);
    world.script = "say First.\nsay Second.";
    open_desk();
    desk_resume(desk);
    until_idle();
    assert_string_equal(outbox(), "First.|Second.");
    assert_int_equal(
        agent_world_number(&world, "SELECT count(*) FROM turns WHERE ended_ms IS NULL"), 0);
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
    config.busy_mode = "queue";
    world.script = "hang Once";
    arrives("one");
    until_heard("text ");
    arrives("two");
    desk_drain(desk, 50, on_drained, NULL);
    passes(3);
    assert_false(drained);
    for (int i = 0; i < 100 && !drained; i++)
        passes(1);
    assert_true(drained);
    assert_int_equal(desk_turns(desk), 1); // parked, not cancelled
    assert_int_equal(
        agent_world_number(&world, "SELECT count(*) FROM turns WHERE ended_ms IS NULL"), 1);
}

static void somebody_who_waits(void **state)
{
    struct error err = ERROR_INIT;
    HEARD_AUTO turn = {.world = &world}, command = {.world = &world};
    buf_init(&turn.log, 1 << 20);
    buf_init(&command.log, 1 << 20);
    world.script = "say Hello.";
    assert_int_equal(
        desk_say(desk, "console", "x", SPAN_LITERAL("hi"), &agent_world_sink, &turn, &err), 0);
    assert_true(desk_say(desk, "console", "x", SPAN_LITERAL("hi"), &agent_world_sink, &turn, &err) <
                0);
    agent_world_wait(&world, &turn);
    assert_string_equal(turn.text, "Hello.");
    assert_int_equal(
        desk_say(desk, "console", "x", SPAN_LITERAL("/status"), &agent_world_sink, &command, &err),
        0);
    agent_world_wait(&world, &command);
    assert_non_null(strstr(command.text, "2 messages"));
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM outbox"), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], worker_command) == 0)
        return worker_main(argv[2], toolbox_work);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_answered_once),
        TEST(the_conversation_goes_on_and_begins_anew),
        TEST(a_message_interrupts),
        TEST(a_message_queues),
        TEST(a_backlog_is_answered_in_order),
        TEST(a_message_steers),
        TEST(a_message_steers_too_late),
        TEST(pieces_of_one_text),
        TEST(the_rest_of_a_text_does_not_come),
        TEST(chats_do_not_wait_for_each_other),
        TEST(commands_in_the_middle),
        TEST(undo_and_retry),
        TEST(model_and_title),
        TEST(odd_commands),
        TEST(a_failure_is_told),
        TEST(stopped_and_started),
        TEST(draining),
        TEST(somebody_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
