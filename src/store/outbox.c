#include "store/outbox.h"

#include <errno.h>

#include "base/mem.h"
#include "store/connection.h"
#include "store/store_internal.h"

/*
 * A row is written to from two sides: by its turn (which puts the text in, once, when it ends) and
 * by its channel (what became of each message). Neither waits for the other, so a word from the
 * channel may arrive after the turn has ended; that is why no change can make a row "open" again,
 * and why a change does not mention the text.
 *
 * The end of a turn leaves no row of it open:
 *
 *                            there is a reply       only if begun          there is none
 *   a message was begun      pending, with text     pending, with text     sent, as it stands
 *   nothing was shown yet    pending, with text     deleted                deleted
 *   no open row              a new pending row      -                      -
 *
 * "Nothing was shown" is what is known: no message, no part, and none on its way to the server.
 *
 * The text of a reply that was sent is not needed any more. `turn` is 0 when the conversation was
 * deleted before its reply was sent: then the row goes as soon as nobody waits for it.
 */

enum { FORGET_ROWS = 16 }; // sent rows that one change may forget

static const char *const states[] = {
    [STORE_DELIVERY_OPEN] = "open",
    [STORE_DELIVERY_PENDING] = "pending",
    [STORE_DELIVERY_SENT] = "sent",
    [STORE_DELIVERY_FAILED] = "failed",
};

static const char *const kinds[] = {
    [STORE_REPLY_ANSWER] = "reply",
    [STORE_REPLY_QUESTION] = "question",
    [STORE_REPLY_FILE] = "file",
};

#define AT(text) offsetof(struct store_reply, text)
const struct store_shape store_reply_shape = {
    sizeof(struct store_reply), 5, {AT(channel), AT(chat), AT(thread), AT(text), AT(buttons)}};

struct open_job {
    struct store_job job;
    struct span turn;
    struct store_address address;
    int64_t now_ms;
};

struct change_job {
    struct store_job job;
    struct store_delivery_change change;
};

static int insert(sqlite3 *db, int64_t turn, enum store_delivery_state state,
                  const struct store_reply *reply, int64_t now_ms, int64_t *ret_number,
                  struct error *err)
{
    static const char sql[] =
        "INSERT INTO outbox"
        "(channel, chat, turn, state, in_flight, created_ms, changed_ms, text, thread, kind,"
        " buttons) VALUES(?1, coalesce(?2, ''), nullif(?3, 0), ?4, ?5, ?6, ?6, coalesce(?7, ''),"
        " coalesce(?8, ''), ?9, coalesce(?10, ''))";
    int r =
        sql_run(db, sql,
                SQL_VALUES(sql_text(reply->channel), sql_text(reply->chat), sql_int(turn),
                           sql_text(span_of(states[state])), sql_int(state == STORE_DELIVERY_OPEN),
                           sql_int(now_ms), sql_text(reply->text), sql_text(reply->thread),
                           sql_text(span_of(kinds[reply->kind])), sql_text(reply->buttons)),
                err);
    if (r == 0)
        *ret_number = sqlite3_last_insert_rowid(db);
    return r;
}

static int open_row(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char present[] =
        "SELECT number FROM outbox WHERE turn = ? AND kind = 'reply' ORDER BY number LIMIT 1";
    const struct open_job *own = CONTAINER_OF(job, struct open_job, job);
    struct store_reply shown = {
        .channel = own->address.channel, .chat = own->address.chat, .thread = own->address.thread};
    int64_t turn = 0, session = 0;
    int r = store_turn_number(db, own->turn, &turn, err);
    if (r == 0)
        r = sql_lookup(db, present, SQL_VALUES(sql_int(turn)), &job->rowid, err);
    if (r != 0)
        return r < 0 ? r : STORE_DUPLICATE;
    r = store_turn_open(db, own->turn, &turn, &session, err);
    if (r == 0)
        r = insert(db, turn, STORE_DELIVERY_OPEN, &shown, own->now_ms, &job->rowid, err);
    return r;
}

