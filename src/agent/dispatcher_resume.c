#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/turn_read.h"

/*
 * The turns that the last process did not end. One whose answer is delivered goes on where it was;
 * of one for which somebody sat and waited it is only written down that he did not get it.
 */
enum { OPEN_TURNS_MAX = 256 }; // taken up at one start; the others at the next

struct open_turn { // a copy of its row, since rows are read to the end before anything is done
    char id[STORE_ID_MAX + 1], session[STORE_ID_MAX + 1];
    char *channel, *chat, *thread, *sender;
    enum store_turn_state state;
    int iteration, resumes;
    bool interactive;
};

struct open_turns {
    struct open_turn *turns;
    size_t count, capacity;
};

static void copy_id(char *to, struct span id)
{
    size_t len = id.len < STORE_ID_MAX ? id.len : STORE_ID_MAX;
    memcpy(to, id.data, len);
    to[len] = '\0';
}

static bool on_open_turn(void *context, const struct store_turn_row *row)
{
    struct open_turns *open = context;
    if (open->count == OPEN_TURNS_MAX)
        return false;
    open->turns = mem_grow(open->turns, open->count, &open->capacity, sizeof *open->turns);
    struct open_turn *turn = &open->turns[open->count++];
    *turn = (struct open_turn){
        .channel = mem_strndup(row->channel.data, row->channel.len),
        .chat = mem_strndup(row->chat.data, row->chat.len),
        .thread = mem_strndup(row->thread.data, row->thread.len),
        .sender = mem_strndup(row->sender.data, row->sender.len),
        .state = row->state,
        .iteration = row->iteration,
        .resumes = row->resumes,
        .interactive = row->terms.interactive,
    };
    copy_id(turn->id, row->id);
    copy_id(turn->session, row->session);
    return true;
}

static void on_given_up(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    struct conversation *conversation = context;
    conversation->job = 0;
    if (result < 0) // it is still open, and given up at the next start
        LOG_EVENT(LOG_ERROR, "turn.lost", "", LOG_TEXT("channel", conversation->channel),
                  LOG_TEXT("chat", conversation->chat), LOG_TEXT("error", err->text));
    conversation_notify_outbox(conversation);
    conversation_wake(conversation);
}

// The end of a turn that cannot go on; with a reply where one can be delivered, which is where
// there is a conversation.
static void give_up(struct dispatcher *dispatcher, const struct open_turn *turn,
                    struct conversation *conversation, const char *why)
{
    CLEANUP(mem_cleanup) char *text = mem_printf("⚠️ %s", why);
    struct store_reply reply = {.channel = span_of(turn->channel),
                                .chat = span_of(turn->chat),
                                .thread = span_of(turn->thread),
                                .text = span_of(text)};
    struct store_message last = {.role = span_of(chat_role_name(CHAT_ASSISTANT)),
                                 .content = span_of(turn_silence),
                                 .created_ms = loop_wall(dispatcher->host.loop)};
    struct store_turn_step step = {
        .turn = span_of(turn->id),
        .state = STORE_TURN_FAILED,
        .iteration = turn->iteration,
        .error = span_of(why),
        .now_ms = last.created_ms,
        .messages = &last, // as at every end, so that two questions never follow each other
        .message_count = 1,
        .reply = conversation ? &reply : NULL,
    };
    struct error err = ERROR_INIT;
    if (conversation) // its history lacks this end
        conversation_close_session(conversation);
    int64_t job = store_turn_finish(dispatcher->host.store, &step, STORE_DURABLE,
                                    conversation ? on_given_up : NULL, conversation, &err);
    if (job < 0)
        LOG_EVENT(LOG_ERROR, "turn.lost", turn->id, LOG_TEXT("error", err.text));
    else if (conversation)
        conversation->job = job;
    LOG_EVENT(LOG_WARNING, "turn.end", turn->id, LOG_TEXT("state", "failed"),
              LOG_TEXT("error", why));
}

static void take_up(struct dispatcher *dispatcher, const struct open_turn *turn)
{
    static const char *const names[] = {
        [STORE_TURN_QUEUED] = "queued",
        [STORE_TURN_PROMPT] = "prompt",
        [STORE_TURN_MODEL] = "model",
        [STORE_TURN_TOOLS] = "tools",
    };
    bool delivers = dispatcher_channel_named(dispatcher, span_of(turn->channel)) != NULL;
    if (!delivers) {
        if (turn->interactive)
            give_up(dispatcher, turn, NULL, "Hermes was stopped before it had answered");
        return; // another channel may be switched on again
    }
    struct store_session_key key = {span_of(turn->channel), span_of(turn->chat),
                                    span_of(turn->thread), span_of(turn->sender)};
    struct conversation *conversation = dispatcher_conversation(dispatcher, &key);
    if (conversation->turn ||
        conversation->job) // one at a time in a chat: the other one was left by a fault
        return;
    if (turn->state >= STORE_TURN_DONE) { // which no turn without an end is
        give_up(dispatcher, turn, conversation,
                "this could not be resumed after a restart: its record in the database is damaged");
        return;
    }
    struct error err = ERROR_INIT;
    LOG_EVENT(LOG_WARNING, "turn.resume", turn->id, LOG_TEXT("channel", turn->channel),
              LOG_TEXT("chat", turn->chat), LOG_TEXT("state", names[turn->state]),
              LOG_NUMBER("iteration", turn->iteration), LOG_NUMBER("resumes", turn->resumes));
    if (conversation_resume_turn(conversation, turn->id, turn->session, &err) < 0) {
        error_wrap(&err, "this could not be resumed after a restart");
        give_up(dispatcher, turn, conversation, err.text);
    }
}

void dispatcher_take_up(struct dispatcher *dispatcher)
{
    struct open_turns open = {0};
    struct error err = ERROR_INIT;
    if (store_read_open_turns(dispatcher->host.store, on_open_turn, &open, &err) < 0)
        LOG_EVENT(LOG_ERROR, "turns.unread", "", LOG_TEXT("error", err.text));
    for (size_t i = 0; i < open.count; i++) {
        take_up(dispatcher, &open.turns[i]);
        free(open.turns[i].channel);
        free(open.turns[i].chat);
        free(open.turns[i].thread);
        free(open.turns[i].sender);
    }
    free(open.turns);
}
