#include "agent/dispatcher_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/approval.h"
#include "store/turn_read.h"

/*
 * The turns that the last process did not end. One whose answer is delivered goes on where it was;
 * one for which somebody sat and waited ends, since nobody would get its answer.
 *
 * And the turns that wait for approval. They are in the store alone, and looked at whenever one of
 * them may have been answered; time is an answer too.
 */
enum {
    OPEN_TURNS_MAX = 256,        // taken up at one start; the others at the next
    EXPIRY_LOOK_MS = 600 * 1000, // at least so often, since the wall clock may be set
    EXPIRY_AGAIN_MS = 50,
};

struct taking_up {
    struct dispatcher *dispatcher;
    size_t count;
    int64_t last; // number
};

static const char *state_name(enum store_turn_state state)
{
    static const char *const names[] = {
        [STORE_TURN_QUEUED] = "queued",   [STORE_TURN_PROMPT] = "prompt",
        [STORE_TURN_MODEL] = "model",     [STORE_TURN_TOOLS] = "tools",
        [STORE_TURN_WAITING] = "waiting",
    };
    return (size_t)state < ARRAY_LEN(names) ? names[state] : "damaged";
}

static void take_up(struct conversation *conversation, const struct store_turn_row *row,
                    const char *why)
{
    CLEANUP(mem_cleanup) char *id = mem_strndup(row->id.data, row->id.len);
    LOG_EVENT(row->state == STORE_TURN_WAITING ? LOG_INFO : LOG_WARNING, "turn.resume", id,
              LOG_TEXT("channel", conversation->channel), LOG_TEXT("chat", conversation->chat),
              LOG_TEXT("state", state_name(row->state)), LOG_NUMBER("iteration", row->iteration),
              LOG_NUMBER("resumes", row->resumes));
    conversation_read_turn(conversation, row->id, row->session, row->state == STORE_TURN_WAITING,
                           why);
}

static bool on_open_turn(void *context, const struct store_turn_row *row)
{
    struct taking_up *taking_up = context;
    struct dispatcher *dispatcher = taking_up->dispatcher;
    const struct store_turn_terms *terms = &row->terms;
    struct store_session_key key = {row->channel, row->chat, row->thread, row->sender};
    if (span_is(terms->origin, "cron"))
        return true; // the scheduler's own, which it takes up
    if (terms->parent.data)
        return true; // its parent's call takes it up
    if (terms->reply_channel.data && !conversation_channel(&dispatcher->host, terms->reply_channel))
        return true; // it may be switched on again
    struct conversation *conversation = dispatcher_conversation(dispatcher, &key);
    if (conversation->turn || conversation->job)
        return true; // one at a time in a chat: the other one was left by a fault
    take_up(conversation, row,
            terms->interactive ? "Hermes was stopped before it had answered" : NULL);
    return ++taking_up->count < OPEN_TURNS_MAX;
}

int dispatcher_take_up(struct dispatcher *dispatcher)
{
    struct taking_up taking_up = {.dispatcher = dispatcher};
    struct error err = ERROR_INIT;
    int r = store_read_open_turns(dispatcher->host.store, on_open_turn, &taking_up, &err);
    if (r < 0)
        LOG_EVENT(LOG_ERROR, "turns.unread", "", LOG_TEXT("error", err.text));
    return r;
}

static void on_latest(void *context, const struct store_session *row)
{
    struct span *wanted = context;
    if (!span_equal(row->id, *wanted))
        *wanted = SPAN_ABSENT;
}

// After /new the conversation is another one, and need not wait.
static bool is_latest(const struct conversation *conversation, struct span session)
{
    struct store_session_key key = conversation_key(conversation);
    return store_read_session_latest(store_view(conversation->host->store), &key, on_latest,
                                     &session, NULL) == 0 &&
           session.data;
}

