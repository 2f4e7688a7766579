#include "agent/desk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/desk_internal.h"
#include "base/log.h"
#include "base/mem.h"

/*
 * What is next for a conversation is decided in one place, desk_go_on(), from what is there: the
 * messages that wait, the turn that runs, the command that is on its way to the disk. Everything
 * that changes one of these calls it. A message stops waiting only when its effect is on disk; if
 * the disk refuses, it still waits, and is tried again.
 */
const struct option desk_options[] = {
    {.key = "display.busy_input_mode",
     .type = OPTION_STRING,
     .offset = offsetof(struct desk_config, busy_mode),
     .env = "HERMES_GATEWAY_BUSY_INPUT_MODE",
     .fallback = "interrupt",
     .choices = "interrupt,queue,steer",
     .help = "what a message does that arrives during an answer"},
    {.key = "agent.restart_drain_timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct desk_config, drain_ms),
     .fallback = "10s",
     .min = 0,
     .max = 3600 * 1000,
     .help = "how long a running turn may take to end at a stop; then it is parked"},
};

const size_t desk_option_count = ARRAY_LEN(desk_options);

struct desk *desk_create(const struct desk_env *env)
{
    struct desk *desk = mem_new(struct desk);
    desk->env = *env;
    list_init(&desk->talks);
    list_init(&desk->channels);
    return desk;
}

static void waiting_free(struct talk *talk, struct waiting *message)
{
    talk->desk->waiting--;
    list_remove(&message->link);
    free(message->text);
    free(message);
}

static void talk_destroy(struct talk *talk)
{
    struct loop *loop = talk->desk->env.loop;
    agent_turn_park(talk->desk->env.agent, talk->turn);
    store_forget(talk->desk->env.store, talk->job);
    loop_cancel(loop, talk->cut_timer);
    loop_cancel(loop, talk->again);
    loop_cancel(loop, talk->stopping);
    loop_cancel(loop, talk->soon);
    list_for_each(link, &talk->waiting)
        waiting_free(talk, list_entry(link, struct waiting, link));
    list_for_each(other, &talk->steered)
        waiting_free(talk, list_entry(other, struct waiting, link));
    agent_session_destroy(talk->session);
    list_remove(&talk->link);
    free(talk->channel);
    free(talk->chat);
    free(talk->reply);
    free(talk);
}

void desk_destroy(struct desk *desk)
{
    if (!desk)
        return;
    loop_cancel(desk->env.loop, desk->drain_timer);
    loop_cancel(desk->env.loop, desk->look);
    list_for_each(link, &desk->talks)
        talk_destroy(list_entry(link, struct talk, link));
    list_for_each(other, &desk->channels) {
        list_remove(other);
        free(list_entry(other, struct attached, link));
    }
    free(desk);
}

void desk_attach(struct desk *desk, const struct desk_channel *channel, void *context)
{
    struct attached *attached = mem_new(struct attached);
    attached->channel = channel;
    attached->context = context;
    list_append(&desk->channels, &attached->link);
    list_for_each(cursor, &desk->talks) { // of an earlier channel of this name
        struct talk *talk = list_entry(cursor, struct talk, link);
        if (strcmp(talk->channel, channel->name) == 0)
            talk->via = attached;
    }
}

struct attached *desk_channel_named(struct desk *desk, struct span name)
{
    list_for_each(link, &desk->channels) {
        struct attached *attached = list_entry(link, struct attached, link);
        if (span_is(name, attached->channel->name))
            return attached;
    }
    return NULL;
}

void desk_detach(struct desk *desk, const char *name)
{
    struct attached *attached = desk_channel_named(desk, span_of(name));
    if (!attached)
        return;
    static const struct desk_channel nobody = {.name = ""};
    attached->channel = &nobody; // talks still point at it
}

