#include "store/settle.h"

#include <errno.h>

#include "store/approval_internal.h"

struct settle_job {
    struct store_job job;
    struct store_settlement what; // what it points at are those below, or NULL
    struct store_session create;
    struct store_answer answer;
    struct store_cancellation cancel;
    struct store_reply reply;
};

#define SETTLE_SPANS(s)                                                                            \
    STORE_SPANS(&(s)->what.session, &(s)->what.title, &(s)->what.model, &(s)->what.drop_turn,      \
                &(s)->create.id, &(s)->create.channel, &(s)->create.chat, &(s)->create.thread,     \
                &(s)->create.sender, &(s)->create.title, &(s)->create.model, &(s)->create.prompt,  \
                &(s)->answer.turn, &(s)->answer.by, &(s)->cancel.turn, &(s)->cancel.call_result,   \
                &(s)->cancel.last_word, &(s)->reply.channel, &(s)->reply.chat, &(s)->reply.thread, \
                &(s)->reply.text, &(s)->reply.buttons)

static int change_session(sqlite3 *db, const struct store_settlement *what, struct error *err)
{
    static const char sql[] = "UPDATE sessions SET title = coalesce(?2, title),"
                              " model = nullif(coalesce(?3, model), '') WHERE number = ?1";
    int64_t session = 0;
    int r = store_session_number(db, what->session, &session, err);
    if (r == 0 && (what->title.data || what->model.data))
        r = sql_run(db, sql,
                    SQL_VALUES(sql_int(session), sql_text(what->title), sql_text(what->model)),
                    err);
    return r;
}

// The duplicates are found first, since such an outcome keeps what was written before it.
static int settle(struct store_job *job, sqlite3 *db, struct error *err)
{
    const struct settle_job *own = CONTAINER_OF(job, struct settle_job, job);
    const struct store_settlement *what = &own->what;
    int64_t ignored = 0;
    int r = store_inbox_check(db, what->inbox, what->inbox_count, &ignored, err);
    if (r == 0 && what->create)
        r = store_session_insert(db, what->create, &ignored, err);
    if (r == 0)
        r = store_inbox_handle(db, what->inbox, what->inbox_count, 0, what->now_ms, err);
    if (r == 0 && what->session.data)
        r = change_session(db, what, err);
    if (r == 0 && what->drop_turn.data)
        r = store_turn_drop(db, what->drop_turn, err);
    if (r == 0 && what->answer)
        r = store_approval_answer(db, what->answer, what->now_ms, err);
    if (r == 0 && what->cancel)
        r = store_turn_cancel(db, what->cancel, what->now_ms, err);
    if (r == 0 && what->reply && !what->reply->only_if_open)
        r = store_reply_insert(db, 0, what->reply, what->now_ms, &job->rowid, err);
    return r;
}

static int check(const struct store_settlement *what, struct error *err)
{
    int r = 0;
    if (what->inbox_count > STORE_STEP_ROWS_MAX)
        return error_set(err, -E2BIG, "at most %d messages are settled at once, not %zu",
                         STORE_STEP_ROWS_MAX, what->inbox_count);
    if (what->create)
        r = store_id_check(what->create->id, "session", err);
    if (r == 0 && what->session.data)
        r = store_id_check(what->session, "session", err);
    if (r == 0 && what->drop_turn.data)
        r = store_id_check(what->drop_turn, "turn", err);
    if (r == 0 && !what->session.data && (what->title.data || what->model.data))
        return error_set(err, -EINVAL, "a title or a model needs the session that it is for");
    return r;
}

int64_t store_settle(struct store *store, const struct store_settlement *settlement,
                     store_done_fn *done, void *context, struct error *err)
{
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    int r = check(settlement, err);
    if (r < 0)
        return r;
    struct settle_job given = {.what = *settlement};
    if (settlement->create)
        given.create = *settlement->create;
    if (settlement->answer)
        given.answer = *settlement->answer;
    if (settlement->cancel)
        given.cancel = *settlement->cancel;
    if (settlement->reply)
        given.reply = *settlement->reply;
    size_t numbers = settlement->inbox_count * sizeof *settlement->inbox;
    struct settle_job *own =
        store_job_create(sizeof *own, numbers + store_spans_bytes(SETTLE_SPANS(&given)), err);
    if (!own)
        return err->code;
    given.what.inbox = store_job_keep(&own->job, settlement->inbox, numbers);
    store_job_keep_spans(&own->job, SETTLE_SPANS(&given));
    own->what = given.what;
    own->create = given.create;
    own->answer = given.answer;
    own->cancel = given.cancel;
    own->reply = given.reply;
    own->what.create = settlement->create ? &own->create : NULL;
    own->what.answer = settlement->answer ? &own->answer : NULL;
    own->what.cancel = settlement->cancel ? &own->cancel : NULL;
    own->what.reply = settlement->reply ? &own->reply : NULL;
    return store_job_submit(store, &own->job, settle, STORE_DURABLE, done, context, err);
}
