#include "agent/conversation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/asked.h"
#include "agent/command_word.h"
#include "agent/conversation_compress.h"
#include "agent/conversation_title.h"
#include "agent/outside.h"
#include "agent/side_call.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/inbox.h"

#define EDITED "(edited) "

struct conversation *conversation_create(struct conversation_host *host,
                                         const struct store_session_key *key)
{
    struct conversation *conversation = mem_new(struct conversation);
    conversation->host = host;
    conversation->channel = mem_strndup(key->channel.data, key->channel.len);
    conversation->chat = mem_strndup(key->chat.data, key->chat.len);
    conversation->thread = mem_strndup(key->thread.data, key->thread.len);
    conversation->sender = mem_strndup(key->sender.data, key->sender.len);
    list_init(&conversation->pending);
    list_init(&conversation->steered);
    list_init(&conversation->link);
    return conversation;
}

bool conversation_is_compressing(const struct conversation *conversation)
{
    return conversation->compressing && conversation->compressing->call;
}

void conversation_forget_compressing(struct conversation *conversation)
{
    struct conversation_compressing *own = STEAL(conversation->compressing);
    if (!own)
        return;
    side_call_cancel(own->call);
    free(own->summary);
    free(own);
}

void conversation_drop_message(struct conversation *conversation, struct pending_message *message)
{
    conversation->host->pending--;
    list_remove(&message->link);
    attachment_destroy(message->attachment);
    free(message->external_id);
    free(message->sender);
    free(message->text);
    free(message);
}

void conversation_destroy(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;
    agent_turn_park(host->agent, conversation->turn);
    store_forget(host->store, conversation->job);
    if (conversation->asking)
        host->outside->forget(host->outside->owner, conversation);
    loop_cancel(host->loop, conversation->cut_timer);
    loop_cancel(host->loop, conversation->again);
    loop_cancel(host->loop, conversation->stopping);
    loop_cancel(host->loop, conversation->soon);
    list_for_each(link, &conversation->pending)
        conversation_drop_message(conversation, list_entry(link, struct pending_message, link));
    list_for_each(other, &conversation->steered)
        conversation_drop_message(conversation, list_entry(other, struct pending_message, link));
    conversation_leave_title(conversation);
    conversation_close_session(conversation);
    asked_destroy(conversation->asked);
    list_remove(&conversation->link);
    free(conversation->channel);
    free(conversation->chat);
    free(conversation->thread);
    free(conversation->sender);
    free(conversation->reply);
    free(conversation->stopped);
    free(conversation->sums);
    free(conversation->outside);
    free(conversation->outside_buttons);
    free(conversation);
}

struct store_session_key conversation_key(const struct conversation *conversation)
{
    return (struct store_session_key){
        .channel = span_of(conversation->channel),
        .chat = span_of(conversation->chat),
        .thread = span_of(conversation->thread),
        .sender = span_of(conversation->sender),
    };
}

static void on_attachment(void *context)
{
    conversation_wake(context);
}

// "/queue TEXT" and "/steer TEXT" are a text like any other, but for what it does to an answer.
static struct span take_wish(struct pending_message *message, struct span text)
{
    struct span word, rest;
    bool is_wish = command_word_read(text, &word, &rest) && rest.len > 0;
    bool queued = is_wish && (span_is(word, "/queue") || span_is(word, "/q"));
    message->wish = queued                               ? WISH_QUEUE
                    : is_wish && span_is(word, "/steer") ? WISH_STEER
                                                         : WISH_NONE;
    message->no_interrupt = message->no_interrupt || message->wish;
    return message->wish ? rest : text;
}

// A command is carried out as it now stands; of any other text the model is told what it is.
static void set_text(struct conversation *conversation, struct pending_message *message,
                     const struct store_inbound *row)
{
    struct span word, rest, said = take_wish(message, row->text);
    const char *mark = message->marked && !command_word_read(said, &word, &rest) ? EDITED : "";
    struct buf text = BUF_INIT(CONVERSATION_TEXT_MAX + sizeof EDITED);
    buf_append_text(&text, mark);
    buf_append_span(&text, said);
    free(message->text);
    message->len = text.len;
    message->text = buf_take_text(&text);
    message->number = row->number;
    message->tainted = row->tainted;
    message->cut = row->cut && !message->marked;
    attachment_destroy(message->attachment);
    message->attachment = row->media.len ? attachment_create(conversation->host->agent, row->media,
                                                             on_attachment, conversation)
                                         : NULL;
}

bool conversation_message_is_whole(struct conversation *conversation,
                                   struct pending_message *message)
{
    const struct agent_session *session = conversation->session;
    const struct agent_env *env = agent_env(conversation->host->agent);
    return !message->attachment ||
           attachment_is_ready(message->attachment, conversation->via,
                               session->model ? session->model : env->model, session->id);
}

bool conversation_message_is(const struct pending_message *message, const struct store_inbound *row)
{
    return message->number == row->number ||
           (row->number >= message->place && row->number < message->number &&
            span_is(row->external_id, message->external_id));
}

bool conversation_edit_message(struct conversation *conversation, const struct store_inbound *row)
{
    list_for_each(link, &conversation->pending) {
        struct pending_message *message = list_entry(link, struct pending_message, link);
        if (!message->state && span_is(row->external_id, message->external_id)) {
            set_text(conversation, message, row);
            return true;
        }
    }
    return false;
}

