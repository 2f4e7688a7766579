// links: store_fixture
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "store/journal.h"
#include "store/ledger.h"
#include "store/ledger_read.h"
#include "support/store_fixture.h"

// From the journal into the database: each row once, with the sums that it adds to, whatever
// happens in between.

enum { DAY = 20700, MANY = 10000 };

static char home[FIXTURE_PATH_MAX];
static char path[FIXTURE_PATH_MAX + 16];
static struct journal *journal;
static struct store *store;

static void open_both(void)
{
    assert_int_equal(journal_open(home, &journal, NULL), 0);
    store = fixture_open(home, NULL);
}

static void close_both(void)
{
    journal_close(journal);
    store_close(store);
}

static int setup(void **state)
{
    (void)state;
    fixture_make_home(home);
    snprintf(path, sizeof path, "%s", fixture_path(home, "state.db"));
    open_both();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_both();
    fixture_remove_home(home);
    return 0;
}

static struct store_attempt row_of(const char *call, int64_t attempt, int64_t cost_pico)
{
    struct store_attempt row = STORE_ATTEMPT_INIT;
    row.call = span_of(call);
    row.attempt = attempt;
    row.wall_ms = (int64_t)DAY * 86400000 + attempt;
    row.day = DAY;
    row.slot = SPAN_LITERAL("main");
    row.model = SPAN_LITERAL("m/one");
    row.key = SPAN_LITERAL("k");
    row.operation = SPAN_LITERAL("chat");
    row.status = 200;
    row.prompt_tokens = 100;
    row.completion_tokens = 10;
    row.cost_pico = cost_pico;
    row.source = STORE_COST_PROVIDER;
    return row;
}

static struct store_charge charge_of(const char *account, int64_t amount_pico)
{
    return (struct store_charge){span_of(account), 1000, 2000, amount_pico};
}

enum record { RESERVE, SETTLE, RELEASE };

static void append(enum record kind, const struct store_attempt *attempt)
{
    BUF_AUTO record = BUF_INIT(LEDGER_RECORD_MAX);
    bool good = kind == RESERVE  ? store_ledger_encode_reservation(attempt, &record)
                : kind == SETTLE ? store_ledger_encode_row(attempt, &record)
                                 : store_ledger_encode_release(attempt->call, &record);
    assert_true(good);
    assert_int_equal(journal_append(journal, buf_span(&record), NULL), 0);
}

struct applied {
    int result;
    struct store_apply_result sums;
    bool is_behind;
};

static void on_applied(void *context, int result, const struct error *err,
                       const struct store_apply_result *step)
{
    struct applied *applied = context;
    if (result < 0)
        print_message("%s\n", err->text);
    applied->result = result;
    applied->is_behind = result == 0 && step->is_behind;
    applied->sums.rows += step->rows;
    applied->sums.reservations += step->reservations;
    applied->sums.set_aside_bytes += step->set_aside_bytes;
    applied->sums.torn_bytes += step->torn_bytes;
}

static struct applied apply(void)
{
    struct applied applied = {0};
    struct store_apply_range range = {.home = home, .limit = journal_end(journal)};
    range.generations = journal_generations(journal, &range.count);
    do {
        assert_true(store_ledger_apply(store, &range, on_applied, &applied, NULL) > 0);
        store_wait(store);
    } while (applied.is_behind);
    assert_int_equal(applied.result, 0);
    return applied;
}

static int64_t number(const char *sql)
{
    return fixture_number(path, sql);
}

