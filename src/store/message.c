#include "store/message.h"

#include "store/store_internal.h"

#define AT(text) offsetof(struct store_message, text)
const struct store_shape store_message_shape = {sizeof(struct store_message),
                                                9,
                                                {AT(session), AT(turn), AT(role), AT(content),
                                                 AT(reasoning), AT(tool_calls), AT(tool_call_id),
                                                 AT(name), AT(parts)}};

// Counted from the end, since whoever writes it does not know the numbers of messages.
static int cover(sqlite3 *db, int64_t session, const struct store_message *summary,
                 struct error *err)
{
#define BEFORE_LAST                                                                     \
    " coalesce((SELECT id FROM messages WHERE session = ?1 AND dropped = 0 AND id < ?2" \
    " AND role <> 'summary' ORDER BY id DESC LIMIT 1 OFFSET "
    static const char sql[] = "UPDATE messages SET covers =" BEFORE_LAST "?3), 0),"
                              " emptied =" BEFORE_LAST "?4), 0) WHERE id = ?2";
    // What a model counted before says nothing of what is left.
    static const char uncounted[] =
        "UPDATE turns SET prompt_tokens = 0"
        " WHERE number = (SELECT max(number) FROM turns WHERE session = ?)";
    int r = sql_run(db, sql,
                    SQL_VALUES(sql_int(session), sql_int(sqlite3_last_insert_rowid(db)),
                               sql_int(summary->keeps), sql_int(summary->keeps_results)),
                    err);
    return r == 0 ? sql_run(db, uncounted, SQL_VALUES(sql_int(session)), err) : r;
}

// What a turn writes after it was taken out of the conversation is no part of it either.
int store_messages_insert(sqlite3 *db, int64_t session, int64_t turn,
                          const struct store_message *messages, size_t count, int64_t now_ms,
                          struct error *err)
{
    static const char sql[] = "INSERT INTO messages"
                              "(session, turn, role, content, reasoning, tool_calls, tool_call_id,"
                              " name, tainted, created_ms, parts, dropped)"
                              " VALUES(?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"
                              " coalesce((SELECT dropped FROM turns WHERE number = ?2), 0))";
    int r = 0;
    for (const struct store_message *m = messages; m < messages + count && r == 0; m++) {
        r = sql_run(db, sql,
                    SQL_VALUES(sql_int(session), sql_int(turn), sql_text(m->role),
                               sql_text(m->content), sql_text(m->reasoning),
                               sql_bytes(m->tool_calls), sql_text(m->tool_call_id),
                               sql_text(m->name), sql_int(m->tainted), sql_int(m->created_ms),
                               sql_text(m->parts)),
                    err);
        if (r == 0 && span_is(m->role, "summary"))
            r = cover(db, session, m, err);
    }
    if (r == 0 && count > 0)
        r = store_session_touch(db, session, now_ms, err);
    return r;
}

#define COLUMNS                                                                        \
    "SELECT m.id, t.id, m.role, m.content, m.reasoning, m.tool_calls, m.tool_call_id," \
    " m.name, m.tainted, m.created_ms, m.parts, t.model, "
#define OF_SESSION \
    " FROM messages m LEFT JOIN turns t ON t.number = m.turn WHERE m.session = ?1 AND m.dropped = 0"

static int tell(struct store_view *view, const char *sql, const struct sql_value *values,
                size_t count, struct span session, store_message_fn *row, void *context,
                struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, values, count, &stmt, err);
    while (r == SQL_ROW) {
        struct store_message m = {.session = session};
        sql_read(stmt, SQL_FIELDS(INTO(m.id), INTO(m.turn), INTO(m.role), INTO(m.content),
                                  INTO(m.reasoning), INTO(m.tool_calls), INTO(m.tool_call_id),
                                  INTO(m.name), INTO(m.tainted), INTO(m.created_ms), INTO(m.parts),
                                  INTO(m.model), INTO(m.emptied)));
        r = row(context, &m) ? sql_step(stmt, err) : 0;
    }
    return r;
}

static int find(struct store_view *view, struct span session, int64_t *ret_number,
                struct error *err)
{
    return store_read_number(view, "SELECT number FROM sessions WHERE id = ?",
                             SQL_VALUES(sql_text(session)), ret_number, err);
}

static int limited(int limit)
{
    limit = limit < STORE_READ_ROWS_MAX ? limit : STORE_READ_ROWS_MAX;
    return limit < 0 ? 0 : limit;
}

int store_read_messages(struct store_view *view, struct span session, int limit,
                        store_message_fn *row, void *context, struct error *err)
{
    // The limit is found in the index alone; sorting the rows themselves would hold them in memory.
    static const char sql[] =
        COLUMNS "0" OF_SESSION " AND m.id >= (SELECT min(id) FROM (SELECT id FROM messages"
                "   WHERE session = ?1 AND dropped = 0"
                "   ORDER BY id DESC LIMIT ?2))"
                " ORDER BY m.id";
    int64_t number = 0;
    int r = find(view, session, &number, err);
    if (r == 0)
        r = tell(view, sql, SQL_VALUES(sql_int(number), sql_int(limited(limit))), session, row,
                 context, err);
    return r < 0 ? r : 0;
}

// What the last summary of session ?1 says of itself.
#define SUMMARY                                                              \
    " FROM messages WHERE session = ?1 AND role = 'summary' AND dropped = 0" \
    " ORDER BY id DESC LIMIT 1"
#define COVERED "coalesce((SELECT covers" SUMMARY "), 0)"

int store_read_history(struct store_view *view, struct span session, int limit,
                       store_message_fn *row, void *context, struct error *err)
{
    static const char summary[] = COLUMNS "0" OF_SESSION " AND m.id = (SELECT id" SUMMARY ")";
    static const char rest[] =
        COLUMNS "m.role = 'tool' AND m.id <= (SELECT emptied" SUMMARY ")" OF_SESSION
                " AND m.id >= (SELECT min(id) FROM (SELECT id FROM messages"
                "   WHERE session = ?1 AND dropped = 0 AND id > " COVERED
                "   AND role <> 'summary' ORDER BY id DESC LIMIT ?2))"
                " AND m.role <> 'summary' ORDER BY m.id";
    int64_t number = 0;
    int r = find(view, session, &number, err);
    if (r == 0)
        r = tell(view, summary, SQL_VALUES(sql_int(number)), session, row, context, err);
    if (r == 0)
        r = tell(view, rest, SQL_VALUES(sql_int(number), sql_int(limited(limit))), session, row,
                 context, err);
    return r < 0 ? r : 0;
}

int store_read_history_count(struct store_view *view, struct span session, int64_t *ret_count,
                             struct error *err)
{
    static const char sql[] = "SELECT count(*) FROM messages WHERE session = ?1 AND dropped = 0"
                              " AND role <> 'summary' AND id > " COVERED;
    int64_t number = 0;
    int r = find(view, session, &number, err);
    if (r == 0)
        r = store_read_number(view, sql, SQL_VALUES(sql_int(number)), ret_count, err);
    *ret_count = r == 0 ? *ret_count : 0;
    return r < 0 ? r : 0;
}
