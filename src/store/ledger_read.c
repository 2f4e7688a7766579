#include "store/ledger_read.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/ledger_internal.h"
#include "store/store_internal.h"

/*
 * An answer is collected by the store's thread and told by the loop's. Its texts are in one buffer
 * whose memory is had before the first is put in, so that it never moves.
 */

enum {
    TEXTS_BYTES = (STORE_COSTS_MAX + 1) * LEDGER_TEXT_MAX +
                  (STORE_CALL_MAX + 1) * ATTEMPT_TEXTS * LEDGER_TEXT_MAX,
    USUAL_DAYS = 30,
    UNSURE_ROWS = 20000,
};

#define DAY_SUMS                                                                               \
    "sum(calls), sum(attempts), sum(failed), sum(cancelled), sum(unsure), sum(prompt_tokens)," \
    " sum(cached_tokens), sum(completion_tokens), " SQL_SUM(                                   \
        "cost_pico") " FROM ledger_days"                                                       \
                     " WHERE day BETWEEN ?1 AND ?2"
// The instants of a day are those of some zone, so a day more at either end is looked at.
#define IN_DAYS                                                                             \
    " WHERE wall_ms BETWEEN (?1 - 1) * 86400000 AND (?2 + 2) * 86400000 AND day BETWEEN ?1" \
    " AND ?2"
#define ROW_SUMS                                                                      \
    "sum(attempt = 1), count(*), sum(error <> '' AND NOT cancelled), sum(cancelled)," \
    " sum(source IN ('bound', 'unknown')), sum(prompt_tokens), sum(cached_tokens),"   \
    " sum(completion_tokens), " SQL_SUM("cost_pico") " FROM ledger" IN_DAYS

static const char *const by_sql[STORE_COST_BYS] = {
    [STORE_BY_MODEL] = "SELECT model, " DAY_SUMS " GROUP BY 1 ORDER BY 10 DESC, 3 DESC, 1 LIMIT ?3",
    [STORE_BY_SLOT] = "SELECT slot, " DAY_SUMS " GROUP BY 1 ORDER BY 10 DESC, 3 DESC, 1 LIMIT ?3",
    [STORE_BY_KEY] = "SELECT key, " DAY_SUMS " GROUP BY 1 ORDER BY 10 DESC, 3 DESC, 1 LIMIT ?3",
    [STORE_BY_DAY] = "SELECT day, " DAY_SUMS " GROUP BY day ORDER BY day DESC LIMIT ?3",
    [STORE_BY_SESSION] =
        "SELECT session, " ROW_SUMS " GROUP BY 1 ORDER BY 10 DESC, 3 DESC, 1 LIMIT ?3",
    [STORE_BY_JOB] = "SELECT job, " ROW_SUMS " GROUP BY 1 ORDER BY 10 DESC, 3 DESC, 1 LIMIT ?3",
};

struct read_job {
    struct store_job job;
    struct buf texts;
    struct store_attempt *attempts; // owned
    size_t count;
    struct store_cost_sum *sums; // of costs
};

struct costs_job {
    struct read_job read;
    struct store_costs_question question;
    struct store_costs costs;
    store_costs_fn *done;
};

struct call_job {
    struct read_job read;
    struct span beginning;
    struct store_call call;
    struct store_attempt before;
    store_call_fn *done;
};

// Made anew by each run, for a run may be repeated.
static int begin(struct read_job *read, struct error *err)
{
    if (!read->attempts)
        read->attempts = mem_alloc(STORE_CALL_MAX * sizeof *read->attempts);
    read->count = 0;
    buf_clear(&read->texts);
    if (!buf_reserve(&read->texts, TEXTS_BYTES))
        return error_set(err, -ENOMEM, "no memory left for what was spent");
    return 0;
}

static void release(struct store_job *job)
{
    struct read_job *read = CONTAINER_OF(job, struct read_job, job);
    buf_finish(&read->texts);
    free(read->attempts);
    free(read->sums);
}