static void a_row_adds_to_its_day_and_its_accounts(void **state)
{
    (void)state;
    struct store_charge charges[2] = {charge_of("day", 7), charge_of("slot:main", 7)};
    struct store_attempt row = row_of("c1", 1, 7);
    row.charges = charges;
    row.charge_count = 2;
    row.error = SPAN_LITERAL("RateLimitError");
    append(SETTLE, &row);
    row.attempt = 2;
    row.error = SPAN_ABSENT;
    append(SETTLE, &row);
    assert_int_equal(apply().sums.rows, 2);
    assert_string_equal(fixture_text(path, "SELECT group_concat(call || attempt || status || model"
                                           " || source || cost_pico) FROM ledger"),
                        "c11200m/oneprovider7,c12200m/oneprovider7");
    assert_string_equal(
        fixture_text(path, "SELECT day || ' ' || model || ' ' || slot || ' ' || key || ' ' || calls"
                           " || attempts || failed || cancelled || unsure || ' ' || prompt_tokens"
                           " || ' ' || completion_tokens || ' ' || cost_pico FROM ledger_days"),
        "20700 m/one main k 12100 200 20 14");
    assert_int_equal(number("SELECT spent_pico FROM budgets WHERE account = 'day'"), 14);
    assert_int_equal(number("SELECT count(*) FROM budgets WHERE period_ms = 1000"
                            " AND resets_ms = 2000 AND spent_pico = 14"),
                     2);
    // Unknown is not nought.
    assert_int_equal(number("SELECT cached_tokens IS NULL AND duration_ms IS NULL FROM ledger"), 1);
}

static void every_field_comes_back(void **state)
{
    (void)state;
    struct store_charge charge = charge_of("a", -5), charges[LEDGER_CHARGES_MAX];
    struct store_attempt row = STORE_ATTEMPT_INIT, back;
    enum ledger_record kind;
    BUF_AUTO record = BUF_INIT(LEDGER_RECORD_MAX);
    char long_text[LEDGER_TEXT_MAX + 50];
    memset(long_text, 'x', sizeof long_text);
    row.call = SPAN_LITERAL("c");
    row.reply_id = span_make(long_text, sizeof long_text);
    row.reserved_pico = INT64_MAX;
    row.bytes_out = INT64_MIN;
    charge.overshoot_pico = 7;
    charge.cap_pico = INT64_MAX;
    row.streamed = true;
    row.source = STORE_COST_BOUND;
    row.charges = &charge;
    row.charge_count = 1;
    assert_true(store_ledger_encode_row(&row, &record));
    assert_true(store_ledger_decode(buf_span(&record), charges, &kind, &back));
    assert_int_equal(kind, LEDGER_ROW);
    assert_true(span_is(back.call, "c"));
    assert_int_equal(back.reply_id.len, LEDGER_TEXT_MAX);
    assert_true(back.reserved_pico == INT64_MAX && back.bytes_out == INT64_MIN);
    assert_true(back.source == STORE_COST_BOUND);
    assert_int_equal(back.charges[0].amount_pico, -5);
    assert_int_equal(back.charges[0].overshoot_pico, 7);
    assert_true(back.charges[0].cap_pico == INT64_MAX);
    assert_true(back.streamed && !back.cancelled);
    assert_int_equal(back.first_byte_ms, -1);
    assert_int_equal(back.charge_count, 1);
    assert_int_equal(back.charges[0].amount_pico, -5);
    for (size_t len = 0; len < record.len; len++) { // none of its beginnings is a record
        CLEANUP(mem_cleanup) char *copy = mem_alloc(len + 1);
        memcpy(copy, record.data, len);
        assert_false(store_ledger_decode(span_make(copy, len), charges, &kind, &back));
    }
    for (size_t bit = 0; bit < 8 * record.len; bit++) { // whatever it says then, it is bounded
        CLEANUP(mem_cleanup) char *copy = mem_alloc(record.len);
        memcpy(copy, record.data, record.len);
        copy[bit / 8] ^= (char)(1 << bit % 8);
        if (store_ledger_decode(span_make(copy, record.len), charges, &kind, &back))
            assert_true(back.charge_count <= LEDGER_CHARGES_MAX &&
                        back.reply_id.len <= LEDGER_TEXT_MAX);
    }
}

