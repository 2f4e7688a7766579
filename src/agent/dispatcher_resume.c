#include "agent/dispatcher_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/turn_read.h"

/*
 * The turns that the last process did not end. One whose answer is delivered goes on where it was;
 * one for which somebody sat and waited ends, since nobody would get its answer.
 */
enum { OPEN_TURNS_MAX = 256 }; // taken up at one start; the others at the next

struct taking_up {
    struct dispatcher *dispatcher;
    size_t count;
};

static const char *state_name(enum store_turn_state state)
{
    static const char *const names[] = {
        [STORE_TURN_QUEUED] = "queued",
        [STORE_TURN_PROMPT] = "prompt",
        [STORE_TURN_MODEL] = "model",
        [STORE_TURN_TOOLS] = "tools",
    };
    return (size_t)state < ARRAY_LEN(names) ? names[state] : "damaged";
}

static bool on_open_turn(void *context, const struct store_turn_row *row)
{
    struct taking_up *taking_up = context;
    struct dispatcher *dispatcher = taking_up->dispatcher;
    const struct store_turn_terms *terms = &row->terms;
    struct store_session_key key = {row->channel, row->chat, row->thread, row->sender};
    if (terms->reply_channel.data && !conversation_channel(&dispatcher->host, terms->reply_channel))
        return true; // it may be switched on again
    struct conversation *conversation = dispatcher_conversation(dispatcher, &key);
    if (conversation->turn || conversation->job)
        return true; // one at a time in a chat: the other one was left by a fault
    CLEANUP(mem_cleanup) char *id = mem_strndup(row->id.data, row->id.len);
    LOG_EVENT(LOG_WARNING, "turn.resume", id, LOG_TEXT("channel", conversation->channel),
              LOG_TEXT("chat", conversation->chat), LOG_TEXT("state", state_name(row->state)),
              LOG_NUMBER("iteration", row->iteration), LOG_NUMBER("resumes", row->resumes));
    conversation_read_turn(conversation, row->id, row->session,
                           terms->interactive ? "Hermes was stopped before it had answered" : NULL);
    return ++taking_up->count < OPEN_TURNS_MAX;
}

void dispatcher_take_up(struct dispatcher *dispatcher)
{
    struct taking_up taking_up = {.dispatcher = dispatcher};
    struct error err = ERROR_INIT;
    if (store_read_open_turns(dispatcher->host.store, on_open_turn, &taking_up, &err) < 0)
        LOG_EVENT(LOG_ERROR, "turns.unread", "", LOG_TEXT("error", err.text));
}