static struct read_job reading(store_run_fn *run, void (*finish)(struct store_job *job),
                               void *context)
{
    return (struct read_job){{run, STORE_DURABLE, NULL, context, finish, release, true, true},
                             BUF_INIT(TEXTS_BYTES)};
}

static struct span keep(struct read_job *read, struct span text)
{
    size_t at = read->texts.len;
    text.len = text.len < LEDGER_TEXT_MAX ? text.len : LEDGER_TEXT_MAX;
    if (!buf_append_span(&read->texts, text))
        return SPAN_LITERAL("");
    return span_make(read->texts.data + at, text.len);
}

static const char select_attempts[] = "SELECT " LEDGER_COLUMNS " FROM ledger";

static void take_attempt(struct read_job *read, sqlite3_stmt *stmt, struct store_attempt *attempt)
{
    int column = 0;
    *attempt = (struct store_attempt){0};
    for (size_t i = 0; i < ATTEMPT_TEXTS; i++)
        *attempt_text(attempt, i) = keep(read, sql_column(stmt, column++));
    for (size_t i = 0; i < ATTEMPT_NUMBERS; i++, column++)
        *attempt_number(attempt, i) = sqlite3_column_type(stmt, column) == SQLITE_NULL
                                          ? -1
                                          : sqlite3_column_int64(stmt, column);
    attempt->streamed = sqlite3_column_int(stmt, column++);
    attempt->cancelled = sqlite3_column_int(stmt, column++);
    int source = store_word_find(store_cost_words, STORE_COST_SOURCES, sql_column(stmt, column++));
    attempt->source = source < 0 ? STORE_COST_UNKNOWN : (enum store_cost_source)source;
}

static int take_attempts(struct read_job *read, sqlite3 *db, const char *where,
                         const struct sql_value *values, size_t count, struct error *err)
{
    CLEANUP(mem_cleanup) char *sql = mem_printf("%s%s", select_attempts, where);
    SQL_AUTO *stmt = NULL;
    int r = sql_prepare(db, sql, values, count, &stmt, err);
    while (r == 0 && (r = sql_step(stmt, err)) == SQL_ROW) {
        take_attempt(read, stmt, &read->attempts[read->count++]);
        r = 0;
        if (read->count == STORE_CALL_MAX)
            break;
    }
    return r;
}

// Of the columns name, DAY_SUMS or ROW_SUMS.
static struct store_cost_sum sum_of(sqlite3_stmt *stmt)
{
    struct store_cost_sum s;
    sql_read(stmt, SQL_FIELDS(INTO(s.name), INTO(s.calls), INTO(s.attempts), INTO(s.failed),
                              INTO(s.cancelled), INTO(s.unsure), INTO(s.prompt_tokens),
                              INTO(s.cached_tokens), INTO(s.completion_tokens), INTO(s.cost_pico)));
    return s;
}

static int take_sum(sqlite3 *db, int64_t first_day, int64_t last_day, struct span model,
                    struct store_cost_sum *ret_sum, struct error *err)
{
    static const char sql[] = "SELECT '', " DAY_SUMS " AND (?3 IS NULL OR model = ?3)";
    SQL_AUTO *stmt = NULL;
    int r = sql_first(db, sql, SQL_VALUES(sql_int(first_day), sql_int(last_day), sql_text(model)),
                      &stmt, err);
    if (r == SQL_ROW) {
        *ret_sum = sum_of(stmt);
        ret_sum->name = SPAN_LITERAL(""); // the statement's own ends with it
    }
    return r < 0 ? r : 0;
}

