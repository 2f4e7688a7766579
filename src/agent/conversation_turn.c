#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/conversation.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/session.h"

// A conversation's side of a turn: its events go on to the channel, or to whoever waits.

static void report_to_channel(struct conversation *conversation, struct turn_event event)
{
    event.chat = conversation->chat;
    event.thread = conversation->thread;
    if (conversation->via && conversation->via->channel->on_event)
        conversation->via->channel->on_event(conversation->via->context, &event);
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
    conversation->turn = 0;
    loop_cancel(host->loop, conversation->stopping);
    conversation->stopping = 0;
    report_to_channel(conversation, *event);
    unsteer(conversation, outcome);
    if (!outcome->begun &&
        !conversation->session->stored) // part of it may be; another one is certain
        conversation_close_session(conversation);
    if (lost) {
        struct error err = ERROR_INIT;
        error_set(&err, outcome->code, "%s", outcome->error);
        conversation_retry(conversation, MESSAGE_IN_TURN, &err);
    } else {
        conversation_done(conversation, MESSAGE_IN_TURN);
        conversation_notify_outbox(conversation);
    }
    turn_event_fn *waiter = STEAL(conversation->on_event);
    if (waiter)
        waiter(conversation->context, event);
    conversation_wake(conversation);
}

static void on_event(void *context, const struct turn_event *event)
{
    struct conversation *conversation = context;
    if (event->kind == TURN_EVENT_END)
        on_end(conversation, event);
    else if (conversation->via)
        report_to_channel(conversation, *event);
    else if (conversation->on_event)
        conversation->on_event(conversation->context, event);
}

static void began(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;
    snprintf(conversation->turn_name, sizeof conversation->turn_name, "%s",
             agent_turn_name(host->agent, conversation->turn));
    conversation->turn_ms = loop_now(host->loop);
    conversation->turn_wall_ms = loop_wall(host->loop);
    list_for_each(link, &conversation->pending)
        list_entry(link, struct pending_message, link)->no_interrupt = true;
    report_to_channel(conversation, (struct turn_event){.kind = TURN_EVENT_BEGIN,
                                                        .turn = conversation->turn_name});
    if (STEAL(conversation->stop_wanted))
        conversation_interrupt(conversation);
}

static void ignore_session(void *context, const struct store_session *session)
{
    (void)context, (void)session;
}

// `hermes sessions delete` may have taken the conversation that is kept here; then the next one
// begins.
static bool is_deleted(const struct conversation *conversation)
{
    const struct agent_session *session = conversation->session;
    return session && session->stored && !session->busy &&
           store_read_session(store_view(conversation->host->store), span_of(session->id),
                              ignore_session, NULL, NULL) == STORE_NOT_FOUND;
}

int conversation_open_session(struct conversation *conversation, struct error *err)
{
    if (is_deleted(conversation))
        conversation_close_session(conversation);
    if (conversation->session)
        return 0;
    struct store_session_key key = conversation_key(conversation);
    int r = agent_session_load_latest(conversation->host->store, &key, &conversation->session, err);
    // Somebody who waits gets an answer also from a store that is not there.
    if (r == STORE_NOT_FOUND || (r < 0 && !conversation->via)) {
        conversation->session = agent_session_create(&key);
        r = 0;
    }
    return r;
}

int conversation_begin_turn(struct conversation *conversation, struct span text,
                            struct span drop_turn, struct error *err)
{
    int64_t numbers[CONVERSATION_PIECES_MAX];
    struct turn_request request = {
        .origin = conversation->channel,
        .terms = {.slot = SPAN_LITERAL("main"), .interactive = !conversation->via},
        .text = text,
        .inbox = numbers,
        .inbox_count = conversation_in_progress(conversation, MESSAGE_IN_TURN, numbers),
        .drop_turn = drop_turn,
    };
    if (conversation->via) {
        request.terms.reply_channel = span_of(conversation->channel);
        request.terms.reply_chat = span_of(conversation->chat);
        request.terms.reply_thread = span_of(conversation->thread);
    }
    int r = conversation_open_session(conversation, err);
    request.session = conversation->session;
    if (r == 0)
        r = agent_turn_start(conversation->host->agent, &request, on_event, conversation,
                             &conversation->turn, err);
    if (r == 0)
        began(conversation);
    return r;
}

int conversation_resume_turn(struct conversation *conversation, const char *turn,
                             const char *session_id, struct error *err)
{
    struct agent_session *session = NULL;
    int r = agent_session_load(conversation->host->store, span_of(session_id), &session, err);
    if (r != 0)
        return r < 0 ? r : error_set(err, -ENOENT, "its conversation is gone");
    conversation_close_session(conversation);
    conversation->session = session;
    r = agent_turn_resume(conversation->host->agent, session, span_of(turn), on_event, conversation,
                          &conversation->turn, err);
    if (r == 0)
        began(conversation);
    return r;
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
    if (agent_turn_steer(conversation->host->agent, conversation->turn, text, message->number) < 0)
        return false; // it is ending; then the message is next
    LOG_EVENT(LOG_INFO, "message.steers", conversation->turn_name,
              LOG_NUMBER("message", message->number));
    list_remove(&message->link);
    message->state = MESSAGE_IN_TURN;
    list_append(&conversation->steered, &message->link);
    return true;
}
