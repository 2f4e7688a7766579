#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/memory.h"
#include "store/message.h"
#include "store/session.h"
#include "store/store.h"
#include "store/turn.h"
#include "support/powercut_plan.h"
#include "support/store_fixture.h"

/*
 * A conversation is written, and the power cut in the middle of each of its operations on the disk
 * in turn, with every kind of loss. Afterwards the file must open without being set aside, hold
 * everything that was acknowledged as durable, and each step of a turn wholly or not at all; what
 * is there must be the beginning of the conversation, with nothing missing in its middle.
 *
 * The log is folded in every few pages, so that cuts fall into checkpoints too.
 */

enum {
    TURNS = 4,
    STEPS = 3, // of a turn: begin, tools, done
    CHECKPOINT_PAGES = 12,
};

static char home[FIXTURE_PATH_MAX];

struct script {
    struct store *store;
    struct outcome session;
    struct outcome steps[TURNS][STEPS];
    struct outcome memories[TURNS];
};

static struct span id_of(int turn, char *text)
{
    snprintf(text, 16, "t%d", turn);
    return span_of(text);
}

static void begin(struct script *script, int turn)
{
    char id[16];
    struct store_turn row = {
        .id = id_of(turn, id), .session = SPAN_LITERAL("s"), .terms.origin = SPAN_LITERAL("test")};
    struct store_message question = {.role = SPAN_LITERAL("user"), .content = SPAN_LITERAL("ask")};
    store_turn_begin(script->store, &row, &question, 1, STORE_DURABLE, fixture_done,
                     &script->steps[turn][0], NULL);
}

// Long enough to spill onto pages of its own.
static const char *long_text(void)
{
    static char text[9000];
    memset(text, 'x', sizeof text - 1);
    return text;
}

static void use_tools(struct script *script, int turn)
{
    char id[16];
    struct store_message messages[2] = {
        {.role = SPAN_LITERAL("assistant"), .tool_calls = SPAN_LITERAL("[]")},
        {.role = SPAN_LITERAL("tool"), .content = span_of(long_text())}};
    struct store_tool_call call = {.name = SPAN_LITERAL("read_file"), .state = STORE_CALL_DONE};
    struct store_turn_step step = {.turn = id_of(turn, id),
                                   .state = STORE_TURN_MODEL,
                                   .iteration = 1,
                                   .messages = messages,
                                   .message_count = 2,
                                   .calls = &call,
                                   .call_count = 1};
    store_turn_advance(script->store, &step, STORE_GROUPED, fixture_done, &script->steps[turn][1],
                       NULL);
}

static void answer(struct script *script, int turn)
{
    char id[16];
    struct store_message reply = {.role = SPAN_LITERAL("assistant"), .content = SPAN_LITERAL("so")};
    struct store_turn_step step = {.turn = id_of(turn, id),
                                   .state = STORE_TURN_DONE,
                                   .iteration = 2,
                                   .messages = &reply,
                                   .message_count = 1};
    struct store_memory memory = {.content = SPAN_LITERAL("remember the milk")};
    store_memory_add(script->store, &memory, STORE_GROUPED, fixture_done, &script->memories[turn],
                     NULL);
    store_turn_finish(script->store, &step, STORE_DURABLE, fixture_done, &script->steps[turn][2],
                      NULL);
}

// Waiting after each step makes the sequence of operations the same every time.
static void run_script(struct script *script)
{
    struct store_options opt = {.vfs = "powercut", .checkpoint_pages = CHECKPOINT_PAGES};
    struct store_session session = {
        .id = SPAN_LITERAL("s"), .channel = SPAN_LITERAL("console"), .chat = SPAN_LITERAL("")};
    script->store = fixture_open(home, &opt);
    store_session_create(script->store, &session, STORE_DURABLE, fixture_done, &script->session,
                         NULL);
    store_wait(script->store);
    for (int turn = 0; turn < TURNS; turn++) {
        begin(script, turn);
        store_wait(script->store);
        use_tools(script, turn);
        store_wait(script->store);
        answer(script, turn);
        store_wait(script->store);
    }
    store_close(script->store);
}

