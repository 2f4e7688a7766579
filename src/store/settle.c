#include "store/settle.h"

#include <errno.h>

#include "store/store_internal.h"

struct settle_job {
    struct store_job job;
    struct store_settlement what;
};

static const struct store_shape answer_shape = {sizeof(struct store_answer),
                                                3,
                                                {offsetof(struct store_answer, turn),
                                                 offsetof(struct store_answer, words),
                                                 offsetof(struct store_answer, by)}};
static const struct store_shape cancellation_shape = {
    sizeof(struct store_cancellation),
    3,
    {offsetof(struct store_cancellation, turn), offsetof(struct store_cancellation, call_result),
     offsetof(struct store_cancellation, last_word)}};

static int change_session(sqlite3 *db, const struct store_settlement *what, struct error *err)
{
    static const char sql[] = "UPDATE sessions SET title = CASE WHEN title IS coalesce(?4, title)"
                              " THEN coalesce(?2, title) ELSE title END,"
                              " model = nullif(coalesce(?3, model), '') WHERE number = ?1";
    static const char pick[] = "UPDATE sessions SET picked = (SELECT max(picked) + 1 FROM sessions)"
                               " WHERE number = ?";
    int64_t session = 0;
    int r = store_session_number(db, what->session, &session, err);
    if (r == 0 && what->pick)
        r = sql_run(db, pick, SQL_VALUES(sql_int(session)), err);
    if (r == 0 && (what->title.data || what->model.data))
        r = sql_run(db, sql,
                    SQL_VALUES(sql_int(session), sql_text(what->title), sql_text(what->model),
                               sql_text(what->title_before)),
                    err);
    return r;
}

static int append_summary(sqlite3 *db, const struct store_settlement *what, struct error *err)
{
    int64_t session = 0;
    int r = store_session_number(db, what->session, &session, err);
    return r == 0 ? store_messages_insert(db, session, 0, what->summary, 1, what->now_ms, err) : r;
}

static int lift(sqlite3 *db, const struct store_settlement *what, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < what->lifted_count && r == 0; i++)
        r = store_mark_lift(db, &what->lifted[i], err);
    return r == STORE_NOT_FOUND
               ? error_set(err, -EALREADY, "nothing was lifted: the mark is not as it was shown")
               : r;
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
    if (r == 0 && what->summary)
        r = append_summary(db, what, err);
    if (r == 0 && what->answer)
        r = store_approval_answer(db, what->answer, what->now_ms, err);
    if (r == 0 && what->cancel)
        r = store_turn_cancel(db, what->cancel, what->now_ms, err);
    if (r == 0 && what->fact.data)
        r = store_key_value_set(db, what->fact, what->fact_text, err);
    if (r == 0)
        r = lift(db, what, err);
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
    if (r == 0 && !what->session.data && (what->title.data || what->model.data || what->summary))
        return error_set(err, -EINVAL,
                         "a title, a model or a summary needs the session that it is for");
    return r;
}

int64_t store_settle(struct store *store, const struct store_settlement *settlement,
                     store_done_fn *done, void *context, struct error *err)
{
    struct settle_job own = {{settle, STORE_DURABLE, done, context}, *settlement};
    struct store_settlement *what = &own.what;
    const struct store_given given[] = {
        {&what->inbox, what->inbox_count, &store_number_shape},
        {&what->create, what->create != NULL, &store_session_shape},
        {&what->summary, what->summary != NULL, &store_message_shape},
        {&what->answer, what->answer != NULL, &answer_shape},
        {&what->cancel, what->cancel != NULL, &cancellation_shape},
        {&what->lifted, what->lifted_count, &store_mark_shape},
        {&what->reply, what->reply != NULL, &store_reply_shape},
    };
    int r = check(settlement, err);
    return r < 0 ? r
                 : store_job_submit(store, &own.job, sizeof own, given, ARRAY_LEN(given),
                                    STORE_SPANS(&what->session, &what->title, &what->title_before,
                                                &what->model, &what->drop_turn, &what->fact,
                                                &what->fact_text),
                                    err);
}
