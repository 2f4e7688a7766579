/*
 * The message that grows while an answer is written. Its row is in the outbox before it is sent,
 * and its id is in the row before the first edit; so whatever happens, the sender finds the message
 * and finishes it, and no second one is sent. What is shown meanwhile is plain text of what came so
 * far; the final form is the sender's business.
 *
 * While anything is under way for a row, a request or a write, the sender leaves the row alone
 * (telegram_stream_holds()): an edit that is late must not overwrite the final text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "channels/telegram_internal.h"
#include "codec/telegram_text.h"
#include "codec/utf8.h"

enum {
    TEXT_MAX = 24 * 1024,    // bytes of an answer that are kept: what one message can show
    FIRST_UNITS = 40,        // that are worth a message
    FIRST_PAUSE_MS = 1200,   // or this long without more of it
    SLOWER_UNITS = 2048,     // each of them makes the pause between edits longer by one more
    SLOW_MAX_MS = 30 * 1000, // on top of it, after failures
    TYPING_MS = 4500,        // Telegram shows it for five seconds
    WRITE_AGAIN_MS = 1000,
    WRITE_AGAIN_MAX_MS = 60 * 1000,
    TURN_MAX = 64, // bytes of a turn's id, with the NUL
};

static const struct span channel_name = SPAN_LITERAL("telegram");

struct stream {
    struct list link; // telegram::streams
    struct telegram *telegram;
    struct telegram_chat *chat;
    char turn[TURN_MAX];
    char thread[TELEGRAM_THREAD_MAX];
    struct buf text; // of the present step, as far as it can be shown
    char *wait;      // owned: a sentence below it, until the next word; NULL: none
    bool changed;    // since it was shown
    uint64_t shown_hash;
    bool ended;     // the turn
    bool given_up;  // nothing is shown any more
    int64_t number; // of the row; 0: none yet
    bool noted;     // the row says that a message is under way
    char message_id[TELEGRAM_MESSAGE_ID_MAX];
    telegram_call_id call;
    int64_t job;
    loop_id again; // a write that the disk refused
    int write_failures;
    loop_id timer;
    int64_t timer_at_ms;
    int64_t last_text_ms, last_shown_ms, last_sign_ms; // monotonic
    int64_t slow_ms;
};

static void look_after(struct stream *stream);

static bool under_way(const struct stream *stream)
{
    return stream->call || stream->job || stream->again;
}

static struct stream *find(const struct telegram *telegram, struct span turn)
{
    for (struct list *link = telegram->streams.next; link != &telegram->streams;
         link = link->next) {
        struct stream *stream = list_entry(link, struct stream, link);
        if (span_is(turn, stream->turn))
            return stream;
    }
    return NULL;
}

bool telegram_stream_holds(const struct telegram *telegram, struct span turn)
{
    return turn.len && find(telegram, turn);
}

bool telegram_stream_busy(const struct telegram *telegram)
{
    for (struct list *link = telegram->streams.next; link != &telegram->streams; link = link->next)
        if (under_way(list_entry(link, struct stream, link)))
            return true;
    return false;
}

static void stream_destroy(struct stream *stream)
{
    struct telegram *telegram = stream->telegram;
    if (stream->call) {
        telegram_api_cancel(telegram, stream->call);
        telegram->in_flight--;
    }
    store_forget(telegram->env.store, stream->job);
    loop_cancel(telegram->env.loop, stream->again);
    loop_cancel(telegram->env.loop, stream->timer);
    stream->chat->streams--;
    list_remove(&stream->link);
    buf_finish(&stream->text);
    free(stream->wait);
    free(stream);
}

// What is shown.

static bool render(const struct stream *stream, struct buf *out)
{
    BUF_AUTO text = BUF_INIT(2 * TEXT_MAX);
    buf_append_span(&text, buf_span(&stream->text));
    text.len -= utf8_incomplete_tail(buf_span(&text));
    if (stream->wait)
        buf_printf(&text, "%s⏳ %s", text.len ? "\n\n" : "", stream->wait);
    telegram_preview(buf_span(&text), out);
    return span_trim(buf_span(out)).len > 0;
}

// Writing down: the id of the message, or that none is under way.

static void submit_note(void *context);

static void on_noted(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    struct stream *stream = context;
    stream->job = 0;
    if (result >= 0) {
        stream->write_failures = 0;
        stream->noted = stream->noted && !*stream->message_id && result != STORE_NOT_FOUND;
        stream->given_up |= result == STORE_NOT_FOUND; // the turn has ended with nothing to show
        look_after(stream);
        return;
    }
    if (stream->write_failures++ == 0)
        log_warning("telegram: the id of a message cannot be stored: %s", err->text);
    stream->again = loop_timer_after(
        stream->telegram->env.loop,
        telegram_backoff_ms(stream->write_failures, WRITE_AGAIN_MS, WRITE_AGAIN_MAX_MS),
        submit_note, stream);
}

static void submit_note(void *context)
{
    struct stream *stream = context;
    struct error err = ERROR_INIT;
    stream->again = 0;
    struct store_delivery_change change = {
        .number = stream->number,
        .state = STORE_DELIVERY_KEEP,
        .in_flight = stream->noted && !*stream->message_id,
        .part = STORE_DELIVERY_KEEP,
        .message_id = *stream->message_id ? span_of(stream->message_id) : SPAN_ABSENT,
        .now_ms = loop_wall(stream->telegram->env.loop),
    };
    int64_t job = store_outbox_change(stream->telegram->env.store, &change, on_noted, stream, &err);
    if (job > 0)
        stream->job = job;
    else
        on_noted(stream, (int)job, &err, 0);
}

// Asking Telegram.

static void slower(struct stream *stream)
{
    stream->slow_ms = stream->slow_ms ? 2 * stream->slow_ms : FIRST_PAUSE_MS;
    if (stream->slow_ms > SLOW_MAX_MS)
        stream->slow_ms = SLOW_MAX_MS;
}

static void not_shown(struct stream *stream, const struct telegram_answer *answer)
{
    stream->changed = true;
    stream->shown_hash = 0;
    slower(stream);
    switch (answer->outcome) {
    case TELEGRAM_LIMITED:
        telegram_chat_limit(stream->telegram, stream->chat, answer->retry_after_ms);
        break;
    case TELEGRAM_NO_THREAD: // the chat is still there
        stream->thread[0] = '\0';
        break;
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
    int64_t id;
    if (answer->outcome == TELEGRAM_OK && json_int64(json_get(answer->result, "message_id"), &id)) {
        snprintf(stream->message_id, sizeof stream->message_id, "%lld", (long long)id);
        submit_note(stream);
        return;
    }
    if (answer->outcome == TELEGRAM_UNKNOWN || answer->outcome == TELEGRAM_OK)
        telegram_warn_uncertain(stream->turn, stream->chat->id, answer->text);
    not_shown(stream, answer);
}

static void on_answer(void *context, const struct telegram_answer *answer)
{
    struct stream *stream = context;
    struct telegram *telegram = stream->telegram;
    bool edit = *stream->message_id;
    stream->call = 0;
    telegram->in_flight--;
    stream->last_shown_ms = stream->last_sign_ms = loop_now(telegram->env.loop);
    telegram_api_count_send(telegram, edit, answer->outcome);
    if (!edit)
        on_sent(stream, answer);
    else if (answer->outcome != TELEGRAM_OK && answer->outcome != TELEGRAM_UNCHANGED)
        not_shown(stream, answer);
    else
        stream->slow_ms /= 2;
    if (!under_way(stream))
        look_after(stream);
}

static void hand_over(struct stream *stream, struct span text)
{
    struct telegram *telegram = stream->telegram;
    telegram_chat_take(telegram, stream->chat, *stream->message_id);
    telegram->in_flight++;
    stream->call = telegram_api_message(
        telegram, (struct telegram_place){stream->chat->id, stream->thread},
        *stream->message_id ? stream->message_id : NULL, text, false, on_answer, stream);
}

// The row of this turn, if it has one that is open.
static bool on_row(void *context, const struct store_delivery *row)
{
    struct stream *stream = context;
    if (row->state != STORE_DELIVERY_OPEN || !span_is(row->turn, stream->turn))
        return true;
    stream->number = row->number;
    stream->noted = row->in_flight;
    if (row->message_id.len && row->message_id.len < sizeof stream->message_id)
        memcpy(stream->message_id, row->message_id.data, row->message_id.len);
    return false;
}

static void find_row(struct stream *stream)
{
    struct error err = ERROR_INIT;
    if (store_read_outbox(stream->telegram->env.store, channel_name, 0, on_row, stream, &err) < 0)
        log_debug("telegram: the outbox cannot be read: %s", err.text);
    if (stream->noted && !*stream->message_id)
        telegram_warn_uncertain(stream->turn, stream->chat->id,
                                "the program stopped before Telegram replied");
}

static void on_opened(void *context, int result, const struct error *err, int64_t number)
{
    struct stream *stream = context;
    stream->job = 0;
    if (result == 0) {
        stream->number = number;
        stream->noted = true;
    } else if (result == STORE_DUPLICATE) {
        find_row(stream);
    } else {
        log_debug("telegram: an answer is not shown while it is written: %s", err->text);
    }
    if (stream->number == 0)
        stream->given_up = true;
    look_after(stream);
}

static void open_row(struct stream *stream)
{
    struct error err = ERROR_INIT;
    int64_t job = store_outbox_open(
        stream->telegram->env.store, span_of(stream->turn),
        (struct store_address){channel_name, span_of(stream->chat->id), span_of(stream->thread)},
        loop_wall(stream->telegram->env.loop), on_opened, stream, &err);
    if (job > 0)
        stream->job = job;
    else
        stream->given_up = true;
}

// One step towards the message showing what there is.
static void show(struct stream *stream)
{
    BUF_AUTO text = BUF_INIT(2 * TEXT_MAX);
    uint64_t hash;
    bool some = render(stream, &text);
    hash = hash_of(buf_span(&text));
    if (!some || hash == stream->shown_hash) {
        stream->changed = false;
    } else if (stream->number == 0) {
        open_row(stream);
    } else if (!*stream->message_id && !stream->noted) {
        stream->noted = true;
        submit_note(stream);
    } else {
        stream->changed = false;
        stream->shown_hash = hash;
        hand_over(stream, buf_span(&text));
    }
}

static void show_typing(struct stream *stream)
{
    stream->last_sign_ms = loop_now(stream->telegram->env.loop);
    telegram_api_typing(stream->telegram,
                        (struct telegram_place){stream->chat->id, stream->thread});
}

// When.

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t show_at(const struct stream *stream)
{
    const struct telegram *telegram = stream->telegram;
    if (!stream->changed || stream->given_up || !telegram->config->streaming || under_way(stream))
        return INT64_MAX;
    int64_t units = (int64_t)telegram_units(buf_span(&stream->text));
    int64_t at = telegram_chat_next(telegram, stream->chat);
    if (*stream->message_id) {
        int64_t pause_ms = telegram->config->edit_interval_ms * (1 + units / SLOWER_UNITS);
        at = later(at, stream->last_shown_ms + pause_ms + stream->slow_ms);
        at = later(at, telegram_pace_next(&stream->chat->edits, &telegram_rate_edit));
    } else {
        at = later(at, units < FIRST_UNITS ? stream->last_text_ms + FIRST_PAUSE_MS : 0);
        if (stream->slow_ms)
            at = later(at, stream->last_shown_ms + stream->slow_ms);
    }
    int64_t now_ms = loop_now(telegram->env.loop);
    return telegram->in_flight < TELEGRAM_IN_FLIGHT_MAX ? at : later(at, now_ms + FIRST_PAUSE_MS);
}

static int64_t typing_at(const struct stream *stream)
{
    return later(stream->last_sign_ms + TYPING_MS, stream->telegram->not_before_ms);
}

static void on_timer(void *context);

// Only an earlier instant moves the timer: pieces of text come much faster than anything is due.
static void arm(struct stream *stream)
{
    struct loop *loop = stream->telegram->env.loop;
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
    int64_t now_ms = loop_now(stream->telegram->env.loop);
    stream->timer = 0;
    if (stream->ended || stream->telegram->draining)
        return;
    if (show_at(stream) <= now_ms)
        show(stream);
    if (typing_at(stream) <= now_ms)
        show_typing(stream);
    arm(stream);
}

// After everything that ended: on with it, or the row is left to the sender in a known state.
static void look_after(struct stream *stream)
{
    struct telegram *telegram = stream->telegram;
    if (under_way(stream))
        return;
    if (!stream->ended && !telegram->draining) {
        arm(stream);
    } else if (stream->number && stream->noted && !*stream->message_id) {
        stream->noted = false;
        submit_note(stream);
    } else if (stream->ended) {
        stream_destroy(stream);
        telegram_send_soon(telegram);
    }
}

// What the turn reports.

static void stream_create(struct telegram *telegram, const struct turn_event *event)
{
    const char *turn = event->turn;
    struct telegram_chat *found = telegram_chat_get(telegram, span_of(event->chat));
    if (!found || strlen(turn) >= TURN_MAX || strlen(event->thread) >= TELEGRAM_THREAD_MAX ||
        find(telegram, span_of(turn)))
        return;
    struct stream *stream = mem_new(struct stream);
    stream->telegram = telegram;
    stream->chat = found;
    found->streams++;
    snprintf(stream->turn, sizeof stream->turn, "%s", turn);
    snprintf(stream->thread, sizeof stream->thread, "%s", event->thread);
    buf_init(&stream->text, TEXT_MAX);
    stream->last_sign_ms = loop_now(telegram->env.loop) - TYPING_MS;
    stream->last_shown_ms = loop_now(telegram->env.loop); // a message of before shows more than we
    list_append(&telegram->streams, &stream->link);
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

static void on_ended(void *context)
{
    struct stream *stream = context;
    stream->timer = 0;
    look_after(stream);
}

static void end_soon(struct stream *stream)
{
    struct loop *loop = stream->telegram->env.loop;
    stream->ended = true;
    loop_cancel(loop, stream->timer);
    stream->timer = loop_defer(loop, on_ended, stream);
}

void telegram_stream_event(void *context, const struct turn_event *event)
{
    struct telegram *telegram = context;
    if (event->kind == TURN_EVENT_BEGIN)
        stream_create(telegram, event);
    struct stream *stream = find(telegram, span_of(event->turn));
    if (!stream || stream->ended)
        return;
    if (event->kind == TURN_EVENT_END) {
        end_soon(stream);
        return;
    }
    free(stream->wait);
    stream->wait = event->kind == TURN_EVENT_WAIT ? mem_strdup(event->sentence) : NULL;
    if (event->kind == TURN_EVENT_STEP)
        buf_clear(&stream->text);
    else if (event->kind == TURN_EVENT_TEXT)
        add_text(stream, event->text);
    stream->changed = true;
    stream->last_text_ms = loop_now(telegram->env.loop);
    look_after(stream);
}

void telegram_stream_drain(struct telegram *telegram)
{
    list_for_each(link, &telegram->streams)
        look_after(list_entry(link, struct stream, link));
}

void telegram_stream_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->streams)
        stream_destroy(list_entry(link, struct stream, link));
}