static bool acknowledged(const struct outcome *outcome)
{
    return outcome->called && outcome->result == 0;
}

// How far a turn is on the disk: 0 nothing, 1 begun, 2 tools, 3 done. Fails on anything in between.
static int steps_on_disk(const char *path, int turn)
{
    CLEANUP(mem_cleanup)
    char *sql = mem_printf(
        "SELECT state || ' ' || iteration || ' ' ||"
        " (SELECT count(*) FROM messages WHERE turn = number) || ' ' ||"
        " (SELECT count(*) FROM tool_calls WHERE turn = number) FROM turns WHERE id = 't%d'",
        turn);
    static const char *const whole[] = {"", "queued 0 1 0", "model 1 3 1", "done 2 4 1"};
    const char *found = fixture_text(path, sql);
    for (int step = 0; step <= STEPS; step++)
        if (strcmp(found, whole[step]) == 0)
            return step;
    fail_msg("turn %d is \"%s\" on the disk", turn, found);
    return -1;
}

static void check_turns(const char *path, const struct script *script)
{
    bool more = true; // everything so far is complete
    for (int turn = 0; turn < TURNS; turn++) {
        int there = steps_on_disk(path, turn);
        // The second step is not durable by itself, but the third is, and makes it so.
        int promised = acknowledged(&script->steps[turn][2])   ? 3
                       : acknowledged(&script->steps[turn][0]) ? 1
                                                               : 0;
        assert_true(there >= promised);
        assert_true(more || there == 0);
        more = there == STEPS;
    }
}

static void check_memories(const char *path)
{
    int64_t rows = fixture_number(path, "SELECT count(*) FROM memory");
    int64_t done = fixture_number(path, "SELECT count(*) FROM turns WHERE state = 'done'");
    int64_t found =
        fixture_number(path, "SELECT count(*) FROM memory_fts WHERE memory_fts MATCH 'milk'");
    assert_int_equal(rows, done); // both were in one transaction
    assert_int_equal(found, rows);
    fixture_exec(path, "INSERT INTO memory_fts(memory_fts, rank) VALUES('integrity-check', 1)");
}

static void check_disk(const struct script *script)
{
    CLEANUP(mem_cleanup) char *path = mem_strdup(fixture_path(home, "state.db"));
    // As the program would find it: nothing set aside, and usable.
    struct store *store = fixture_open(home, NULL);
    if (store_state(store) != STORE_READY || store_note(store)[0])
        fail_msg("%s; %s", store_describe(store), store_note(store));
    struct store_session next = {
        .id = SPAN_LITERAL("n"), .channel = SPAN_LITERAL(""), .chat = SPAN_LITERAL("")};
    struct outcome works = {0};
    store_session_create(store, &next, STORE_DURABLE, fixture_done, &works, NULL);
    store_wait(store);
    assert_int_equal(works.result, 0);
    store_close(store);

    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
    if (acknowledged(&script->session))
        assert_int_equal(fixture_number(path, "SELECT count(*) FROM sessions WHERE id = 's'"), 1);
    check_turns(path, script);
    check_memories(path);
    assert_int_equal(fixture_count_names(home, "damaged"), 0);
}

// With operation 0 nothing is cut. Returns how many operations there were.
static int cut_at(int operation, enum powercut_loss loss, uint64_t seed)
{
    struct script script = {0};
    fixture_make_home(home);
    powercut_start();
    powercut_cut_at(operation);
    run_script(&script);
    int operations = powercut_operations();
    if (operation && !powercut_is_off())
        fail_msg("operation %d was never reached", operation);
    if (operation)
        powercut_settle(loss, seed);
    check_disk(&script);
    fixture_remove_home(home);
    return operations;
}

static void every_cut_keeps_what_was_promised(void **state)
{
    (void)state;
    powercut_everywhere(cut_at);
}

int main(void)
{
    powercut_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_keeps_what_was_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
