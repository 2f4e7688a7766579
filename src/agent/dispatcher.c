#include "agent/dispatcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/asked.h"
#include "agent/command_word.h"
#include "agent/commands.h"
#include "agent/context.h"
#include "agent/conversation_compress.h"
#include "agent/conversation_title.h"
#include "agent/dispatcher_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "tools/toolbox.h"

/*
 * What is next for a conversation is decided in one place, go_on(), from what is there: the
 * messages that wait, the turn that runs, the command that is on its way to the disk. Whatever
 * changes one of these wakes the conversation (conversation_wake()), which leads to it. A message
 * stops waiting only when its effect is on disk; if the disk refuses, it still waits, and is tried
 * again.
 */
const struct option dispatcher_options[] = {
    {.key = "display.busy_input_mode",
     .type = OPTION_STRING,
     .offset = offsetof(struct dispatcher_config, busy_mode),
     .env = "HERMES_GATEWAY_BUSY_INPUT_MODE",
     .fallback = "interrupt",
     .choices = "interrupt,queue,steer",
     .help = "what a message does that arrives during an answer"},
    {.key = "sessions.auto_prune",
     .type = OPTION_BOOL,
     .offset = offsetof(struct dispatcher_config, prunes),
     .fallback = "false",
     .help = "delete conversations that another one of their chat has followed"},
    {.key = "sessions.retention_days",
     .type = OPTION_INT,
     .offset = offsetof(struct dispatcher_config, retention_days),
     .fallback = "90",
     .min = 1,
     .max = 36500,
     .help = "days after their last use"},
    {.key = "agent.restart_drain_timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct dispatcher_config, drain_ms),
     .fallback = "10s",
     .min = 0,
     .max = 3600 * 1000,
     .help = "how long a running turn may take to end at a stop; then it is parked"},
    {.key = "group_sessions_per_user",
     .type = OPTION_BOOL,
     .offset = offsetof(struct dispatcher_config, group_sessions_per_user),
     .fallback = "true",
     .help = "in a group each sender has a conversation of their own"},
    {.key = "thread_sessions_per_user",
     .type = OPTION_BOOL,
     .offset = offsetof(struct dispatcher_config, thread_sessions_per_user),
     .fallback = "false",
     .help = "in a thread of a group as well; else all who write there share one"},
};

const size_t dispatcher_option_count = ARRAY_LEN(dispatcher_options);

// As a command may be in it.
static struct span text_of(const struct pending_message *message)
{
    return message->plain ? SPAN_LITERAL("") : span_make(message->text, message->len);
}

static bool is_command(const struct pending_message *message)
{
    struct span word, rest;
    return command_word_read(text_of(message), &word, &rest);
}

static struct pending_message *first_pending(struct conversation *conversation, bool urgent)
{
    list_for_each(link, &conversation->pending) {
        struct pending_message *message = list_entry(link, struct pending_message, link);
        if (!message->state &&
            (!urgent || slash_command_has_flag(text_of(message), COMMAND_URGENT)))
            return message;
    }
    return NULL;
}

static void run_command(struct conversation *conversation, struct pending_message *message)
{
    if (slash_command_has_flag(text_of(message), COMMAND_SUMS) && !conversation->sums) {
        conversation_read_sums(conversation);
        return;
    }
    if (slash_command_has_flag(text_of(message), COMMAND_OUTSIDE) && !conversation->outside) {
        conversation_ask_outside(conversation, message);
        return;
    }
    if (slash_command_has_flag(text_of(message), COMMAND_COMPRESSES) &&
        !conversation_compress(conversation, message))
        return;
    message->state = MESSAGE_IN_COMMAND;
    conversation->awaited = false;
    conversation_run_command(conversation, message);
}

// `by_text`: so does any text that is no command.
static bool interrupts(const struct pending_message *message, bool by_text)
{
    return !message->state && !message->no_interrupt &&
           (slash_command_has_flag(text_of(message), COMMAND_ENDS_TURN) ||
            (by_text && !is_command(message)));
}

