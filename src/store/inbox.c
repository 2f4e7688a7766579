#include "store/inbox.h"

#include <errno.h>

#include "store/store_internal.h"

enum { FORGET_ROWS = 16 }; // handled messages that one addition may forget

static const char *const kinds[] = {
    [STORE_INBOUND_TEXT] = "text",   [STORE_INBOUND_BUTTON] = "button",
    [STORE_INBOUND_EDIT] = "edit",   [STORE_INBOUND_COMMAND] = "command",
    [STORE_INBOUND_EVENT] = "event",
};

struct add_job {
    struct store_job job;
    struct store_queue queue;
    int64_t cursor;
    const struct store_inbound *messages;
    size_t count;
};

#define AT(text) offsetof(struct store_inbound, text)
static const struct store_shape inbound_shape = {sizeof(struct store_inbound),
                                                 8,
                                                 {AT(channel), AT(chat), AT(thread),
                                                  AT(external_id), AT(sender), AT(text),
                                                  AT(payload), AT(media)}};

static int insert(sqlite3 *db, const struct store_queue *queue, const struct store_inbound *m,
                  int64_t *new_count, struct error *err)
{
    static const char sql[] =
        "INSERT INTO inbox"
        "(channel, queue, chat, thread, external_id, sender, grouped, text, cut, sent_ms,"
        " received_ms, kind, payload, tainted, media)"
        " SELECT ?1, coalesce(?2, ''), coalesce(?, ''), coalesce(?, ''), ?5, coalesce(?, ''), ?,"
        " coalesce(?, ''), ?, ?, ?, ?12, coalesce(?13, ''), ?14,"
        " coalesce(?15, '') WHERE ?12 <> 'edit' OR ?13 <>"
        " (SELECT nullif(payload, '') FROM inbox WHERE channel = ?1 AND queue = coalesce(?2, '')"
        "  AND external_id = ?5 ORDER BY number DESC LIMIT 1)"
        " ON CONFLICT(channel, queue, external_id, sent_ms) DO NOTHING";
    int r = sql_run(db, sql,
                    SQL_VALUES(sql_text(m->channel.data ? m->channel : queue->channel),
                               sql_text(queue->name), sql_text(m->chat), sql_text(m->thread),
                               sql_text(m->external_id), sql_text(m->sender), sql_int(m->grouped),
                               sql_text(m->text), sql_int(m->cut), sql_int(m->sent_ms),
                               sql_int(m->received_ms), sql_text(span_of(kinds[m->kind])),
                               sql_text(m->payload), sql_int(m->tainted), sql_text(m->media)),
                    err);
    if (r == 0)
        *new_count += sqlite3_changes(db);
    return r;
}

static int add(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char move[] = "INSERT INTO cursors(channel, queue, value)"
                               " VALUES(?, coalesce(?, ''), ?)"
                               " ON CONFLICT(channel, queue) DO UPDATE SET value = excluded.value";
    // Those that a clock which ran ahead for a while put into the future are old as well, or a few
    // of them would keep the table from ever shrinking.
    static const char forget[] = "DELETE FROM inbox WHERE number IN (SELECT number FROM inbox"
                                 "  WHERE handled_ms IS NOT NULL ORDER BY number LIMIT ?3)"
                                 " AND received_ms NOT BETWEEN ?1 - ?2 AND ?1 + ?2";
    const struct add_job *own = CONTAINER_OF(job, struct add_job, job);
    int r = sql_run(
        db, move,
        SQL_VALUES(sql_text(own->queue.channel), sql_text(own->queue.name), sql_int(own->cursor)),
        err);
    for (size_t i = 0; i < own->count && r == 0; i++)
        r = insert(db, &own->queue, &own->messages[i], &job->rowid, err);
    if (r == 0 && own->count > 0)
        r = sql_run(db, forget,
                    SQL_VALUES(sql_int(own->messages[own->count - 1].received_ms),
                               sql_int(STORE_INBOUND_KEEP_MS), sql_int(FORGET_ROWS)),
                    err);
    return r;
}

static int check_messages(struct span channel, const struct store_inbound *messages, size_t count,
                          struct error *err)
{
    if (channel.len == 0)
        return error_set(err, -EINVAL, "an inbox needs the name of its channel");
    if (count > STORE_INBOUND_ROWS_MAX)
        return error_set(err, -E2BIG, "at most %d messages are taken in at once, not %zu",
                         STORE_INBOUND_ROWS_MAX, count);
    for (size_t i = 0; i < count; i++)
        if (messages[i].external_id.len == 0)
            return error_set(err, -EINVAL,
                             "a message of %.*s has no id of its own, by which it "
                             "could be known again",
                             (int)channel.len, channel.data);
    return 0;
}

int64_t store_inbox_add(struct store *store, struct store_queue queue, int64_t cursor,
                        const struct store_inbound *messages, size_t count, store_done_fn *done,
                        void *context, struct error *err)
{
    struct add_job own = {{add, STORE_DURABLE, done, context}, queue, cursor, messages, count};
    const struct store_given given = {&own.messages, count, &inbound_shape};
    int r = check_messages(queue.channel, messages, count, err);
    return r < 0 ? r
                 : store_job_submit(store, &own.job, sizeof own, &given, 1,
                                    STORE_SPANS(&own.queue.channel, &own.queue.name), err);
}

