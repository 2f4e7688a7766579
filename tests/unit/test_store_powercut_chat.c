// links: powercut_vfs store_fixture store_generation
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/inbox.h"
#include "store/outbox.h"
#include "store/session.h"
#include "store/turn.h"
#include "support/powercut_plan.h"
#include "support/store_fixture.h"
#include "support/store_generation.h"

/*
 * Messages come in, are answered while it is shown, and the answers are sent; the power is cut in
 * the middle of each operation on the disk in turn, with every kind of loss. Each message must then
 * be exactly at one of the stages below, at least as far as was promised, with those before it
 * complete. Then the rest is done over, as after a start, and every message must have its turn and
 * its one reply.
 */

enum { MESSAGES = 2, CHECKPOINT_PAGES = 12 };

enum stage { UNKNOWN, RECEIVED, BEGUN, OPENED, SHOWN, ADVANCED, FINISHED, SENT, STAGES };

// Inbox: handled? Turn: state, iteration, messages. Outbox: state, in flight, message, text.
static const char *const on_disk[STAGES] = {
    [UNKNOWN] = "- - -",
    [RECEIVED] = "0 - -",
    [BEGUN] = "1 queued:0:1 -",
    [OPENED] = "1 queued:0:1 open:1::",
    [SHOWN] = "1 queued:0:1 open:0:m:",
    [ADVANCED] = "1 tools:1:2 open:0:m:",
    [FINISHED] = "1 done:2:3 pending:0:m:so",
    [SENT] = "1 done:2:3 sent:0:m:",
};

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];

struct script {
    struct store *store;
    struct outcome session;
    struct outcome stages[MESSAGES][STAGES];
};

// The n-th message is number n + 1 in the inbox, and so is its reply in the outbox.
struct names {
    char turn[16], external_id[16];
    int64_t number;
};

static struct names names_of(int message)
{
    struct names names = {.number = message + 1};
    snprintf(names.turn, sizeof names.turn, "t%d", message);
    snprintf(names.external_id, sizeof names.external_id, "%d", 100 + message);
    return names;
}

#define CHANNEL SPAN_LITERAL("telegram")

static void create(struct script *script)
{
    struct store_session session = {
        .id = SPAN_LITERAL("s"), .channel = CHANNEL, .chat = SPAN_LITERAL("7")};
    store_session_create(script->store, &session, STORE_DURABLE, fixture_done, &script->session,
                         NULL);
    store_wait(script->store);
}

static void receive(struct store *store, int message, struct outcome *outcome)
{
    struct names names = names_of(message);
    struct store_inbound inbound = {.chat = SPAN_LITERAL("7"),
                                    .external_id = span_of(names.external_id),
                                    .text = SPAN_LITERAL("ask")};
    store_inbox_add(store, (struct store_queue){.channel = CHANNEL}, 101 + message, &inbound, 1,
                    fixture_done, outcome, NULL);
}

static void begin(struct store *store, int message, struct outcome *outcome)
{
    struct names names = names_of(message);
    struct store_turn turn = {.id = span_of(names.turn),
                              .session = SPAN_LITERAL("s"),
                              .terms.origin = CHANNEL,
                              .inbox = &names.number,
                              .inbox_count = 1};
    struct store_message question = {.role = SPAN_LITERAL("user"), .content = SPAN_LITERAL("ask")};
    store_turn_begin(store, &turn, &question, 1, STORE_DURABLE, fixture_done, outcome, NULL);
}

static void change(struct store *store, int message, enum stage stage, struct outcome *outcome)
{
    struct store_delivery_change change = {.number = names_of(message).number,
                                           .state = stage == SENT ? (int)STORE_DELIVERY_SENT
                                                                  : STORE_DELIVERY_KEEP,
                                           .part = STORE_DELIVERY_KEEP,
                                           .message_id = SPAN_LITERAL("m")};
    store_outbox_change(store, &change, fixture_done, outcome, NULL);
}