// Messages that arrived while a turn runs. The first one counts; where texts interrupt, any.
static void meanwhile(const char *mode, struct conversation *conversation,
                      struct pending_message *first)
{
    list_for_each(wish, &conversation->pending) {
        struct pending_message *message = list_entry(wish, struct pending_message, link);
        if (message->wish == WISH_STEER && !message->state && message->number &&
            !message->attachment && conversation_steer(conversation, message)) {
            conversation_wake(conversation); // for the others
            return;
        }
    }
    bool by_text = strcmp(mode, "interrupt") == 0;
    bool interrupt = interrupts(first, by_text);
    list_for_each(link, &conversation->pending)
        interrupt |= by_text && interrupts(list_entry(link, struct pending_message, link), true);
    if (interrupt)
        conversation_interrupt(conversation);
    else if (strcmp(mode, "steer") == 0 && first->number && !first->wish && !is_command(first) &&
             !first->attachment && conversation_steer(conversation, first))
        conversation_wake(conversation); // for the one behind it
}

static void on_cut_timer(void *context)
{
    struct conversation *conversation = context;
    conversation->cut_timer = 0;
    conversation->settled = true;
    conversation->host->next(conversation);
}

// The piece behind it of the same text, or album. NULL: there is none.
static struct pending_message *next_piece(struct conversation *conversation,
                                          const struct pending_message *last)
{
    if (last->link.next == &conversation->pending)
        return NULL;
    struct pending_message *next = list_entry(last->link.next, struct pending_message, link);
    bool joins = last->cut || attachment_is_beside(last->attachment, next->attachment);
    return joins && !next->state && !next->marked && !slash_command_find(text_of(next)) ? next
                                                                                        : NULL;
}

static int64_t rest_wait_ms(const struct conversation *conversation,
                            const struct pending_message *last)
{
    if (!last->cut)
        return attachment_is_grouped(last->attachment) ? DISPATCHER_ALBUM_MS : 0;
    return conversation->via && conversation->via->channel->cut_wait_ms
               ? conversation->via->channel->cut_wait_ms
               : DISPATCHER_CUT_WAIT_MS;
}

// Is more of it probably about to come? Then it is looked at again.
static bool wait_for_rest(struct conversation *conversation, const struct pending_message *last)
{
    struct loop *loop = conversation->host->loop;
    int64_t until_ms = last->since_ms + rest_wait_ms(conversation, last);
    if (last->link.next != &conversation->pending || conversation->settled ||
        until_ms <= loop_now(loop))
        return false;
    conversation->cut_timer = loop_timer_at(loop, until_ms, on_cut_timer, conversation);
    return true;
}

static bool append_piece(const struct pending_message *piece, struct buf *text)
{
    bool fits = buf_append(text, piece->text, piece->len);
    if (fits && piece->attachment)
        attachment_tell(piece->attachment, text);
    return fits;
}

// Marks the pieces of one text. False when the last of them is probably not there yet, or not all
// that came with them.
static bool gather(struct conversation *conversation, struct pending_message *first,
                   struct buf *text)
{
    struct pending_message *last = first, *next;
    size_t pieces = 1;
    bool whole = conversation_message_is_whole(conversation, first);
    append_piece(first, text);
    while (pieces < CONVERSATION_PIECES_MAX && (next = next_piece(conversation, last)) &&
           append_piece(next, text)) {
        whole = conversation_message_is_whole(conversation, next) && whole;
        last = next;
        pieces++;
    }
    if (pieces < CONVERSATION_PIECES_MAX && wait_for_rest(conversation, last))
        return false;
    for (struct pending_message *piece = first; whole;
         piece = list_entry(piece->link.next, struct pending_message, link)) {
        piece->state = MESSAGE_IN_TURN;
        if (piece == last)
            return true;
    }
    return false;
}

static void answer(struct conversation *conversation, struct pending_message *first)
{
    BUF_AUTO text = BUF_INIT(CONVERSATION_TEXT_MAX);
    struct error err = ERROR_INIT;
    if (!gather(conversation, first, &text))
        return;
    conversation->settled = false;
    conversation_forget_compressing(conversation);
    free(STEAL(conversation->outside)); // of a command that was edited meanwhile
    if (conversation_begin_turn(conversation, buf_span(&text), SPAN_ABSENT, &err) < 0)
        conversation_retry(conversation, MESSAGE_IN_TURN, &err);
}

