#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/asked.h"
#include "agent/conversation.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/turn_read.h"

/*
 * The reads of a conversation that may take long: its session with the history, and the sums over
 * turns. The store's thread does them; until then conversation->job is set, so that nothing else
 * happens to the conversation.
 */
enum { TAKE_UP_ATTEMPTS_MAX = 5 }; // at a turn that waited; one minute, together

struct reading {
    struct conversation *conversation;   // of the loop's thread alone
    struct agent_session *fresh, *found; // the first has the key, and is used if need be
    struct store_turn_sums *sums;        // NULL: the session is wanted
    char turn[STORE_ID_MAX + 1];         // that is taken up with the session; "": none
    char session[STORE_ID_MAX + 1];      // its id; "": the last one of the key
    char why[ERROR_TEXT_MAX];            // the turn cannot go on; "": it can
    bool waited; // for approval: should it stay unread it is looked at again
};

static int on_thread(void *context, struct store_view *view, struct error *err)
{
    struct reading *reading = context;
    const struct agent_session *fresh = reading->fresh;
    struct store_session_key key = {span_of(fresh->channel), span_of(fresh->chat),
                                    span_of(fresh->thread), span_of(fresh->sender)};
    struct span session = span_of(reading->session);
    agent_session_destroy(STEAL(reading->found)); // of a run that is repeated
    if (reading->sums) {
        int r = store_read_turn_sums(view, session, &reading->sums[0], err);
        return r == 0 ? store_read_turn_sums(view, SPAN_LITERAL(""), &reading->sums[1], err) : r;
    }
    return session.len ? agent_session_load(view, session, &reading->found, err)
                       : agent_session_load_latest(view, &key, &reading->found, err);
}

static void on_read(void *context, int result, const struct error *err, int64_t rowid)
{
    struct reading *reading = context;
    struct conversation *conversation = reading->conversation;
    conversation->job = 0;
    conversation_wake(conversation);
    if (reading->sums) {
        if (result == 0)
            conversation->sums = STEAL(reading->sums);
        else
            conversation_retry(conversation, MESSAGE_PENDING, err);
        return;
    }
    if (result < 0 && reading->waited && !conversation->on_event &&
        conversation->attempts < TAKE_UP_ATTEMPTS_MAX) {
        LOG_EVENT(LOG_ERROR, "turn.unread", reading->turn, LOG_TEXT("error", err->text));
        conversation_take_up_later(conversation);
        return;
    }
    // Somebody who waits gets an answer also from a store that is not there.
    bool usable = result == 0 || result == STORE_NOT_FOUND || *reading->turn || !conversation->via;
    if (!usable) {
        conversation_retry(conversation, MESSAGE_PENDING, err);
        return;
    }
    conversation_close_session(conversation);
    conversation->session = result == 0 ? STEAL(reading->found) : STEAL(reading->fresh);
    if (*reading->turn && result != 0 && !*reading->why)
        snprintf(reading->why, sizeof reading->why, "this could not be resumed after a restart: %s",
                 result < 0 ? err->text : "its conversation is gone");
    if (*reading->turn)
        conversation_resume_turn(conversation, reading->turn, *reading->why ? reading->why : NULL);
}

static void release(void *context)
{
    struct reading *reading = context;
    agent_session_destroy(reading->fresh);
    agent_session_destroy(reading->found);
    free(reading->sums);
    free(reading);
}

static struct reading *reading_create(struct conversation *conversation)
{
    struct store_session_key key = conversation_key(conversation);
    struct reading *reading = mem_new(struct reading);
    reading->conversation = conversation;
    reading->fresh = agent_session_create(&key);
    return reading;
}

static void submit(struct reading *reading)
{
    static const struct store_reading how = {on_thread, on_read, release};
    struct conversation *conversation = reading->conversation;
    struct error err = ERROR_INIT;
    int64_t job = store_read(conversation->host->store, &how, reading, &err);
    conversation->job = job > 0 ? job : 0;
    if (job > 0)
        return;
    on_read(reading, (int)job, &err, 0);
    release(reading);
}

static void ignore_session(void *context, const struct store_session *session) {}

// `hermes sessions delete` may have taken the conversation that is kept here; then the next one
// begins.
static bool is_deleted(const struct conversation *conversation)
{
    const struct agent_session *session = conversation->session;
    return session && session->stored && !session->busy &&
           store_read_session(store_view(conversation->host->store), span_of(session->id),
                              ignore_session, NULL, NULL) == STORE_NOT_FOUND;
}

bool conversation_open_session(struct conversation *conversation)
{
    const struct agent_session *session = conversation->session;
    const char *wanted = conversation->asked ? conversation->asked->session : "";
    bool other = *wanted && session && !session->busy && strcmp(session->id, wanted) != 0;
    if (other || is_deleted(conversation))
        conversation_close_session(conversation);
    if (!conversation->session) {
        conversation_mark_pending(conversation);
        conversation->awaited = true;
        struct reading *reading = reading_create(conversation);
        snprintf(reading->session, sizeof reading->session, "%s", wanted);
        if (*wanted)
            snprintf(reading->fresh->id, sizeof reading->fresh->id, "%s", wanted);
        submit(reading);
    }
    return conversation->session != NULL && !conversation->job;
}

void conversation_read_turn(struct conversation *conversation, struct span turn,
                            struct span session, bool waited, const char *why)
{
    struct reading *reading = reading_create(conversation);
    reading->waited = waited;
    snprintf(reading->turn, sizeof reading->turn, "%.*s", (int)turn.len, turn.data);
    snprintf(reading->session, sizeof reading->session, "%.*s", (int)session.len, session.data);
    snprintf(reading->why, sizeof reading->why, "%s", why ? why : "");
    submit(reading);
}

void conversation_read_sums(struct conversation *conversation)
{
    struct reading *reading = reading_create(conversation);
    reading->sums = mem_zalloc(2 * sizeof *reading->sums);
    snprintf(reading->session, sizeof reading->session, "%s", conversation->session->id);
    submit(reading);
}