static void step(struct store *store, int message, bool final, struct outcome *outcome)
{
    struct names names = names_of(message);
    struct store_message said = {.role = SPAN_LITERAL("assistant"), .content = SPAN_LITERAL("so")};
    struct store_reply reply = {
        .channel = CHANNEL, .chat = SPAN_LITERAL("7"), .text = SPAN_LITERAL("so")};
    struct store_turn_step step = {.turn = span_of(names.turn),
                                   .state = final ? STORE_TURN_DONE : STORE_TURN_TOOLS,
                                   .iteration = final ? 2 : 1,
                                   .messages = &said,
                                   .message_count = 1,
                                   .reply = final ? &reply : NULL};
    (final ? store_turn_finish : store_turn_advance)(store, &step, STORE_DURABLE, fixture_done,
                                                     outcome, NULL);
}

// Does what brings a message to this stage. Waiting makes the order the same every time.
static void reach(struct store *store, int message, enum stage stage, struct outcome *outcome)
{
    struct names names = names_of(message);
    if (stage == RECEIVED)
        receive(store, message, outcome);
    else if (stage == BEGUN)
        begin(store, message, outcome);
    else if (stage == OPENED)
        store_outbox_open(store, span_of(names.turn),
                          (struct store_address){.channel = CHANNEL, .chat = SPAN_LITERAL("7")}, 1,
                          fixture_done, outcome, NULL);
    else if (stage == SHOWN || stage == SENT)
        change(store, message, stage, outcome);
    else
        step(store, message, stage == FINISHED, outcome);
    store_wait(store);
}

static void run_script(struct script *script)
{
    struct store_options opt = {.vfs = "powercut", .checkpoint_pages = CHECKPOINT_PAGES};
    script->store = fixture_open(home, &opt);
    create(script);
    for (int message = 0; message < MESSAGES; message++)
        for (int stage = RECEIVED; stage < STAGES; stage++)
            reach(script->store, message, stage, &script->stages[message][stage]);
    store_close(script->store);
}

static enum stage stage_on_disk(int message)
{
    CLEANUP(mem_cleanup)
    char *sql = mem_printf(
        "SELECT coalesce((SELECT handled_ms IS NOT NULL FROM inbox i"
        "   WHERE i.number = %1$d AND (turn IS NULL OR turn = %1$d)), '-') || ' ' ||"
        " coalesce((SELECT state || ':' || iteration || ':' ||"
        "   (SELECT count(*) FROM messages WHERE turn = t.number)"
        "   FROM turns t WHERE number = %1$d AND id = 't%2$d'), '-') || ' ' ||"
        " coalesce((SELECT state || ':' || in_flight || ':' || coalesce(message_id, '') || ':' ||"
        "   text FROM outbox WHERE number = %1$d AND turn = %1$d), '-')",
        message + 1, message);
    const char *found = fixture_text(path, sql);
    for (int stage = 0; stage < STAGES; stage++)
        if (strcmp(found, on_disk[stage]) == 0)
            return stage;
    fail_msg("message %d is \"%s\" on the disk", message, found);
    return UNKNOWN;
}

static enum stage promised(const struct script *script, int message)
{
    enum stage stage = UNKNOWN;
    for (int i = RECEIVED; i < STAGES; i++)
        if (script->stages[message][i].called && script->stages[message][i].result == 0)
            stage = i;
    return stage;
}

static void check_stages(const struct script *script)
{
    bool before_complete = true;
    int received = 0;
    for (int message = 0; message < MESSAGES; message++) {
        enum stage there = stage_on_disk(message);
        assert_true(there >= promised(script, message));
        assert_true(before_complete || there == UNKNOWN);
        before_complete = there == SENT;
        received += there >= RECEIVED;
    }
    // The cursor moved with the messages and not without them.
    int64_t cursor = fixture_number(path, "SELECT value FROM cursors");
    assert_int_equal(cursor, received ? 100 + received : -1);
}