static void what_was_folded_is_not_folded_again(void **state)
{
    (void)state;
    struct store_charge charge = charge_of("day", 5);
    struct store_attempt row = row_of("c1", 1, 5);
    row.charges = &charge;
    row.charge_count = 1;
    append(SETTLE, &row);
    apply();
    assert_int_equal(apply().sums.rows, 0);
    close_both(); // between the commit and the removal of the file
    open_both();
    assert_int_equal(apply().sums.rows, 0);
    // And when its place was forgotten, it is known by its name.
    close_both();
    fixture_exec(path, "DELETE FROM journals");
    open_both();
    assert_int_equal(apply().sums.rows, 1);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
    assert_int_equal(number("SELECT attempts FROM ledger_days"), 1);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 5);
}

static void files_go_when_they_were_folded(void **state)
{
    (void)state;
    struct store_attempt row = row_of("c1", 1, 5);
    struct outcome dropped = {0}, again = {0};
    append(SETTLE, &row);
    assert_int_equal(journal_rotate(journal, NULL), 0);
    struct store_apply_range range = {.home = home, .count = 1};
    size_t count;
    range.generations = journal_generations(journal, &count);
    store_ledger_drop(store, &range, fixture_done, &dropped, NULL);
    store_wait(store);
    assert_int_equal(dropped.result, -EBUSY);
    assert_int_equal(fixture_count_names(home, JOURNAL_NAME), 2);
    apply();
    store_ledger_drop(store, &range, fixture_done, &again, NULL);
    store_wait(store);
    assert_int_equal(again.result, 0);
    assert_int_equal(fixture_count_names(home, JOURNAL_NAME), 1);
    journal_forget(journal, 1);
    assert_int_equal(number("SELECT count(*) FROM journals"), 0);
    assert_int_equal(apply().sums.rows, 0);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
}

static int64_t charge_orphans(void)
{
    struct outcome outcome = {0};
    store_ledger_charge_orphans(store, fixture_done, &outcome, NULL);
    store_wait(store);
    assert_int_equal(outcome.result, 0);
    return outcome.rowid;
}

static void a_reservation_without_an_end_is_charged(void **state)
{
    (void)state;
    struct store_charge charges[2] = {charge_of("day", 90), charge_of("slot", 90)};
    struct store_attempt call = row_of("open", 1, -1);
    call.reserved_pico = 90;
    call.charges = charges;
    call.charge_count = 2;
    append(RESERVE, &call);
    apply();
    assert_int_equal(number("SELECT count(*) FROM reservations"), 1);
    call.call = SPAN_LITERAL("settled");
    append(RESERVE, &call);
    call.call = SPAN_LITERAL("released");
    append(RESERVE, &call);
    append(RELEASE, &call);
    call.call = SPAN_LITERAL("later");
    append(RESERVE, &call);
    apply();
    struct store_attempt row = row_of("settled", 1, 3);
    append(SETTLE, &row);
    row = row_of("later", 1, 3);
    append(SETTLE, &row);
    call.attempt = 2; // which never ended
    append(RESERVE, &call);
    apply();
    assert_string_equal(fixture_text(path, "SELECT group_concat(call) FROM reservations"),
                        "later,open");
    assert_int_equal(charge_orphans(), 2);
    assert_int_equal(number("SELECT count(*) FROM reservations"), 0);
    assert_int_equal(number("SELECT count(*) FROM ledger WHERE source = 'unknown'"
                            " AND cost_pico = 90 AND error = 'interrupted'"),
                     2);
    assert_int_equal(number("SELECT max(attempt) FROM ledger WHERE call = 'later'"), 2);
    assert_int_equal(number("SELECT spent_pico FROM budgets WHERE account = 'day'"), 180);
    assert_int_equal(number("SELECT unsure FROM ledger_days"), 2);
    assert_int_equal(charge_orphans(), 0);
    // Replayed from nowhere, its reservation finds that the call has ended.
    close_both();
    fixture_exec(path, "DELETE FROM journals");
    open_both();
    apply();
    assert_int_equal(charge_orphans(), 0);
    assert_int_equal(number("SELECT spent_pico FROM budgets WHERE account = 'day'"), 180);
}

