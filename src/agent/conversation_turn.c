#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/asked.h"
#include "agent/conversation_title.h"
#include "base/log.h"
#include "base/mem.h"
#include "llm/origin.h"
#include "tools/tool_source.h"

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

// The turn may be an earlier one, which was taken up just when somebody else came.
static bool is_awaited(const struct conversation *conversation, const char *turn)
{
    const struct asked *asked = conversation->asked;
    return !asked || !*asked->turn || strcmp(asked->turn, turn) == 0;
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
    if (STEAL(conversation->session->untitled) && outcome->state == TURN_DONE)
        conversation_ask_title(conversation);
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
    bool awaited = is_awaited(conversation, event->turn);
    turn_event_fn *waiter = awaited ? STEAL(conversation->on_event) : NULL;
    if (!waits && awaited)
        asked_destroy(STEAL(conversation->asked));
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
    if (event->kind != TURN_EVENT_END && conversation->on_event &&
        (event->kind != TURN_EVENT_BEGIN || conversation->asked) &&
        is_awaited(conversation, event->turn))
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

void conversation_taint(struct conversation *conversation)
{
    list_for_each(link, &conversation->pending) {
        struct pending_message *message = list_entry(link, struct pending_message, link);
        message->tainted = message->tainted || message->state == MESSAGE_IN_TURN;
    }
}

static struct span optional(const char *text)
{
    return text ? span_of(text) : SPAN_ABSENT;
}

static void take_terms(struct store_turn_terms *terms, const struct asked *asked)
{
    if (asked->origin)
        terms->origin = span_of(asked->origin);
    terms->tools = optional(asked->tools);
    terms->reply_channel = optional(asked->reply_channel);
    terms->reply_chat = optional(asked->reply_chat);
    terms->reply_thread = optional(asked->reply_thread);
    terms->priority = asked->priority;
    terms->unattended = asked->unattended;
    terms->interactive = !asked->lasts;
}

static void take_instructions(struct conversation *conversation, const char *turn)
{
    struct agent_session *session = conversation->session;
    const struct asked *asked = conversation->asked;
    free(session->instructions);
    session->instructions = asked && asked->instructions && is_awaited(conversation, turn)
                                ? mem_strdup(asked->instructions)
                                : NULL;
}

// The session that goes on as the one who asks tells it, which may have to be a new one.
static void adopt(struct conversation *conversation)
{
    struct agent_session *session = conversation->session;
    struct asked *asked = conversation->asked;
    bool whole = !asked->compares || asked_goes_on(&session->history, &asked->given);
    if (!session->stored && session->history.count == 0) {
        asked_seed(asked, NULL, session);
    } else if (!whole) {
        struct store_session_key key = conversation_key(conversation);
        conversation->session = agent_session_create(&key);
        asked_seed(asked, &session->history, conversation->session);
        agent_session_destroy(session);
    }
}

// What came with the messages that are in the turn.
static size_t parts_in_turn(const struct conversation *conversation, struct tool_part *parts)
{
    size_t count = 0;
    list_for_each(link, &conversation->pending) {
        const struct pending_message *message = list_entry(link, struct pending_message, link);
        if (message->state == MESSAGE_IN_TURN && message->attachment && count < CHAT_PARTS_MAX)
            count += attachment_show(message->attachment, &parts[count]);
    }
    return count;
}

int conversation_begin_turn(struct conversation *conversation, struct span text,
                            struct span drop_turn, struct error *err)
{
    int64_t numbers[CONVERSATION_PIECES_MAX];
    bool beside = span_starts_with(span_of(conversation->sender), SESSION_BESIDE);
    struct tool_part parts[CHAT_PARTS_MAX];
    const struct asked *asked = conversation->asked;
    if (asked)
        adopt(conversation);
    take_instructions(conversation, asked ? asked->turn : "");
    struct turn_request request = {
        .session = conversation->session,
        .terms = {.origin = span_of(conversation->channel),
                  .slot = SPAN_LITERAL("main"),
                  .unattended = beside,
                  .priority = beside ? CHAT_BACKGROUND : CHAT_INTERACTIVE,
                  .interactive = !conversation->via},
        .text = text,
        .tainted = is_tainted_in_turn(conversation),
        .parts = parts,
        .part_count = parts_in_turn(conversation, parts),
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
    if (asked) {
        request.name = asked->turn;
        for (size_t i = 0; i < asked->part_count; i++)
            parts[i] = (struct tool_part){asked->parts[i].type, buf_span(&asked->parts[i].bytes)};
        request.part_count = asked->part_count;
        take_terms(&request.terms, asked);
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
    take_instructions(conversation, turn);
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
