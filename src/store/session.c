#include "store/session.h"

#include <errno.h>

#include "store/scrub.h"
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
        "(id, channel, chat, title, model, prompt, created_ms, updated_ms, used, thread, sender)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, coalesce((SELECT max(id) FROM messages), 0),"
        " coalesce(?8, ''), coalesce(?9, ''))"
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

static int refuse_running(sqlite3 *db, int64_t session, struct span id, struct error *err)
{
    static const char sql[] = "SELECT id FROM turns WHERE session = ? AND ended_ms IS NULL LIMIT 1";
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
 * text and is not to be sent any more; what the user still waits for is sent, and goes then.
 * Replies to commands (turn is NULL) may repeat it, and do not say of which of the chat's
 * conversations they are; so all of this chat go.
 */
#define ITS_REPLIES                                          \
    "(turn IN (SELECT number FROM turns WHERE session = ?1)" \
    " OR (turn IS NULL AND (channel, chat, thread) IN"       \
    " (SELECT channel, chat, thread FROM sessions WHERE number = ?1)))"

static int delete_all(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sent[] =
        "DELETE FROM outbox WHERE state IN ('sent', 'failed') AND " ITS_REPLIES;
    static const char waiting[] = "UPDATE outbox SET turn = 0 WHERE " ITS_REPLIES;
    static const char itself[] = "DELETE FROM sessions WHERE number = ?";
    const struct span id = CONTAINER_OF(job, struct session_job, job)->id;
    int64_t session = 0;
    int r = store_session_number(db, id, &session, err);
    if (r == -ENOENT)
        return STORE_NOT_FOUND;
    if (r == 0)
        r = refuse_running(db, session, id, err);
    if (r == 0)
        r = sql_run(db, sent, SQL_VALUES(sql_int(session)), err);
    if (r == 0)
        r = sql_run(db, waiting, SQL_VALUES(sql_int(session)), err);
    if (r == 0)
        r = sql_run(db, itself, SQL_VALUES(sql_int(session)), err);
    if (r == 0)
        r = store_scrub_wish(db, err);
    job->scrub = true;
    job->rowid = session;
    return r;
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