static int take_sums(struct costs_job *own, sqlite3 *db, struct error *err)
{
    const struct store_costs_question *q = &own->question;
    SQL_AUTO *stmt = NULL;
    size_t count = 0;
    int r = sql_prepare(
        db, by_sql[q->by],
        SQL_VALUES(sql_int(q->first_day), sql_int(q->today), sql_int(STORE_COSTS_MAX + 1)), &stmt,
        err);
    own->costs.is_cut = false;
    while (r == 0 && (r = sql_step(stmt, err)) == SQL_ROW) {
        r = 0;
        own->costs.is_cut = count == STORE_COSTS_MAX;
        if (own->costs.is_cut)
            break;
        struct store_cost_sum *sum = &own->read.sums[count++];
        *sum = sum_of(stmt);
        sum->name = keep(&own->read, sum->name);
    }
    own->costs.sums = own->read.sums;
    own->costs.sum_count = count;
    return r;
}

static int read_costs(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char costliest[] = IN_DAYS " AND cost_pico > 0"
                                            " ORDER BY cost_pico DESC, number DESC LIMIT ?3";
    struct costs_job *own = CONTAINER_OF(job, struct costs_job, read.job);
    const struct store_costs_question *q = &own->question;
    struct store_costs *costs = &own->costs;
    if (!own->read.sums)
        own->read.sums = mem_alloc(STORE_COSTS_MAX * sizeof *own->read.sums);
    int r = begin(&own->read, err);
    if (r == 0)
        r = take_sum(db, q->today, q->today, SPAN_ABSENT, &costs->today, err);
    if (r == 0)
        r = take_sum(db, q->month_day, q->today, SPAN_ABSENT, &costs->month, err);
    if (r == 0)
        r = take_sum(db, q->first_day, q->today, SPAN_ABSENT, &costs->all, err);
    if (r == 0)
        r = take_sums(own, db, err);
    if (r == 0)
        r = take_attempts(
            &own->read, db, costliest,
            SQL_VALUES(sql_int(q->first_day), sql_int(q->today), sql_int(STORE_DEAREST)), err);
    costs->costliest = own->read.attempts;
    costs->costliest_count = own->read.count;
    return r;
}

static void costs_finish(struct store_job *job)
{
    struct costs_job *own = CONTAINER_OF(job, struct costs_job, read.job);
    own->done(job->context, job->result, &job->err, &own->costs);
}

int64_t store_read_costs(struct store *store, const struct store_costs_question *question,
                         store_costs_fn *done, void *context, struct error *err)
{
    struct costs_job own = {reading(read_costs, costs_finish, context), .question = *question,
                            .done = done};
    return store_job_submit(store, &own.read.job, sizeof own, NULL, 0, NULL, 0, err);
}

struct unsure_job {
    struct read_job read;
    int64_t since_ms;
    store_unsure_fn *done;
};

static int read_unsure(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char where[] =
        " WHERE number > (SELECT max(number) FROM ledger) - ?2"
        " AND source IN ('bound', 'unknown') AND reply_id <> '' AND wall_ms >= ?1"
        " ORDER BY number DESC LIMIT ?3";
    struct unsure_job *own = CONTAINER_OF(job, struct unsure_job, read.job);
    int r = begin(&own->read, err);
    if (r == 0)
        r = take_attempts(
            &own->read, db, where,
            SQL_VALUES(sql_int(own->since_ms), sql_int(UNSURE_ROWS), sql_int(STORE_CALL_MAX)), err);
    return r;
}

static void unsure_finish(struct store_job *job)
{
    struct unsure_job *own = CONTAINER_OF(job, struct unsure_job, read.job);
    own->done(job->context, job->result, &job->err, own->read.attempts, own->read.count);
}

int64_t store_read_unsure(struct store *store, int64_t since_ms, store_unsure_fn *done,
                          void *context, struct error *err)
{
    struct unsure_job own = {reading(read_unsure, unsure_finish, context), since_ms, done};
    return store_job_submit(store, &own.read.job, sizeof own, NULL, 0, NULL, 0, err);
}

