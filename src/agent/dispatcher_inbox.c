#include <stdlib.h>
#include <string.h>

#include "agent/command_word.h"
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

// "/bg TEXT" is TEXT, said beside the conversation. It is named by its message, so a restart finds
// it again. Another command is none that runs there. NULL: it is no such message.
static char *sender_beside(const struct store_inbound *row, struct span *ret_text)
{
    struct span word, rest;
    if (!slash_command_has_flag(row->text, COMMAND_BESIDE) ||
        !command_word_read(row->text, &word, &rest) || rest.len == 0 || slash_command_find(rest))
        return NULL;
    *ret_text = rest;
    return mem_printf(SESSION_BESIDE "%.*s", (int)row->external_id.len, row->external_id.data);
}

static bool stop_beside(const struct dispatcher *dispatcher, const struct store_inbound *row)
{
    bool found = false;
    list_for_each(link, &dispatcher->conversations) {
        struct conversation *other = list_entry(link, struct conversation, link);
        if (other->turn && span_is(row->channel, other->channel) &&
            span_is(row->chat, other->chat) && span_equal(row->thread, span_of(other->thread)) &&
            span_starts_with(span_of(other->sender), SESSION_BESIDE)) {
            conversation_interrupt(other);
            found = true;
        }
    }
    return found;
}

// Reading begins again at the first that there was no room for, so some are told twice.
static bool on_inbound(void *context, const struct store_inbound *told)
{
    struct dispatcher *dispatcher = context;
    struct store_inbound own = *told;
    const struct store_inbound *row = &own;
    bool known = is_known(dispatcher, row);
    dispatcher->behind |= !known && !has_room(dispatcher, row->text);
    if (!dispatcher->behind)
        dispatcher->last_number = row->number;
    if (known || !has_room(dispatcher, row->text))
        return true;
    if (!conversation_channel(&dispatcher->host, row->channel))
        return true; // a channel that is switched off: its messages stay where they are
    struct store_session_key key = key_of(dispatcher, row);
    CLEANUP(mem_cleanup) char *beside = sender_beside(told, &own.text);
    if (beside)
        key.sender = span_of(beside);
    struct conversation *conversation = dispatcher_conversation(dispatcher, &key);
    conversation->beside_ended =
        slash_command_has_flag(row->text, COMMAND_STOPS) && stop_beside(dispatcher, row);
    bool answers = conversation->waiting && row->kind != STORE_INBOUND_EDIT &&
                   row->media.len == 0 &&
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
