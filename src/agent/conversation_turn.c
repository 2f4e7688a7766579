#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/conversation.h"
#include "base/log.h"
#include "base/mem.h"

// A conversation's side of a turn: its events go on to the channel, or to whoever waits.

// To the channel that the answer goes to, which need not be the conversation's own.
static struct attached_channel *report_to_channel(struct conversation *conversation,
                                                  const struct turn_event *event)
{
    struct attached_channel *to =
        event->channel ? conversation_channel(conversation->host, span_of(event->channel)) : NULL;
    if (to && to->channel->on_event)
        to->channel->on_event(to->context, event);
    return to;
}

// What the model read of the steered messages is done; the others wait again, before all else.
static void unsteer(struct conversation *conversation, const struct turn_outcome *outcome)
{
    struct list *place = conversation->pending.next;
    list_for_each(link, &conversation->steered) {
        struct pending_message *message = list_entry(link, struct pending_message, link);
        bool unheard = false;
        for (size_t i = 0; i < outcome->unheard_count; i++)
            unheard |= outcome->unheard[i] == message->number;
        list_remove(link);
        message->state = unheard ? MESSAGE_PENDING : MESSAGE_IN_TURN;
        message->no_interrupt = true;
        list_append(place, link); // before `place`
    }
}

static void on_end(struct conversation *conversation, const struct turn_event *event)
{
    const struct turn_outcome *outcome = event->outcome;
    struct conversation_host *host = conversation->host;
    bool lost = !outcome->begun && conversation->via;
    bool resumed = STEAL(conversation->resumed);
    conversation->turn = 0;
    bool waits = outcome->state == TURN_WAITING;
    conversation->waiting |= waits; // another one of it may, of an earlier session
    host->answered |= waits;
    loop_cancel(host->loop, conversation->stopping);
    conversation->stopping = 0;
    struct attached_channel *to = report_to_channel(conversation, event);
    unsteer(conversation, outcome);
    if (!conversation->session->stored) // part of it may be; another one is certain
        conversation_close_session(conversation);
    if (lost) {
        struct error err = ERROR_INIT;
        error_set(&err, outcome->code, "%s", outcome->error);
        conversation_retry(conversation, MESSAGE_IN_TURN, &err);
    } else {
        conversation_done(conversation, MESSAGE_IN_TURN);
        if (to && to->channel->on_outbox)
            to->channel->on_outbox(to->context);
    }
    turn_event_fn *waiter = STEAL(conversation->on_event);
    if (waiter)
        waiter(conversation->context, event); // whose texts may be the history's
    if (waits || resumed)
        conversation_close_session(conversation);
    conversation_wake(conversation);
}

static void on_event(void *context, const struct turn_event *event)
{
    struct conversation *conversation = context;
    if (event->kind == TURN_EVENT_END)
        on_end(conversation, event);
    else if (event->channel)
        report_to_channel(conversation, event);
    else if (conversation->on_event && event->kind != TURN_EVENT_BEGIN)
        conversation->on_event(conversation->context, event);
}

static void began(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;
    snprintf(conversation->turn_name, sizeof conversation->turn_name, "%s",
             agent_turn_name(host->agent, conversation->turn));
    conversation->turn_ms = loop_now(host->loop);
    conversation->turn_wall_ms = loop_wall(host->loop);
    if (STEAL(conversation->awaited)) // a message that came meanwhile may interrupt
        conversation_wake(conversation);
    else
        conversation_mark_pending(conversation);
    if (STEAL(conversation->stop_wanted))
        conversation_interrupt(conversation);
}

static const char *sender_in_turn(const struct conversation *conversation)
{
    list_for_each(link, &conversation->pending) {
        const struct pending_message *message = list_entry(link, struct pending_message, link);
        if (message->state == MESSAGE_IN_TURN)
            return message->sender;
    }
    return "";
}

static bool is_tainted_in_turn(const struct conversation *conversation)
{
    bool tainted = false;
    list_for_each(link, &conversation->pending) {
        const struct pending_message *message = list_entry(link, struct pending_message, link);
        tainted |= message->state == MESSAGE_IN_TURN && message->tainted;
    }
    return tainted;
}

int conversation_begin_turn(struct conversation *conversation, struct span text,
                            struct span drop_turn, struct error *err)
{
    int64_t numbers[CONVERSATION_PIECES_MAX];
    struct turn_request request = {
        .session = conversation->session,
        .terms = {.origin = span_of(conversation->channel),
                  .slot = SPAN_LITERAL("main"),
                  .interactive = !conversation->via},
        .text = text,
        .tainted = is_tainted_in_turn(conversation),
        .inbox = numbers,
        .inbox_count = conversation_in_progress(conversation, MESSAGE_IN_TURN, numbers),
        .drop_turn = drop_turn,
    };
    if (conversation->via) {
        request.terms.asker = span_of(sender_in_turn(conversation));
        request.terms.reply_channel = span_of(conversation->channel);
        request.terms.reply_chat = span_of(conversation->chat);
        request.terms.reply_thread = span_of(conversation->thread);
    }
    int r = agent_turn_start(conversation->host->agent, &request, on_event, conversation,
                             &conversation->turn, err);
    if (r == 0)
        began(conversation);
    return r;
}

void conversation_resume_turn(struct conversation *conversation, const char *turn, const char *why)
{
    struct error err = ERROR_INIT;
    conversation->resumed = true;
    int r = agent_turn_resume(conversation->host->agent, conversation->session, span_of(turn), why,
                              on_event, conversation, &conversation->turn, &err);
    if (r == 0)
        began(conversation);
    else // it is still open, and taken up at the next start
        LOG_EVENT(LOG_ERROR, "turn.lost", turn, LOG_TEXT("channel", conversation->channel),
                  LOG_TEXT("chat", conversation->chat), LOG_TEXT("error", err.text));
}

static void on_stopping(void *context)
{
    struct conversation *conversation = context;
    conversation->stopping = 0;
    agent_turn_cancel(conversation->host->agent, conversation->turn);
}

// Not at once: the caller may be inside a callback of this very turn.
void conversation_interrupt(struct conversation *conversation)
{
    if (conversation->turn && !conversation->stopping)
        conversation->stopping = loop_defer(conversation->host->loop, on_stopping, conversation);
}

bool conversation_steer(struct conversation *conversation, struct pending_message *message)
{
    struct span text = span_make(message->text, message->len);
    if (agent_turn_steer(conversation->host->agent, conversation->turn, text, message->tainted,
                         message->number) < 0)
        return false; // it is ending; then the message is next
    LOG_EVENT(LOG_INFO, "message.steers", conversation->turn_name,
              LOG_NUMBER("message", message->number));
    list_remove(&message->link);
    message->state = MESSAGE_IN_TURN;
    list_append(&conversation->steered, &message->link);
    return true;
}
