#include "store/turn.h"

#include <errno.h>

#include "store/sql.h"
#include "store/store_internal.h"

static const char *const turn_states[] = {
    [STORE_TURN_QUEUED] = "queued",       [STORE_TURN_PROMPT] = "prompt",
    [STORE_TURN_MODEL] = "model",         [STORE_TURN_TOOLS] = "tools",
    [STORE_TURN_DONE] = "done",           [STORE_TURN_FAILED] = "failed",
    [STORE_TURN_CANCELLED] = "cancelled",
};

static const char *const call_states[] = {
    [STORE_CALL_PENDING] = "pending",
    [STORE_CALL_RUNNING] = "running",
    [STORE_CALL_DONE] = "done",
    [STORE_CALL_INTERRUPTED] = "interrupted",
};

struct begin_job {
    struct store_job job;
    struct store_turn turn;
    struct store_message *messages;
    size_t message_count;
};

struct step_job {
    struct store_job job;
    struct store_turn_step step;
    bool final;
};

int store_turn_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err)
{
    static const char sql[] = "SELECT number FROM turns WHERE id = ?";
    int r = sql_lookup(db, sql, SQL_VALUES(sql_text(id)), ret_number, err);
    if (r == 0)
        return error_set(err, -ENOENT, "there is no turn %.*s", (int)id.len, id.data);
    return r < 0 ? r : 0;
}

static int insert_messages(sqlite3 *db, int64_t session, int64_t turn,
                           const struct store_message *messages, size_t count, int64_t now_ms,
                           struct error *err)
{
    static const char touch[] = "UPDATE sessions SET updated_ms = ? WHERE number = ?";
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = store_message_insert(db, session, turn, &messages[i], err);
    if (r == 0 && count > 0)
        r = sql_run(db, touch, SQL_VALUES(sql_int(now_ms), sql_int(session)), err);
    return r;
}

// SQL_ROW when this trigger is known already.
static int find_known(sqlite3 *db, const struct store_turn *turn, int64_t *ret_number,
                      struct error *err)
{
    static const char sql[] = "SELECT number FROM turns WHERE id = ?1"
                              " UNION ALL SELECT number FROM turns"
                              "   WHERE source = ?2 AND external_id = ?3 LIMIT 1";
    return sql_lookup(
        db, sql,
        SQL_VALUES(sql_text(turn->id), sql_text(turn->source), sql_text(turn->external_id)),
        ret_number, err);
}

static int begin(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] =
        "INSERT INTO turns(id, session, state, source, external_id, model, started_ms)"
        " VALUES(?, ?, ?, ?, ?, ?, ?)";
    const struct begin_job *own = CONTAINER_OF(job, struct begin_job, job);
    const struct store_turn *t = &own->turn;
    int64_t session = 0;
    int r = find_known(db, t, &job->rowid, err);
    if (r != 0)
        return r < 0 ? r : STORE_DUPLICATE;
    r = store_session_number(db, t->session, &session, err);
    if (r == 0)
        r = sql_run(db, sql,
                    SQL_VALUES(sql_text(t->id), sql_int(session),
                               sql_text(span_of(turn_states[STORE_TURN_QUEUED])),
                               sql_text(t->source), sql_text(t->external_id), sql_text(t->model),
                               sql_int(t->started_ms)),
                    err);
    if (r < 0)
        return r;
    job->rowid = sqlite3_last_insert_rowid(db);
    return insert_messages(db, session, job->rowid, own->messages, own->message_count,
                           t->started_ms, err);
}

static size_t messages_bytes(const struct store_message *messages, size_t count)
{
    size_t bytes = count * sizeof *messages;
    for (size_t i = 0; i < count; i++)
        bytes += store_message_bytes(&messages[i]);
    return bytes;
}

static void keep_messages(struct store_job *job, struct store_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_message_keep(job, &messages[i]);
}