static bool on_waiting(void *context, const struct store_turn_row *row)
{
    struct taking_up *taking_up = context;
    struct dispatcher *dispatcher = taking_up->dispatcher;
    struct store_session_key key = {row->channel, row->chat, row->thread, row->sender};
    struct conversation *conversation = dispatcher_conversation(dispatcher, &key);
    taking_up->count++;
    taking_up->last = row->number;
    if (row->asked || dispatcher->draining)
        conversation->waiting |= is_latest(conversation, row->session);
    else if (conversation->turn || conversation->job)
        conversation->resume_due = true;
    else if (conversation->via || conversation->on_event ||
             (!row->terms.interactive && !row->terms.reply_channel.data))
        take_up(conversation, row, NULL);
    else if (row->terms.interactive)
        take_up(conversation, row, "Nobody was there any more when it could go on");
    return true;
}

static void watch_expiry(struct dispatcher *dispatcher, int64_t at_least_ms);

static void on_expired(void *context, int result, const struct error *err, int64_t rowid)
{
    struct dispatcher *dispatcher = context;
    dispatcher->expiring = 0;
    if (result < 0)
        LOG_EVENT(LOG_ERROR, "approvals.unsaved", "", LOG_TEXT("error", err->text));
    if (result < 0 || rowid == 0) // the wall clock may not be quite there
        watch_expiry(dispatcher, result < 0 ? CONVERSATION_RETRY_MS : EXPIRY_AGAIN_MS);
    else
        dispatcher_look_at_waiting(dispatcher);
}

static void on_expiry(void *context)
{
    struct dispatcher *dispatcher = context;
    struct error err = ERROR_INIT;
    dispatcher->expiry = 0;
    int64_t job = store_approvals_expire(dispatcher->host.store, loop_wall(dispatcher->host.loop),
                                         on_expired, dispatcher, &err);
    if (job < 0)
        on_expired(dispatcher, (int)job, &err, 0);
    else
        dispatcher->expiring = job;
}

static void watch_expiry(struct dispatcher *dispatcher, int64_t at_least_ms)
{
    struct loop *loop = dispatcher->host.loop;
    int64_t at = 0;
    if (dispatcher->expiring)
        return;
    loop_cancel(loop, dispatcher->expiry);
    dispatcher->expiry = 0;
    int r = store_read_expiry(store_view(dispatcher->host.store), &at, NULL);
    if (r == STORE_NOT_FOUND)
        return;
    int64_t delay = r < 0 ? CONVERSATION_RETRY_MS : at - loop_wall(loop);
    delay = delay < at_least_ms ? at_least_ms : delay;
    dispatcher->expiry = loop_timer_after(loop, delay < EXPIRY_LOOK_MS ? delay : EXPIRY_LOOK_MS,
                                          on_expiry, dispatcher);
}

static void on_look_again(void *context)
{
    struct dispatcher *dispatcher = context;
    dispatcher->expiry = 0;
    dispatcher_look_at_waiting(dispatcher);
}

void dispatcher_look_at_waiting(struct dispatcher *dispatcher)
{
    struct taking_up taking_up = {.dispatcher = dispatcher};
    struct error err = ERROR_INIT;
    size_t before;
    int r;
    list_for_each(link, &dispatcher->conversations) {
        struct conversation *conversation = list_entry(link, struct conversation, link);
        conversation->waited = STEAL(conversation->waiting);
        conversation->resume_due = false; // unless it is found again
    }
    do {
        before = taking_up.count;
        r = store_read_waiting_turns(dispatcher->host.store, taking_up.last, on_waiting, &taking_up,
                                     &err);
    } while (taking_up.count > before && r >= 0);
    list_for_each(link, &dispatcher->conversations) {
        struct conversation *conversation = list_entry(link, struct conversation, link);
        conversation->waiting |= conversation->waited && r < 0; // not known any better
        if (STEAL(conversation->waited) && !conversation->waiting) {
            dispatcher->host.answered = true; // for what was left in the inbox
            conversation_wake(conversation);
        } else if (!conversation->turn && !conversation->job) {
            conversation_wake(conversation); // it may have been kept for a turn that is gone
        }
    }
    if (r >= 0) {
        watch_expiry(dispatcher, 0);
        return;
    }
    LOG_EVENT(LOG_ERROR, "turns.unread", "", LOG_TEXT("error", err.text));
    loop_cancel(dispatcher->host.loop, dispatcher->expiry);
    dispatcher->expiry =
        loop_timer_after(dispatcher->host.loop, CONVERSATION_RETRY_MS, on_look_again, dispatcher);
}
