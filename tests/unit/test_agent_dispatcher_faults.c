#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "sandbox/process.h"
#include "store/session.h"
#include "support/dispatcher_world.h"
#include "support/powercut_vfs.h"
#include "support/scripted_source.h"
#include "tools/tool_process.h"
#include "tools/toolbox.h"

/*
 * The dispatcher when things go wrong at the worst moment: a disk that refuses, a database that is
 * not as it was remembered, messages that cross each other. What must hold is always the same: each
 * message is answered at most once, the last one is, in order, and nobody waits for ever.
 */

static struct dispatcher_world fixture;

static int setup(void **state)
{
    dispatcher_world_make(&fixture, NULL);
    return 0;
}

static int setup_full(void **state) // a disk that may be made full
{
    powercut_start();
    dispatcher_world_make(&fixture, "powercut");
    return 0;
}

static int teardown(void **state)
{
    powercut_set_room(-1);
    dispatcher_world_remove(&fixture);
    return 0;
}

static void arrives(const char *text)
{
    dispatcher_world_arrives(&fixture, text);
}

static void lands(const char *text)
{
    dispatcher_world_lands(&fixture, "7", text, false);
}

static void until_idle(void)
{
    dispatcher_world_until_idle(&fixture);
    assert_int_equal(dispatcher_world_unhandled(&fixture), 0);
}

static void passes(int count)
{
    dispatcher_world_passes(&fixture, count);
}

static const char *outbox(void)
{
    return dispatcher_world_outbox(&fixture);
}

static const char *turns(void)
{
    return agent_world_text(&fixture.world, "SELECT group_concat(state) FROM (SELECT state FROM "
                                            "turns ORDER BY number)");
}

// Messages that cross each other.

static void three_at_once(void **state)
{
    fixture.world.script = "hang One\nsay Second.\nsay Third.";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ne");
    arrives("two");
    arrives("three");
    until_idle();
    assert_string_equal(turns(), "cancelled,done,done");
    assert_string_equal(outbox(), "Second.|Third.");
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: two\nassistant: Second.\n"));
}

// One that waited for its turn interrupts nothing, and must not shield what runs from the next.
static void an_interrupt_behind_one_that_waits(void **state)
{
    fixture.world.script = "hang One";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ne");
    fixture.world.script = "hang Two";
    arrives("two");
    arrives("three");
    dispatcher_world_until_heard(&fixture, "text wo");
    fixture.world.script = "say Third.\nsay Fourth.";
    arrives("four");
    until_idle();
    assert_string_equal(outbox(), "Third.|Fourth.");
    assert_string_equal(turns(), "cancelled,cancelled,done,done");
}

// What was said before /new has its answer, also when all of it comes in at once after a downtime.
static void a_backlog_with_a_command_in_it(void **state)
{
    lands("one");
    lands("/new");
    lands("two");
    fixture.world.script = "say First.\nsay Second.";
    dispatcher_world_restart(&fixture);
    dispatcher_wake(fixture.dispatcher);
    until_idle();
    assert_string_equal(outbox(), "First.|A new conversation.|Second.");
}

static void a_command_behind_a_cut_text(void **state)
{
    dispatcher_world_lands(&fixture, "7", "a long text ", true);
    lands("/new");
    fixture.world.script = "say Long.";
    dispatcher_wake(fixture.dispatcher);
    until_idle();
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: a long text \n"));
    assert_string_equal(outbox(), "Long.|A new conversation.");
}

static void what_was_steered_waits_in_order(void **state)
{
    fixture.config.busy_mode = "steer";
    fixture.world.script = "hang One";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ne");
    arrives("two");
    arrives("three");
    fixture.world.script = "say Second.\nsay Third.";
    dispatcher_stop(fixture.dispatcher, "post", "7");
    until_idle();
    assert_string_equal(outbox(), "Second.|Third.");
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: two\nassistant: Second.\n"));
}

// More than are kept in memory: none of them ends a turn, and still all are answered.
static void a_hundred_commands(void **state)
{
    for (int i = 0; i < 200; i++)
        lands("/whoami");
    dispatcher_wake(fixture.dispatcher);
    until_idle();
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"), 200);
}

