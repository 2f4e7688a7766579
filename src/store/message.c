#include "store/message.h"

#include "store/store_internal.h"

#define AT(text) offsetof(struct store_message, text)
const struct store_shape store_message_shape = {sizeof(struct store_message),
                                                8,
                                                {AT(session), AT(turn), AT(role), AT(content),
                                                 AT(reasoning), AT(tool_calls), AT(tool_call_id),
                                                 AT(name)}};

// What a turn writes after it was taken out of the conversation is no part of it either.
int store_messages_insert(sqlite3 *db, int64_t session, int64_t turn,
                          const struct store_message *messages, size_t count, int64_t now_ms,
                          struct error *err)
{
    static const char sql[] = "INSERT INTO messages"
                              "(session, turn, role, content, reasoning, tool_calls, tool_call_id,"
                              " name, tainted, created_ms, dropped)"
                              " VALUES(?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                              " coalesce((SELECT dropped FROM turns WHERE number = ?2), 0))";
    int r = 0;
    for (const struct store_message *m = messages; m < messages + count && r == 0; m++)
        r = sql_run(db, sql,
                    SQL_VALUES(sql_int(session), sql_int(turn), sql_text(m->role),
                               sql_text(m->content), sql_text(m->reasoning),
                               sql_bytes(m->tool_calls), sql_text(m->tool_call_id),
                               sql_text(m->name), sql_int(m->tainted), sql_int(m->created_ms)),
                    err);
    if (r == 0 && count > 0)
        r = store_session_touch(db, session, now_ms, err);
    return r;
}

int store_read_messages(struct store_view *view, struct span session, int limit,
                        store_message_fn *row, void *context, struct error *err)
{
    // The limit is found in the index alone; sorting the rows themselves would hold them in memory.
    static const char sql[] =
        "SELECT m.id, t.id, m.role, m.content, m.reasoning, m.tool_calls, m.tool_call_id,"
        " m.name, m.tainted, m.created_ms, t.model"
        " FROM messages m LEFT JOIN turns t ON t.number = m.turn"
        " WHERE m.session = (SELECT number FROM sessions WHERE id = ?1) AND m.dropped = 0"
        " AND m.id >= (SELECT min(id) FROM (SELECT id FROM messages"
        "   WHERE session = (SELECT number FROM sessions WHERE id = ?1) AND dropped = 0"
        "   ORDER BY id DESC LIMIT ?2))"
        " ORDER BY m.id";
    SQL_AUTO *stmt = NULL;
    limit = limit < STORE_READ_ROWS_MAX ? limit : STORE_READ_ROWS_MAX;
    int r = store_read_first(
        view, sql, SQL_VALUES(sql_text(session), sql_int(limit < 0 ? 0 : limit)), &stmt, err);
    while (r == SQL_ROW) {
        struct store_message m = {.session = session};
        sql_read(stmt,
                 SQL_FIELDS(INTO(m.id), INTO(m.turn), INTO(m.role), INTO(m.content),
                            INTO(m.reasoning), INTO(m.tool_calls), INTO(m.tool_call_id),
                            INTO(m.name), INTO(m.tainted), INTO(m.created_ms), INTO(m.model)));
        r = row(context, &m) ? sql_step(stmt, err) : 0;
    }
    return r;
}

int store_read_message_count(struct store_view *view, struct span session, int64_t *ret_count,
                             struct error *err)
{
    static const char sql[] = "SELECT count(*) FROM messages WHERE dropped = 0"
                              " AND session = (SELECT number FROM sessions WHERE id = ?)";
    return store_read_number(view, sql, SQL_VALUES(sql_text(session)), ret_count, err);
}
