/*
 * The message that grows while an answer is written. Its row is in the outbox before it is sent,
 * and its id is in the row before the first edit; so whatever happens, the sender finds the message
 * and finishes it, and no second one is sent. What is shown meanwhile is plain text of what came so
 * far; the final form is the sender's business.
 *
 * While its delivery is among telegram::streams the sender leaves the row alone: an edit that is
 * late must not overwrite the final text. The delivery goes when the turn has ended, nothing is
 * under way and the row says so; the sender then reads from the row where to go on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "channels/telegram_delivery.h"
#include "codec/telegram_text.h"
#include "codec/utf8.h"

enum {
    TEXT_MAX = 24 * 1024,    // bytes of an answer that are kept: what one message can show
    FIRST_UNITS = 40,        // that are worth a message
    FIRST_PAUSE_MS = 1200,   // or this long without more of it
    SLOWER_UNITS = 2048,     // each of them makes the pause between edits longer by one more
    SLOW_MAX_MS = 30 * 1000, // on top of it, after failures
    TYPING_MS = 4500,        // Telegram shows it for five seconds
    BEHIND_MS = 100,         // between looks whether the reply before it has gone
    CALLS_MAX = 1024,        // bytes of calls that are shown; the earlier ones go
    CALL_MAX = 120,          // bytes of what one is given
};

static const struct span channel_name = SPAN_LITERAL("telegram");

struct stream {
    struct telegram_delivery delivery;
    struct buf text;  // of the present step, as far as it can be shown
    struct buf calls; // of tools, a line each
    char *last_tool;  // owned; NULL: none was called
    char *wait;       // owned: a sentence below it, until the next word; NULL: none
    bool changed;     // since it was shown
    uint64_t shown_hash;
    bool ended;    // the turn
    bool given_up; // nothing is shown any more
    loop_id timer;
    int64_t timer_at_ms;
    int64_t last_text_ms, last_shown_ms, last_sign_ms; // monotonic
    int64_t slow_ms;
};

static void look_after(struct stream *stream);

static struct stream *stream_of(struct telegram_delivery *delivery)
{
    return CONTAINER_OF(delivery, struct stream, delivery);
}

bool telegram_stream_busy(const struct telegram *telegram)
{
    for (struct list *link = telegram->streams.next; link != &telegram->streams; link = link->next)
        if (telegram_delivery_busy(list_entry(link, struct telegram_delivery, link)))
            return true;
    return false;
}

static void stream_destroy(struct stream *stream)
{
    loop_cancel(stream->delivery.telegram->env.loop, stream->timer);
    telegram_delivery_finish(&stream->delivery);
    buf_finish(&stream->text);
    buf_finish(&stream->calls);
    free(stream->last_tool);
    free(stream->wait);
    free(stream);
}

// What is shown.

static bool render(const struct stream *stream, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(2 * TEXT_MAX);
    if (stream->delivery.telegram->config->streaming)
        buf_append_span(&text, buf_span(&stream->text));
    text.len -= utf8_incomplete_tail(buf_span(&text));
    if (stream->calls.len)
        buf_printf(&text, "%s%s", text.len ? "\n\n" : "", buf_text(&stream->calls));
    if (stream->wait)
        buf_printf(&text, "%s⏳ %s", text.len ? "\n\n" : "", stream->wait);
    telegram_preview(buf_span(&text), out);
    return span_trim(buf_span(out)).len > 0;
}

// Writing down: the id of the message, or whether one is under way.

static void on_noted(struct telegram_delivery *delivery, bool found)
{
    stream_of(delivery)->given_up |= !found; // the turn has ended with nothing to show
    look_after(stream_of(delivery));
}

static void note(struct stream *stream, bool in_flight)
{
    telegram_delivery_change(&stream->delivery, in_flight);
    telegram_delivery_write(&stream->delivery, on_noted);
}

// Asking Telegram.

static void not_shown(struct stream *stream, enum telegram_outcome outcome)
{
    stream->changed = true;
    stream->shown_hash = 0;
    stream->slow_ms = stream->slow_ms ? 2 * stream->slow_ms : FIRST_PAUSE_MS;
    if (stream->slow_ms > SLOW_MAX_MS)
        stream->slow_ms = SLOW_MAX_MS;
    switch (outcome) {
    case TELEGRAM_NO_THREAD: // the chat is still there
        stream->delivery.thread[0] = '\0';
        break;
    case TELEGRAM_OK: // but no message
    case TELEGRAM_LIMITED:
    case TELEGRAM_UNREACHABLE:
    case TELEGRAM_UNKNOWN:
    case TELEGRAM_UNAVAILABLE:
        break;
    default: // the sender meets it as well, and knows what to do
        stream->given_up = true;
        break;
    }
}

static void on_sent(struct stream *stream, const struct telegram_answer *answer)
{
    struct telegram_delivery *delivery = &stream->delivery;
    int64_t id;
    if (answer->outcome == TELEGRAM_OK && json_int64(json_get(answer->result, "message_id"), &id)) {
        snprintf(delivery->message_id, sizeof delivery->message_id, "%lld", (long long)id);
        note(stream, false);
        return;
    }
    if (answer->outcome == TELEGRAM_OK)
        telegram_delivery_uncertain(delivery, "Telegram's reply names no message");
    not_shown(stream, answer->outcome);
}

static void on_answer(struct telegram_delivery *delivery, const struct telegram_answer *answer)
{
    struct stream *stream = stream_of(delivery);
    stream->last_shown_ms = stream->last_sign_ms = loop_now(delivery->telegram->env.loop);
    if (!delivery->editing)
        on_sent(stream, answer);
    else if (answer->outcome != TELEGRAM_OK && answer->outcome != TELEGRAM_UNCHANGED)
        not_shown(stream, answer->outcome);
    else
        stream->slow_ms /= 2;
    look_after(stream);
}

// The row of this turn, if it has one that is open.
static bool on_row(void *context, const struct store_delivery *row)
{
    struct stream *stream = context;
    if (row->state != STORE_DELIVERY_OPEN || !span_is(row->turn, stream->delivery.turn))
        return true;
    telegram_delivery_take(&stream->delivery, row);
    return false;
}

static void find_row(struct stream *stream)
{
    struct error err = ERROR_INIT;
    if (store_read_outbox(stream->delivery.telegram->env.store, channel_name, 0, on_row, stream,
                          &err) < 0)
        log_debug("telegram: the outbox cannot be read: %s", err.text);
}

static void on_opened(void *context, int result, const struct error *err, int64_t number)
{
    struct stream *stream = context;
    stream->delivery.job = 0;
    if (result == 0) {
        stream->delivery.number = number;
        stream->delivery.in_flight = true;
    } else if (result == STORE_DUPLICATE) {
        find_row(stream);
    } else {
        log_debug("telegram: an answer is not shown while it is written: %s", err->text);
    }
    if (stream->delivery.number == 0)
        stream->given_up = true;
    look_after(stream);
}

static void open_row(struct stream *stream)
{
    struct telegram_delivery *delivery = &stream->delivery;
    struct telegram *telegram = delivery->telegram;
    struct store_address address = {channel_name, span_of(delivery->chat->id),
                                    span_of(delivery->thread)};
    struct error err = ERROR_INIT;
    int64_t job = store_outbox_open(telegram->env.store, span_of(delivery->turn), address,
                                    loop_wall(telegram->env.loop), on_opened, stream, &err);
    if (job > 0)
        delivery->job = job;
    else
        stream->given_up = true;
}

// One step towards the message showing what there is.
static void show(struct stream *stream)
{
    struct telegram_delivery *delivery = &stream->delivery;
    BUF_AUTO text = BUF_INIT(2 * TEXT_MAX);
    uint64_t hash;
    bool some = render(stream, &text);
    hash = hash_of(buf_span(&text));
    if (!some || hash == stream->shown_hash) {
        stream->changed = false;
    } else if (delivery->number == 0) {
        open_row(stream);
    } else if (!*delivery->message_id && !delivery->in_flight) {
        note(stream, true);
    } else {
        stream->changed = false;
        stream->shown_hash = hash;
        telegram_delivery_send(delivery, (struct telegram_message){.text = buf_span(&text)},
                               on_answer);
    }
}

// When.

// Has an earlier reply to this chat still to go out? The first message of this one waits for it.
static bool is_behind(const struct stream *stream)
{
    const struct list *streams = &stream->delivery.telegram->streams;
    const struct telegram_chat *chat = stream->delivery.chat;
    bool behind = chat->busy || chat->seen;
    for (const struct list *link = streams->next; link != streams; link = link->next) {
        const struct stream *other = list_entry(link, struct stream, delivery.link);
        behind |= other->ended && other->delivery.chat == chat;
    }
    return behind;
}

static int64_t show_at(const struct stream *stream)
{
    const struct telegram_delivery *delivery = &stream->delivery;
    const struct telegram *telegram = delivery->telegram;
    if (!stream->changed || stream->given_up || telegram_delivery_busy(delivery) ||
        !(telegram->config->streaming || stream->calls.len))
        return INT64_MAX;
    int64_t units = (int64_t)telegram_units(buf_span(&stream->text));
    int64_t at = telegram_chat_next(telegram, delivery->chat);
    if (*delivery->message_id) {
        int64_t pause_ms = telegram->config->edit_interval_ms * (1 + units / SLOWER_UNITS);
        at = telegram_later(at, stream->last_shown_ms + pause_ms + stream->slow_ms);
        at = telegram_later(at, telegram_pace_next(&delivery->chat->edits, &telegram_rate_edit));
    } else {
        at = telegram_later(at, units < FIRST_UNITS ? stream->last_text_ms + FIRST_PAUSE_MS : 0);
        if (stream->slow_ms)
            at = telegram_later(at, stream->last_shown_ms + stream->slow_ms);
    }
    int64_t now_ms = loop_now(telegram->env.loop);
    if (!*delivery->message_id && is_behind(stream))
        return telegram_later(at, now_ms + BEHIND_MS);
    return telegram->in_flight < TELEGRAM_IN_FLIGHT_MAX
               ? at
               : telegram_later(at, now_ms + FIRST_PAUSE_MS);
}

static int64_t typing_at(const struct stream *stream)
{
    return telegram_later(stream->last_sign_ms + TYPING_MS,
                          stream->delivery.telegram->not_before_ms);
}

static void on_timer(void *context);

// Only an earlier instant moves the timer: pieces of text come much faster than anything is due.
static void arm(struct stream *stream)
{
    struct loop *loop = stream->delivery.telegram->env.loop;
    int64_t at_ms = show_at(stream), typing_ms = typing_at(stream);
    at_ms = at_ms < typing_ms ? at_ms : typing_ms;
    if (stream->timer && stream->timer_at_ms <= at_ms)
        return;
    loop_cancel(loop, stream->timer);
    stream->timer_at_ms = at_ms;
    stream->timer = loop_timer_at(loop, at_ms, on_timer, stream);
}

static void on_timer(void *context)
{
    struct stream *stream = context;
    const struct telegram_delivery *delivery = &stream->delivery;
    struct telegram *telegram = delivery->telegram;
    int64_t now_ms = loop_now(telegram->env.loop);
    stream->timer = 0;
    if (stream->ended || telegram->draining)
        return;
    if (show_at(stream) <= now_ms)
        show(stream);
    if (typing_at(stream) <= now_ms) {
        stream->last_sign_ms = now_ms;
        telegram_api_typing(telegram,
                            (struct telegram_place){delivery->chat->id, delivery->thread});
    }
    arm(stream);
}

// After everything that ended: on with it, or the row is left to the sender in a known state.
static void look_after(struct stream *stream)
{
    struct telegram *telegram = stream->delivery.telegram;
    if (telegram_delivery_busy(&stream->delivery))
        return;
    if (!stream->ended && !telegram->draining) {
        arm(stream);
    } else if (stream->delivery.in_flight) {
        note(stream, false);
    } else if (stream->ended) {
        stream_destroy(stream);
        telegram_send_soon(telegram);
    }
}

// What the turn reports.

static void stream_create(struct telegram *telegram, const struct turn_event *event)
{
    struct span turn = span_of(event->turn), thread = span_of(event->thread);
    struct telegram_chat *chat = telegram_chat_get(telegram, span_of(event->chat));
    if (!chat || turn.len >= TELEGRAM_TURN_MAX || thread.len >= TELEGRAM_THREAD_MAX ||
        telegram_delivery_of(&telegram->streams, turn))
        return;
    struct stream *stream = mem_new(struct stream);
    telegram_delivery_init(&stream->delivery, telegram, chat, turn, thread);
    buf_init(&stream->text, TEXT_MAX);
    buf_init(&stream->calls, 2 * CALLS_MAX);
    stream->last_sign_ms = loop_now(telegram->env.loop) - TYPING_MS;
    stream->last_shown_ms = loop_now(telegram->env.loop); // a message of before shows more than we
    list_append(&telegram->streams, &stream->delivery.link);
    find_row(stream);
    look_after(stream);
}

static void add_text(struct stream *stream, struct span delta)
{
    size_t room = stream->text.max - stream->text.len;
    if (!buf_is_full(&stream->text))
        buf_append(&stream->text, delta.data, delta.len < room ? delta.len : room);
    stream->text.full |= delta.len > room;
}

static void add_call(struct stream *stream, const struct turn_event *event)
{
    struct span wanted = span_of(stream->delivery.telegram->config->tool_progress);
    char given[CALL_MAX] = "";
    bool same = stream->last_tool && strcmp(stream->last_tool, event->name) == 0;
    if (!(span_is(wanted, "all") || span_is(wanted, "verbose") ||
          (span_is(wanted, "new") && !same)))
        return;
    free(stream->last_tool);
    stream->last_tool = mem_strdup(event->name);
    if (stream->calls.len)
        buf_append_char(&stream->calls, '\n');
    if (span_is(wanted, "verbose"))
        utf8_one_line(span_of(event->arguments), given, sizeof given);
    // As code, in which nothing means anything.
    buf_printf(&stream->calls, "🔧 `%.64s%s%s`", event->name, *given ? " " : "", given);
    while (stream->calls.len > CALLS_MAX) {
        struct span rest = buf_span(&stream->calls);
        buf_consume(&stream->calls, span_cut(&rest, '\n').len + 1);
    }
}

static void on_ended(void *context)
{
    struct stream *stream = context;
    stream->timer = 0;
    look_after(stream);
}

void telegram_stream_event(void *context, const struct turn_event *event)
{
    struct telegram *telegram = context;
    if (event->kind == TURN_EVENT_BEGIN)
        stream_create(telegram, event);
    struct telegram_delivery *delivery =
        telegram_delivery_of(&telegram->streams, span_of(event->turn));
    struct stream *stream = delivery ? stream_of(delivery) : NULL;
    if (!stream || stream->ended)
        return;
    if (event->kind == TURN_EVENT_END) {
        stream->ended = true;
        loop_cancel(telegram->env.loop, stream->timer);
        stream->timer = loop_defer(telegram->env.loop, on_ended, stream);
        return;
    }
    free(stream->wait);
    stream->wait = event->kind == TURN_EVENT_WAIT ? mem_strdup(event->sentence) : NULL;
    if (event->kind == TURN_EVENT_STEP)
        buf_clear(&stream->text);
    else if (event->kind == TURN_EVENT_TEXT)
        add_text(stream, event->text);
    else if (event->kind == TURN_EVENT_CALL)
        add_call(stream, event);
    stream->changed = true;
    stream->last_text_ms = loop_now(telegram->env.loop);
    look_after(stream);
}

void telegram_stream_drain(struct telegram *telegram)
{
    list_for_each(link, &telegram->streams)
        look_after(list_entry(link, struct stream, delivery.link));
}

void telegram_stream_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->streams)
        stream_destroy(list_entry(link, struct stream, delivery.link));
}