// What came through a channel is in the inbox, for the next process.
static void refuse_while_draining(struct conversation *conversation)
{
    struct error err = ERROR_INIT;
    error_set(&err, -EBUSY, "Hermes is stopping; say it again when it runs");
    if (!conversation->via)
        conversation_retry(conversation, MESSAGE_PENDING, &err);
}

// What is said while a turn waits stays in the inbox until it has ended, unless it is what the turn
// waits for; memory is for others.
static void leave_in_inbox(struct conversation *conversation)
{
    list_for_each(link, &conversation->pending) {
        struct pending_message *message = list_entry(link, struct pending_message, link);
        if (message->number && !message->state &&
            !slash_command_has_flag(text_of(message), COMMAND_WHILE_WAITING)) {
            message->answers = !message->marked && !message->attachment &&
                               command_is_answer(conversation, text_of(message),
                                                 span_of(message->sender), message->received_ms);
            if (!message->answers)
                conversation_drop_message(conversation, message);
        }
    }
}

static void go_on(struct dispatcher *dispatcher, struct conversation *conversation)
{
    if (conversation->job || conversation->asking || conversation->again ||
        conversation->stopping || conversation->soon)
        return;
    if (conversation->waiting)
        leave_in_inbox(conversation);
    if (!conversation->turn && conversation->resume_due) {
        conversation->host->answered = true; // before anything else is said in its session
        return;
    }
    loop_cancel(dispatcher->host.loop, conversation->cut_timer);
    conversation->cut_timer = 0;
    struct pending_message *urgent = first_pending(conversation, true);
    struct pending_message *first = urgent ? urgent : first_pending(conversation, false);
    if (!first) {
        if (!conversation->turn && list_empty(&conversation->pending))
            dispatcher_rest(dispatcher, conversation);
        return;
    }
    if (conversation_is_compressing(conversation) && !urgent)
        return;
    if (conversation->turn && !urgent)
        meanwhile(dispatcher->env.config->busy_mode, conversation, first);
    else if (dispatcher->draining && !urgent)
        refuse_while_draining(conversation);
    else if (!conversation_open_session(conversation))
        return;
    else if (urgent || is_command(first) || (conversation->waiting && first->answers))
        run_command(conversation, first);
    else if (!dispatcher->held)
        answer(conversation, first);
}

static void on_look(void *context);

static void look_after(struct dispatcher *dispatcher, int64_t delay_ms)
{
    dispatcher->behind = true;
    if (dispatcher->look && delay_ms == 0) {
        loop_cancel(dispatcher->host.loop, dispatcher->look);
        dispatcher->look = 0;
    }
    if (!dispatcher->look)
        dispatcher->look = loop_timer_after(dispatcher->host.loop, delay_ms, on_look, dispatcher);
}

// What is read a second time is known by its number, or not handled after all.
static void catch_up(struct dispatcher *dispatcher)
{
    if (STEAL(dispatcher->host.answered)) {
        dispatcher->look_at_waiting = true;
        dispatcher->last_number = 0;
        look_after(dispatcher, 0);
    }
    if (STEAL(dispatcher->host.reread)) {
        dispatcher->last_number = 0;
        look_after(dispatcher, CONVERSATION_RETRY_MS);
    }
    if (dispatcher->behind && dispatcher->host.pending < DISPATCHER_PENDING_MAX / 2)
        look_after(dispatcher, 0);
}

unsigned dispatcher_turns(const struct dispatcher *dispatcher)
{
    unsigned count = 0;
    list_for_each(link, &dispatcher->conversations)
        count += list_entry(link, struct conversation, link)->turn != 0;
    return count;
}

static void on_drained(void *context)
{
    struct dispatcher *dispatcher = context;
    dispatcher->drain_timer = 0;
    void (*drained)(void *) = dispatcher->drained;
    dispatcher->drained = NULL;
    if (drained)
        drained(dispatcher->drained_context);
}

