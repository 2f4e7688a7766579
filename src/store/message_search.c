#include "store/message_search.h"

#include "base/buf.h"
#include "store/fts_query.h"
#include "store/store_internal.h"

/*
 * An index that is brought up to date by each message costs 33 KB of the log for one of 300 bytes,
 * where the message alone costs 5 KB: a transaction of its own rewrites the same few pages of the
 * index again and again, and a Pi's disk is a memory card. Taken in together, five hundred messages
 * cost what a few cost alone, and whoever never searches pays nothing.
 *
 * `messages_indexed` in meta is the number up to which this was done. Triggers take out of the
 * index what is deleted or taken back, and only what is in it: the view messages_said says which
 * messages those are.
 */
#define INDEXED "coalesce((SELECT value FROM meta WHERE key = 'messages_indexed'), 0)"

static int find_end(sqlite3 *db, int64_t *ret_last, bool *ret_more, struct error *err)
{
    static const char sql[] =
        "SELECT id, length(content) FROM messages WHERE id > " INDEXED " ORDER BY id LIMIT ?";
    SQL_AUTO *stmt = NULL;
    int64_t bytes = 0;
    int rows = 0, r = sql_prepare(db, sql, SQL_VALUES(sql_int(STORE_INDEX_ROWS_MAX)), &stmt, err);
    if (r < 0)
        return r;
    while (bytes < STORE_INDEX_BYTES_MAX && (r = sql_step(stmt, err)) == SQL_ROW) {
        *ret_last = sqlite3_column_int64(stmt, 0);
        bytes += sqlite3_column_int64(stmt, 1);
        rows++;
    }
    *ret_more = rows == STORE_INDEX_ROWS_MAX || bytes >= STORE_INDEX_BYTES_MAX;
    return r < 0 ? r : 0;
}

static int take_in(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char fill[] =
        "INSERT INTO messages_fts(rowid, content) SELECT id, content FROM messages_said"
        " WHERE id > " INDEXED " AND id <= ?";
    static const char mark[] = "INSERT INTO meta(key, value) VALUES('messages_indexed', ?)"
                               " ON CONFLICT(key) DO UPDATE SET value = excluded.value";
    int64_t last = 0;
    bool more = false;
    int r = find_end(db, &last, &more, err);
    if (r < 0 || last == 0)
        return r;
    r = sql_run(db, fill, SQL_VALUES(sql_int(last)), err);
    if (r == 0)
        r = sql_run(db, mark, SQL_VALUES(sql_int(last)), err);
    return r < 0 ? r : more ? STORE_LEFT_OVER : 0;
}

int64_t store_messages_index(struct store *store, store_done_fn *done, void *context,
                             struct error *err)
{
    struct store_job own = {take_in, STORE_PROMPT, done, context};
    return store_job_submit(store, &own, sizeof own, NULL, 0, NULL, 0, err);
}

// ?1: everywhere; ?2: the viewer's session. That of a job has as its sender where the job was made,
// as "channel:chat", or nobody.
#define SEEN                                                                                     \
    "(?1 OR EXISTS(SELECT 1 FROM sessions WHERE id = ?2 AND channel = 'cron' AND sender = '')"   \
    " OR (s.channel, s.chat, s.sender) IN"                                                       \
    " (SELECT channel, chat, sender FROM sessions WHERE id = ?2 UNION ALL"                       \
    " SELECT substr(sender, 1, instr(sender, ':') - 1), substr(sender, instr(sender, ':') + 1)," \
    " '' FROM sessions WHERE id = ?2 AND channel = 'cron'))"

// A title is what a conversation began with, whoever said that.
#define BEGAN_TAINTED                                \
    "(SELECT t.tainted FROM messages t WHERE t.id =" \
    " (SELECT min(id) FROM messages WHERE session = s.number))"

#define MATCHING                                                     \
    "SELECT m.id, m.session FROM messages_fts"                       \
    " JOIN messages m ON m.id = messages_fts.rowid"                  \
    " JOIN sessions s ON s.number = m.session"                       \
    " WHERE messages_fts MATCH ?3 AND " SEEN                         \
    " AND (?4 IS NULL OR s.id = ?4) AND (?5 IS NULL OR m.role = ?5)" \
    " AND (m.turn IS NULL OR m.turn IS NOT (SELECT number FROM turns WHERE id = ?6))"

struct hits { // the first of each session
    int64_t messages[STORE_SEARCH_MAX], sessions[STORE_SEARCH_MAX];
    int count, limit;
    bool more;
};

static bool has_session(const struct hits *hits, int64_t session)
{
    for (int i = 0; i < hits->count; i++)
        if (hits->sessions[i] == session)
            return true;
    return false;
}

static int find_hits(struct store_view *view, const char *sql, const struct sql_value *values,
                     size_t count, struct hits *hits, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, values, count, &stmt, err);
    while (r == SQL_ROW) {
        int64_t message, session;
        sql_read(stmt, SQL_FIELDS(INTO(message), INTO(session)));
        bool is_new = !has_session(hits, session);
        hits->more = is_new && hits->count == hits->limit;
        if (hits->more)
            return 0;
        if (is_new) {
            hits->messages[hits->count] = message;
            hits->sessions[hits->count++] = session;
        }
        r = sql_step(stmt, err);
    }
    return r;
}

