#include "store/session.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "store/connection.h"
#include "store/sql.h"
#include "store/store_internal.h"

#define AT(text) offsetof(struct store_session, text)
const struct store_shape store_session_shape = {
    sizeof(struct store_session),
    8,
    {AT(id), AT(channel), AT(chat), AT(thread), AT(sender), AT(title), AT(model), AT(prompt)}};

struct session_job {
    struct store_job job;
    const struct store_session *session; // to create
    struct span id;                      // to delete
};

int store_id_shown(struct span id, int columns)
{
    size_t digits = 0;
    while (digits < id.len && memchr("0123456789abcdef", id.data[digits], 16))
        digits++;
    return digits == id.len && id.len > (size_t)columns ? columns : (int)id.len;
}

int store_session_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err)
{
    static const char sql[] = "SELECT number FROM sessions WHERE id = ?";
    int r = sql_lookup(db, sql, SQL_VALUES(sql_text(id)), ret_number, err);
    if (r == 0)
        return error_set(err, -ENOENT, "there is no session %.*s", (int)id.len, id.data);
    return r < 0 ? r : 0;
}

int store_session_insert(sqlite3 *db, const struct store_session *s, int64_t *ret_number,
                         struct error *err)
{
    static const char sql[] =
        "INSERT INTO sessions"
        "(id, channel, chat, title, model, prompt, created_ms, updated_ms, used, thread, sender,"
        " picked)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, coalesce((SELECT max(id) FROM messages), 0),"
        " coalesce(?8, ''), coalesce(?9, ''),"
        " (SELECT coalesce(max(picked), 0) + 1 FROM sessions))"
        " ON CONFLICT(id) DO NOTHING";
    int r = sql_run(db, sql,
                    SQL_VALUES(sql_text(s->id), sql_text(s->channel), sql_text(s->chat),
                               sql_text(s->title), sql_text(s->model), sql_text(s->prompt),
                               sql_int(s->created_ms), sql_text(s->thread), sql_text(s->sender)),
                    err);
    if (r < 0)
        return r;
    bool created = sqlite3_changes(db) > 0;
    r = store_session_number(db, s->id, ret_number, err);
    return r < 0 ? r : created ? 0 : STORE_DUPLICATE;
}

int store_session_touch(sqlite3 *db, int64_t session, int64_t now_ms, struct error *err)
{
    static const char sql[] = "UPDATE sessions SET updated_ms = ?2,"
                              " used = (SELECT max(id) FROM messages) WHERE number = ?1";
    return sql_run(db, sql, SQL_VALUES(sql_int(session), sql_int(now_ms)), err);
}

static int create(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct session_job *own = CONTAINER_OF(job, struct session_job, job);
    return store_session_insert(db, own->session, &job->rowid, err);
}

int64_t store_session_create(struct store *store, const struct store_session *session,
                             enum store_durability durability, store_done_fn *done, void *context,
                             struct error *err)
{
    struct session_job own = {{create, durability, done, context}, session};
    const struct store_given given = {&own.session, 1, &store_session_shape};
    int r = store_id_check(session->id, "session", err);
    return r < 0 ? r : store_job_submit(store, &own.job, sizeof own, &given, 1, NULL, 0, err);
}

// A turn that somebody is asked about is in the store alone, and goes with its questions.
static int refuse_running(sqlite3 *db, int64_t session, struct span id, struct error *err)
{
    static const char sql[] =
        "SELECT id FROM turns WHERE session = ? AND ended_ms IS NULL AND NOT (state = 'waiting'"
        " AND EXISTS(SELECT 1 FROM approvals a WHERE a.turn = turns.number AND a.state = 'asked'))"
        " LIMIT 1";
    SQL_AUTO *stmt = NULL;
    int r = sql_first(db, sql, SQL_VALUES(sql_int(session)), &stmt, err);
    if (r != SQL_ROW)
        return r;
    struct span turn = sql_column(stmt, 0);
    return error_set(err, -EBUSY,
                     "session %.*s is being answered (turn %.*s has not ended); wait for that or "
                     "say /stop in its chat, then delete it",
                     (int)id.len, id.data, (int)turn.len, turn.data);
}

/*
 * Turns, their calls and messages go by their foreign keys. Of the outbox goes what repeats their
 * text and is not to be sent any more, and so does a question, which has no turn any more; what
 * the user still waits for is sent, and goes then.
 * Replies to commands (turn is NULL) may repeat it, and do not say of which of the chat's
 * conversations they are; so all of this chat go.
 */
#define ITS_REPLIES                                          \
    "(turn IN (SELECT number FROM turns WHERE session = ?1)" \
    " OR (turn IS NULL AND (channel, chat, thread) IN"       \
    " (SELECT channel, chat, thread FROM sessions WHERE number = ?1)))"