static int find_call(struct call_job *own, sqlite3 *db, struct span *ret_call, struct error *err)
{
    static const char sql[] =
        "SELECT DISTINCT call FROM ledger WHERE number > (SELECT max(number) FROM ledger) - ?2"
        " AND call >= ?1 AND call < ?1 || char(1114111) ORDER BY call LIMIT 2";
    SQL_AUTO *stmt = NULL;
    int r = sql_first(db, sql, SQL_VALUES(sql_text(own->beginning), sql_int(LEDGER_SEARCH_ROWS)),
                      &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    *ret_call = keep(&own->read, sql_column(stmt, 0));
    if (span_equal(*ret_call, own->beginning)) // a whole id is never ambiguous
        return 0;
    r = sql_step(stmt, err);
    if (r == SQL_ROW)
        return error_set(err, -EINVAL, "more than one call begins with %.*s; give more of its id",
                         (int)own->beginning.len, own->beginning.data);
    return r;
}

static int take_before(struct call_job *own, sqlite3 *db, int64_t number, struct error *err)
{
    static const char where[] = " WHERE number < ?1 AND number >= ?1 - ?2 AND session = ?3"
                                " AND call <> ?4 ORDER BY number DESC LIMIT 1";
    CLEANUP(mem_cleanup) char *sql = mem_printf("%s%s", select_attempts, where);
    const struct store_attempt *first = &own->read.attempts[0];
    SQL_AUTO *stmt = NULL;
    own->call.before = NULL;
    if (first->session.len == 0)
        return 0;
    int r = sql_first(db, sql,
                      SQL_VALUES(sql_int(number), sql_int(LEDGER_SEARCH_ROWS),
                                 sql_text(first->session), sql_text(first->call)),
                      &stmt, err);
    if (r != SQL_ROW)
        return r;
    take_attempt(&own->read, stmt, &own->before);
    own->call.before = &own->before;
    return 0;
}

static int read_call(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char all[] = " WHERE number > (SELECT max(number) FROM ledger) - ?3"
                              " AND call = ?1 ORDER BY number LIMIT ?2";
    static const char first[] =
        "SELECT min(number) FROM ledger"
        " WHERE number > (SELECT max(number) FROM ledger) - ?2 AND call = ?1";
    struct call_job *own = CONTAINER_OF(job, struct call_job, read.job);
    struct store_call *call = &own->call;
    struct span id = SPAN_ABSENT;
    int64_t number = 0;
    int r = begin(&own->read, err);
    if (r == 0)
        r = find_call(own, db, &id, err);
    if (r == 0)
        r = take_attempts(
            &own->read, db, all,
            SQL_VALUES(sql_text(id), sql_int(STORE_CALL_MAX), sql_int(LEDGER_SEARCH_ROWS)), err);
    if (r != 0)
        return r;
    call->attempts = own->read.attempts;
    call->count = own->read.count;
    const struct store_attempt *last = &call->attempts[call->count - 1];
    r = sql_lookup(db, first, SQL_VALUES(sql_text(id), sql_int(LEDGER_SEARCH_ROWS)), &number, err);
    if (r >= 0)
        r = take_before(own, db, number, err);
    if (r == 0)
        r = take_sum(db, last->day - USUAL_DAYS, last->day,
                     last->model.len ? last->model : last->group, &call->usual, err);
    return r;
}

static void call_finish(struct store_job *job)
{
    struct call_job *own = CONTAINER_OF(job, struct call_job, read.job);
    own->done(job->context, job->result, &job->err, &own->call);
}

int64_t store_read_call(struct store *store, struct span beginning, store_call_fn *done,
                        void *context, struct error *err)
{
    struct call_job own = {reading(read_call, call_finish, context), .beginning = beginning,
                           .done = done};
    int r = store_id_check(beginning, "call", err);
    return r < 0 ? r
                 : store_job_submit(store, &own.read.job, sizeof own, NULL, 0,
                                    STORE_SPANS(&own.beginning), err);
}
