#include "store/message.h"

#include <errno.h>

#include "store/session.h"
#include "store/sql.h"
#include "store/store_internal.h"

struct message_job {
    struct store_job job;
    struct store_message message;
};

size_t store_message_bytes(const struct store_message *m)
{
    return m->session.len + m->turn.len + m->role.len + m->content.len + m->reasoning.len +
           m->tool_calls.len + m->tool_call_id.len + m->name.len;
}

void store_message_keep(struct store_job *job, struct store_message *m)
{
    m->session = store_job_keep_span(job, m->session);
    m->turn = store_job_keep_span(job, m->turn);
    m->role = store_job_keep_span(job, m->role);
    m->content = store_job_keep_span(job, m->content);
    m->reasoning = store_job_keep_span(job, m->reasoning);
    m->tool_calls = store_job_keep_span(job, m->tool_calls);
    m->tool_call_id = store_job_keep_span(job, m->tool_call_id);
    m->name = store_job_keep_span(job, m->name);
}

int store_message_insert(sqlite3 *db, int64_t session, int64_t turn, const struct store_message *m,
                         struct error *err)
{
    static const char sql[] = "INSERT INTO messages"
                              "(session, turn, role, content, reasoning, tool_calls, tool_call_id,"
                              " name, tainted, created_ms)"
                              " VALUES(?, nullif(?, 0), ?, ?, ?, ?, ?, ?, ?, ?)";
    return sql_run(db, sql,
                   SQL_VALUES(sql_int(session), sql_int(turn), sql_text(m->role),
                              sql_text(m->content), sql_text(m->reasoning),
                              sql_bytes(m->tool_calls), sql_text(m->tool_call_id),
                              sql_text(m->name), sql_int(m->tainted), sql_int(m->created_ms)),
                   err);
}

static int append(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char touch[] = "UPDATE sessions SET updated_ms = ? WHERE number = ?";
    const struct store_message *m = &CONTAINER_OF(job, struct message_job, job)->message;
    int64_t session = 0, turn = 0;
    int r = store_session_number(db, m->session, &session, err);
    if (r == 0 && m->turn.data)
        r = store_turn_number(db, m->turn, &turn, err);
    if (r == 0)
        r = store_message_insert(db, session, turn, m, err);
    if (r == 0) {
        job->rowid = sqlite3_last_insert_rowid(db);
        r = sql_run(db, touch, SQL_VALUES(sql_int(m->created_ms), sql_int(session)), err);
    }
    return r;
}

int64_t store_message_append(struct store *store, const struct store_message *message,
                             enum store_durability durability, store_done_fn *done, void *context,
                             struct error *err)
{
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    int r = store_id_check(message->session, "session", err);
    if (r == 0 && message->turn.data)
        r = store_id_check(message->turn, "turn", err);
    if (r < 0)
        return r;
    struct message_job *own = store_job_create(sizeof *own, store_message_bytes(message), err);
    if (!own)
        return err->code;
    own->message = *message;
    store_message_keep(&own->job, &own->message);
    own->job.run = append;
    own->job.durability = durability;
    own->job.done = done;
    own->job.context = context;
    return store_submit(store, &own->job, err);
}

static struct store_message message_of_row(sqlite3_stmt *stmt, struct span session)
{
    return (struct store_message){
        .id = sqlite3_column_int64(stmt, 0),
        .session = session,
        .turn = sql_column(stmt, 1),
        .role = sql_column(stmt, 2),
        .content = sql_column(stmt, 3),
        .reasoning = sql_column(stmt, 4),
        .tool_calls = sql_column(stmt, 5),
        .tool_call_id = sql_column(stmt, 6),
        .name = sql_column(stmt, 7),
        .tainted = sqlite3_column_int(stmt, 8) != 0,
        .created_ms = sqlite3_column_int64(stmt, 9),
    };
}

int store_read_messages(struct store *store, struct span session, int limit, store_message_fn *row,
                        void *context, struct error *err)
{
    // The limit is found in the index alone; sorting the rows themselves would hold them in memory.
    static const char sql[] =
        "SELECT m.id, t.id, m.role, m.content, m.reasoning, m.tool_calls, m.tool_call_id,"
        " m.name, m.tainted, m.created_ms"
        " FROM messages m LEFT JOIN turns t ON t.number = m.turn"
        " WHERE m.session = (SELECT number FROM sessions WHERE id = ?1) AND m.id >="
        " (SELECT min(id) FROM (SELECT id FROM messages"
        "   WHERE session = (SELECT number FROM sessions WHERE id = ?1)"
        "   ORDER BY id DESC LIMIT ?2))"
        " ORDER BY m.id";
    SQL_AUTO *stmt = NULL;
    sqlite3 *db = NULL;
    limit = limit < STORE_READ_ROWS_MAX ? limit : STORE_READ_ROWS_MAX;
    int r = store_reader(store, &db, err);
    if (r == 0)
        r = sql_prepare(db, sql, SQL_VALUES(sql_text(session), sql_int(limit < 0 ? 0 : limit)),
                        &stmt, err);
    if (r == 0)
        r = sql_step(stmt, err);
    while (r == SQL_ROW) {
        struct store_message message = message_of_row(stmt, session);
        r = row(context, &message) ? sql_step(stmt, err) : 0;
    }
    return r;
}
