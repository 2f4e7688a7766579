#include "store/run.h"

#include <errno.h>

#include "base/mem.h"
#include "store/store_internal.h"

const char *const store_run_words[STORE_RUN_OUTCOMES] = {
    "running", "ok", "silent", "failed", "skipped", "missed", "blocked", "over budget"};

struct run_job {
    struct store_job job;
    struct store_run run;
    const struct store_reply *replies;
    size_t count;
};

// What can be said of it when it begins, and again when it ends.
static int insert(sqlite3 *db, const struct store_run *run, int64_t *ret_number, struct error *err)
{
    static const char sql[] =
        "INSERT INTO runs(job, name, due_ms, started_ms, outcome) VALUES(?, ?, ?, ?, 'running')";
    int r = sql_run(db, sql,
                    SQL_VALUES(sql_text(run->job), sql_text(run->name), sql_int(run->due_ms),
                               sql_int(run->started_ms)),
                    err);
    if (r == 0)
        *ret_number = sqlite3_last_insert_rowid(db);
    return r;
}

static int changed_one(sqlite3 *db, int r, struct error *err)
{
    return r == 0 && sqlite3_changes(db) == 0
               ? error_set(err, -EALREADY, "this run has ended before")
               : r;
}

static int begin(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char again[] = "UPDATE runs SET attempts = attempts + 1 WHERE number = ?"
                                " AND outcome = 'running'";
    const struct run_job *own = CONTAINER_OF(job, struct run_job, job);
    job->rowid = own->run.number;
    if (!own->run.number)
        return insert(db, &own->run, &job->rowid, err);
    return changed_one(db, sql_run(db, again, SQL_VALUES(sql_int(own->run.number)), err), err);
}

static int end(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] =
        "UPDATE runs SET outcome = ?2, ended_ms = ?3, error = coalesce(?4, ''),"
        " turn = coalesce(?5, ''), delivered = coalesce(?6, ''), input_tokens = ?7,"
        " cached_tokens = ?8, output_tokens = ?9, cost_pico = ?10"
        " WHERE number = ?1 AND outcome = 'running'";
    static const char forget[] =
        "DELETE FROM runs WHERE job = ?1 AND outcome <> 'running' AND number <="
        " (SELECT number FROM runs WHERE job = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)";
    const struct run_job *own = CONTAINER_OF(job, struct run_job, job);
    const struct store_run *run = &own->run;
    const struct store_usage *usage = &run->usage;
    int64_t ignored;
    job->rowid = run->number;
    int r = run->number ? 0 : insert(db, run, &job->rowid, err);
    if (r == 0)
        r = sql_run(db, sql,
                    SQL_VALUES(sql_int(job->rowid),
                               sql_text(span_of(store_run_words[run->outcome])),
                               sql_int(run->ended_ms), sql_text(run->error), sql_text(run->turn),
                               sql_text(run->delivered), sql_int(usage->input_tokens),
                               sql_int(usage->cached_tokens), sql_int(usage->output_tokens),
                               sql_int(usage->cost_pico)),
                    err);
    r = changed_one(db, r, err);
    for (size_t i = 0; i < own->count && r == 0; i++)
        r = store_reply_insert(db, 0, &own->replies[i], run->ended_ms, &ignored, err);
    return r < 0
               ? r
               : sql_run(db, forget, SQL_VALUES(sql_text(run->job), sql_int(STORE_RUNS_KEPT)), err);
}

static int64_t submit(struct store *store,
                      int (*fn)(struct store_job *job, sqlite3 *db, struct error *err),
                      const struct store_run *run, const struct store_reply *replies, size_t count,
                      store_done_fn *done, void *context, struct error *err)
{
    struct run_job own = {{fn, STORE_DURABLE, done, context}, *run, replies, count};
    const struct store_given given = {&own.replies, own.count, &store_reply_shape};
    return store_job_submit(
        store, &own.job, sizeof own, &given, 1,
        STORE_SPANS(&own.run.job, &own.run.name, &own.run.error, &own.run.turn, &own.run.delivered),
        err);
}

int64_t store_run_begin(struct store *store, const struct store_run *run, store_done_fn *done,
                        void *context, struct error *err)
{
    return submit(store, begin, run, NULL, 0, done, context, err);
}