// As after a start: what was done before is recognised, and the rest is done.
static void go_on(struct store *store, int message, enum stage there)
{
    struct outcome outcomes[STAGES] = {0};
    if (there < RECEIVED)
        reach(store, message, RECEIVED, &outcomes[RECEIVED]);
    reach(store, message, BEGUN, &outcomes[BEGUN]);
    assert_int_equal(outcomes[BEGUN].result, there < BEGUN ? 0 : STORE_DUPLICATE);
    assert_int_equal(outcomes[BEGUN].rowid, names_of(message).number);
    reach(store, message, OPENED, &outcomes[OPENED]);
    assert_int_equal(outcomes[OPENED].result, there < OPENED ? 0 : STORE_DUPLICATE);
    for (int stage = SHOWN; stage < STAGES; stage++) {
        if ((int)there >= stage)
            continue;
        reach(store, message, stage, &outcomes[stage]);
        assert_int_equal(outcomes[stage].result, 0);
    }
}

static void check_disk(const struct script *script)
{
    struct script again = {.store = fixture_open(home, NULL)};
    if (store_state(again.store) != STORE_READY || store_note(again.store)[0])
        fail_msg("%s; %s", store_describe(again.store), store_note(again.store));
    check_stages(script);
    create(&again);
    for (int message = 0; message < MESSAGES; message++)
        go_on(again.store, message, stage_on_disk(message));
    for (int message = 0; message < MESSAGES; message++) {
        struct outcome repeated = {0};
        reach(again.store, message, RECEIVED, &repeated);
        assert_int_equal(repeated.rowid, 0);
    }
    store_close(again.store);
    for (int message = 0; message < MESSAGES; message++)
        assert_int_equal(stage_on_disk(message), SENT);
    assert_int_equal(fixture_number(path, "SELECT (SELECT count(*) FROM turns) * 100"
                                          " + (SELECT count(*) FROM outbox) * 10"
                                          " + (SELECT count(*) FROM inbox)"),
                     111 * MESSAGES);
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
    assert_int_equal(fixture_count_names(home, "damaged"), 0);
}

static void make_home(void)
{
    fixture_make_home(home);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
}

// With operation 0 nothing is cut. Returns how many operations there were.
static int chat_once(int operation, enum powercut_loss loss, uint64_t seed)
{
    struct script script = {0};
    make_home();
    powercut_start();
    powercut_cut_at(operation);
    run_script(&script);
    int operations = powercut_operations();
    assert_int_equal(powercut_is_off(), operation > 0);
    if (operation)
        powercut_settle(loss, seed);
    check_disk(&script);
    fixture_remove_home(home);
    return operations;
}

static int migrate_once(int operation, enum powercut_loss loss, uint64_t seed)
{
    struct store_options opt = {.vfs = "powercut"};
    make_home();
    generation_write_first(home);
    powercut_start();
    powercut_cut_at(operation);
    store_close(fixture_open(home, &opt));
    int operations = powercut_operations();
    assert_int_equal(powercut_is_off(), operation > 0);
    if (operation)
        powercut_settle(loss, seed);
    struct store *store = fixture_open(home, NULL);
    if (store_state(store) != STORE_READY || store_note(store)[0])
        fail_msg("%s; %s", store_describe(store), store_note(store));
    store_close(store);
    generation_check(home);
    fixture_remove_home(home);
    return operations;
}

static void every_message_has_its_turn_and_one_reply(void **state)
{
    (void)state;
    powercut_everywhere(chat_once);
}

static void a_cut_migration_is_done_over(void **state)
{
    (void)state;
    powercut_everywhere(migrate_once);
}

int main(void)
{
    powercut_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_has_its_turn_and_one_reply),
        cmocka_unit_test(a_cut_migration_is_done_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