struct told {
    int accounts;
    int64_t difference_pico, overshoot_pico;
    struct outcome outcome;
};

static void on_account(void *context, const struct store_charge *difference)
{
    struct told *told = context;
    told->accounts++;
    told->difference_pico += difference->amount_pico;
    told->overshoot_pico += difference->overshoot_pico;
}

static void on_corrected(void *context, int result, const struct error *err, int64_t rowid)
{
    fixture_done(&((struct told *)context)->outcome, result, err, rowid);
}

static struct told correct(const char *call, int64_t cost_pico)
{
    struct told told = {0};
    struct store_correction correction = {span_of(call), 1, cost_pico, STORE_COST_PROVIDER};
    assert_true(store_ledger_correct(store, &correction, on_account, on_corrected, &told, NULL) >
                0);
    store_wait(store);
    return told;
}

static void a_bound_is_corrected_once(void **state)
{
    (void)state;
    struct store_charge charge = charge_of("day", 90);
    struct store_attempt row = row_of("c1", 1, 90);
    row.source = STORE_COST_BOUND;
    row.charges = &charge;
    row.charge_count = 1;
    append(SETTLE, &row);
    apply();
    struct told told = correct("c1", 4);
    assert_int_equal(told.outcome.result, 0);
    assert_int_equal(told.accounts, 1);
    assert_int_equal(told.difference_pico, -86);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 4);
    assert_int_equal(number("SELECT cost_pico * 10 + unsure FROM ledger_days"), 40);
    assert_string_equal(fixture_text(path, "SELECT source || cost_pico FROM ledger"), "provider4");
    assert_int_equal(correct("c1", 5).outcome.result, -EALREADY);
    assert_int_equal(correct("c2", 5).outcome.result, STORE_NOT_FOUND);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 4);
}

static void on_sum(void *context, const struct store_charge *spent)
{
    if (span_is(spent->account, "capped"))
        *(struct store_charge *)context = *spent;
}

static struct store_charge stored_sum(void)
{
    struct store_charge sum = {0};
    assert_int_equal(store_read_budgets(store, on_sum, &sum, NULL), 0);
    return sum;
}

// What cost nothing leaves no sum, which would stay; and one account can be asked for by itself.
static void who_spends_nothing_has_no_sum(void **state)
{
    (void)state;
    struct store_charge charges[] = {charge_of("capped", 90), charge_of("free", 0)}, sum = {0};
    struct store_attempt row = row_of("c1", 1, 90);
    row.charges = charges;
    row.charge_count = 2;
    append(SETTLE, &row);
    apply();
    assert_int_equal(number("SELECT count(*) FROM budgets"), 1);
    assert_int_equal(store_read_budget(store, SPAN_LITERAL("free"), on_sum, &sum, NULL), 0);
    assert_int_equal(sum.amount_pico, 0);
    assert_int_equal(store_read_budget(store, SPAN_LITERAL("capped"), on_sum, &sum, NULL), 0);
    assert_int_equal(sum.amount_pico, 90);
}

