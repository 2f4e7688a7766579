#include "store/session.h"

#include <errno.h>

#include "store/sql.h"
#include "store/store_internal.h"

struct session_job {
    struct store_job job;
    struct store_session session;
};

int store_session_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err)
{
    static const char sql[] = "SELECT number FROM sessions WHERE id = ?";
    int r = sql_lookup(db, sql, SQL_VALUES(sql_text(id)), ret_number, err);
    if (r == 0)
        return error_set(err, -ENOENT, "there is no session %.*s", (int)id.len, id.data);
    return r < 0 ? r : 0;
}

static int create(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] = "INSERT INTO sessions"
                              "(id, channel, chat, title, model, prompt, created_ms, updated_ms)"
                              " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT(id) DO NOTHING";
    const struct store_session *s = &CONTAINER_OF(job, struct session_job, job)->session;
    int r = sql_run(db, sql,
                    SQL_VALUES(sql_text(s->id), sql_text(s->channel), sql_text(s->chat),
                               sql_text(s->title), sql_text(s->model), sql_text(s->prompt),
                               sql_int(s->created_ms)),
                    err);
    if (r < 0)
        return r;
    bool created = sqlite3_changes(db) > 0;
    r = store_session_number(db, s->id, &job->rowid, err);
    return r < 0 ? r : created ? 0 : STORE_DUPLICATE;
}

static size_t session_bytes(const struct store_session *s)
{
    return s->id.len + s->channel.len + s->chat.len + s->title.len + s->model.len + s->prompt.len;
}

int64_t store_session_create(struct store *store, const struct store_session *session,
                             enum store_durability durability, store_done_fn *done, void *context,
                             struct error *err)
{
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    int r = store_id_check(session->id, "session", err);
    if (r < 0)
        return r;
    struct session_job *own = store_job_create(sizeof *own, session_bytes(session), err);
    if (!own)
        return err->code;
    struct store_session *s = &own->session;
    *s = *session;
    s->id = store_job_keep_span(&own->job, s->id);
    s->channel = store_job_keep_span(&own->job, s->channel);
    s->chat = store_job_keep_span(&own->job, s->chat);
    s->title = store_job_keep_span(&own->job, s->title);
    s->model = store_job_keep_span(&own->job, s->model);
    s->prompt = store_job_keep_span(&own->job, s->prompt);
    own->job.run = create;
    own->job.durability = durability;
    own->job.done = done;
    own->job.context = context;
    return store_submit(store, &own->job, err);
}

static int read_one(struct store *store, const char *sql, const struct sql_value *values,
                    size_t count, store_session_fn *row, void *context, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    sqlite3 *db = NULL;
    int r = store_reader(store, &db, err);
    if (r == 0)
        r = sql_prepare(db, sql, values, count, &stmt, err);
    if (r == 0)
        r = sql_step(stmt, err);
    if (r < 0)
        return r;
    if (r == 0)
        return STORE_NOT_FOUND;
    struct store_session session = {
        .id = sql_column(stmt, 0),
        .channel = sql_column(stmt, 1),
        .chat = sql_column(stmt, 2),
        .title = sql_column(stmt, 3),
        .model = sql_column(stmt, 4),
        .prompt = sql_column(stmt, 5),
        .created_ms = sqlite3_column_int64(stmt, 6),
        .updated_ms = sqlite3_column_int64(stmt, 7),
    };
    row(context, &session);
    return 0;
}

#define SESSION_COLUMNS "id, channel, chat, title, model, prompt, created_ms, updated_ms"

int store_read_session(struct store *store, struct span id, store_session_fn *row, void *context,
                       struct error *err)
{
    static const char sql[] = "SELECT " SESSION_COLUMNS " FROM sessions WHERE id = ?";
    return read_one(store, sql, SQL_VALUES(sql_text(id)), row, context, err);
}

int store_read_session_latest(struct store *store, struct span channel, struct span chat,
                              store_session_fn *row, void *context, struct error *err)
{
    static const char sql[] = "SELECT " SESSION_COLUMNS " FROM sessions"
                              " WHERE channel = ? AND chat = ? ORDER BY number DESC LIMIT 1";
    return read_one(store, sql, SQL_VALUES(sql_text(channel), sql_text(chat)), row, context, err);
}