static void next(struct conversation *conversation)
{
    struct dispatcher *dispatcher = CONTAINER_OF(conversation->host, struct dispatcher, host);
    go_on(dispatcher, conversation);
    catch_up(dispatcher);
    if (dispatcher->draining && dispatcher->drained && dispatcher_turns(dispatcher) == 0) {
        loop_cancel(dispatcher->host.loop, dispatcher->drain_timer);
        dispatcher->drain_timer = loop_defer(dispatcher->host.loop, on_drained, dispatcher);
    }
}

struct dispatcher *dispatcher_create(const struct dispatcher_env *env)
{
    struct dispatcher *dispatcher = mem_new(struct dispatcher);
    dispatcher->env = *env;
    dispatcher->host = (struct conversation_host){.loop = env->loop,
                                                  .store = env->store,
                                                  .agent = env->agent,
                                                  .outside = env->outside,
                                                  .next = next};
    list_init(&dispatcher->conversations);
    list_init(&dispatcher->host.channels);
    list_init(&dispatcher->host.titlings);
    return dispatcher;
}

void dispatcher_destroy(struct dispatcher *dispatcher)
{
    if (!dispatcher)
        return;
    loop_cancel(dispatcher->host.loop, dispatcher->drain_timer);
    loop_cancel(dispatcher->host.loop, dispatcher->look);
    loop_cancel(dispatcher->host.loop, dispatcher->expiry);
    store_forget(dispatcher->host.store, dispatcher->expiring);
    conversation_forget_titles(&dispatcher->host);
    list_for_each(link, &dispatcher->conversations)
        conversation_destroy(list_entry(link, struct conversation, link));
    list_for_each(other, &dispatcher->host.channels) {
        list_remove(other);
        free(list_entry(other, struct attached_channel, link));
    }
    free(dispatcher);
}

void dispatcher_hold(struct dispatcher *dispatcher, bool held)
{
    dispatcher->held = held;
    if (!held)
        dispatcher_wake(dispatcher);
}

void dispatcher_wake(struct dispatcher *dispatcher)
{
    struct error err = ERROR_INIT;
    if (store_state(dispatcher->host.store) != STORE_READY)
        return;
    bool left = dispatcher->resume_wanted && dispatcher_take_up(dispatcher) < 0, unread = left;
    if (dispatcher->resume_wanted || dispatcher->look_at_waiting)
        dispatcher_look_at_waiting(dispatcher);
    dispatcher->behind = false;
    if (dispatcher_read_inbox(dispatcher, &err) < 0) {
        LOG_EVENT(LOG_ERROR, "inbox.unread", "", LOG_TEXT("error", err.text));
        unread = true;
    }
    dispatcher->resume_wanted = left;
    dispatcher->look_at_waiting = false;
    if (unread && !dispatcher->look) // not sooner, whatever happens meanwhile
        dispatcher->look =
            loop_timer_after(dispatcher->host.loop, CONVERSATION_RETRY_MS, on_look, dispatcher);
    list_for_each(link, &dispatcher->conversations) {
        struct conversation *conversation = list_entry(link, struct conversation, link);
        if (!list_empty(&conversation->pending))
            conversation_wake(conversation);
    }
}

static void on_look(void *context)
{
    struct dispatcher *dispatcher = context;
    dispatcher->look = 0;
    dispatcher_wake(dispatcher);
}

void dispatcher_session_deleted(struct dispatcher *dispatcher, const char *session)
{
    toolbox_forget(agent_env(dispatcher->host.agent)->toolbox, session);
    dispatcher_answered(dispatcher);
}

void dispatcher_resume(struct dispatcher *dispatcher)
{
    dispatcher->resume_wanted = true;
    dispatcher_wake(dispatcher);
}

bool dispatcher_resumes_later(const struct dispatcher *dispatcher)
{
    return dispatcher->resume_wanted;
}

int dispatcher_say(struct dispatcher *dispatcher, const char *channel, const char *chat,
                   struct span text, turn_event_fn *on_event, void *context, struct error *err)
{
    return dispatcher_ask(dispatcher, channel, chat, text, NULL, on_event, context, err);
}