// What is beyond the bound is kept, with the cap that it was held under; of a call without a bound
// nothing can be beyond it, and of an account without a cap it is of no matter.
static void an_overshoot_is_kept(void **state)
{
    (void)state;
    struct store_charge charges[] = {charge_of("capped", 90), charge_of("counted", 90)};
    struct store_attempt row = row_of("c1", 1, 90);
    charges[0].overshoot_pico = 40;
    charges[0].cap_pico = 700;
    row.charges = charges;
    row.charge_count = 2;
    append(SETTLE, &row);
    row = row_of("c2", 1, 90);
    charges[0].overshoot_pico = 0;
    row.source = STORE_COST_BOUND;
    row.charges = charges;
    row.charge_count = 2;
    append(SETTLE, &row);
    row = row_of("c3", 1, -1);
    row.source = STORE_COST_UNKNOWN;
    charges[0].amount_pico = charges[1].amount_pico = 0;
    row.charges = charges;
    row.charge_count = 2;
    append(SETTLE, &row);
    apply();
    struct store_charge sum = stored_sum();
    assert_int_equal(sum.overshoot_pico, 40);
    assert_int_equal(sum.cap_pico, 700);

    struct told told = correct("c2", 100);
    assert_int_equal(told.accounts, 2);
    assert_int_equal(told.difference_pico, 20);
    assert_int_equal(told.overshoot_pico, 10);
    told = correct("c3", 1000);
    assert_int_equal(told.difference_pico, 2000);
    assert_int_equal(told.overshoot_pico, 0);
    sum = stored_sum();
    assert_int_equal(sum.amount_pico, 90 + 100 + 1000);
    assert_int_equal(sum.overshoot_pico, 50);
    assert_int_equal(number("SELECT sum(cost_pico) FROM ledger"), 90 + 100 + 1000);
    assert_int_equal(number("SELECT sum(overshoot_pico) FROM budgets"), 50);
}

struct unsure {
    size_t count;
    char calls[8][8];
};

static void on_unsure(void *context, int result, const struct error *err,
                      const struct store_attempt *attempts, size_t count)
{
    struct unsure *unsure = context;
    (void)err;
    assert_int_equal(result, 0);
    for (size_t i = 0; i < count; i++)
        snprintf(unsure->calls[i], sizeof unsure->calls[i], "%.*s", (int)attempts[i].call.len,
                 attempts[i].call.data);
    unsure->count = count;
}

// Those that can be asked for: of a cost that is not known, with a name, and not of long ago.
static void what_can_be_asked_for_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *call, *reply;
        enum store_cost_source source;
        int64_t later_ms;
    } rows[] = {
        {"known", "gen-1", STORE_COST_PROVIDER, 0}, {"bound", "gen-2", STORE_COST_BOUND, 0},
        {"noname", "", STORE_COST_BOUND, 0},        {"orphan", "gen-3", STORE_COST_UNKNOWN, 0},
        {"old", "gen-4", STORE_COST_BOUND, -1},
    };
    int64_t now_ms = row_of("", 1, 1).wall_ms;
    struct unsure unsure = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_attempt row = row_of(rows[i].call, 1, 5);
        row.reply_id = span_of(rows[i].reply);
        row.source = rows[i].source;
        row.wall_ms += rows[i].later_ms;
        append(SETTLE, &row);
    }
    apply();
    assert_true(store_read_unsure(store, now_ms, on_unsure, &unsure, NULL) > 0);
    store_wait(store);
    assert_int_equal(unsure.count, 2);
    assert_string_equal(unsure.calls[0], "orphan");
    assert_string_equal(unsure.calls[1], "bound");
}

static int64_t forget(int64_t first_day, int64_t rows_max)
{
    struct outcome outcome = {0};
    store_ledger_forget(store, first_day, rows_max, 5000, fixture_done, &outcome, NULL);
    store_wait(store);
    assert_int_equal(outcome.result, 0);
    return outcome.rowid;
}

static void rows_go_and_sums_stay(void **state)
{
    (void)state;
    // In the order of writing: one of a clock that was not set, one that ran ahead, and so on.
    static const int64_t days[] = {3, DAY - 100, 30000, 4, DAY - 50, DAY - 100, DAY, 5};
    for (size_t i = 0; i < ARRAY_LEN(days); i++) {
        struct store_attempt row = row_of("c", (int64_t)i + 1, 1);
        row.day = days[i];
        append(SETTLE, &row);
    }
    apply();
    assert_int_equal(forget(DAY - 200, 1000), 0);
    assert_int_equal(forget(DAY - 90, 1000), 6);
    assert_int_equal(number("SELECT min(attempt) FROM ledger"), 7);
    assert_int_equal(number("SELECT sum(attempts) FROM ledger_days"), 8);
    assert_int_equal(forget(DAY - 90, 1), 1);
    assert_int_equal(number("SELECT count(*) FROM ledger"), 1);
}