struct talk *desk_find(struct desk *desk, struct span channel, struct span chat)
{
    list_for_each(link, &desk->talks) {
        struct talk *talk = list_entry(link, struct talk, link);
        if (span_is(channel, talk->channel) && span_is(chat, talk->chat))
            return talk;
    }
    return NULL;
}

struct talk *desk_talk(struct desk *desk, struct span channel, struct span chat)
{
    struct talk *talk = desk_find(desk, channel, chat);
    if (talk)
        return talk;
    talk = mem_new(struct talk);
    talk->desk = desk;
    talk->channel = mem_strndup(channel.data, channel.len);
    talk->chat = mem_strndup(chat.data, chat.len);
    talk->via = desk_channel_named(desk, channel);
    list_init(&talk->waiting);
    list_init(&talk->steered);
    list_append(&desk->talks, &talk->link);
    return talk;
}

size_t desk_acting(const struct talk *talk, enum acting by, int64_t *numbers)
{
    size_t count = 0;
    list_for_each(link, &talk->waiting) {
        const struct waiting *message = list_entry(link, struct waiting, link);
        if (message->acting == by && message->number && count < DESK_PIECES_MAX)
            numbers[count++] = message->number;
    }
    return count;
}

void desk_acted(struct talk *talk, enum acting by)
{
    talk->attempts = 0;
    list_for_each(link, &talk->waiting) {
        struct waiting *message = list_entry(link, struct waiting, link);
        if (message->acting == by)
            waiting_free(talk, message);
    }
    desk_catch_up(talk->desk);
}

static void on_again(void *context)
{
    struct talk *talk = context;
    talk->again = 0;
    desk_go_on(talk);
}

static void tell_failure(struct talk *talk, const struct error *err)
{
    const struct turn_sink *sink = STEAL(talk->sink);
    struct turn_outcome outcome = {.state = TURN_FAILED,
                                   .text = "",
                                   .error = err->text,
                                   .code = err->code,
                                   .remark = "",
                                   .usage = CHAT_USAGE_UNKNOWN};
    talk->stop_wanted = false;
    if (sink)
        sink->on_end(talk->context, &outcome);
}

// The store is not as it is remembered here: then what it says counts.
static void forget(struct talk *talk, enum acting by)
{
    if (!talk->turn)
        desk_close_session(talk);
    desk_acted(talk, by);
    desk_read_again(talk->desk);
}

static void wait_again(struct talk *talk, enum acting by)
{
    list_for_each(link, &talk->waiting) {
        struct waiting *message = list_entry(link, struct waiting, link);
        if (message->acting == by)
            message->acting = ACTING_NOT;
    }
}

void desk_retry(struct talk *talk, enum acting by, const struct error *err)
{
    if (!talk->via) {
        desk_acted(talk, by);
        tell_failure(talk, err);
        return;
    }
    int attempts = talk->attempts + 1;
    if (attempts == 1)
        LOG_EVENT(LOG_ERROR, "message.waits", "", LOG_TEXT("channel", talk->channel),
                  LOG_TEXT("chat", talk->chat), LOG_TEXT("error", err->text));
    if (err->code == -EALREADY || err->code == -ENOENT)
        forget(talk, by);
    else
        wait_again(talk, by);
    talk->attempts = attempts;
    int64_t delay = (int64_t)DESK_RETRY_MS << (attempts < 5 ? attempts - 1 : 4);
    loop_cancel(talk->desk->env.loop, talk->again);
    talk->again = loop_timer_after(talk->desk->env.loop, delay, on_again, talk);
}

void desk_tell_outbox(struct talk *talk)
{
    if (talk->via && talk->via->channel->on_outbox)
        talk->via->channel->on_outbox(talk->via->context);
}

static struct waiting *first_of(struct talk *talk)
{
    list_for_each(link, &talk->waiting) {
        struct waiting *message = list_entry(link, struct waiting, link);
        if (!message->acting)
            return message;
    }
    return NULL;
}