int64_t store_run_end(struct store *store, const struct store_run *run,
                      const struct store_reply *replies, size_t count, store_done_fn *done,
                      void *context, struct error *err)
{
    return submit(store, end, run, replies, count, done, context, err);
}

int store_read_runs(struct store_view *view, struct span job, enum store_run_outcome outcome,
                    int limit, store_run_row_fn *row, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT number, job, name, due_ms, started_ms, ended_ms, attempts, outcome, error, turn,"
        " delivered, input_tokens, cached_tokens, output_tokens, cost_pico FROM runs"
        " WHERE (?1 = '' OR job = ?1) AND (?2 = '' OR outcome = ?2)"
        " ORDER BY number DESC LIMIT ?3";
    SQL_AUTO *stmt = NULL;
    struct span wanted = span_of(outcome < STORE_RUN_OUTCOMES ? store_run_words[outcome] : "");
    int r = store_read_first(view, sql, SQL_VALUES(sql_text(job), sql_text(wanted), sql_int(limit)),
                             &stmt, err);
    while (r == SQL_ROW) {
        struct store_run run;
        struct span word;
        sql_read(stmt, SQL_FIELDS(INTO(run.number), INTO(run.job), INTO(run.name), INTO(run.due_ms),
                                  INTO(run.started_ms), INTO(run.ended_ms), INTO(run.attempts),
                                  INTO(word), INTO(run.error), INTO(run.turn), INTO(run.delivered),
                                  INTO(run.usage.input_tokens), INTO(run.usage.cached_tokens),
                                  INTO(run.usage.output_tokens), INTO(run.usage.cost_pico)));
        int known = store_word_read(store_run_words, STORE_RUN_OUTCOMES, word,
                                    "the outcome of a run is", err);
        if (known < 0)
            return known;
        run.outcome = (enum store_run_outcome)known;
        r = row(context, &run) ? sql_step(stmt, err) : 0;
    }
    return r;
}

int store_read_run_streak(struct store_view *view, struct span job, int64_t *ret_failures,
                          int64_t *ret_due_ms, struct error *err)
{
    static const char failures[] =
        "SELECT count(*) FROM runs WHERE job = ?1"
        " AND outcome IN ('failed', 'missed', 'blocked', 'over budget') AND number >"
        " coalesce((SELECT max(number) FROM runs WHERE job = ?1 AND outcome IN ('ok', 'silent')),"
        " 0)";
    static const char due[] = "SELECT coalesce(max(due_ms), 0) FROM runs WHERE job = ?1";
    int r = store_read_number(view, failures, SQL_VALUES(sql_text(job)), ret_failures, err);
    return r == 0 ? store_read_number(view, due, SQL_VALUES(sql_text(job)), ret_due_ms, err) : r;
}

int store_read_run_turn(struct store_view *view, const struct store_session_key *key,
                        store_run_turn_fn *row, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT t.id, s.id, t.error, t.state, t.input_tokens, t.cached_tokens, t.output_tokens,"
        " t.cost_pico, (SELECT content FROM messages WHERE session = s.number"
        "  AND role = 'assistant' ORDER BY id DESC LIMIT 1)"
        " FROM sessions s JOIN turns t ON t.session = s.number"
        " WHERE s.channel = ? AND s.chat = ? AND s.thread = ? ORDER BY t.number DESC LIMIT 1";
    SQL_AUTO *stmt = NULL;
    struct store_run_turn turn;
    struct span word;
    int r = store_read_first(
        view, sql, SQL_VALUES(sql_text(key->channel), sql_text(key->chat), sql_text(key->thread)),
        &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    sql_read(stmt, SQL_FIELDS(INTO(turn.id), INTO(turn.session), INTO(turn.error), INTO(word),
                              INTO(turn.usage.input_tokens), INTO(turn.usage.cached_tokens),
                              INTO(turn.usage.output_tokens), INTO(turn.usage.cost_pico),
                              INTO(turn.answer)));
    int state = store_word_find(store_turn_words, STORE_TURN_UNKNOWN, word);
    turn.state = state < 0 ? STORE_TURN_UNKNOWN : (enum store_turn_state)state;
    row(context, &turn);
    return 0;
}
