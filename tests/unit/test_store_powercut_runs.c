#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/message.h"
#include "store/outbox.h"
#include "store/run.h"
#include "store/session.h"
#include "store/settle.h"
#include "store/turn.h"
#include "support/powercut_plan.h"
#include "support/store_fixture.h"

/*
 * Runs of scheduled jobs begin, begin again and end; a conversation is summed up by its turn and by
 * a command. The power is cut in the middle of each operation on the disk in turn, with every kind
 * of loss. What is on the disk then is one of the stages below, at least the last that was
 * promised: a run has its end with all that is delivered of it, or neither, and a summary is there
 * with what it stands for, or not at all. What is done over afterwards ends each run once.
 */

enum stage { NOTHING, BEGUN, AGAIN, ENDED, SECOND, BEGUN_TURN, SUMMED, SUMMED_AGAIN, STAGES };

// Runs; deliveries; what a model is shown of the conversation.
static const char *const on_disk[STAGES] = {
    [NOTHING] = "-; -; -",
    [BEGUN] = "running:1:; -; -",
    [AGAIN] = "running:2:; -; -",
    [ENDED] = "ok:2:a,b; a good,b good; -",
    [SECOND] = "ok:2:a,b missed:1:a; a good,b good,a bad; -",
    [BEGUN_TURN] = "ok:2:a,b missed:1:a; a good,b good,a bad; one two",
    [SUMMED] = "ok:2:a,b missed:1:a; a good,b good,a bad; sum1 two",
    [SUMMED_AGAIN] = "ok:2:a,b missed:1:a; a good,b good,a bad; sum2",
};

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];

struct script {
    struct store *store;
    struct outcome stages[STAGES];
};

static struct store_reply reply(const char *chat, const char *text)
{
    return (struct store_reply){
        .channel = SPAN_LITERAL("post"), .chat = span_of(chat), .text = span_of(text)};
}

static void end_first(struct store *store, struct outcome *outcome)
{
    const struct store_reply replies[] = {reply("a", "good"), reply("b", "good")};
    struct store_run run = {.number = 1,
                            .job = SPAN_LITERAL("j"),
                            .outcome = STORE_RUN_OK,
                            .ended_ms = 9,
                            .delivered = SPAN_LITERAL("a,b")};
    store_run_end(store, &run, replies, 2, fixture_done, outcome, NULL);
}

// One that never began: its row and what is delivered are one transaction.
static void miss_second(struct store *store, struct outcome *outcome)
{
    const struct store_reply bad = reply("a", "bad");
    struct store_run run = {.job = SPAN_LITERAL("j"),
                            .name = SPAN_LITERAL("job"),
                            .due_ms = 8,
                            .outcome = STORE_RUN_MISSED,
                            .ended_ms = 9,
                            .delivered = SPAN_LITERAL("a")};
    store_run_end(store, &run, &bad, 1, fixture_done, outcome, NULL);
}

static void begin_turn(struct store *store, struct outcome *outcome)
{
    struct store_turn turn = {.id = SPAN_LITERAL("t"),
                              .session = SPAN_LITERAL("s"),
                              .terms.origin = SPAN_LITERAL("cron")};
    const struct store_message said[] = {
        {.role = SPAN_LITERAL("user"), .content = SPAN_LITERAL("one")},
        {.role = SPAN_LITERAL("assistant"), .content = SPAN_LITERAL("two")}};
    store_turn_begin(store, &turn, said, 2, STORE_DURABLE, fixture_done, outcome, NULL);
}

static void sum_up(struct store *store, bool by_command, struct outcome *outcome)
{
    struct store_message summary = {.role = SPAN_LITERAL("summary"),
                                    .content = span_of(by_command ? "sum2" : "sum1"),
                                    .keeps = !by_command,
                                    .keeps_results = !by_command};
    struct store_turn_step step = {.turn = SPAN_LITERAL("t"),
                                   .state = STORE_TURN_MODEL,
                                   .messages = &summary,
                                   .message_count = 1};
    struct store_settlement settlement = {
        .session = SPAN_LITERAL("s"), .summary = &summary, .now_ms = 9};
    if (by_command)
        store_settle(store, &settlement, fixture_done, outcome, NULL);
    else
        store_turn_advance(store, &step, STORE_DURABLE, fixture_done, outcome, NULL);
}