int64_t store_outbox_open(struct store *store, struct span turn, struct store_address address,
                          int64_t now_ms, store_done_fn *done, void *context, struct error *err)
{
    struct open_job own = {{open_row, STORE_DURABLE, done, context}, turn, address, now_ms};
    int r = store_id_check(turn, "turn", err);
    return r < 0 ? r
                 : store_job_submit(store, &own.job, sizeof own, NULL, 0,
                                    STORE_SPANS(&own.turn, &own.address.channel, &own.address.chat,
                                                &own.address.thread),
                                    err);
}

static int change(struct store_job *job, sqlite3 *db, struct error *err)
{
    static const char sql[] =
        "UPDATE outbox SET state = coalesce(nullif(?2, 'open'), state), in_flight = ?3,"
        " part = CASE WHEN ?4 < 0 THEN part ELSE ?4 END,"
        " message_id = nullif(coalesce(?5, message_id), ''),"
        " attempts = ?6, next_ms = ?7, error = ?8, changed_ms = ?9,"
        " text = CASE ?2 WHEN 'sent' THEN '' ELSE text END WHERE number = ?1";
    static const char forget_ownerless[] = "DELETE FROM outbox WHERE number = ? AND turn = 0";
    // As in the inbox: what a clock that ran ahead put into the future is old as well.
    static const char forget_sent[] =
        "DELETE FROM outbox WHERE number IN (SELECT number FROM outbox"
        "  WHERE state = 'sent' ORDER BY number LIMIT ?3)"
        " AND changed_ms NOT BETWEEN ?1 - ?2 AND ?1 + ?2";
    const struct store_delivery_change *c = &CONTAINER_OF(job, struct change_job, job)->change;
    struct span state = c->state < 0 ? SPAN_ABSENT : span_of(states[c->state]);
    int r = sql_run(db, sql,
                    SQL_VALUES(sql_int(c->number), sql_text(state), sql_int(c->in_flight),
                               sql_int(c->part), sql_text(c->message_id), sql_int(c->attempts),
                               sql_int(c->next_ms), sql_text(c->error), sql_int(c->now_ms)),
                    err);
    if (r < 0)
        return r;
    if (sqlite3_changes(db) == 0)
        return STORE_NOT_FOUND;
    job->rowid = c->number;
    if (c->state == STORE_DELIVERY_SENT || c->state == STORE_DELIVERY_FAILED) {
        r = sql_run(db, forget_ownerless, SQL_VALUES(sql_int(c->number)), err);
        job->scrub = r == 0 && sqlite3_changes(db) > 0;
        if (job->scrub)
            r = store_scrub_wish(db, err);
    }
    if (r == 0 && c->state == STORE_DELIVERY_SENT)
        r = sql_run(
            db, forget_sent,
            SQL_VALUES(sql_int(c->now_ms), sql_int(STORE_SENT_KEEP_MS), sql_int(FORGET_ROWS)), err);
    return r;
}

int64_t store_outbox_change(struct store *store, const struct store_delivery_change *wanted,
                            store_done_fn *done, void *context, struct error *err)
{
    struct change_job own = {{change, STORE_DURABLE, done, context}, *wanted};
    if (wanted->state < STORE_DELIVERY_KEEP || wanted->state >= (int)ARRAY_LEN(states))
        return error_set(err, -EINVAL, "%d is no state of a delivery", wanted->state);
    return store_job_submit(store, &own.job, sizeof own, NULL, 0,
                            STORE_SPANS(&own.change.message_id, &own.change.error), err);
}

int store_reply_insert(sqlite3 *db, int64_t turn, const struct store_reply *reply, int64_t now_ms,
                       int64_t *ret_number, struct error *err)
{
    return insert(db, turn, STORE_DELIVERY_PENDING, reply, now_ms, ret_number, err);
}

static int finish_open(sqlite3 *db, int64_t number, const struct store_reply *reply, int64_t now_ms,
                       struct error *err)
{
    static const char finish[] = "UPDATE outbox SET state = ?2, text = coalesce(?3, text),"
                                 " changed_ms = ?4, kind = ?5, buttons = coalesce(?6, '')"
                                 " WHERE number = ?1";
    static const char forget[] = "DELETE FROM outbox WHERE number = ? AND message_id IS NULL"
                                 " AND in_flight = 0 AND part = 0";
    if (!reply || reply->only_if_open) {
        int r = sql_run(db, forget, SQL_VALUES(sql_int(number)), err);
        if (r < 0 || sqlite3_changes(db) > 0)
            return r;
    }
    const char *state = states[reply ? STORE_DELIVERY_PENDING : STORE_DELIVERY_SENT];
    return sql_run(db, finish,
                   SQL_VALUES(sql_int(number), sql_text(span_of(state)),
                              sql_text(reply ? reply->text : SPAN_ABSENT), sql_int(now_ms),
                              sql_text(span_of(kinds[reply ? reply->kind : STORE_REPLY_ANSWER])),
                              sql_text(reply ? reply->buttons : SPAN_ABSENT)),
                   err);
}