static int delete_session(sqlite3 *db, int64_t session, struct error *err)
{
    static const char sent[] = "DELETE FROM outbox WHERE (state IN ('sent', 'failed')"
                               " OR (kind = 'question' AND in_flight = 0)) AND " ITS_REPLIES;
    static const char waiting[] = "UPDATE outbox SET turn = 0 WHERE " ITS_REPLIES;
    static const char payloads[] = "UPDATE inbox SET payload = ''"
                                   " WHERE turn IN (SELECT number FROM turns WHERE session = ?)";
    static const char itself[] = "DELETE FROM sessions WHERE number = ?";
    static const char *const all[] = {sent, waiting, payloads, itself};
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(all) && r == 0; i++)
        r = sql_run(db, all[i], SQL_VALUES(sql_int(session)), err);
    return r == 0 ? store_scrub_wish(db, err) : r;
}

static int delete_all(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct span id = CONTAINER_OF(job, struct session_job, job)->id;
    int64_t session = 0;
    int r = store_session_number(db, id, &session, err);
    if (r == -ENOENT)
        return STORE_NOT_FOUND;
    if (r == 0)
        r = refuse_running(db, session, id, err);
    if (r == 0)
        r = delete_session(db, session, err);
    job->scrub = true;
    job->rowid = session;
    return r;
}

struct prune_job {
    struct store_job job;
    int64_t before_ms;
    struct span channel;
};

// Of those that have ended: another one of its conversation goes on, or nobody goes on with it, as
// with a run of a job, what was said to one `hermes chat`, or a task that a turn handed on, which
// its parent may still read.
#define OF_ENDED                                                                                 \
    " FROM sessions s WHERE updated_ms < ?1 AND (?2 IS NULL OR channel = ?2)"                    \
    " AND (channel IN ('console', 'cron', 'delegate')"                                           \
    " OR EXISTS(SELECT 1 FROM sessions later WHERE later.channel = s.channel"                    \
    " AND later.chat = s.chat AND later.thread = s.thread AND later.sender = s.sender"           \
    " AND later.picked > s.picked))"                                                             \
    " AND NOT EXISTS(SELECT 1 FROM turns t WHERE t.ended_ms IS NULL AND t.session IN (s.number," \
    " (SELECT number FROM sessions p WHERE p.id = s.chat)))"

int store_count_ended(struct store_view *view, int64_t before_ms, struct span channel,
                      int64_t *ret_count, struct error *err)
{
    return store_read_number(view, "SELECT COUNT(*)" OF_ENDED,
                             SQL_VALUES(sql_int(before_ms), sql_text(channel)), ret_count, err);
}

// The file is written anew behind the last of them, once: also where that one found nothing more.
static int prune(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct prune_job *own = CONTAINER_OF(job, struct prune_job, job);
    int64_t session = 0;
    int r = SQL_ROW;
    for (job->rowid = 0; job->rowid < STORE_PRUNED_MAX && r == SQL_ROW; job->rowid++) {
        r = sql_lookup(db, "SELECT number" OF_ENDED " LIMIT 1",
                       SQL_VALUES(sql_int(own->before_ms), sql_text(own->channel)), &session, err);
        if (r != SQL_ROW)
            break;
        r = delete_session(db, session, err);
        r = r == 0 ? SQL_ROW : r;
    }
    if (r == SQL_ROW)
        return STORE_LEFT_OVER;
    if (r == 0)
        r = store_scrub_wished(db, &job->scrub, err);
    return r;
}

int64_t store_sessions_prune(struct store *store, int64_t before_ms, struct span channel,
                             store_done_fn *done, void *context, struct error *err)
{
    struct prune_job own = {{prune, STORE_PROMPT, done, context}, before_ms, channel};
    return store_job_submit(store, &own.job, sizeof own, NULL, 0, STORE_SPANS(&own.channel), err);
}

int64_t store_session_delete(struct store *store, struct span id, store_done_fn *done,
                             void *context, struct error *err)
{
    struct session_job own = {{delete_all, STORE_DURABLE, done, context}, .id = id};
    int r = store_id_check(id, "session", err);
    return r < 0
               ? r
               : store_job_submit(store, &own.job, sizeof own, NULL, 0, STORE_SPANS(&own.id), err);
}

#define SESSION_COLUMNS                                                                   \
    "id, channel, chat, title, model, prompt, created_ms, updated_ms, thread, sender,"    \
    " (SELECT prompt_tokens FROM turns WHERE session = sessions.number AND prompt_tokens" \
    " IS NOT NULL ORDER BY turns.number DESC LIMIT 1)"

static struct store_session session_of(sqlite3_stmt *stmt)
{
    struct store_session s;
    sql_read(stmt, SQL_FIELDS(INTO(s.id), INTO(s.channel), INTO(s.chat), INTO(s.title),
                              INTO(s.model), INTO(s.prompt), INTO(s.created_ms), INTO(s.updated_ms),
                              INTO(s.thread), INTO(s.sender), INTO(s.prompt_tokens)));
    return s;
}

static int tell_first(int r, sqlite3_stmt *stmt, store_session_fn *row, void *context)
{
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    struct store_session session = session_of(stmt);
    row(context, &session);
    return 0;
}

