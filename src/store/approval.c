#include "store/approval.h"

#include <errno.h>

#include "base/mem.h"
#include "store/store_internal.h"

static const char *const states[] = {
    [STORE_APPROVAL_ASKED] = "asked",       [STORE_APPROVAL_APPROVED] = "approved",
    [STORE_APPROVAL_DENIED] = "denied",     [STORE_APPROVAL_EXPIRED] = "expired",
    [STORE_APPROVAL_ANSWERED] = "answered",
};

struct expire_job {
    struct store_job job;
    int64_t now_ms;
};

int store_approval_insert(sqlite3 *db, int64_t turn, int iteration, const struct store_approval *a,
                          struct error *err)
{
    static const char sql[] = "INSERT INTO approvals(turn, iteration, ordinal, code, name,"
                              " arguments, hash, may_answer, expires_ms, state,"
                              " why, files, asked_ms, answered_ms, answered_by)"
                              " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, ''), ?9, ?10,"
                              " coalesce(?11, ''), coalesce(?12, ''), ?13,"
                              " CASE WHEN ?10 <> 'asked' THEN ?13 END, ?14)";
    return sql_run(db, sql,
                   SQL_VALUES(sql_int(turn), sql_int(iteration), sql_int(a->ordinal),
                              sql_text(a->code), sql_text(a->name), sql_bytes(a->arguments),
                              sql_text(a->hash), sql_text(a->may_answer), sql_int(a->expires_ms),
                              sql_text(span_of(states[a->state])), sql_text(a->why),
                              sql_text(a->files), sql_int(a->asked_ms), sql_text(a->answered_by)),
                   err);
}

int store_approval_answer(sqlite3 *db, const struct store_answer *answer, int64_t now_ms,
                          struct error *err)
{
    static const char sql[] = "UPDATE approvals SET state = ?4, answered_ms = ?5, answered_by = ?6,"
                              " answer = coalesce(?7, '')"
                              " WHERE turn = ?1 AND iteration = ?2 AND ordinal = ?3"
                              " AND state = 'asked' AND expires_ms > ?5";
    int state = answer->words.data ? STORE_APPROVAL_ANSWERED
                : answer->approved ? STORE_APPROVAL_APPROVED
                                   : STORE_APPROVAL_DENIED;
    int64_t turn = 0, session = 0;
    int r = store_turn_open(db, answer->turn, &turn, &session, err);
    if (r == 0)
        r = sql_run(db, sql,
                    SQL_VALUES(sql_int(turn), sql_int(answer->iteration), sql_int(answer->ordinal),
                               sql_text(span_of(states[state])), sql_int(now_ms),
                               sql_text(answer->by), sql_text(answer->words)),
                    err);
    if (r == 0 && sqlite3_changes(db) == 0)
        return error_set(err, -EALREADY, "this question is not asked any more");
    return r;
}

int store_approvals_end(sqlite3 *db, int64_t turn, int64_t now_ms, struct error *err)
{
    static const char sql[] = "UPDATE approvals SET state = 'denied', answered_ms = ?2"
                              " WHERE turn = ?1 AND state = 'asked'";
    return sql_run(db, sql, SQL_VALUES(sql_int(turn), sql_int(now_ms)), err);
}

int store_turn_cancel(sqlite3 *db, const struct store_cancellation *c, int64_t now_ms,
                      struct error *err)
{
    static const char end[] = "UPDATE turns SET state = 'cancelled', ended_ms = ?2"
                              " WHERE number = ?1 AND state = 'waiting'";
    static const char results[] =
        "INSERT INTO messages(session, turn, role, content, tool_call_id, created_ms, tainted)"
        " SELECT ?2, ?1, 'tool', coalesce(CAST(result AS TEXT), ?3), call_id, ?4, tainted"
        " FROM tool_calls WHERE turn = ?1 AND iteration ="
        " (SELECT iteration FROM turns WHERE number = ?1) ORDER BY ordinal";
    const struct store_message last = {
        .role = SPAN_LITERAL("assistant"), .content = c->last_word, .created_ms = now_ms};
    int64_t turn = 0, session = 0;
    int r = store_turn_open(db, c->turn, &turn, &session, err);
    if (r == 0)
        r = sql_run(db, end, SQL_VALUES(sql_int(turn), sql_int(now_ms)), err);
    if (r == 0 && sqlite3_changes(db) == 0)
        return error_set(err, -EALREADY, "turn %.*s does not wait any more", (int)c->turn.len,
                         c->turn.data);
    if (r == 0)
        r = store_approvals_end(db, turn, now_ms, err);
    if (r == 0)
        r = store_reply_finish(db, turn, NULL, now_ms, err);
    if (r == 0)
        r = sql_run(
            db, results,
            SQL_VALUES(sql_int(turn), sql_int(session), sql_text(c->call_result), sql_int(now_ms)),
            err);
    if (r == 0)
        r = store_messages_insert(db, session, turn, &last, 1, now_ms, err);
    return r;
}