static void a_stop_behind_a_hundred_messages(void **state)
{
    fixture.config.busy_mode = "queue";
    fixture.world.script = "hang One";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ne");
    for (int i = 0; i < 150; i++)
        lands("more");
    fixture.world.script = "hang Two";
    arrives("/stop");
    dispatcher_world_until_heard(&fixture, "text wo");
    assert_string_equal(outbox(), "Stopped.");
}

// Who waits himself.

static void stopped_before_it_began(void **state)
{
    HEARD_AUTO heard = {.world = &fixture.world};
    buf_init(&heard.log, 1 << 20);
    fixture.world.script = "say never";
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", SPAN_LITERAL("hi"),
                                    agent_world_heard, &heard, NULL),
                     0);
    dispatcher_stop(fixture.dispatcher, "console", "x");
    agent_world_wait(&fixture.world, &heard);
    assert_int_equal(heard.state, TURN_CANCELLED);
    assert_string_equal(buf_text(&heard.log), "");
}

static void a_text_that_is_too_long(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(mem_cleanup) char *text = mem_zalloc(2 << 20);
    memset(text, 'x', 2 << 20);
    assert_true(dispatcher_say(fixture.dispatcher, "console", "x", span_make(text, 2 << 20),
                               agent_world_heard, NULL, &err) < 0);
    assert_non_null(strstr(err.text, "too long"));
    assert_true(dispatcher_idle(fixture.dispatcher));
}

// A conversation that was begun and never stored is no place for a title.
static void a_full_disk_before_a_title(void **state)
{
    HEARD_AUTO question = {.world = &fixture.world}, command = {.world = &fixture.world};
    buf_init(&question.log, 1 << 20);
    buf_init(&command.log, 1 << 20);
    powercut_set_room(0);
    fixture.world.script = "say never";
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", SPAN_LITERAL("hi"),
                                    agent_world_heard, &question, NULL),
                     0);
    agent_world_wait(&fixture.world, &question);
    assert_int_equal(question.state, TURN_FAILED);
    powercut_set_room(-1);
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", SPAN_LITERAL("/title Mine"),
                                    agent_world_heard, &command, NULL),
                     0);
    agent_world_wait(&fixture.world, &command);
    assert_string_equal(agent_world_text(&fixture.world, "SELECT title FROM sessions"), "Mine");
}

// Somebody at a terminal says something and waits for the end, which must be of this kind.
static void says(const char *text, enum turn_state state)
{
    HEARD_AUTO heard = {.world = &fixture.world};
    buf_init(&heard.log, 1 << 20);
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", span_of(text),
                                    agent_world_heard, &heard, NULL),
                     0);
    agent_world_wait(&fixture.world, &heard);
    assert_int_equal(heard.state, state);
}

// What /retry would have replaced is still part of the conversation.
static void a_full_disk_before_a_retry(void **state)
{
    fixture.world.script = "say One.\nsay Two.\nsay Three.";
    says("first", TURN_DONE);
    says("second", TURN_DONE);
    powercut_set_room(0);
    says("/retry", TURN_FAILED);
    powercut_set_room(-1);
    says("third", TURN_DONE);
    assert_non_null(strstr(buf_text(&fixture.world.prompt),
                           "user: first\nassistant: One.\nuser: second\nassistant: Two.\n"
                           "user: third\n"));
    fixture.world.script = "say Three again.";
    says("/retry", TURN_DONE);
    assert_non_null(
        strstr(buf_text(&fixture.world.prompt), "user: second\nassistant: Two.\nuser: third\n"));
    assert_null(strstr(buf_text(&fixture.world.prompt), "Three."));
}

// A disk that is full.

static void full_at_the_begin(void **state)
{
    lands("one");
    lands("/whoami");
    powercut_set_room(0);
    fixture.world.script = "say First.";
    dispatcher_wake(fixture.dispatcher);
    passes(20);
    assert_int_equal(fixture.world.asked, 0);
    powercut_set_room(-1);
    until_idle();
    assert_int_equal(fixture.world.asked, 1);
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"), 2);
}

