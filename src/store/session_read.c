#include "store/session.h"
#include "store/store_internal.h"

#define SESSION_COLUMNS                                                                   \
    "id, channel, chat, title, model, prompt, created_ms, updated_ms, thread, sender,"    \
    " (SELECT prompt_tokens FROM turns WHERE session = sessions.number AND prompt_tokens" \
    " IS NOT NULL ORDER BY turns.number DESC LIMIT 1)"

static struct store_session session_of(sqlite3_stmt *stmt)
{
    return (struct store_session){
        .id = sql_column(stmt, 0),
        .channel = sql_column(stmt, 1),
        .chat = sql_column(stmt, 2),
        .title = sql_column(stmt, 3),
        .model = sql_column(stmt, 4),
        .prompt = sql_column(stmt, 5),
        .created_ms = sqlite3_column_int64(stmt, 6),
        .updated_ms = sqlite3_column_int64(stmt, 7),
        .thread = sql_column(stmt, 8),
        .sender = sql_column(stmt, 9),
        .prompt_tokens = sqlite3_column_int64(stmt, 10),
    };
}

struct reading {
    store_session_fn *row;
    void *context;
};

static int tell(void *context, sqlite3_stmt *stmt, struct error *err)
{
    const struct reading *reading = context;
    struct store_session session = session_of(stmt);
    reading->row(reading->context, &session);
    return 0;
}

int store_read_session(struct store_view *view, struct span id, store_session_fn *row,
                       void *context, struct error *err)
{
    static const char sql[] = "SELECT " SESSION_COLUMNS " FROM sessions WHERE id = ?";
    struct reading reading = {row, context};
    return store_read_row(view, sql, SQL_VALUES(sql_text(id)), tell, &reading, err);
}

int store_read_session_latest(struct store_view *view, const struct store_session_key *key,
                              store_session_fn *row, void *context, struct error *err)
{
    static const char sql[] = "SELECT " SESSION_COLUMNS " FROM sessions"
                              " WHERE channel = ? AND chat = ? AND thread = coalesce(?, '')"
                              " AND sender = coalesce(?, '') ORDER BY number DESC LIMIT 1";
    struct reading reading = {row, context};
    return store_read_row(view, sql,
                          SQL_VALUES(sql_text(key->channel), sql_text(key->chat),
                                     sql_text(key->thread), sql_text(key->sender)),
                          tell, &reading, err);
}

int store_find_session(struct store_view *view, struct span beginning, store_session_fn *row,
                       void *context, struct error *err)
{
    static const char sql[] =
        "SELECT id FROM sessions WHERE id >= ? AND id < ? ORDER BY id LIMIT 2";
    struct store_id id;
    int r = store_find_id(view, sql, beginning, "session", &id, err);
    return r == 0 ? store_read_session(view, span_make(id.text, id.len), row, context, err) : r;
}

struct list_reading {
    store_session_row_fn *row;
    void *context;
};

static int tell_listed(void *context, sqlite3_stmt *stmt, struct error *err)
{
    const struct list_reading *reading = context;
    struct store_session_row row = {
        .session = session_of(stmt),
        .messages = sqlite3_column_int64(stmt, 11),
        .turns = sqlite3_column_int64(stmt, 12),
    };
    return reading->row(reading->context, &row) ? SQL_ROW : 0;
}

int store_read_sessions(struct store_view *view, int limit, store_session_row_fn *row,
                        void *context, struct error *err)
{
    static const char sql[] =
        "SELECT id, channel, chat, title, model, NULL, created_ms, updated_ms, thread, sender, 0,"
        " (SELECT count(*) FROM messages m WHERE m.session = s.number AND m.dropped = 0),"
        " (SELECT count(*) FROM turns t WHERE t.session = s.number AND t.dropped = 0)"
        " FROM sessions s ORDER BY used DESC, number DESC LIMIT ?";
    struct list_reading reading = {row, context};
    limit = limit < STORE_READ_ROWS_MAX ? limit : STORE_READ_ROWS_MAX;
    return store_read_rows(view, sql, SQL_VALUES(sql_int(limit < 0 ? 0 : limit)), tell_listed,
                           &reading, err);
}
