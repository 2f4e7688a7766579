#include "store/turn.h"

#include <errno.h>

#include "store/store_internal.h"

struct begin_job {
    struct store_job job;
    struct store_turn turn;
    const struct store_message *messages;
    size_t message_count;
};

int store_turn_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err)
{
    static const char sql[] = "SELECT number FROM turns WHERE id = ?";
    int r = sql_lookup(db, sql, SQL_VALUES(sql_text(id)), ret_number, err);
    if (r == 0)
        return error_set(err, -ENOENT, "there is no turn %.*s", (int)id.len, id.data);
    return r < 0 ? r : 0;
}

static int insert_turn(sqlite3 *db, const struct store_turn *t, int64_t session,
                       int64_t *ret_number, struct error *err)
{
    static const char sql[] =
        "INSERT INTO turns(id, session, state, source, model, started_ms,"
        " slot, pinned, reply_channel, reply_chat, reply_thread, iterations_max,"
        " limit_ms, interactive, asker, tools, parent, priority, unattended)"
        " VALUES(?, ?, ?, ?, ?, ?, coalesce(?, 'main'), ?, ?, ?, ?, ?, ?, ?, coalesce(?, ''),"
        " ?, ?, ?, ?)";
    const struct store_turn_terms *terms = &t->terms;
    int r = sql_run(
        db, sql,
        SQL_VALUES(sql_text(t->id), sql_int(session),
                   sql_text(span_of(store_turn_words[STORE_TURN_QUEUED])), sql_text(terms->origin),
                   sql_text(t->model), sql_int(t->started_ms), sql_text(terms->slot),
                   sql_text(terms->model), sql_text(terms->reply_channel),
                   sql_text(terms->reply_chat), sql_text(terms->reply_thread),
                   sql_int(terms->iterations_max), sql_int(terms->limit_ms),
                   sql_int(terms->interactive), sql_text(terms->asker), sql_text(terms->tools),
                   sql_text(terms->parent), sql_int(terms->priority), sql_int(terms->unattended)),
        err);
    if (r == 0)
        *ret_number = sqlite3_last_insert_rowid(db);
    return r;
}

// The duplicates are found first, since such an outcome keeps what was written before it.
static int begin(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char known[] = "SELECT number FROM turns WHERE id = ?";
    const struct begin_job *own = CONTAINER_OF(job, struct begin_job, job);
    const struct store_turn *t = &own->turn;
    int64_t session = 0;
    int r = sql_lookup(db, known, SQL_VALUES(sql_text(t->id)), &job->rowid, err);
    if (r != 0)
        return r < 0 ? r : STORE_DUPLICATE;
    r = store_inbox_check(db, t->inbox, t->inbox_count, &job->rowid, err);
    if (r == 0)
        r = store_session_number(db, t->session, &session, err);
    if (r == 0 && t->drop_turn.data)
        r = store_turn_drop(db, t->drop_turn, err);
    if (r == 0)
        r = insert_turn(db, t, session, &job->rowid, err);
    if (r == 0)
        r = store_inbox_handle(db, t->inbox, t->inbox_count, job->rowid, t->started_ms, err);
    if (r == 0)
        r = store_messages_insert(db, session, job->rowid, own->messages, own->message_count,
                                  t->started_ms, err);
    return r;
}

int store_turn_drop(sqlite3 *db, struct span id, struct error *err)
{
    static const char drop[] = "UPDATE turns SET dropped = 1 WHERE number = ?";
    static const char messages[] = "UPDATE messages SET dropped = 1 WHERE turn = ?1 AND dropped = 0"
                                   " AND session = (SELECT session FROM turns WHERE number = ?1)";
    // It would repeat what is taken back.
    static const char summaries[] = "UPDATE messages SET dropped = 1 WHERE role = 'summary'"
                                    " AND session = (SELECT session FROM turns WHERE number = ?1)"
                                    " AND covers >= (SELECT min(id) FROM messages WHERE turn = ?1)";
    int64_t turn = 0;
    int r = store_turn_number(db, id, &turn, err);
    if (r == 0)
        r = sql_run(db, summaries, SQL_VALUES(sql_int(turn)), err);
    if (r == 0)
        r = sql_run(db, drop, SQL_VALUES(sql_int(turn)), err);
    if (r == 0)
        r = sql_run(db, messages, SQL_VALUES(sql_int(turn)), err);
    return r;
}