static void full_at_the_end_with_a_stop(void **state)
{
    fixture.world.script = "hang Once\nsay never";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ce");
    lands("/stop");
    lands("/new");
    powercut_set_room(0);
    dispatcher_wake(fixture.dispatcher);
    passes(100);
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 1); // its end is not on disk
    powercut_set_room(-1);
    until_idle();
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"), 2);
    assert_non_null(strstr(outbox(), "A new conversation."));
    assert_string_equal(turns(), "cancelled");
}

static void full_when_it_is_taken_up(void **state)
{
    fixture.world.script = "hang Once";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ce");
    powercut_set_room(0);
    fixture.world.script = "say Here.";
    dispatcher_world_restart(&fixture);
    passes(20);
    assert_int_equal(dispatcher_turns(fixture.dispatcher), 1);
    powercut_set_room(-1);
    until_idle();
    assert_string_equal(outbox(), "Here.");
    assert_string_equal(turns(), "done");
}

// An answer that is too large for one write is delivered all the same, as far as replies go.
static void an_answer_that_is_too_large(void **state)
{
    dispatcher_world_answers(&fixture, "one", "flood 17000000");
    assert_string_equal(turns(), "done");
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"), 1);
    assert_non_null(
        strstr(agent_world_text(&fixture.world, "SELECT substr(text, -400) FROM outbox"),
               "could not be saved"));
    dispatcher_world_answers(&fixture, "two", "say Second.");
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"), 2);
}

// The model never read what was said meanwhile: it is the next question, and is said once.
static void steering_that_is_too_large(void **state)
{
    enum { MESSAGES = 9, BYTES = 1 << 20 }; // twice in the step, which is more than one write takes
    struct scripted_source source;
    tool_source_id id;
    CLEANUP(mem_cleanup) char *text = mem_zalloc(BYTES);
    memset(text, 'x', BYTES - 1);
    scripted_source_init(&source, scripted_tools);
    assert_int_equal(toolbox_add_source(fixture.world.toolbox, &source.source, &id, NULL), 0);
    fixture.config.busy_mode = "steer";
    fixture.world.script =
        "call slow\nsay a\nsay b\nsay c\nsay d\nsay e\nsay f\nsay g\nsay h\nsay i";
    arrives("one");
    for (int i = 0; i < 100 && !source.started; i++)
        passes(1);
    for (int i = 0; i < MESSAGES; i++)
        arrives(text);
    passes(3 * MESSAGES);
    scripted_source_answer(&source, 0, "late", false);
    until_idle();
    assert_non_null(strstr(outbox(), "the limit is 16777216|a|b|c|d|e|f|g|h|i"));
    assert_null(strstr(buf_text(&fixture.world.prompt), "While you worked"));
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "tool: (the result was lost)\n"));
    toolbox_remove_source(fixture.world.toolbox, id);
}

// A database that is not as it was remembered.

static void a_piece_that_was_handled_already(void **state)
{
    dispatcher_world_awaits_the_rest(&fixture);
    dispatcher_world_arrives_in(&fixture, "7", "first ", true);
    passes(2);
    fixture_exec(store_path(fixture.world.store), "UPDATE inbox SET handled_ms = 1");
    fixture.world.script = "say Second.";
    arrives("second");
    until_idle();
    assert_non_null(strstr(buf_text(&fixture.world.prompt), "user: second\n"));
    assert_string_equal(outbox(), "Second.");
}

static void a_message_that_is_gone(void **state)
{
    dispatcher_world_awaits_the_rest(&fixture);
    dispatcher_world_arrives_in(&fixture, "7", "first ", true);
    passes(2);
    fixture_exec(store_path(fixture.world.store), "DELETE FROM inbox");
    fixture.world.script = "say Second.";
    arrives("second");
    until_idle();
    assert_string_equal(outbox(), "Second.");
}

