#include <errno.h>

#include "store/session.h"
#include "store/store_internal.h"

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
                              " AND sender = coalesce(?, '') ORDER BY number DESC LIMIT 1";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql,
                             SQL_VALUES(sql_text(key->channel), sql_text(key->chat),
                                        sql_text(key->thread), sql_text(key->sender)),
                             &stmt, err);
    return tell_first(r, stmt, row, context);
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

int store_read_sessions(struct store_view *view, int limit, store_session_row_fn *row,
                        void *context, struct error *err)
{
    static const char sql[] =
        "SELECT id, channel, chat, title, model, NULL, created_ms, updated_ms, thread, sender, 0,"
        " (SELECT count(*) FROM messages m WHERE m.session = s.number AND m.dropped = 0),"
        " (SELECT count(*) FROM turns t WHERE t.session = s.number AND t.dropped = 0)"
        " FROM sessions s ORDER BY used DESC, number DESC LIMIT ?";
    SQL_AUTO *stmt = NULL;
    limit = limit < STORE_READ_ROWS_MAX ? limit : STORE_READ_ROWS_MAX;
    int r = store_read_first(view, sql, SQL_VALUES(sql_int(limit < 0 ? 0 : limit)), &stmt, err);
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
