#include <stdbool.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/money.h"
#include "store/ledger_internal.h"
#include "store/sql.h"
#include "store/store.h"

/*
 * One transaction takes up many rows, of few models, slots and accounts; so their sums are added up
 * here and cost one statement each per transaction, not one per row.
 */

enum { DAYS_MAX = 64, ACCOUNTS_MAX = 128, CHARGES_BYTES_MAX = LEDGER_RECORD_MAX };

struct day_sum {
    int64_t day;
    struct span model, slot, key;
    int64_t calls, attempts, failed, cancelled, unsure;
    int64_t prompt_tokens, cached_tokens, completion_tokens, cost_pico;
};

struct ledger_writer {
    sqlite3 *db;
    sqlite3_stmt *row;
    struct buf charges;
    struct day_sum days[DAYS_MAX];
    struct store_charge accounts[ACCOUNTS_MAX];
    size_t day_count, account_count;
};

const char *const store_cost_words[STORE_COST_SOURCES] = {
    [STORE_COST_NONE] = "none",   [STORE_COST_PROVIDER] = "provider", [STORE_COST_PRICE] = "price",
    [STORE_COST_BOUND] = "bound", [STORE_COST_UNKNOWN] = "unknown",
};

static const char insert_row[] =
    "INSERT INTO ledger(" LEDGER_COLUMNS ", charges, last)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
    " ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT(wall_ms, call, attempt) DO NOTHING";

static const char add_day[] =
    "INSERT INTO ledger_days(day, model, slot, key, calls, attempts, failed, cancelled, unsure,"
    " prompt_tokens, cached_tokens, completion_tokens, cost_pico)"
    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT(day, model, slot, key) DO UPDATE SET calls = calls + excluded.calls,"
    " attempts = attempts + excluded.attempts, failed = failed + excluded.failed,"
    " cancelled = cancelled + excluded.cancelled, unsure = unsure + excluded.unsure,"
    " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
    " cached_tokens = cached_tokens + excluded.cached_tokens,"
    " completion_tokens = completion_tokens + excluded.completion_tokens,"
    " cost_pico = cost_pico + excluded.cost_pico";

// "" where there is none: the columns take no NULL.
static struct span present(struct span text)
{
    return text.data ? text : SPAN_LITERAL("");
}

static void add(int64_t *sum, int64_t value)
{
    if (value > 0 && __builtin_add_overflow(*sum, value, sum))
        *sum = INT64_MAX;
}

int ledger_writer_create(sqlite3 *db, struct ledger_writer **ret_writer, struct error *err)
{
    struct ledger_writer *writer = mem_new(struct ledger_writer);
    writer->db = db;
    buf_init(&writer->charges, CHARGES_BYTES_MAX);
    int r = sql_prepare(db, insert_row, NULL, 0, &writer->row, err);
    if (r < 0)
        ledger_writer_destroy(&writer);
    else
        *ret_writer = writer;
    return r;
}

void ledger_writer_destroy(struct ledger_writer **writer)
{
    if (!*writer)
        return;
    sql_finalize(&(*writer)->row);
    buf_finish(&(*writer)->charges);
    free(*writer);
    *writer = NULL;
}

static int write_days(struct ledger_writer *writer, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = writer->day_count ? sql_prepare(writer->db, add_day, NULL, 0, &stmt, err) : 0;
    for (size_t i = 0; r == 0 && i < writer->day_count; i++) {
        const struct day_sum *sum = &writer->days[i];
        r = sql_bind_again(stmt,
                           SQL_VALUES(sql_int(sum->day), sql_text(sum->model), sql_text(sum->slot),
                                      sql_text(sum->key), sql_int(sum->calls),
                                      sql_int(sum->attempts), sql_int(sum->failed),
                                      sql_int(sum->cancelled), sql_int(sum->unsure),
                                      sql_int(sum->prompt_tokens), sql_int(sum->cached_tokens),
                                      sql_int(sum->completion_tokens), sql_int(sum->cost_pico)),
                           err);
        if (r == 0)
            r = sql_step(stmt, err);
    }
    writer->day_count = 0;
    return r;
}

int ledger_add_charge(sqlite3 *db, const struct store_charge *charge, struct error *err)
{
    static const char sql[] =
        "INSERT INTO budgets(account, period_ms, resets_ms, spent_pico, overshoot_pico,"
        " closed_cap_pico) VALUES(?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(account, period_ms) DO UPDATE SET resets_ms = excluded.resets_ms,"
        " spent_pico = spent_pico + excluded.spent_pico,"
        " overshoot_pico = overshoot_pico + excluded.overshoot_pico, closed_cap_pico = iif("
        "excluded.overshoot_pico > 0, excluded.closed_cap_pico, closed_cap_pico)";
    int64_t closed_cap_pico = charge->overshoot_pico > 0 ? charge->cap_pico : 0;
    return sql_run(db, sql,
                   SQL_VALUES(sql_text(present(charge->account)), sql_int(charge->period_ms),
                              sql_int(charge->resets_ms), sql_int(charge->amount_pico),
                              sql_int(charge->overshoot_pico), sql_int(closed_cap_pico)),
                   err);
}

static int write_accounts(struct ledger_writer *writer, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < writer->account_count; i++)
        r = ledger_add_charge(writer->db, &writer->accounts[i], err);
    writer->account_count = 0;
    return r;
}