int store_reply_finish(sqlite3 *db, int64_t turn, const struct store_reply *reply, int64_t now_ms,
                       struct error *err)
{
    static const char begun[] = "SELECT number FROM outbox WHERE turn = ? AND state = 'open'";
    // Given up before it had a text, so nobody could ever send it.
    static const char hollow[] =
        "DELETE FROM outbox WHERE turn = ? AND state = 'failed' AND text = ''";
    int64_t number = 0;
    int r = sql_run(db, hollow, SQL_VALUES(sql_int(turn)), err);
    if (r == 0)
        r = sql_lookup(db, begun, SQL_VALUES(sql_int(turn)), &number, err);
    if (r == SQL_ROW)
        return finish_open(db, number, reply, now_ms, err);
    if (r == 0 && reply && !reply->only_if_open)
        r = store_reply_insert(db, turn, reply, now_ms, &number, err);
    return r;
}

int store_read_outbox(struct store *store, struct span channel, int64_t after,
                      store_delivery_fn *row, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT o.number, o.channel, o.chat, t.id, o.text, o.in_flight, o.part, o.message_id,"
        " o.attempts, o.next_ms, o.error, o.created_ms, o.thread, o.buttons, o.state, o.kind"
        " FROM outbox o LEFT JOIN turns t ON t.number = o.turn"
        " WHERE o.channel = ? AND o.state IN ('open', 'pending') AND o.number > ?"
        " ORDER BY o.number LIMIT ?";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(
        store_view(store), sql,
        SQL_VALUES(sql_text(channel), sql_int(after), sql_int(STORE_READ_ROWS_MAX)), &stmt, err);
    while (r == SQL_ROW) {
        struct store_delivery d;
        struct span state_word, kind_word;
        sql_read(stmt,
                 SQL_FIELDS(INTO(d.number), INTO(d.channel), INTO(d.chat), INTO(d.turn),
                            INTO(d.text), INTO(d.in_flight), INTO(d.part), INTO(d.message_id),
                            INTO(d.attempts), INTO(d.next_ms), INTO(d.error), INTO(d.created_ms),
                            INTO(d.thread), INTO(d.buttons), INTO(state_word), INTO(kind_word)));
        int state = store_word_read(states, ARRAY_LEN(states), state_word,
                                    "a delivery is in the state", err);
        int kind = state < 0 ? state
                             : store_word_read(kinds, ARRAY_LEN(kinds), kind_word,
                                               "a delivery is of the kind", err);
        if (kind < 0)
            return kind;
        d.state = (enum store_delivery_state)state;
        d.kind = (enum store_reply_kind)kind;
        r = row(context, &d) ? sql_step(stmt, err) : 0;
    }
    return r;
}

int store_read_outbox_summary(struct store *store, struct span channel,
                              struct store_outbox_summary *ret_summary, struct error *err)
{
    // Both conditions on the state, so that the small index is used.
    static const char sql[] =
        "SELECT (SELECT count(*) FROM outbox WHERE channel = ?1"
        "   AND state IN ('open', 'pending') AND state = 'pending'),"
        " (SELECT count(*) FROM outbox WHERE channel = ?1 AND state = 'failed'),"
        " (SELECT created_ms FROM outbox WHERE channel = ?1"
        "   AND state IN ('open', 'pending') AND state = 'pending' ORDER BY number LIMIT 1)";
    SQL_AUTO *stmt = NULL;
    int r = store_read_first(store_view(store), sql, SQL_VALUES(sql_text(channel)), &stmt, err);
    if (r < 0)
        return r;
    sql_read(stmt, SQL_FIELDS(INTO(ret_summary->waiting), INTO(ret_summary->failed),
                              INTO(ret_summary->oldest_ms)));
    return 0;
}