int dispatcher_ask(struct dispatcher *dispatcher, const char *channel, const char *chat,
                   struct span text, struct asked *asked, turn_event_fn *on_event, void *context,
                   struct error *err)
{
    if (text.len > CONVERSATION_TEXT_MAX)
        return error_set(err, -E2BIG, "a message of %zu bytes is too long; the limit is %d",
                         text.len, CONVERSATION_TEXT_MAX);
    struct conversation *conversation =
        dispatcher_conversation(dispatcher, &(struct store_session_key){.channel = span_of(channel),
                                                                        .chat = span_of(chat)});
    if (conversation->on_event || conversation->via || dispatcher->draining ||
        (asked && conversation->turn))
        return error_set(err, -EBUSY, "%s",
                         dispatcher->draining ? "Hermes is stopping"
                                              : "this conversation is already being answered");
    if (conversation->waiting && (asked || !slash_command_has_flag(text, COMMAND_WHILE_WAITING)))
        return error_set(
            err, -EBUSY,
            "the last question waits for your approval; say /approve, /deny, /answer or /stop");
    conversation->on_event = on_event;
    conversation->context = context;
    conversation_add_message(
        conversation, &(struct store_inbound){.sender = SPAN_LITERAL(""), .text = text}, false);
    asked_destroy(conversation->asked);
    conversation->asked = asked;
    list_entry(conversation->pending.prev, struct pending_message, link)->plain = asked != NULL;
    conversation_wake(conversation);
    return 0;
}

bool dispatcher_listen(struct dispatcher *dispatcher, const char *channel, const char *chat,
                       turn_event_fn *on_event, void *context)
{
    struct conversation *conversation =
        dispatcher_find(dispatcher, &(struct store_session_key){.channel = span_of(channel),
                                                                .chat = span_of(chat)});
    if (!conversation || conversation->on_event || conversation->via)
        return false;
    conversation->on_event = on_event;
    conversation->context = context;
    return true;
}

const char *dispatcher_session(struct dispatcher *dispatcher, const char *channel, const char *chat)
{
    const struct conversation *conversation =
        dispatcher_find(dispatcher, &(struct store_session_key){.channel = span_of(channel),
                                                                .chat = span_of(chat)});
    return conversation && conversation->session ? conversation->session->id : "";
}

bool dispatcher_delivers(const struct dispatcher *dispatcher, struct span channel)
{
    return conversation_channel(&dispatcher->host, channel) != NULL;
}

void dispatcher_answered(struct dispatcher *dispatcher)
{
    dispatcher->look_at_waiting = true;
    dispatcher_wake(dispatcher);
}

void dispatcher_stop(struct dispatcher *dispatcher, const char *channel, const char *chat)
{
    struct conversation *conversation =
        dispatcher_find(dispatcher, &(struct store_session_key){.channel = span_of(channel),
                                                                .chat = span_of(chat)});
    if (conversation && conversation->turn)
        conversation_interrupt(conversation);
    else if (conversation && conversation->on_event) // until its turn begins, or is taken up
        conversation->stop_wanted = true;
}

bool dispatcher_idle(const struct dispatcher *dispatcher)
{
    list_for_each(link, &dispatcher->conversations) {
        const struct conversation *conversation = list_entry(link, struct conversation, link);
        if (conversation->turn || conversation->job)
            return false;
    }
    return dispatcher->host.pending == 0 && !dispatcher->host.reread && !dispatcher->behind &&
           !dispatcher->look;
}

void dispatcher_drain(struct dispatcher *dispatcher, int64_t limit_ms,
                      void (*drained)(void *context), void *context)
{
    dispatcher->draining = true;
    dispatcher->drained = drained;
    dispatcher->drained_context = context;
    loop_cancel(dispatcher->host.loop, dispatcher->drain_timer);
    dispatcher->drain_timer = loop_timer_after(
        dispatcher->host.loop, dispatcher_turns(dispatcher) ? limit_ms : 0, on_drained, dispatcher);
}

void dispatcher_context(const struct dispatcher *dispatcher, struct buf *ret_json)
{
    struct context_report report = context_measure(dispatcher->host.agent, NULL);
    context_render_json(&report, ret_json);
}

void dispatcher_configure(struct dispatcher *dispatcher, const struct dispatcher_config *config)
{
    dispatcher->env.config = config;
}
