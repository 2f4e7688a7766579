#include <errno.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/ledger.h"
#include "store/ledger_internal.h"
#include "store/store_internal.h"

/*
 * What is done to the ledger besides taking rows up: charging what was never settled, correcting
 * what was charged unseen, forgetting what is old.
 *
 * Age is a matter of order first and of dates second. A Pi wakes up in 1970, and may have run ahead
 * once; a date like that must neither delete a row that was written this morning nor protect one
 * from last year. So rows go from the oldest on, up to the last one whose date is both believable
 * and past; what stands between is older still, whatever its date says.
 */

enum {
    FORGET_ROWS = 512,    // in one transaction
    SANE_DAY = 20000,     // 2024-10-04: no row was written before there was this program
    FORGET_BUDGETS = 128, // in one transaction
    CALL_LASTS_MS = 24 * 60 * 60 * 1000,
};

// What is known of it is what was reserved, so that is what it cost until somebody knows better.
static int charge(sqlite3 *db, struct ledger_writer *writer, struct store_attempt *row,
                  struct error *err)
{
    static const char count[] = "SELECT max(attempt) FROM ledger WHERE wall_ms >= ? AND call = ?";
    int64_t before = 0; // also where there is none: NULL is 0
    int r = sql_lookup(db, count,
                       SQL_VALUES(sql_int(row->wall_ms - CALL_LASTS_MS), sql_text(row->call)),
                       &before, err);
    row->attempt = before + 1;
    row->cost_pico = row->reserved_pico;
    row->source = STORE_COST_UNKNOWN;
    row->error = SPAN_LITERAL("interrupted");
    if (r >= 0)
        r = ledger_write_row(writer, row, err);
    return r < 0 ? r : ledger_write_sums(writer, err);
}

// SQL_ROW when there was one.
static int charge_next(sqlite3 *db, struct ledger_writer *writer, struct error *err)
{
    static const char next[] = "SELECT call, record FROM reservations LIMIT 1";
    static const char drop[] = "DELETE FROM reservations WHERE call = ?";
    SQL_AUTO *stmt = NULL;
    BUF_AUTO record = BUF_INIT(LEDGER_RECORD_MAX);
    BUF_AUTO call = BUF_INIT(LEDGER_TEXT_MAX);
    struct store_charge charges[LEDGER_CHARGES_MAX];
    struct store_attempt row;
    enum ledger_record kind;
    int r = sql_first(db, next, NULL, 0, &stmt, err);
    if (r != SQL_ROW)
        return r;
    buf_append_span(&call, sql_column(stmt, 0));
    buf_append_span(&record, sql_column(stmt, 1));
    sqlite3_reset(stmt);
    if (store_ledger_decode(buf_span(&record), charges, &kind, &row))
        r = charge(db, writer, &row, err);
    if (r >= 0)
        r = sql_run(db, drop, SQL_VALUES(sql_text(buf_span(&call))), err);
    return r < 0 ? r : SQL_ROW;
}

static int charge_orphans(struct store_job *job, sqlite3 *db, struct error *err)
{
    CLEANUP(ledger_writer_destroy) struct ledger_writer *writer = NULL;
    int r = ledger_writer_create(db, &writer, err);
    if (r < 0)
        return r;
    while ((r = charge_next(db, writer, err)) == SQL_ROW)
        job->rowid++;
    return r;
}

int64_t store_ledger_charge_orphans(struct store *store, store_done_fn *done, void *context,
                                    struct error *err)
{
    struct store_job own = {charge_orphans, STORE_DURABLE, done, context};
    return store_job_submit(store, &own, sizeof own, NULL, 0, NULL, 0, err);
}

struct correct_job {
    struct store_job job;
    struct store_correction what;
    store_charge_fn *account;
    struct buf charges; // of the row, as it keeps them
    int64_t difference_pico;
};

static void release(struct store_job *job)
{
    buf_finish(&CONTAINER_OF(job, struct correct_job, job)->charges);
}

// What was charged is the bound, unless the call had none: then nothing was.
static void difference(const struct correct_job *own, struct store_charge *charge)
{
    int64_t more_pico = own->what.cost_pico - charge->amount_pico;
    bool bounded = charge->amount_pico > 0 && charge->cap_pico > 0;
    charge->overshoot_pico = bounded && more_pico > 0 ? more_pico : 0;
    charge->amount_pico = more_pico;
}

static int correct_accounts(struct correct_job *own, sqlite3 *db, struct error *err)
{
    struct store_charge charges[LEDGER_CHARGES_MAX];
    size_t count = 0;
    int r = 0;
    store_charges_decode(buf_span(&own->charges), charges, &count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        difference(own, &charges[i]);
        r = ledger_add_charge(db, &charges[i], err);
    }
    return r;
}

static int correct_sums(struct correct_job *own, sqlite3 *db, sqlite3_stmt *stmt, struct error *err)
{
    struct store_attempt row = {
        .day = sqlite3_column_int64(stmt, 1),
        .model = sql_column(stmt, 2),
        .group = sql_column(stmt, 3),
        .slot = sql_column(stmt, 4),
        .key = sql_column(stmt, 5),
    };
    int64_t difference_pico = own->what.cost_pico - sqlite3_column_int64(stmt, 6);
    int r = ledger_correct_day(db, &row, difference_pico, err);
    buf_clear(&own->charges);
    buf_append_span(&own->charges, sql_column(stmt, 8));
    return r == 0 ? correct_accounts(own, db, err) : r;
}

