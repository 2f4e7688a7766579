#include "store/import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "codec/utf8.h"
#include "store/foreign.h"
#include "store/store_internal.h"

/*
 * All messages are read once, in their order, and each is a job of its own for the store's thread,
 * which makes its session when there is none. `import:<its session>` in meta is the number of the
 * last one that was taken over, in the other program's count; so a session that was deleted here
 * does not come back, unless something is said in it there.
 *
 * hermes-agent compresses in place: what a summary stands for is kept, out of the conversation.
 * That is a conversation of its own here, which is not continued but can be found.
 *
 * Nobody here vouches for what another program's model and tools wrote, so all but the user's own
 * messages are tainted.
 */
enum {
    TEXT_MAX = 4 << 20, // bytes of one text, or of the calls of one message
    ID_MAX = STORE_ID_MAX - 16,
    JOBS_MAX = 256, // that wait for the disk
    SQL_MAX = 8192, // bytes
};

struct known { // a session that was met
    uint64_t hash;
    int64_t after; // the last of its messages that was taken over before
    bool counted;
};

struct importing {
    const struct store_import *import;
    struct store *store;
    struct store_import_counts counts;
    struct known *known;
    size_t known_count, known_capacity;
    int waiting; // jobs
    struct error failed;
};

struct row {
    struct span id, source, chat, thread, sender, title;
    int64_t message, at_ms;
    struct span role, content, calls, call_id, tool;
    bool taken_back, earlier, observed, too_long;
};

struct import_job {
    struct store_job job;
    const struct store_session *session;
    const struct store_message *message;
    int64_t foreign; // the message's number in the other program
    struct span mark;
    bool earlier;
};

// A conversation that went on here meanwhile stays the one that goes on.
static int put_behind(sqlite3 *db, int64_t session, bool always, struct error *err)
{
    static const char sql[] =
        "UPDATE sessions SET number = (SELECT min(0, min(number)) - 1 FROM sessions),"
        " picked = (SELECT min(0, min(picked)) - 1 FROM sessions)"
        " WHERE number = ?1 AND (?2 OR EXISTS(SELECT 1 FROM sessions later"
        " WHERE later.channel = sessions.channel AND later.chat = sessions.chat"
        " AND later.thread = sessions.thread AND later.sender = sessions.sender"
        " AND later.created_ms > sessions.created_ms))";
    return sql_run(db, sql, SQL_VALUES(sql_int(session), sql_int(always)), err);
}

static int take(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char mark[] = "INSERT INTO meta(key, value) VALUES('import:' || ?, ?)"
                               " ON CONFLICT(key) DO UPDATE SET value = excluded.value";
    const struct import_job *own = CONTAINER_OF(job, struct import_job, job);
    int64_t session = 0;
    int r = store_session_insert(db, own->session, &session, err);
    if (r == 0)
        r = put_behind(db, session, own->earlier, err);
    if (r >= 0)
        r = store_session_number(db, own->session->id, &session, err);
    if (r == 0)
        r = store_messages_insert(db, session, 0, own->message, 1, own->message->created_ms, err);
    if (r == 0)
        r = sql_run(db, mark, SQL_VALUES(sql_text(own->mark), sql_int(own->foreign)), err);
    return r;
}

static void on_taken(void *context, int result, const struct error *err, int64_t rowid)
{
    struct importing *importing = context;
    if (result < 0 && !importing->failed.code)
        importing->failed = *err;
}

static int drain(struct importing *importing, struct error *err)
{
    store_wait(importing->store);
    importing->waiting = 0;
    if (importing->import->on_progress)
        importing->import->on_progress(importing->import->context, &importing->counts);
    if (importing->failed.code && err)
        *err = importing->failed;
    return importing->failed.code;
}