int ledger_write_sums(struct ledger_writer *writer, struct error *err)
{
    int r = write_days(writer, err);
    return r == 0 ? write_accounts(writer, err) : r;
}

static struct day_sum *find_day(struct ledger_writer *writer, const struct store_attempt *row)
{
    struct span model = present(row->model.len ? row->model : row->group);
    struct span slot = present(row->slot), key = present(row->key);
    for (size_t i = 0; i < writer->day_count; i++) {
        struct day_sum *sum = &writer->days[i];
        if (sum->day == row->day && span_equal(sum->model, model) && span_equal(sum->slot, slot) &&
            span_equal(sum->key, key))
            return sum;
    }
    struct day_sum *sum = &writer->days[writer->day_count++];
    *sum = (struct day_sum){.day = row->day, .model = model, .slot = slot, .key = key};
    return sum;
}

static bool is_unsure(const struct store_attempt *row)
{
    return row->source == STORE_COST_UNKNOWN || row->source == STORE_COST_BOUND;
}

static int add_to_day(struct ledger_writer *writer, const struct store_attempt *row,
                      struct error *err)
{
    int r = writer->day_count == DAYS_MAX ? write_days(writer, err) : 0;
    if (r < 0)
        return r;
    struct day_sum *sum = find_day(writer, row);
    sum->calls += row->attempt == 1;
    sum->attempts++;
    sum->failed += row->error.len > 0 && !row->cancelled;
    sum->cancelled += row->cancelled;
    sum->unsure += is_unsure(row);
    add(&sum->prompt_tokens, row->prompt_tokens);
    add(&sum->cached_tokens, row->cached_tokens);
    add(&sum->completion_tokens, row->completion_tokens);
    add(&sum->cost_pico, row->cost_pico);
    return 0;
}

// Sums without an end are kept for ever, so nobody gets one for nothing.
static int charge_account(struct ledger_writer *writer, const struct store_charge *charge,
                          struct error *err)
{
    if (charge->amount_pico == 0 && charge->overshoot_pico == 0)
        return 0;
    for (size_t i = 0; i < writer->account_count; i++) {
        struct store_charge *sum = &writer->accounts[i];
        if (sum->period_ms == charge->period_ms && span_equal(sum->account, charge->account)) {
            add(&sum->amount_pico, charge->amount_pico);
            add(&sum->overshoot_pico, charge->overshoot_pico);
            sum->cap_pico = charge->overshoot_pico > 0 ? charge->cap_pico : sum->cap_pico;
            sum->resets_ms = charge->resets_ms;
            return 0;
        }
    }
    int r = writer->account_count == ACCOUNTS_MAX ? write_accounts(writer, err) : 0;
    if (r == 0)
        writer->accounts[writer->account_count++] = *charge;
    return r;
}

static int insert(struct ledger_writer *writer, const struct store_attempt *row, struct error *err)
{
    struct sql_value values[ATTEMPT_TEXTS + ATTEMPT_NUMBERS + 5];
    size_t n = 0;
    for (size_t i = 0; i < ATTEMPT_TEXTS; i++)
        values[n++] = sql_text(present(*attempt_text(row, i)));
    // What is not known is NULL, but in the row's name and its day: no record may be such that the
    // table never takes it, for then nothing behind it would be taken up either.
    for (size_t i = 0; i < ATTEMPT_NUMBERS; i++) {
        int64_t value = *attempt_number(row, i);
        values[n++] = value >= 0                 ? sql_int(value)
                      : i < ATTEMPT_NAME_NUMBERS ? sql_int(0)
                                                 : sql_text(SPAN_ABSENT);
    }
    buf_clear(&writer->charges);
    bool keeps = is_unsure(row) && store_charges_encode(row, &writer->charges);
    values[n++] = sql_int(row->streamed);
    values[n++] = sql_int(row->cancelled);
    values[n++] = sql_text(span_of(store_cost_words[row->source]));
    values[n++] = sql_bytes(keeps ? buf_span(&writer->charges) : SPAN_ABSENT);
    int r = sql_bind_again(writer->row, values, n, err);
    if (r == 0)
        r = sql_step(writer->row, err);
    if (r == 0 && sqlite3_changes(writer->db) == 0)
        r = STORE_DUPLICATE;
    sqlite3_reset(writer->row);
    return r;
}

int ledger_write_row(struct ledger_writer *writer, const struct store_attempt *row,
                     struct error *err)
{
    struct store_attempt kept = *row;
    if (kept.cost_pico > MONEY_CALL_MAX)
        kept.cost_pico = MONEY_CALL_MAX;
    int r = insert(writer, &kept, err);
    if (r == 0)
        r = add_to_day(writer, &kept, err);
    for (size_t i = 0; r == 0 && i < row->charge_count; i++)
        r = charge_account(writer, &row->charges[i], err);
    return r;
}

int ledger_correct_day(sqlite3 *db, const struct store_attempt *row, int64_t difference_pico,
                       struct error *err)
{
    static const char sql[] =
        "UPDATE ledger_days SET cost_pico = cost_pico + ?5, unsure = max(unsure - 1, 0)"
        " WHERE day = ?1 AND model = ?2 AND slot = ?3 AND key = ?4";
    struct span model = row->model.len ? row->model : row->group;
    return sql_run(db, sql,
                   SQL_VALUES(sql_int(row->day), sql_text(present(model)),
                              sql_text(present(row->slot)), sql_text(present(row->key)),
                              sql_int(difference_pico)),
                   err);
}