static int correct(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char find[] =
        "SELECT number, day, model, asked, slot, key, cost_pico, source, charges FROM ledger"
        " WHERE number > (SELECT max(number) FROM ledger) - ?3 AND call = ?1 AND attempt = ?2"
        " ORDER BY number DESC LIMIT 1";
    static const char change[] =
        "UPDATE ledger SET cost_pico = ?2, source = ?3, charges = NULL WHERE number = ?1";
    struct correct_job *own = CONTAINER_OF(job, struct correct_job, job);
    SQL_AUTO *stmt = NULL;
    int r = sql_first(db, find,
                      SQL_VALUES(sql_text(own->what.call), sql_int(own->what.attempt),
                                 sql_int(LEDGER_SEARCH_ROWS)),
                      &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    struct span source = sql_column(stmt, 7);
    if (!span_is(source, store_cost_words[STORE_COST_BOUND]) &&
        !span_is(source, store_cost_words[STORE_COST_UNKNOWN]))
        return error_set(err, -EALREADY, "that attempt's cost is already known");
    int64_t number = sqlite3_column_int64(stmt, 0);
    r = correct_sums(own, db, stmt, err);
    sqlite3_reset(stmt);
    if (r == 0)
        r = sql_run(db, change,
                    SQL_VALUES(sql_int(number), sql_int(own->what.cost_pico),
                               sql_text(span_of(store_cost_words[own->what.source]))),
                    err);
    return r;
}

static void tell_accounts(struct store_job *job)
{
    struct correct_job *own = CONTAINER_OF(job, struct correct_job, job);
    struct store_charge charges[LEDGER_CHARGES_MAX];
    size_t count = 0;
    if (job->result == 0 && own->account)
        store_charges_decode(buf_span(&own->charges), charges, &count);
    for (size_t i = 0; i < count; i++) {
        difference(own, &charges[i]);
        own->account(job->context, &charges[i]);
    }
    if (job->done)
        job->done(job->context, job->result, &job->err, job->rowid);
}

int64_t store_ledger_correct(struct store *store, const struct store_correction *correction,
                             store_charge_fn *account, store_done_fn *done, void *context,
                             struct error *err)
{
    struct correct_job own = {{correct, STORE_DURABLE, done, context, tell_accounts, release},
                              *correction,
                              account,
                              BUF_INIT(LEDGER_RECORD_MAX)};
    if (correction->cost_pico < 0 || (unsigned)correction->source >= STORE_COST_SOURCES)
        return error_set(err, -EINVAL, "that is not a cost of an attempt");
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, STORE_SPANS(&own.what.call), err);
}

struct forget_job {
    struct store_job job;
    int64_t first_day, rows_max, ended_ms;
};

static int forget(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char rows[] =
        "DELETE FROM ledger WHERE number <= coalesce((SELECT max(number) FROM"
        " (SELECT number, day FROM ledger ORDER BY number LIMIT ?4) WHERE day BETWEEN ?1 AND ?2 - 1"
        " OR number <= (SELECT max(number) FROM ledger) - ?3), -1)";
    static const char budgets[] =
        "DELETE FROM budgets WHERE (account, period_ms) IN (SELECT account, period_ms FROM budgets"
        " WHERE resets_ms BETWEEN 0 AND ?1 - 1 LIMIT ?2)";
    const struct forget_job *own = CONTAINER_OF(job, struct forget_job, job);
    int r = sql_run(db, rows,
                    SQL_VALUES(sql_int(SANE_DAY), sql_int(own->first_day), sql_int(own->rows_max),
                               sql_int(FORGET_ROWS)),
                    err);
    if (r < 0)
        return r;
    job->rowid = sqlite3_changes(db);
    return sql_run(db, budgets, SQL_VALUES(sql_int(own->ended_ms), sql_int(FORGET_BUDGETS)), err);
}

int64_t store_ledger_forget(struct store *store, int64_t first_day, int64_t rows_max,
                            int64_t ended_ms, store_done_fn *done, void *context, struct error *err)
{
    struct forget_job own = {{forget, STORE_GROUPED, done, context}, first_day, rows_max, ended_ms};
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, NULL, 0, err);
}

#define BUDGETS \
    "SELECT account, period_ms, resets_ms, spent_pico, overshoot_pico, closed_cap_pico FROM budgets"

static int read_budgets(struct store *store, const char *sql, const struct sql_value *values,
                        size_t count, store_charge_fn *row, void *context, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(store_view(store), sql, values, count, &stmt, err);
    while (r == SQL_ROW) {
        struct store_charge spent;
        sql_read(stmt, SQL_FIELDS(INTO(spent.account), INTO(spent.period_ms), INTO(spent.resets_ms),
                                  INTO(spent.amount_pico), INTO(spent.overshoot_pico),
                                  INTO(spent.cap_pico)));
        row(context, &spent);
        r = sql_step(stmt, err);
    }
    return r;
}

int store_read_budgets(struct store *store, store_charge_fn *row, void *context, struct error *err)
{
    return read_budgets(store, BUDGETS " ORDER BY account, period_ms", NULL, 0, row, context, err);
}

int store_read_budget(struct store *store, struct span account, store_charge_fn *row, void *context,
                      struct error *err)
{
    return read_budgets(store, BUDGETS " WHERE account = ? ORDER BY period_ms",
                        SQL_VALUES(sql_text(account)), row, context, err);
}