static int expire(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] = "UPDATE approvals SET state = 'expired', answered_ms = ?1"
                              " WHERE state = 'asked' AND expires_ms <= ?1";
    int64_t now_ms = CONTAINER_OF(job, struct expire_job, job)->now_ms;
    int r = sql_run(db, sql, SQL_VALUES(sql_int(now_ms)), err);
    job->rowid = sqlite3_changes(db);
    return r;
}

int64_t store_approvals_expire(struct store *store, int64_t now_ms, store_done_fn *done,
                               void *context, struct error *err)
{
    struct expire_job own = {{expire, STORE_DURABLE, done, context}, now_ms};
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, NULL, 0, err);
}

#define APPROVAL_COLUMNS                                                          \
    "t.id, s.id, a.iteration, a.ordinal, a.code, a.name, a.arguments, a.hash,"    \
    " a.may_answer, a.expires_ms, a.state, a.why, a.files, a.asked_ms, a.answer," \
    " a.answered_by"                                                              \
    " FROM approvals a JOIN turns t ON t.number = a.turn"                         \
    " JOIN sessions s ON s.number = t.session"

static int read_approvals(struct store_view *view, const char *where,
                          const struct sql_value *values, size_t count, store_approval_fn *row,
                          void *context, struct error *err)
{
    CLEANUP(mem_cleanup) char *sql = mem_printf("SELECT " APPROVAL_COLUMNS " WHERE %s", where);
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, values, count, &stmt, err);
    while (r == SQL_ROW) {
        struct store_approval a;
        struct span word;
        sql_read(stmt,
                 SQL_FIELDS(INTO(a.turn), INTO(a.session), INTO(a.iteration), INTO(a.ordinal),
                            INTO(a.code), INTO(a.name), INTO(a.arguments), INTO(a.hash),
                            INTO(a.may_answer), INTO(a.expires_ms), INTO(word), INTO(a.why),
                            INTO(a.files), INTO(a.asked_ms), INTO(a.answer), INTO(a.answered_by)));
        int state =
            store_word_read(states, ARRAY_LEN(states), word, "a question is in the state", err);
        if (state < 0)
            return state;
        a.state = (enum store_approval_state)state;
        r = row(context, &a) ? sql_step(stmt, err) : 0;
    }
    return r;
}

int store_read_questions(struct store_view *view, const struct store_session_key *key,
                         store_approval_fn *row, void *context, struct error *err)
{
    // By way of the turns that are open, which are few.
    static const char where[] = "t.ended_ms IS NULL AND t.state = 'waiting'"
                                " AND a.state = 'asked' AND s.channel = ? AND s.chat = ?"
                                " AND s.thread = coalesce(?, '') AND s.sender = coalesce(?, '')"
                                " ORDER BY t.number, a.ordinal LIMIT ?";
    return read_approvals(view, where,
                          SQL_VALUES(sql_text(key->channel), sql_text(key->chat),
                                     sql_text(key->thread), sql_text(key->sender),
                                     sql_int(STORE_READ_ROWS_MAX)),
                          row, context, err);
}

int store_read_all_questions(struct store_view *view, store_approval_fn *row, void *context,
                             struct error *err)
{
    static const char where[] = "t.ended_ms IS NULL AND t.state = 'waiting'"
                                " AND a.state = 'asked' ORDER BY t.number, a.ordinal LIMIT ?";
    return read_approvals(view, where, SQL_VALUES(sql_int(STORE_READ_ROWS_MAX)), row, context, err);
}

int store_read_approvals(struct store_view *view, struct span turn, int iteration,
                         store_approval_fn *row, void *context, struct error *err)
{
    static const char where[] = "t.id = ?1"
                                " AND (?2 = 0 OR a.iteration = ?2)"
                                " ORDER BY a.iteration, a.ordinal LIMIT ?3";
    return read_approvals(
        view, where, SQL_VALUES(sql_text(turn), sql_int(iteration), sql_int(STORE_READ_ROWS_MAX)),
        row, context, err);
}

int store_read_expiry(struct store_view *view, int64_t *ret_ms, struct error *err)
{
    static const char sql[] = "SELECT expires_ms FROM approvals WHERE state = 'asked'"
                              " ORDER BY expires_ms LIMIT 1";
    return store_read_number(view, sql, NULL, 0, ret_ms, err);
}
