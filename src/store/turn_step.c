#include <errno.h>

#include "store/store_internal.h"
#include "store/turn.h"

// The steps of a turn, each with all that belongs to it: one transaction, once.

struct step_job {
    struct store_job job;
    struct store_turn_step step;
    bool final;
};

static int update_turn(sqlite3 *db, int64_t turn, const struct step_job *own, struct error *err)
{
    static const char sql[] = "UPDATE turns SET state = ?2, iteration = ?3,"
                              " input_tokens = input_tokens + ?4,"
                              " cached_tokens = cached_tokens + ?5,"
                              " output_tokens = output_tokens + ?6,"
                              " prompt_tokens = CASE ?11 WHEN 0 THEN prompt_tokens WHEN -1 THEN 0"
                              " ELSE ?11 END,"
                              " cost_pico = cost_pico + min(?7, 9223372036854775807 - cost_pico),"
                              " error = coalesce(?8, error),"
                              " ended_ms = CASE WHEN ?9 THEN ?10 END"
                              " WHERE number = ?1";
    const struct store_turn_step *s = &own->step;
    return sql_run(db, sql,
                   SQL_VALUES(sql_int(turn), sql_text(span_of(store_turn_words[s->state])),
                              sql_int(s->iteration), sql_int(s->usage.input_tokens),
                              sql_int(s->usage.cached_tokens), sql_int(s->usage.output_tokens),
                              sql_int(s->usage.cost_pico), sql_text(s->error), sql_int(own->final),
                              sql_int(s->now_ms), sql_int(s->prompt_tokens)),
                   err);
}

// What a turn has begun does not outlive it.
static int end_children(sqlite3 *db, const struct store_turn_step *s, struct error *err)
{
    static const char sql[] = "UPDATE turns SET state = 'cancelled', ended_ms = ?"
                              " WHERE parent = ? AND ended_ms IS NULL";
    return sql_run(db, sql, SQL_VALUES(sql_int(s->now_ms), sql_text(s->turn)), err);
}

static int write_call(sqlite3 *db, int64_t turn, const struct store_turn_step *step,
                      const struct store_tool_call *c, struct error *err)
{
    static const char sql[] =
        "INSERT INTO tool_calls(turn, iteration, ordinal, call_id, name, arguments, state,"
        " flags, failed, tainted, result, parts, changed_ms)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(turn, iteration, ordinal) DO UPDATE SET state = excluded.state,"
        " failed = excluded.failed, tainted = excluded.tainted, result = excluded.result,"
        " parts = excluded.parts, changed_ms = excluded.changed_ms";
    return sql_run(db, sql,
                   SQL_VALUES(sql_int(turn), sql_int(step->iteration), sql_int(c->ordinal),
                              sql_text(c->call_id), sql_text(c->name), sql_bytes(c->arguments),
                              sql_text(span_of(store_call_words[c->state])), sql_int(c->flags),
                              sql_int(c->failed), sql_int(c->tainted), sql_bytes(c->result),
                              sql_text(c->parts), sql_int(step->now_ms)),
                   err);
}

// A step is undone as a whole, so that what it took from the inbox is taken once.
static int take_inbox(sqlite3 *db, int64_t turn, const struct store_turn_step *s, struct error *err)
{
    int64_t other = 0;
    int r = store_inbox_check(db, s->inbox, s->inbox_count, &other, err);
    if (r == STORE_DUPLICATE)
        return error_set(err, -EALREADY,
                         "a message that turn %.*s takes in was handled before, by turn number "
                         "%lld",
                         (int)s->turn.len, s->turn.data, (long long)other);
    if (r == 0)
        r = store_inbox_handle(db, s->inbox, s->inbox_count, turn, s->now_ms, err);
    return r;
}

static int take_step(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct step_job *own = CONTAINER_OF(job, struct step_job, job);
    const struct store_turn_step *s = &own->step;
    int64_t turn = 0, session = 0;
    int r = store_turn_open(db, s->turn, &turn, &session, err);
    if (r == 0)
        r = take_inbox(db, turn, s, err);
    if (r == 0)
        r = update_turn(db, turn, own, err);
    if (r == 0)
        r = store_messages_insert(db, session, turn, s->messages, s->message_count, s->now_ms, err);
    for (size_t i = 0; i < s->call_count && r == 0; i++)
        r = write_call(db, turn, s, &s->calls[i], err);
    for (size_t i = 0; i < s->question_count && r == 0; i++)
        r = store_approval_insert(db, turn, s->iteration, &s->questions[i], err);
    for (size_t i = 0; i < s->file_count && r == 0; i++)
        r = store_reply_insert(db, turn, &s->files[i], s->now_ms, &job->rowid, err);
    if (r == 0 && own->final)
        r = end_children(db, s, err);
    if (r == 0 && own->final)
        r = store_approvals_end(db, turn, s->now_ms, err);
    if (r == 0 && (own->final || s->reply))
        r = store_reply_finish(db, turn, s->reply, s->now_ms, err);
    job->rowid = turn;
    return r;
}

static const struct store_shape call_shape = {
    sizeof(struct store_tool_call),
    5,
    {offsetof(struct store_tool_call, call_id), offsetof(struct store_tool_call, name),
     offsetof(struct store_tool_call, arguments), offsetof(struct store_tool_call, result),
     offsetof(struct store_tool_call, parts)}};
static const struct store_shape question_shape = {
    sizeof(struct store_approval),
    8,
    {offsetof(struct store_approval, code), offsetof(struct store_approval, name),
     offsetof(struct store_approval, arguments), offsetof(struct store_approval, hash),
     offsetof(struct store_approval, may_answer), offsetof(struct store_approval, why),
     offsetof(struct store_approval, files), offsetof(struct store_approval, answered_by)}};

static int check_step(const struct store_turn_step *step, bool final, struct error *err)
{
    if ((step->state >= STORE_TURN_DONE) != final)
        return error_set(err, -EINVAL, "a turn does not %s as \"%s\"", final ? "end" : "go on",
                         store_turn_words[step->state]);
    size_t asked = 0;
    for (size_t i = 0; i < step->question_count; i++)
        asked += step->questions[i].state == STORE_APPROVAL_ASKED;
    if ((asked > 0) != (step->state == STORE_TURN_WAITING))
        return error_set(err, -EINVAL, "a turn waits for questions, and asks when it waits");
    if (step->reply && !final && !asked)
        return error_set(err, -EINVAL, "only questions and the end of a turn have a reply");
    int r = store_id_check(step->turn, "turn", err);
    if (r == 0)
        r = store_step_check(step->message_count, step->call_count + step->file_count,
                             step->inbox_count, err);
    return r;
}

static int64_t submit_step(struct store *store, const struct store_turn_step *step, bool final,
                           enum store_durability durability, store_done_fn *done, void *context,
                           struct error *err)
{
    struct step_job own = {{take_step, durability, done, context}, *step, final};
    struct store_turn_step *s = &own.step;
    const struct store_given given[] = {
        {&s->messages, s->message_count, &store_message_shape},
        {&s->calls, s->call_count, &call_shape},
        {&s->questions, s->question_count, &question_shape},
        {&s->inbox, s->inbox_count, &store_number_shape},
        {&s->files, s->file_count, &store_reply_shape},
        {&s->reply, s->reply != NULL, &store_reply_shape},
    };
    int r = check_step(step, final, err);
    return r < 0 ? r
                 : store_job_submit(store, &own.job, sizeof own, given, ARRAY_LEN(given),
                                    STORE_SPANS(&s->turn, &s->error), err);
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