static int check_counts(size_t messages, size_t calls, struct error *err)
{
    if (messages > STORE_STEP_ROWS_MAX || calls > STORE_STEP_ROWS_MAX)
        return error_set(err, -E2BIG,
                         "a step of a turn has at most %d messages and tool calls, not %zu and %zu",
                         STORE_STEP_ROWS_MAX, messages, calls);
    return 0;
}

int64_t store_turn_begin(struct store *store, const struct store_turn *turn,
                         const struct store_message *messages, size_t message_count,
                         enum store_durability durability, store_done_fn *done, void *context,
                         struct error *err)
{
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    int r = store_id_check(turn->id, "turn", err);
    if (r == 0)
        r = store_id_check(turn->session, "session", err);
    if (r == 0)
        r = check_counts(message_count, 0, err);
    if (r < 0)
        return r;
    struct begin_job *own = store_job_create(
        sizeof *own,
        messages_bytes(messages, message_count) + turn->id.len + turn->session.len +
            turn->source.len + turn->external_id.len + turn->model.len,
        err);
    if (!own)
        return err->code;
    own->messages = store_job_keep(&own->job, messages, message_count * sizeof *messages);
    own->message_count = message_count;
    keep_messages(&own->job, own->messages, message_count);
    own->turn = *turn;
    own->turn.id = store_job_keep_span(&own->job, turn->id);
    own->turn.session = store_job_keep_span(&own->job, turn->session);
    own->turn.source = store_job_keep_span(&own->job, turn->source);
    own->turn.external_id = store_job_keep_span(&own->job, turn->external_id);
    own->turn.model = store_job_keep_span(&own->job, turn->model);
    own->job.run = begin;
    own->job.durability = durability;
    own->job.done = done;
    own->job.context = context;
    return store_submit(store, &own->job, err);
}

// What a step needs to know of its turn; fails when there is no such turn or it has ended.
static int find_open(sqlite3 *db, struct span id, int64_t *ret_turn, int64_t *ret_session,
                     struct error *err)
{
    static const char sql[] = "SELECT number, session, ended_ms IS NULL FROM turns WHERE id = ?";
    SQL_AUTO *stmt = NULL;
    int r = sql_prepare(db, sql, SQL_VALUES(sql_text(id)), &stmt, err);
    if (r == 0)
        r = sql_step(stmt, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "there is no turn %.*s", (int)id.len, id.data);
    if (!sqlite3_column_int(stmt, 2))
        return error_set(err, -EALREADY, "turn %.*s has ended", (int)id.len, id.data);
    *ret_turn = sqlite3_column_int64(stmt, 0);
    *ret_session = sqlite3_column_int64(stmt, 1);
    return 0;
}

static int update_turn(sqlite3 *db, int64_t turn, const struct step_job *own, struct error *err)
{
    static const char sql[] = "UPDATE turns SET state = ?2, iteration = ?3,"
                              " input_tokens = input_tokens + ?4,"
                              " cached_tokens = cached_tokens + ?5,"
                              " output_tokens = output_tokens + ?6,"
                              " cost_micro_usd = cost_micro_usd + ?7,"
                              " model = coalesce(?8, model), error = coalesce(?9, error),"
                              " ended_ms = CASE WHEN ?10 THEN ?11 END"
                              " WHERE number = ?1";
    const struct store_turn_step *s = &own->step;
    return sql_run(db, sql,
                   SQL_VALUES(sql_int(turn), sql_text(span_of(turn_states[s->state])),
                              sql_int(s->iteration), sql_int(s->usage.input_tokens),
                              sql_int(s->usage.cached_tokens), sql_int(s->usage.output_tokens),
                              sql_int(s->usage.cost_micro_usd), sql_text(s->model),
                              sql_text(s->error), sql_int(own->final), sql_int(s->now_ms)),
                   err);
}