static int adopt(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char cursors[] = "UPDATE OR IGNORE cursors SET queue = ?2"
                                  " WHERE channel = ?1 AND queue = ''";
    static const char messages[] = "UPDATE OR IGNORE inbox SET queue = ?2"
                                   " WHERE channel = ?1 AND queue = ''";
    const struct store_queue *queue = &CONTAINER_OF(job, struct add_job, job)->queue;
    struct sql_value values[] = {sql_text(queue->channel), sql_text(queue->name)};
    int r = sql_run(db, cursors, values, ARRAY_LEN(values), err);
    return r < 0 ? r : sql_run(db, messages, values, ARRAY_LEN(values), err);
}

int64_t store_inbox_adopt(struct store *store, struct store_queue queue, store_done_fn *done,
                          void *context, struct error *err)
{
    struct add_job own = {{adopt, STORE_DURABLE, done, context}, .queue = queue};
    return store_job_submit(store, &own.job, sizeof own, NULL, 0,
                            STORE_SPANS(&own.queue.channel, &own.queue.name), err);
}

int store_inbox_check(sqlite3 *db, const int64_t *numbers, size_t count, int64_t *ret_turn,
                      struct error *err)
{
    static const char sql[] = "SELECT handled_ms IS NOT NULL, turn FROM inbox WHERE number = ?";
    for (size_t i = 0; i < count; i++) {
        SQL_AUTO *stmt = NULL;
        int r = sql_first(db, sql, SQL_VALUES(sql_int(numbers[i])), &stmt, err);
        if (r < 0)
            return r;
        if (r == 0)
            return error_set(err, -ENOENT, "there is no message %lld in the inbox",
                             (long long)numbers[i]);
        if (sqlite3_column_int(stmt, 0)) {
            *ret_turn = sqlite3_column_int64(stmt, 1); // 0 when it is NULL
            return STORE_DUPLICATE;
        }
    }
    return 0;
}

int store_inbox_handle(sqlite3 *db, const int64_t *numbers, size_t count, int64_t turn,
                       int64_t now_ms, struct error *err)
{
    static const char sql[] =
        "UPDATE inbox SET handled_ms = ?2, turn = nullif(?3, 0), text = '', media = '',"
        " payload = iif(kind IN ('text', 'edit'), payload, '') WHERE number IN"
        " (SELECT m.number FROM inbox h JOIN inbox m USING(channel, queue, external_id)"
        "  WHERE h.number = ?1 AND (m.number = h.number OR (h.kind = 'edit'"
        "   AND m.number < h.number AND m.handled_ms IS NULL)))";
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = sql_run(db, sql, SQL_VALUES(sql_int(numbers[i]), sql_int(now_ms), sql_int(turn)), err);
    return r;
}

int store_read_cursor(struct store *store, struct store_queue queue, int64_t *ret_cursor,
                      struct error *err)
{
    static const char sql[] = "SELECT value FROM cursors"
                              " WHERE channel = ? AND queue = coalesce(?, '')";
    return store_read_number(store_view(store), sql,
                             SQL_VALUES(sql_text(queue.channel), sql_text(queue.name)), ret_cursor,
                             err);
}

int store_read_turn_message(struct store *store, struct span turn, struct buf *ret_external,
                            struct error *err)
{
    // From the newest down, so that of a turn that has just begun hardly a row is looked at.
    static const char sql[] = "SELECT external_id FROM inbox"
                              " WHERE turn = (SELECT number FROM turns WHERE id = ?)"
                              " ORDER BY number DESC LIMIT 1";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(store_view(store), sql, SQL_VALUES(sql_text(turn)), &stmt, err);
    if (r != SQL_ROW)
        return r < 0 ? r : STORE_NOT_FOUND;
    struct span external;
    sql_read(stmt, SQL_FIELDS(INTO(external)));
    buf_append_span(ret_external, external);
    return 0;
}

int store_read_inbox(struct store *store, int64_t after, store_inbound_fn *row, void *context,
                     struct error *err)
{
    static const char sql[] =
        "SELECT number, channel, chat, external_id, sender, text, cut,"
        " sent_ms, received_ms, thread, grouped, payload, kind, tainted, media FROM inbox"
        " WHERE handled_ms IS NULL AND number > ? ORDER BY number LIMIT ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(store_view(store), sql,
                             SQL_VALUES(sql_int(after), sql_int(STORE_READ_ROWS_MAX)), &stmt, err);
    while (r == SQL_ROW) {
        struct store_inbound m;
        struct span word;
        sql_read(stmt,
                 SQL_FIELDS(INTO(m.number), INTO(m.channel), INTO(m.chat), INTO(m.external_id),
                            INTO(m.sender), INTO(m.text), INTO(m.cut), INTO(m.sent_ms),
                            INTO(m.received_ms), INTO(m.thread), INTO(m.grouped), INTO(m.payload),
                            INTO(word), INTO(m.tainted), INTO(m.media)));
        int kind = store_word_read(kinds, ARRAY_LEN(kinds), word, "a message is of the kind", err);
        if (kind < 0)
            return kind;
        m.kind = (enum store_inbound_kind)kind;
        r = row(context, &m) ? sql_step(stmt, err) : 0;
    }
    return r;
}