static struct waiting *first_urgent(struct talk *talk)
{
    list_for_each(link, &talk->waiting) {
        struct waiting *message = list_entry(link, struct waiting, link);
        if (!message->acting && desk_is_urgent(span_make(message->text, message->len)))
            return message;
    }
    return NULL;
}

static void obey(struct talk *talk, struct waiting *message)
{
    message->acting = ACTING_COMMAND;
    desk_obey(talk, span_make(message->text, message->len));
}

static bool interrupts(const struct waiting *message, bool by_talking)
{
    struct span text = span_make(message->text, message->len);
    return !message->acting && !message->patient &&
           (desk_ends_turn(text) || (by_talking && !desk_is_command(text)));
}

// Messages that arrived while a turn runs. The first one counts; where talking interrupts, any.
static void meanwhile(struct talk *talk, struct waiting *first)
{
    const char *mode = talk->desk->env.config->busy_mode;
    bool by_talking = strcmp(mode, "interrupt") == 0;
    bool interrupt = interrupts(first, by_talking);
    list_for_each(link, &talk->waiting)
        interrupt |= by_talking && interrupts(list_entry(link, struct waiting, link), true);
    if (interrupt)
        desk_interrupt(talk);
    else if (strcmp(mode, "steer") == 0 && first->number &&
             !desk_is_command(span_make(first->text, first->len)))
        desk_steer(talk, first);
}

static void on_cut_timer(void *context)
{
    struct talk *talk = context;
    talk->cut_timer = 0;
    talk->settled = true;
    desk_go_on(talk);
}

// Marks the pieces of one text. False when the last of them is probably not there yet.
static bool gather(struct talk *talk, struct waiting *first, struct buf *text)
{
    struct waiting *last = first;
    size_t pieces = 1;
    buf_append(text, first->text, first->len);
    while (last->cut && pieces < DESK_PIECES_MAX && last->link.next != &talk->waiting) {
        struct waiting *next = list_entry(last->link.next, struct waiting, link);
        if (next->acting || desk_knows_command(span_make(next->text, next->len)) ||
            !buf_append(text, next->text, next->len))
            break;
        last = next;
        pieces++;
    }
    int64_t wait = talk->via && talk->via->channel->cut_wait_ms ? talk->via->channel->cut_wait_ms
                                                                : DESK_CUT_WAIT_MS;
    struct loop *loop = talk->desk->env.loop;
    if (last->cut && last->link.next == &talk->waiting && !talk->settled &&
        pieces < DESK_PIECES_MAX && last->since_ms + wait > loop_now(loop)) {
        talk->cut_timer = loop_timer_at(loop, last->since_ms + wait, on_cut_timer, talk);
        return false;
    }
    for (struct waiting *piece = first;;
         piece = list_entry(piece->link.next, struct waiting, link)) {
        piece->acting = ACTING_TURN;
        if (piece == last)
            return true;
    }
}

static void answer(struct talk *talk, struct waiting *first)
{
    BUF_AUTO text = BUF_INIT(DESK_TEXT_MAX);
    struct error err = ERROR_INIT;
    if (!gather(talk, first, &text))
        return;
    talk->settled = false;
    if (desk_begin_turn(talk, buf_span(&text), SPAN_ABSENT, &err) < 0)
        desk_retry(talk, ACTING_TURN, &err);
}

static bool is_idle(const struct talk *talk)
{
    return !talk->via && !talk->sink && !talk->turn && !talk->job;
}

// What can be read again, should the other end say more, is kept only while it is little.
static size_t spare_bytes(const struct talk *talk)
{
    const struct agent_session *session = talk->session;
    return session && session->stored ? chat_history_bytes(&session->history) : 0;
}