int store_step_check(size_t messages, size_t calls, size_t inbox, struct error *err)
{
    if (messages > STORE_STEP_ROWS_MAX || calls > STORE_STEP_ROWS_MAX ||
        inbox > STORE_STEP_ROWS_MAX)
        return error_set(err, -E2BIG,
                         "a step of a turn has at most %d messages, tool calls and messages from "
                         "the inbox, not %zu, %zu and %zu",
                         STORE_STEP_ROWS_MAX, messages, calls, inbox);
    return 0;
}

int64_t store_turn_begin(struct store *store, const struct store_turn *turn,
                         const struct store_message *messages, size_t message_count,
                         enum store_durability durability, store_done_fn *done, void *context,
                         struct error *err)
{
    struct begin_job own = {{begin, durability, done, context}, *turn, messages, message_count};
    struct store_turn *t = &own.turn;
    const struct store_given given[] = {{&own.messages, message_count, &store_message_shape},
                                        {&t->inbox, t->inbox_count, &store_number_shape}};
    int r = store_id_check(turn->id, "turn", err);
    if (r == 0)
        r = store_id_check(turn->session, "session", err);
    if (r == 0 && turn->drop_turn.data)
        r = store_id_check(turn->drop_turn, "turn", err);
    if (r == 0)
        r = store_step_check(message_count, 0, turn->inbox_count, err);
    return r < 0 ? r
                 : store_job_submit(
                       store, &own.job, sizeof own, given, ARRAY_LEN(given),
                       STORE_SPANS(&t->id, &t->session, &t->model, &t->drop_turn, &t->terms.slot,
                                   &t->terms.model, &t->terms.reply_channel, &t->terms.reply_chat,
                                   &t->terms.reply_thread, &t->terms.asker, &t->terms.origin,
                                   &t->terms.tools, &t->terms.parent),
                       err);
}

int store_turn_open(sqlite3 *db, struct span id, int64_t *ret_turn, int64_t *ret_session,
                    struct error *err)
{
    static const char sql[] = "SELECT number, session, ended_ms IS NULL FROM turns WHERE id = ?";
    SQL_AUTO *stmt = NULL;
    int r = sql_first(db, sql, SQL_VALUES(sql_text(id)), &stmt, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "there is no turn %.*s", (int)id.len, id.data);
    if (!sqlite3_column_int(stmt, 2))
        return error_set(err, -EALREADY, "turn %.*s has ended", (int)id.len, id.data);
    *ret_turn = sqlite3_column_int64(stmt, 0);
    *ret_session = sqlite3_column_int64(stmt, 1);
    return 0;
}

struct resume_job {
    struct store_job job;
    struct span turn;
};

static int resume(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char asked[] = "SELECT 1 FROM approvals WHERE turn = ? AND state = 'asked'";
    static const char count[] = "UPDATE turns SET resumes = resumes + (state <> 'waiting'),"
                                " state = CASE state WHEN 'waiting' THEN 'tools' ELSE state END"
                                " WHERE number = ?";
    static const char counted[] = "SELECT resumes FROM turns WHERE number = ?";
    const struct resume_job *own = CONTAINER_OF(job, struct resume_job, job);
    int64_t turn = 0, session = 0;
    int r = store_turn_open(db, own->turn, &turn, &session, err);
    if (r == 0)
        r = sql_lookup(db, asked, SQL_VALUES(sql_int(turn)), &session, err);
    if (r == SQL_ROW)
        return error_set(err, -EBUSY, "turn %.*s waits for an answer", (int)own->turn.len,
                         own->turn.data);
    if (r == 0)
        r = sql_run(db, count, SQL_VALUES(sql_int(turn)), err);
    if (r == 0)
        r = sql_lookup(db, counted, SQL_VALUES(sql_int(turn)), &job->rowid, err);
    return r < 0 ? r : 0;
}

int64_t store_turn_resume(struct store *store, struct span turn, store_done_fn *done, void *context,
                          struct error *err)
{
    struct resume_job own = {{resume, STORE_DURABLE, done, context}, turn};
    int r = store_id_check(turn, "turn", err);
    return r < 0 ? r
                 : store_job_submit(store, &own.job, sizeof own, NULL, 0, STORE_SPANS(&own.turn),
                                    err);
}