// Does what brings the disk to this stage. Waiting makes the order the same every time.
static void reach(struct store *store, enum stage stage, struct outcome *outcome)
{
    struct store_run run = {.job = SPAN_LITERAL("j"), .name = SPAN_LITERAL("job"), .due_ms = 7};
    if (stage == AGAIN)
        run.number = 1;
    if (stage == BEGUN || stage == AGAIN)
        store_run_begin(store, &run, fixture_done, outcome, NULL);
    else if (stage == ENDED)
        end_first(store, outcome);
    else if (stage == SECOND)
        miss_second(store, outcome);
    else if (stage == BEGUN_TURN)
        begin_turn(store, outcome);
    else
        sum_up(store, stage == SUMMED_AGAIN, outcome);
    store_wait(store);
}

static void create(struct store *store)
{
    struct outcome ignored = {0};
    struct store_session session = {
        .id = SPAN_LITERAL("s"), .channel = SPAN_LITERAL("cron"), .chat = SPAN_LITERAL("j")};
    store_session_create(store, &session, STORE_DURABLE, fixture_done, &ignored, NULL);
    store_wait(store);
}

static bool add_content(void *context, const struct store_message *message)
{
    char *text = context;
    size_t len = strlen(text);
    snprintf(text + len, 64 - len, "%s%.*s", len ? " " : "", (int)message->content.len,
             message->content.data);
    return true;
}

static enum stage stage_on_disk(struct store *store)
{
    char history[64] = "";
    assert_int_equal(
        store_read_history(store_view(store), SPAN_LITERAL("s"), 100, add_content, history, NULL),
        0);
    CLEANUP(mem_cleanup)
    char *rows = mem_strdup(
        fixture_text(path, "SELECT coalesce((SELECT group_concat(outcome || ':' || attempts || ':'"
                           "   || delivered, ' ') FROM (SELECT * FROM runs ORDER BY number)), '-')"
                           " || '; ' || coalesce((SELECT group_concat(chat || ' ' || text) FROM"
                           "   (SELECT * FROM outbox ORDER BY number)), '-')"));
    CLEANUP(mem_cleanup) char *found = mem_printf("%s; %s", rows, *history ? history : "-");
    for (int stage = 0; stage < STAGES; stage++)
        if (strcmp(found, on_disk[stage]) == 0)
            return stage;
    fail_msg("on the disk is \"%s\"", found);
    return NOTHING;
}

static void check_disk(const struct script *script)
{
    struct store *store = fixture_open(home, NULL);
    struct outcome repeated = {0};
    if (store_state(store) != STORE_READY || store_note(store)[0])
        fail_msg("%s; %s", store_describe(store), store_note(store));
    enum stage there = stage_on_disk(store);
    for (int stage = NOTHING; stage < STAGES; stage++)
        if (script->stages[stage].called && script->stages[stage].result == 0)
            assert_true((int)there >= stage);
    for (int stage = there + 1; stage < STAGES; stage++) {
        struct outcome outcome = {0};
        reach(store, stage, &outcome);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(stage_on_disk(store), stage);
    }
    reach(store, ENDED, &repeated);
    assert_int_equal(repeated.result, -EALREADY);
    assert_int_equal(stage_on_disk(store), SUMMED_AGAIN);
    store_close(store);
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
}

// With operation 0 nothing is cut. Returns how many operations there were.
static int run_once(int operation, enum powercut_loss loss, uint64_t seed)
{
    enum { CHECKPOINT_PAGES = 12 };
    struct store_options opt = {.vfs = "powercut", .checkpoint_pages = CHECKPOINT_PAGES};
    struct script script = {0};
    fixture_make_home(home);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    script.store = fixture_open(home, NULL); // how a file is made is cut elsewhere
    create(script.store);
    store_close(script.store);
    powercut_start();
    powercut_cut_at(operation);
    script.store = fixture_open(home, &opt);
    for (int stage = BEGUN; stage < STAGES; stage++)
        reach(script.store, stage, &script.stages[stage]);
    store_close(script.store);
    int operations = powercut_operations();
    assert_int_equal(powercut_is_off(), operation > 0);
    if (operation)
        powercut_settle(loss, seed);
    check_disk(&script);
    fixture_remove_home(home);
    return operations;
}

static void a_run_ends_once_and_a_summary_is_whole(void **state)
{
    (void)state;
    powercut_everywhere(run_once);
}

int main(void)
{
    powercut_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_ends_once_and_a_summary_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