void conversation_add_message(struct conversation *conversation, const struct store_inbound *row,
                              bool no_interrupt)
{
    struct pending_message *message = mem_new(struct pending_message);
    message->place = row->number;
    message->external_id = mem_strndup(row->external_id.data, row->external_id.len);
    message->sender = mem_strndup(row->sender.data, row->sender.len);
    message->marked = row->kind == STORE_INBOUND_EDIT;
    set_text(conversation, message, row);
    message->no_interrupt = no_interrupt || message->wish;
    message->received_ms = row->received_ms;
    message->since_ms = loop_now(conversation->host->loop);
    struct list *place = &conversation->pending; // the last, save one that is read a second time
    while (place->prev != &conversation->pending &&
           list_entry(place->prev, struct pending_message, link)->place > row->number)
        place = place->prev;
    list_append(place, &message->link);
    conversation->host->pending++;
}

void conversation_mark_pending(struct conversation *conversation)
{
    list_for_each(link, &conversation->pending)
        list_entry(link, struct pending_message, link)->no_interrupt = true;
}

static void on_soon(void *context)
{
    struct conversation *conversation = context;
    conversation->soon = 0;
    conversation->host->next(conversation);
}

void conversation_wake(struct conversation *conversation)
{
    if (!conversation->soon)
        conversation->soon = loop_defer(conversation->host->loop, on_soon, conversation);
}

void conversation_close_session(struct conversation *conversation)
{
    conversation_forget_compressing(conversation);
    agent_session_destroy(conversation->session);
    conversation->session = NULL;
}

size_t conversation_in_progress(const struct conversation *conversation, enum message_state state,
                                int64_t *numbers)
{
    size_t count = 0;
    list_for_each(link, &conversation->pending) {
        const struct pending_message *message = list_entry(link, struct pending_message, link);
        if (message->state == state && message->number && count < CONVERSATION_PIECES_MAX)
            numbers[count++] = message->number;
    }
    return count;
}

void conversation_progress(struct conversation *conversation, enum message_state from,
                           enum message_state to)
{
    list_for_each(link, &conversation->pending) {
        struct pending_message *message = list_entry(link, struct pending_message, link);
        if (message->state == from)
            message->state = to;
    }
}

void conversation_done(struct conversation *conversation, enum message_state state)
{
    conversation->attempts = 0;
    list_for_each(link, &conversation->pending) {
        struct pending_message *message = list_entry(link, struct pending_message, link);
        if (message->state == state)
            conversation_drop_message(conversation, message);
    }
    conversation_wake(conversation);
}

void conversation_report(struct conversation *conversation, const struct turn_outcome *outcome)
{
    turn_event_fn *on_event = STEAL(conversation->on_event);
    void *context = conversation->context;
    conversation->stop_wanted = false;
    if (!on_event)
        return;
    struct turn_event event = {.turn = "", .text = span_of(outcome->text), .outcome = outcome};
    event.kind = TURN_EVENT_TEXT;
    if (event.text.len)
        on_event(context, &event);
    event.kind = TURN_EVENT_END;
    on_event(context, &event);
}

static void on_again(void *context)
{
    struct conversation *conversation = context;
    conversation->again = 0;
    conversation->host->next(conversation);
}

void conversation_retry(struct conversation *conversation, enum message_state state,
                        const struct error *err)
{
    if (!conversation->via) {
        conversation_done(conversation, state);
        conversation_report(conversation, &(struct turn_outcome){.state = TURN_FAILED,
                                                                 .text = "",
                                                                 .error = err->text,
                                                                 .code = err->code,
                                                                 .remark = "",
                                                                 .usage = CHAT_USAGE_UNKNOWN});
        return;
    }
    int attempts = conversation->attempts + 1;
    if (attempts == 1)
        LOG_EVENT(LOG_ERROR, "message.waits", "", LOG_TEXT("channel", conversation->channel),
                  LOG_TEXT("chat", conversation->chat), LOG_TEXT("error", err->text));
    if (err->code == -EALREADY || err->code == -ENOENT) { // the store's content counts
        if (!conversation->turn)
            conversation_close_session(conversation);
        conversation_done(conversation, state);
        conversation->host->reread = true;
    } else {
        conversation_progress(conversation, state, MESSAGE_PENDING);
    }
    conversation->attempts = attempts;
    int64_t delay = (int64_t)CONVERSATION_RETRY_MS << (attempts < 5 ? attempts - 1 : 4);
    loop_cancel(conversation->host->loop, conversation->again);
    conversation->again = loop_timer_after(conversation->host->loop, delay, on_again, conversation);
}

void conversation_take_up_later(struct conversation *conversation)
{
    int64_t delay = (int64_t)CONVERSATION_RETRY_MS << conversation->attempts++;
    conversation->resume_due = true;
    loop_cancel(conversation->host->loop, conversation->again);
    conversation->again = loop_timer_after(conversation->host->loop, delay, on_again, conversation);
}

struct attached_channel *conversation_channel(const struct conversation_host *host,
                                              struct span name)
{
    list_for_each(link, &host->channels) {
        struct attached_channel *attached = list_entry(link, struct attached_channel, link);
        if (span_is(name, attached->channel->name))
            return attached;
    }
    return NULL;
}

void conversation_notify_outbox(struct conversation *conversation)
{
    if (conversation->via && conversation->via->channel->on_outbox)
        conversation->via->channel->on_outbox(conversation->via->context);
}