static int write_call(sqlite3 *db, int64_t turn, const struct store_turn_step *step,
                      const struct store_tool_call *c, struct error *err)
{
    static const char sql[] =
        "INSERT INTO tool_calls(turn, iteration, ordinal, call_id, name, arguments, state,"
        " repeatable, failed, tainted, result, changed_ms)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(turn, iteration, ordinal) DO UPDATE SET state = excluded.state,"
        " failed = excluded.failed, tainted = excluded.tainted, result = excluded.result,"
        " changed_ms = excluded.changed_ms";
    return sql_run(db, sql,
                   SQL_VALUES(sql_int(turn), sql_int(step->iteration), sql_int(c->ordinal),
                              sql_text(c->call_id), sql_text(c->name), sql_bytes(c->arguments),
                              sql_text(span_of(call_states[c->state])), sql_int(c->repeatable),
                              sql_int(c->failed), sql_int(c->tainted), sql_bytes(c->result),
                              sql_int(step->now_ms)),
                   err);
}

static int take_step(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct step_job *own = CONTAINER_OF(job, struct step_job, job);
    const struct store_turn_step *s = &own->step;
    int64_t turn = 0, session = 0;
    int r = find_open(db, s->turn, &turn, &session, err);
    if (r == 0)
        r = update_turn(db, turn, own, err);
    if (r == 0)
        r = insert_messages(db, session, turn, s->messages, s->message_count, s->now_ms, err);
    for (size_t i = 0; i < s->call_count && r == 0; i++)
        r = write_call(db, turn, s, &s->calls[i], err);
    job->rowid = turn;
    return r;
}

static size_t step_bytes(const struct store_turn_step *s)
{
    size_t bytes = messages_bytes(s->messages, s->message_count) + s->turn.len + s->model.len +
                   s->error.len + s->call_count * sizeof *s->calls;
    for (size_t i = 0; i < s->call_count; i++)
        bytes += s->calls[i].call_id.len + s->calls[i].name.len + s->calls[i].arguments.len +
                 s->calls[i].result.len;
    return bytes;
}

static void keep_step(struct store_job *job, struct store_turn_step *s)
{
    struct store_message *messages =
        store_job_keep(job, s->messages, s->message_count * sizeof *messages);
    struct store_tool_call *calls = store_job_keep(job, s->calls, s->call_count * sizeof *calls);
    keep_messages(job, messages, s->message_count);
    for (size_t i = 0; i < s->call_count; i++) {
        calls[i].call_id = store_job_keep_span(job, calls[i].call_id);
        calls[i].name = store_job_keep_span(job, calls[i].name);
        calls[i].arguments = store_job_keep_span(job, calls[i].arguments);
        calls[i].result = store_job_keep_span(job, calls[i].result);
    }
    s->messages = messages;
    s->calls = calls;
    s->turn = store_job_keep_span(job, s->turn);
    s->model = store_job_keep_span(job, s->model);
    s->error = store_job_keep_span(job, s->error);
}

static int64_t submit_step(struct store *store, const struct store_turn_step *step, bool final,
                           enum store_durability durability, store_done_fn *done, void *context,
                           struct error *err)
{
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    if ((step->state >= STORE_TURN_DONE) != final)
        return error_set(err, -EINVAL, "a turn does not %s as \"%s\"", final ? "end" : "go on",
                         turn_states[step->state]);
    int r = store_id_check(step->turn, "turn", err);
    if (r == 0)
        r = check_counts(step->message_count, step->call_count, err);
    if (r < 0)
        return r;
    struct step_job *own = store_job_create(sizeof *own, step_bytes(step), err);
    if (!own)
        return err->code;
    own->step = *step;
    own->final = final;
    keep_step(&own->job, &own->step);
    own->job.run = take_step;
    own->job.durability = durability;
    own->job.done = done;
    own->job.context = context;
    return store_submit(store, &own->job, err);
}

int64_t store_turn_advance(struct store *store, const struct store_turn_step *step,
                           enum store_durability durability, store_done_fn *done, void *context,
                           struct error *err)
{
    return submit_step(store, step, false, durability, done, context, err);
}

int64_t store_turn_finish(struct store *store, const struct store_turn_step *step,
                          enum store_durability durability, store_done_fn *done, void *context,
                          struct error *err)
{
    return submit_step(store, step, true, durability, done, context, err);
}
