// links: powercut_vfs store_fixture
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/journal.h"
#include "store/ledger.h"
#include "support/powercut_plan.h"
#include "support/store_fixture.h"

/*
 * Calls are reserved, settled, applied, their files removed, and the power cut in the middle of
 * each of the database's operations in turn, with every kind of loss. What was in the journal must
 * then be in the database after the next start, each row and each cent once: whether its
 * transaction survived or not, and whether its file was removed or not.
 *
 * The journal itself is on the real disk and keeps what was written; what a cut does to it is
 * test_store_journal.c's.
 */

enum { ROUNDS = 3, CALLS = 3, CHECKPOINT_PAGES = 8, COST = 5, HELD = 9 };

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];

struct script {
    struct store *store;
    struct journal *journal;
};

static void append(struct journal *journal, const struct store_attempt *attempt, bool reserves)
{
    BUF_AUTO record = BUF_INIT(LEDGER_RECORD_MAX);
    assert_true(reserves ? store_ledger_encode_reservation(attempt, &record)
                         : store_ledger_encode_row(attempt, &record));
    assert_int_equal(journal_append(journal, buf_span(&record), NULL), 0);
}

// Of each round's calls the last one never ends.
static void write_round(struct script *script, int round)
{
    struct store_charge charge = {SPAN_LITERAL("day"), 1, -1, HELD};
    for (int i = 0; i < CALLS; i++) {
        char call[32];
        struct store_attempt attempt = STORE_ATTEMPT_INIT;
        snprintf(call, sizeof call, "call-%d-%d", round, i);
        attempt.call = span_of(call);
        attempt.attempt = 1;
        attempt.wall_ms = 1000 + round;
        attempt.reserved_pico = HELD;
        attempt.charges = &charge;
        attempt.charge_count = 1;
        charge.amount_pico = HELD;
        append(script->journal, &attempt, true);
        attempt.cost_pico = charge.amount_pico = COST;
        attempt.source = STORE_COST_PRICE;
        if (i < CALLS - 1)
            append(script->journal, &attempt, false);
    }
}

static void on_applied(void *context, int result, const struct error *err,
                       const struct store_apply_result *applied)
{
    bool *goes_on = context;
    (void)err;
    *goes_on = result == 0 && applied->is_behind;
}

static void apply(struct script *script)
{
    bool goes_on = true;
    while (goes_on) {
        struct store_apply_range range = {.home = home, .limit = journal_end(script->journal)};
        range.generations = journal_generations(script->journal, &range.count);
        goes_on =
            store_ledger_apply(script->store, &range, on_applied, &goes_on, NULL) > 0 && goes_on;
        store_wait(script->store);
    }
}

static void drop_old(struct script *script)
{
    struct store_apply_range range = {.home = home};
    range.generations = journal_generations(script->journal, &range.count);
    range.count--;
    if (range.count && store_ledger_drop(script->store, &range, NULL, NULL, NULL) > 0)
        journal_forget(script->journal, range.count);
    store_wait(script->store);
}

static void run_script(struct script *script)
{
    struct store_options opt = {.vfs = "powercut", .checkpoint_pages = CHECKPOINT_PAGES};
    assert_int_equal(journal_open(home, &script->journal, NULL), 0);
    script->store = fixture_open(home, &opt);
    for (int round = 0; round < ROUNDS; round++) {
        write_round(script, round);
        apply(script);
        if (round % 2 == 0) {
            assert_int_equal(journal_rotate(script->journal, NULL), 0);
            drop_old(script);
        }
    }
    store_close(script->store);
    journal_close(script->journal);
}

static void check_disk(void)
{
    struct script script = {0};
    struct outcome charged = {0};
    assert_int_equal(journal_open(home, &script.journal, NULL), 0);
    script.store = fixture_open(home, NULL);
    if (store_state(script.store) != STORE_READY || store_note(script.store)[0])
        fail_msg("%s; %s", store_describe(script.store), store_note(script.store));
    apply(&script);
    store_ledger_charge_orphans(script.store, fixture_done, &charged, NULL);
    store_wait(script.store);
    assert_int_equal(charged.result, 0);
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM ledger WHERE source = 'price'"),
                     ROUNDS * (CALLS - 1));
    assert_int_equal(fixture_number(path, "SELECT count(*) FROM ledger WHERE source = 'unknown'"),
                     ROUNDS);
    assert_int_equal(fixture_number(path, "SELECT spent_pico FROM budgets"),
                     ROUNDS * ((CALLS - 1) * COST + HELD));
    assert_int_equal(fixture_number(path, "SELECT sum(attempts) FROM ledger_days"), ROUNDS * CALLS);
    drop_old(&script);
    assert_int_equal(fixture_count_names(home, JOURNAL_NAME), 1);
    store_close(script.store);
    journal_close(script.journal);
    assert_string_equal(fixture_text(path, "PRAGMA integrity_check"), "ok");
    assert_int_equal(fixture_count_names(home, "damaged"), 0);
}

static int once(int operation, enum powercut_loss loss, uint64_t seed)
{
    struct script script = {0};
    fixture_make_home(home);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    powercut_start();
    powercut_cut_at(operation);
    run_script(&script);
    int operations = powercut_operations();
    assert_int_equal(powercut_is_off(), operation > 0);
    if (operation)
        powercut_settle(loss, seed);
    check_disk();
    fixture_remove_home(home);
    return operations;
}

static void every_cut_keeps_every_cent_once(void **state)
{
    (void)state;
    powercut_everywhere(once);
}

int main(void)
{
    powercut_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_keeps_every_cent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