static void ended_periods_go(void **state)
{
    (void)state;
    struct store_charge charges[2] = {charge_of("day", 5), charge_of("total", 5)};
    charges[1].resets_ms = -1;
    struct store_attempt row = row_of("c1", 1, 5);
    row.charges = charges;
    row.charge_count = 2;
    append(SETTLE, &row);
    apply();
    forget(0, 1000);
    assert_string_equal(fixture_text(path, "SELECT group_concat(account) FROM budgets"), "total");
}

static void garbage_is_kept_beside_and_holds_nothing_up(void **state)
{
    (void)state;
    size_t count;
    uint64_t generation = journal_generations(journal, &count)[0];
    struct store_attempt row = row_of("c", 1, 1);
    append(SETTLE, &row);
    int64_t from = journal_end(journal);
    row.attempt = 2;
    append(SETTLE, &row);
    int64_t to = journal_end(journal);
    row.attempt = 3;
    append(SETTLE, &row);
    journal_append(journal, SPAN_LITERAL("\x02 of a later program"), NULL);
    row.attempt = 4;
    append(SETTLE, &row);
    CLEANUP(mem_cleanup)
    char *name = mem_printf(JOURNAL_NAME ".%016llx", (unsigned long long)generation);
    fixture_overwrite(fixture_path(home, name), from + 20, "?", 1);
    struct applied applied = apply();
    assert_int_equal(applied.sums.rows, 3);
    assert_int_equal(applied.sums.set_aside_bytes, to - from + 20);
    assert_string_equal(fixture_text(path, "SELECT group_concat(attempt) FROM ledger"), "1,3,4");
    char *kept;
    size_t len;
    fixture_read(fixture_path(home, JOURNAL_NAME ".damaged"), &kept, &len);
    assert_int_equal(len, to - from + 20);
    free(kept);
}

// A call in flight is not charged twice, and ten thousand are no more trouble than ten.
static void ten_thousand_rows(void **state)
{
    (void)state;
    struct store_charge charge = charge_of("day", 3);
    for (int i = 0; i < MANY; i++) {
        char call[32];
        snprintf(call, sizeof call, "call-%d", i);
        struct store_attempt row = row_of(call, 1, 3);
        row.charges = &charge;
        row.charge_count = 1;
        row.day = DAY + i % 3;
        append(RESERVE, &row);
        if (i % 4)
            append(SETTLE, &row);
    }
    struct applied applied = apply();
    assert_int_equal(applied.sums.rows, MANY / 4 * 3);
    assert_int_equal(applied.sums.reservations, MANY);
    assert_int_equal(charge_orphans(), MANY / 4);
    assert_int_equal(number("SELECT count(*) FROM ledger"), MANY);
    assert_int_equal(number("SELECT sum(attempts) FROM ledger_days"), MANY);
    assert_int_equal(number("SELECT spent_pico FROM budgets"), 3 * MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_row_adds_to_its_day_and_its_accounts),
        TEST(every_field_comes_back),
        TEST(what_was_folded_is_not_folded_again),
        TEST(files_go_when_they_were_folded),
        TEST(a_reservation_without_an_end_is_charged),
        TEST(a_bound_is_corrected_once),
        TEST(an_overshoot_is_kept),
        TEST(who_spends_nothing_has_no_sum),
        TEST(what_can_be_asked_for_is_found),
        TEST(rows_go_and_sums_stay),
        TEST(ended_periods_go),
        TEST(garbage_is_kept_beside_and_holds_nothing_up),
        TEST(ten_thousand_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