static void a_conversation_that_is_deleted_meanwhile(void **state)
{
    dispatcher_world_answers(&fixture, "one", "say First.");
    CLEANUP(mem_cleanup)
    char *id = mem_strdup(agent_world_text(&fixture.world, "SELECT id FROM sessions"));
    lands("two");
    fixture.world.script = "say Second.";
    assert_true(store_session_delete(fixture.world.store, span_of(id), NULL, NULL, NULL) > 0);
    dispatcher_wake(fixture.dispatcher); // it may or may not be gone already
    until_idle();
    assert_non_null(strstr(outbox(), "Second."));
    assert_string_equal(buf_text(&fixture.world.prompt) + strlen(buf_text(&fixture.world.prompt)) -
                            strlen("user: two\n"),
                        "user: two\n");
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM sessions"), 1);
}

static void a_turn_in_a_state_that_cannot_be(void **state)
{
    fixture.world.script = "hang Once";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ce");
    store_wait(fixture.world.store);
    fixture_exec(store_path(fixture.world.store), "UPDATE turns SET state = 'cancelled'");
    dispatcher_world_restart(&fixture);
    until_idle();
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"), 1);
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM turns WHERE ended_ms IS NULL"), 0);
    dispatcher_world_answers(&fixture, "two", "say Second.");
    assert_non_null(
        strstr(buf_text(&fixture.world.prompt), "user: one\nassistant: (no answer)\nuser: two\n"));
}

// Another version of the program knew it, say. The turns behind it are not kept from going on, and
// its end goes where its answer was to go, which is not its session's own chat.
static void a_state_that_is_not_known(void **state)
{
    fixture.world.script = "hang Once";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ce");
    store_wait(fixture.world.store);
    fixture_exec(store_path(fixture.world.store),
                 "INSERT INTO sessions(number, id, channel, chat, created_ms, updated_ms)"
                 " VALUES(9, 's9', 'post', 'daily', 1, 1);"
                 "INSERT INTO turns(number, id, session, state, source, started_ms, reply_channel,"
                 " reply_chat) VALUES(0, 't0', 9, 'dreaming', 'post', 1, 'post', '8')");
    fixture.world.script = "say Here.";
    dispatcher_world_restart(&fixture);
    until_idle();
    assert_string_equal(turns(), "failed,done");
    assert_non_null(strstr(outbox(), "Here."));
    assert_non_null(strstr(agent_world_text(&fixture.world, "SELECT text FROM outbox"
                                                            " WHERE channel || chat = 'post8'"),
                           "is damaged"));
    assert_non_null(strstr(buf_text(&fixture.heard), "turn 8\n"));
}

// What waits behind a turn that was given up is asked with its end in the history.
static void a_message_behind_damaged_calls(void **state)
{
    fixture.world.script = "call current_time\nhang Once";
    arrives("one");
    dispatcher_world_until_heard(&fixture, "text ce");
    store_wait(fixture.world.store);
    fixture_exec(store_path(fixture.world.store),
                 "UPDATE turns SET state = 'tools'; DELETE FROM messages WHERE role <> 'user'");
    lands("two");
    fixture.world.script = "say Second.";
    dispatcher_world_restart(&fixture);
    until_idle();
    assert_string_equal(turns(), "failed,done");
    assert_non_null(
        strstr(buf_text(&fixture.world.prompt), "user: one\nassistant: (no answer)\nuser: two\n"));
}

/*
 * Anything in any order: messages, commands, a disk that fills and empties, and the end of the
 * process. When all is quiet again nothing waits, and there is one reply for each command and for
 * each turn that was not cancelled.
 */
enum { DAYS = 8, STEPS = 60, LINES = 4000 };

static unsigned chance(unsigned *seed, unsigned sides)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % sides;
}

static void write_script(unsigned *seed, struct buf *out)
{
    static const char *const lines[] = {
        "say Some answer.",
        "say Another one.",
        "hang For ever",
        "call current_time",
        "call remember {'content':'c'}; current_time",
        "refuse no such luck",
        "fail So no luck",
    };
    for (int i = 0; i < LINES; i++)
        buf_printf(out, "%s\n", lines[chance(seed, ARRAY_LEN(lines))]);
}