// The latest were met last, and so is nearly every message's.
static int find_known(struct importing *importing, struct span id, struct known **ret_known,
                      struct error *err)
{
    static const char sql[] = "SELECT value FROM meta WHERE key = 'import:' || ?";
    struct known fresh = {.hash = hash_of(id), .after = INT64_MIN};
    for (size_t i = importing->known_count; i > 0; i--)
        if (importing->known[i - 1].hash == fresh.hash) {
            *ret_known = &importing->known[i - 1];
            return 0;
        }
    int r = store_read_number(store_view(importing->store), sql, SQL_VALUES(sql_text(id)),
                              &fresh.after, err);
    if (r < 0)
        return r;
    importing->known = mem_grow(importing->known, importing->known_count,
                                &importing->known_capacity, sizeof fresh);
    *ret_known = &importing->known[importing->known_count++];
    **ret_known = fresh;
    return 0;
}

static int submit(struct importing *importing, const struct row *row, struct error *err)
{
    BUF_AUTO id = BUF_INIT(STORE_ID_MAX);
    BUF_AUTO title = BUF_INIT(TEXT_MAX);
    BUF_AUTO content = BUF_INIT(4 * TEXT_MAX);
    BUF_AUTO calls = BUF_INIT(4 * TEXT_MAX);
    bool telegram = span_is(row->source, "telegram");
    buf_printf(&id, "%.*s%s", (int)row->id.len, row->id.data, row->earlier ? ".earlier" : "");
    utf8_sanitize(row->title, &title);
    if (row->earlier && title.len)
        buf_append_text(&title, " (earlier)");
    utf8_sanitize(row->content, &content);
    if (row->calls.len && !importing->import->convert_calls(row->calls, &calls)) {
        importing->counts.unreadable++;
        buf_clear(&calls);
    }
    struct store_session session = {
        .id = buf_span(&id),
        .channel = span_is(row->source, "cli") ? SPAN_LITERAL("console") : row->source,
        .chat = telegram ? row->chat : SPAN_LITERAL(""),
        .thread = row->thread,
        .sender = row->sender,
        .title = title.len ? buf_span(&title) : SPAN_ABSENT,
        .created_ms = row->at_ms,
    };
    struct store_message message = {
        .role = row->role,
        .content = buf_span(&content),
        .tool_calls = calls.len ? buf_span(&calls) : SPAN_ABSENT,
        .tool_call_id = row->call_id,
        .name = row->tool,
        .tainted = row->observed || !span_is(row->role, "user"),
        .created_ms = row->at_ms,
    };
    struct import_job own = {{take, STORE_GROUPED, on_taken, importing},
                             &session,
                             &message,
                             row->message,
                             row->id,
                             row->earlier};
    const struct store_given given[] = {{&own.session, 1, &store_session_shape},
                                        {&own.message, 1, &store_message_shape}};
    if (importing->import->dry_run)
        return 0;
    int64_t job = store_job_submit(importing->store, &own.job, sizeof own, given, ARRAY_LEN(given),
                                   STORE_SPANS(&own.mark), err);
    return job < 0 ? (int)job : 0;
}

// Positive: it is not taken over, and counted.
static int judge(struct importing *importing, const struct row *row, struct error *err)
{
    struct store_import_counts *counts = &importing->counts;
    struct known *known;
    if (row->id.len == 0 || row->id.len > ID_MAX || row->source.len == 0)
        return (int)++counts->stray;
    int r = find_known(importing, row->id, &known, err);
    if (r < 0)
        return r;
    bool is_role =
        span_is(row->role, "user") || span_is(row->role, "assistant") || span_is(row->role, "tool");
    if (row->message <= known->after)
        return (int)++counts->known;
    if (row->taken_back)
        return (int)++counts->taken_back;
    if (!is_role)
        return (int)++counts->other_roles;
    counts->unreadable += row->too_long;
    counts->sessions += !known->counted && known->after == INT64_MIN;
    known->counted = true;
    counts->messages++;
    return 0;
}