struct telling {
    store_found_fn *found;
    void *context;
    int count;
};

// id, title and channel of a session, a number, role, text, tainted, time.
static int tell_rows(struct store_view *view, const char *sql, const struct sql_value *values,
                     size_t count, struct telling *telling, struct error *err)
{
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(view, sql, values, count, &stmt, err);
    while (r == SQL_ROW) {
        struct store_found found;
        sql_read(stmt, SQL_FIELDS(INTO(found.session), INTO(found.title), INTO(found.channel),
                                  INTO(found.message), INTO(found.role), INTO(found.text),
                                  INTO(found.tainted), INTO(found.at_ms)));
        telling->count++;
        telling->found(telling->context, &found);
        r = sql_step(stmt, err);
    }
    return r;
}

// Snippets are made of the few that are told, not of all that match.
static int tell_hits(struct store_view *view, const struct hits *hits, struct span query,
                     struct telling *telling, struct error *err)
{
    static const char sql[] =
        "SELECT s.id, s.title, s.channel, m.id, m.role,"
        " snippet(messages_fts, 0, '>>>', '<<<', '...', 40), m.tainted OR " BEGAN_TAINTED
        ", m.created_ms"
        " FROM messages_fts JOIN messages m ON m.id = messages_fts.rowid"
        " JOIN sessions s ON s.number = m.session"
        " WHERE messages_fts MATCH ? AND messages_fts.rowid = ?";
    int r = 0;
    for (int i = 0; i < hits->count && r == 0; i++)
        r = tell_rows(view, sql, SQL_VALUES(sql_text(query), sql_int(hits->messages[i])), telling,
                      err);
    return r;
}

int store_search_messages(struct store_view *view, const struct store_message_search *search,
                          store_found_fn *found, void *context, struct error *err)
{
    static const char *const sql[] = {
        [STORE_BEST_FIRST] = MATCHING " ORDER BY messages_fts.rank, m.id DESC",
        [STORE_NEWEST_FIRST] = MATCHING " ORDER BY messages_fts.rowid DESC",
        [STORE_OLDEST_FIRST] = MATCHING " ORDER BY messages_fts.rowid",
    };
    BUF_AUTO query = BUF_INIT(FTS_QUERY_BYTES_MAX);
    struct hits hits = {.limit =
                            search->limit < STORE_SEARCH_MAX ? search->limit : STORE_SEARCH_MAX};
    struct telling telling = {found, context, 0};
    if (fts_query_build(search->words, &query) == 0)
        return 0;
    int r =
        find_hits(view, sql[search->order],
                  SQL_VALUES(sql_int(search->viewer.everywhere), sql_text(search->viewer.session),
                             sql_text(buf_span(&query)), sql_text(search->session),
                             sql_text(search->role), sql_text(search->but_turn)),
                  &hits, err);
    if (r == 0)
        r = tell_hits(view, &hits, buf_span(&query), &telling, err);
    return r < 0 ? r : hits.more ? STORE_LEFT_OVER : 0;
}

int store_read_messages_around(struct store_view *view, const struct store_viewer *viewer,
                               struct span session, int64_t message, int window,
                               store_found_fn *found, void *context, struct error *err)
{
    // The bounds are found in the index alone.
    static const char sql[] =
        "SELECT s.id, s.title, s.channel, m.id, m.role, m.content, m.tainted OR " BEGAN_TAINTED
        ", m.created_ms"
        " FROM sessions s JOIN messages m ON m.session = s.number AND m.dropped = 0"
        " WHERE " SEEN " AND s.id = ?3 AND m.id BETWEEN"
        " coalesce((SELECT min(id) FROM (SELECT id FROM messages WHERE session = s.number"
        "   AND dropped = 0 AND id <= ?4 ORDER BY id DESC LIMIT ?5 + 1)), ?4)"
        " AND coalesce((SELECT max(id) FROM (SELECT id FROM messages WHERE session = s.number"
        "   AND dropped = 0 AND id >= ?4 ORDER BY id LIMIT ?5 + 1)), ?4)"
        " ORDER BY m.id";
    struct telling telling = {found, context, 0};
    int r = tell_rows(view, sql,
                      SQL_VALUES(sql_int(viewer->everywhere), sql_text(viewer->session),
                                 sql_text(session), sql_int(message ? message : INT64_MAX),
                                 sql_int(message ? window : 2 * (int64_t)window)),
                      &telling, err);
    return r < 0 ? r : telling.count ? 0 : STORE_NOT_FOUND;
}

int store_read_sessions_seen(struct store_view *view, const struct store_viewer *viewer, int limit,
                             store_found_fn *found, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT s.id, s.title, s.channel,"
        " (SELECT count(*) FROM messages m WHERE m.session = s.number AND m.dropped = 0),"
        " NULL, NULL, coalesce(" BEGAN_TAINTED ", 0), s.updated_ms FROM sessions s WHERE " SEEN
        " ORDER BY s.used DESC, s.number DESC LIMIT ?3";
    struct telling telling = {found, context, 0};
    limit = limit < STORE_READ_ROWS_MAX ? limit : STORE_READ_ROWS_MAX;
    return tell_rows(
        view, sql,
        SQL_VALUES(sql_int(viewer->everywhere), sql_text(viewer->session), sql_int(limit)),
        &telling, err);
}