static void step(unsigned *seed)
{
    static const char *const commands[] = {"/status",  "/stop", "/new",       "/retry",  "/undo",
                                           "/title a", "/help", "/model abc", "/nothing"};
    switch (chance(seed, 12)) {
    case 0:
        powercut_set_room((int64_t)chance(seed, 2) * chance(seed, 30000));
        break;
    case 1:
        powercut_set_room(-1);
        break;
    case 2:
        dispatcher_world_restart(&fixture);
        break;
    case 3:
    case 4:
    case 5:
        arrives(commands[chance(seed, ARRAY_LEN(commands))]);
        break;
    case 6:
        dispatcher_world_arrives_in(&fixture, "7", "the first half ", true);
        break;
    default:
        arrives("a question");
    }
    dispatcher_world_passes(&fixture, (int)chance(seed, 5));
}

static void until_quiet(void)
{
    powercut_set_room(-1);
    for (int i = 0; i < 20000 && !dispatcher_idle(fixture.dispatcher); i++) {
        passes(1);
        if (i % 20 == 19)
            dispatcher_stop(fixture.dispatcher, "post", "7");
    }
    until_idle();
}

static void a_bad_day(unsigned seed)
{
    static const char *const modes[] = {"interrupt", "queue", "steer"};
    BUF_AUTO script = BUF_INIT(1 << 20);
    write_script(&seed, &script);
    fixture.config.busy_mode = modes[chance(&seed, ARRAY_LEN(modes))];
    fixture.world.script = buf_text(&script);
    for (int i = 0; i < STEPS; i++)
        step(&seed);
    until_quiet();
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM turns WHERE ended_ms IS NULL"), 0);
    assert_int_equal(
        agent_world_number(&fixture.world, "SELECT count(*) FROM outbox"),
        agent_world_number(&fixture.world,
                           "SELECT count(*) FROM turns WHERE state <> 'cancelled'") +
            agent_world_number(&fixture.world, "SELECT count(*) FROM inbox WHERE turn IS NULL"));
    assert_int_equal(agent_world_number(&fixture.world, "SELECT count(DISTINCT turn) FROM inbox"),
                     agent_world_number(&fixture.world, "SELECT count(*) FROM turns"));
}

static void bad_days(void **state)
{
    const char *first = getenv("BAD_DAY"); // more of them, or one that was seen to fail
    int64_t from = 1;
    if (first)
        assert_true(span_to_i64(span_of(first), &from));
    for (unsigned day = (unsigned)from; day < from + DAYS; day++) {
        setup_full(state);
        print_message("day %u\n", day);
        a_bad_day(day);
        teardown(state);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    powercut_register();
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_FULL(name) cmocka_unit_test_setup_teardown(name, setup_full, teardown)
    const struct CMUnitTest tests[] = {
        TEST(three_at_once),
        TEST(an_interrupt_behind_one_that_waits),
        TEST(a_backlog_with_a_command_in_it),
        TEST(a_command_behind_a_cut_text),
        TEST(what_was_steered_waits_in_order),
        TEST(a_hundred_commands),
        TEST(a_stop_behind_a_hundred_messages),
        TEST(stopped_before_it_began),
        TEST(a_text_that_is_too_long),
        TEST_FULL(a_full_disk_before_a_title),
        TEST_FULL(a_full_disk_before_a_retry),
        TEST_FULL(full_at_the_begin),
        TEST_FULL(full_at_the_end_with_a_stop),
        TEST_FULL(full_when_it_is_taken_up),
        TEST(an_answer_that_is_too_large),
        TEST(steering_that_is_too_large),
        TEST(a_piece_that_was_handled_already),
        TEST(a_message_that_is_gone),
        TEST(a_conversation_that_is_deleted_meanwhile),
        TEST(a_turn_in_a_state_that_cannot_be),
        TEST(a_state_that_is_not_known),
        TEST(a_message_behind_damaged_calls),
        cmocka_unit_test(bad_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