int store_read_session(struct store_view *view, struct span id, store_session_fn *row,
                       void *context, struct error *err)
{
    static const char sql[] = "SELECT " SESSION_COLUMNS " FROM sessions WHERE id = ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, SQL_VALUES(sql_text(id)), &stmt, err);
    return tell_first(r, stmt, row, context);
}

int store_read_session_latest(struct store_view *view, const struct store_session_key *key,
                              store_session_fn *row, void *context, struct error *err)
{
    static const char sql[] = "SELECT " SESSION_COLUMNS " FROM sessions"
                              " WHERE channel = ? AND chat = ? AND thread = coalesce(?, '')"
                              " AND sender = coalesce(?, '') ORDER BY picked DESC LIMIT 1";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql,
                             SQL_VALUES(sql_text(key->channel), sql_text(key->chat),
                                        sql_text(key->thread), sql_text(key->sender)),
                             &stmt, err);
    return tell_first(r, stmt, row, context);
}

int store_read_tainted_sessions(struct store_view *view, int limit, store_session_fn *row,
                                void *context, struct error *err)
{
    static const char sql[] =
        "SELECT " SESSION_COLUMNS " FROM sessions WHERE NOT EXISTS (SELECT 1 FROM sessions later"
        " WHERE later.channel = sessions.channel AND later.chat = sessions.chat"
        " AND later.thread = sessions.thread AND later.sender = sessions.sender"
        " AND later.picked > sessions.picked)"
        " AND (EXISTS(SELECT 1 FROM messages m WHERE m.session = sessions.number"
        " AND m.dropped = 0 AND m.tainted) OR EXISTS(SELECT 1 FROM taints"
        " WHERE kind = 'memory' AND instr(prompt, name)))"
        " ORDER BY used DESC, number DESC LIMIT ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, SQL_VALUES(sql_int(limit)), &stmt, err);
    while (r == SQL_ROW) {
        struct store_session session = session_of(stmt);
        row(context, &session);
        r = sql_step(stmt, err);
    }
    return r;
}

int store_find_session(struct store_view *view, struct span beginning, store_session_fn *row,
                       void *context, struct error *err)
{
#define BEGINS_SO " FROM sessions WHERE id >= ?1 AND id < ?1 || char(1114111)"
    static const char sql[] =
        "SELECT " SESSION_COLUMNS ", (SELECT count(*) FROM (SELECT 1" BEGINS_SO
        " LIMIT 2))" BEGINS_SO " ORDER BY id LIMIT 1";
    SQL_AUTO *stmt = NULL;
    int r = store_id_check(beginning, "session", err);
    if (r == 0)
        r = store_read_first(view, sql, SQL_VALUES(sql_text(beginning)), &stmt, err);
    // A whole id is never ambiguous.
    if (r == SQL_ROW && sqlite3_column_int(stmt, 11) > 1 &&
        !span_equal(sql_column(stmt, 0), beginning))
        return error_set(err, -EINVAL,
                         "more than one session begins with %.*s; give more of its id",
                         (int)beginning.len, beginning.data);
    return tell_first(r, stmt, row, context);
}

#define ROWS                                                                                   \
    "SELECT id, channel, chat, title, model, NULL, created_ms, updated_ms, thread, sender, 0," \
    " (SELECT count(*) FROM messages m WHERE m.session = s.number AND m.dropped = 0"           \
    "  AND m.role <> 'summary'),"                                                              \
    " (SELECT count(*) FROM turns t WHERE t.session = s.number AND t.dropped = 0) FROM sessions s "

static int tell_rows(struct store_view *view, const char *sql, const struct sql_value *values,
                     size_t count, store_session_row_fn *row, void *context, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, values, count, &stmt, err);
    while (r == SQL_ROW) {
        struct store_session_row found = {
            .session = session_of(stmt),
            .messages = sqlite3_column_int64(stmt, 11),
            .turns = sqlite3_column_int64(stmt, 12),
        };
        r = row(context, &found) ? sql_step(stmt, err) : 0;
    }
    return r;
}

static int limited(int limit)
{
    limit = limit < STORE_READ_ROWS_MAX ? limit : STORE_READ_ROWS_MAX;
    return limit < 0 ? 0 : limit;
}

int store_read_sessions(struct store_view *view, int limit, store_session_row_fn *row,
                        void *context, struct error *err)
{
    static const char sql[] = ROWS "ORDER BY used DESC, number DESC LIMIT ?";
    return tell_rows(view, sql, SQL_VALUES(sql_int(limited(limit))), row, context, err);
}

int store_read_sessions_of(struct store_view *view, const struct store_session_key *key, int limit,
                           store_session_row_fn *row, void *context, struct error *err)
{
    static const char sql[] = ROWS "WHERE channel = ? AND chat = ? AND thread = coalesce(?, '')"
                                   " AND sender = coalesce(?, '') ORDER BY picked DESC LIMIT ?";
    return tell_rows(view, sql,
                     SQL_VALUES(sql_text(key->channel), sql_text(key->chat), sql_text(key->thread),
                                sql_text(key->sender), sql_int(limited(limit))),
                     row, context, err);
}