// A conversation that has nothing to do costs nothing, save one whose other end may say more: of
// those the last few stay.
static void rest(struct talk *talk)
{
    if (talk->via) {
        talk_destroy(talk);
        return;
    }
    struct desk *desk = talk->desk;
    list_remove(&talk->link);
    list_append(&desk->talks, &talk->link);
    size_t count = 0, bytes = 0;
    for (struct list *link = desk->talks.prev, *before; link != &desk->talks; link = before) {
        struct talk *other = list_entry(link, struct talk, link);
        before = link->prev;
        if (!is_idle(other))
            continue;
        size_t spare = spare_bytes(other);
        bytes += spare;
        if (++count > DESK_TALKS_IDLE_MAX || (spare && bytes > DESK_IDLE_BYTES_MAX))
            talk_destroy(other);
    }
}

void desk_go_on(struct talk *talk)
{
    if (talk->job || talk->again || talk->stopping || talk->soon)
        return;
    loop_cancel(talk->desk->env.loop, talk->cut_timer);
    talk->cut_timer = 0;
    struct waiting *urgent = first_urgent(talk);
    struct waiting *first = urgent ? urgent : first_of(talk);
    if (!first && !talk->turn && list_empty(&talk->waiting))
        rest(talk);
    if (!first)
        return;
    if (urgent)
        obey(talk, urgent);
    else if (talk->turn)
        meanwhile(talk, first);
    else if (talk->desk->draining)
        return;
    else if (desk_is_command(span_make(first->text, first->len)))
        obey(talk, first);
    else
        answer(talk, first);
}

static void on_soon(void *context)
{
    struct talk *talk = context;
    talk->soon = 0;
    desk_go_on(talk);
}

int desk_say(struct desk *desk, const char *channel, const char *chat, struct span text,
             const struct turn_sink *sink, void *context, struct error *err)
{
    if (text.len > DESK_TEXT_MAX)
        return error_set(err, -E2BIG, "a message of %zu bytes is too long; the limit is %d",
                         text.len, DESK_TEXT_MAX);
    struct talk *talk = desk_talk(desk, span_of(channel), span_of(chat));
    if (talk->sink || talk->via || desk->draining)
        return error_set(err, -EBUSY, "%s",
                         desk->draining ? "Hermes is stopping"
                                        : "this conversation is already being answered");
    talk->sink = sink;
    talk->context = context;
    desk_wait_for(talk, 0, text, false, false);
    talk->soon = loop_defer(desk->env.loop, on_soon, talk);
    return 0;
}

void desk_stop(struct desk *desk, const char *channel, const char *chat)
{
    struct talk *talk = desk_find(desk, span_of(channel), span_of(chat));
    if (talk && talk->turn)
        desk_interrupt(talk);
    else if (talk && talk->soon && !list_empty(&talk->waiting))
        talk->stop_wanted = true;
}

unsigned desk_turns(const struct desk *desk)
{
    unsigned count = 0;
    list_for_each(link, &desk->talks)
        count += list_entry(link, struct talk, link)->turn != 0;
    return count;
}

bool desk_idle(const struct desk *desk)
{
    return desk->waiting == 0 && !desk->behind && desk_turns(desk) == 0;
}

static void on_drained(void *context)
{
    struct desk *desk = context;
    desk->drain_timer = 0;
    void (*drained)(void *) = desk->drained;
    desk->drained = NULL;
    if (drained)
        drained(desk->drained_context);
}

void desk_drain(struct desk *desk, int64_t limit_ms, void (*drained)(void *context), void *context)
{
    desk->draining = true;
    desk->drained = drained;
    desk->drained_context = context;
    loop_cancel(desk->env.loop, desk->drain_timer);
    desk->drain_timer =
        loop_timer_after(desk->env.loop, desk_turns(desk) ? limit_ms : 0, on_drained, desk);
}

void desk_ended(struct desk *desk)
{
    if (desk->draining && desk->drained && desk_turns(desk) == 0) {
        loop_cancel(desk->env.loop, desk->drain_timer);
        desk->drain_timer = loop_defer(desk->env.loop, on_drained, desk);
    }
}

void desk_configure(struct desk *desk, const struct desk_config *config)
{
    desk->env.config = config;
}
