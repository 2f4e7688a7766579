#include <stdlib.h>
#include <string.h>

#include "agent/commands.h"
#include "agent/dispatcher_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

/*
 * From the store's inbox to the messages that wait in memory, of which there are few at a time.
 * What is in the store counts: reading a row a second time does no harm, so when there was no room,
 * when the store could not be read, or when a message turned out not to be what was remembered of
 * it, it is simply read again.
 */
static bool holds(const struct list *messages, const struct store_inbound *row)
{
    for (struct list *link = messages->next; link != messages; link = link->next)
        if (conversation_message_is(list_entry(link, struct pending_message, link), row))
            return true;
    return false;
}

static bool is_known(const struct dispatcher *dispatcher, const struct store_inbound *row)
{
    list_for_each(link, &dispatcher->conversations) {
        const struct conversation *conversation = list_entry(link, struct conversation, link);
        if (span_is(row->channel, conversation->channel) &&
            span_is(row->chat, conversation->chat) &&
            (holds(&conversation->pending, row) || holds(&conversation->steered, row)))
            return true;
    }
    return false;
}

static bool has_room(const struct dispatcher *dispatcher, struct span text)
{
    size_t most = DISPATCHER_PENDING_MAX +
                  (slash_command_has_flag(text, COMMAND_URGENT) ? DISPATCHER_URGENT_MAX : 0);
    return dispatcher->host.pending < most;
}

static struct store_session_key key_of(const struct dispatcher *dispatcher,
                                       const struct store_inbound *row)
{
    const struct dispatcher_config *config = dispatcher->env.config;
    bool per_user =
        row->thread.len ? config->thread_sessions_per_user : config->group_sessions_per_user;
    return (struct store_session_key){
        .channel = row->channel,
        .chat = row->chat,
        .thread = row->thread,
        .sender = row->grouped && per_user ? row->sender : SPAN_LITERAL(""),
    };
}

// Reading begins again at the first that there was no room for, so some are told twice.
static bool on_inbound(void *context, const struct store_inbound *row)
{
    struct dispatcher *dispatcher = context;
    bool known = is_known(dispatcher, row);
    dispatcher->behind |= !known && !has_room(dispatcher, row->text);
    if (!dispatcher->behind)
        dispatcher->last_number = row->number;
    if (known || !has_room(dispatcher, row->text))
        return true;
    if (!conversation_channel(&dispatcher->host, row->channel))
        return true; // a channel that is switched off: its messages stay where they are
    struct store_session_key key = key_of(dispatcher, row);
    struct conversation *conversation = dispatcher_conversation(dispatcher, &key);
    bool answers = conversation->waiting && row->kind != STORE_INBOUND_EDIT &&
                   command_is_answer(conversation, row->text, row->sender, row->received_ms);
    if (conversation->waiting && !answers &&
        !slash_command_has_flag(row->text, COMMAND_WHILE_WAITING))
        return true; // so do these, until that turn has ended
    bool before = conversation->turn && row->sent_ms + 2000 < conversation->turn_wall_ms;
    before |= dispatcher->resume_wanted || dispatcher->look_at_waiting;
    bool replaces = row->kind == STORE_INBOUND_EDIT && conversation_edit_message(conversation, row);
    if (!replaces)
        conversation_add_message(conversation, row, before);
    CLEANUP(mem_cleanup) char *sender = mem_strndup(row->sender.data, row->sender.len);
    LOG_EVENT(LOG_INFO, "message.in", "", LOG_TEXT("channel", conversation->channel),
              LOG_TEXT("chat", conversation->chat), LOG_TEXT("sender", sender),
              LOG_NUMBER("number", row->number), LOG_NUMBER("bytes", (int64_t)row->text.len));
    ++*metrics_counter(dispatcher->env.metrics, "hermes_messages_total", "", "Messages received");
    return true;
}

int dispatcher_read_inbox(struct dispatcher *dispatcher, struct error *err)
{
    return store_read_inbox(dispatcher->host.store, dispatcher->last_number, on_inbound, dispatcher,
                            err);
}