static int import_row(struct importing *importing, const struct row *row, struct error *err)
{
    int r = judge(importing, row, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = submit(importing, row, err);
    if (r == 0 && ++importing->waiting == JOBS_MAX)
        r = drain(importing, err);
    return r;
}

static int write_query(sqlite3 *db, struct buf *sql, struct error *err)
{
    static const char what[] =
        "SELECT s.id_text, s.source_text, coalesce(s.chat_id_text, s.user_id_text, ''),"
        " coalesce(s.thread_id_text, ''),"
        " CASE WHEN coalesce(s.chat_type, 'dm') IN ('dm', 'private')"
        " THEN '' ELSE coalesce(s.user_id_text, '') END, s.title_text, m.id,"
        " CAST(m.timestamp * 1000 AS INTEGER), m.role_text, m.content_text, m.tool_calls_text,"
        " m.tool_call_id_text, m.tool_name_text,"
        " coalesce(m.active, 1) = 0 AND coalesce(m.compacted, 0) = 0, coalesce(m.active, 1) = 0,"
        " coalesce(m.observed, 0) <> 0, m.content_long OR m.tool_calls_long FROM ";
    static const char messages[] =
        "id,session_id,timestamp,observed,active,compacted,role:128,content:?1,tool_calls:?1,"
        "tool_call_id:128,tool_name:128";
    static const char sessions[] =
        "id:128,source:128,chat_id:128,user_id:128,thread_id:128,chat_type:128,title:1024";
    buf_append_text(sql, what);
    int r = store_foreign_table(db, "messages", messages, sql, err);
    buf_append_text(sql, " m LEFT JOIN ");
    if (r == 0)
        r = store_foreign_table(db, "sessions", sessions, sql, err);
    buf_append_text(sql, " s ON s.id = m.session_id ORDER BY m.id");
    return r;
}

static int import_all(struct importing *importing, sqlite3 *db, struct error *err)
{
    BUF_AUTO sql = BUF_INIT(SQL_MAX);
    SQL_AUTO *stmt = NULL;
    int r = write_query(db, &sql, err);
    if (r == 0)
        r = sql_first(db, buf_text(&sql), SQL_VALUES(sql_int(TEXT_MAX)), &stmt, err);
    while (r == SQL_ROW) {
        struct row row;
        sql_read(stmt,
                 SQL_FIELDS(INTO(row.id), INTO(row.source), INTO(row.chat), INTO(row.thread),
                            INTO(row.sender), INTO(row.title), INTO(row.message), INTO(row.at_ms),
                            INTO(row.role), INTO(row.content), INTO(row.calls), INTO(row.call_id),
                            INTO(row.tool), INTO(row.taken_back), INTO(row.earlier),
                            INTO(row.observed), INTO(row.too_long)));
        r = import_row(importing, &row, err);
        if (r == 0)
            r = sql_step(stmt, err);
    }
    int left = drain(importing, r < 0 ? NULL : err);
    return r < 0 ? r : left;
}

// What is wrong with the copy is wrong with what was copied, and only that the user knows.
static int name_original(const struct store_import *import, int r, struct error *err)
{
    if (r != -EUCLEAN || !err || !strstr(err->text, strrchr(import->scratch, '/')))
        return r;
    return error_set(err, r,
                     "%s/state.db is damaged; import a backup of it, or what `sqlite3` makes of it "
                     "with .recover",
                     import->from);
}

int store_import_run(struct store *store, const struct store_import *import,
                     struct store_import_counts *ret_counts, struct error *err)
{
    struct importing importing = {.import = import, .store = store};
    sqlite3 *db = NULL;
    int r = store_foreign_copy(import->from, import->scratch, err);
    if (r == 0)
        r = store_foreign_open(import->scratch, &db, err);
    if (r == 0)
        r = import_all(&importing, db, err);
    r = name_original(import, r, err);
    sqlite3_close(db);
    store_foreign_remove(import->scratch);
    free(importing.known);
    *ret_counts = importing.counts;
    return r;
}
