/*
 * The outbox to messages. A row of it is a reply; Telegram wants parts of at most 4096 units, which
 * are cut the same way each time, so "part 3" means the same after a restart.
 *
 * A message is sent at least once: that it is about to be handed over is on disk before it is, and
 * that it arrived is on disk before the next one goes. What lies between the two after a crash, or
 * when a connection breaks before the answer, may or may not be there. It is sent again, and the
 * log says that this could not be known. An edit may be repeated, so it needs no such care.
 *
 * A row that failed is let go and read again when its time has come. The waiting is kept on the
 * monotonic clock with the chat, so that a wall clock that jumps neither floods nor silences.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "channels/telegram_internal.h"
#include "codec/telegram_text.h"

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 300 * 1000,
    WAIT_READ_MAX_MS = 3600 * 1000, // of a row that an earlier process left waiting
    WRITE_BACKOFF_MAX_MS = 60 * 1000,
    STUCK_MS = 600 * 1000,
};

static const struct span channel_name = SPAN_LITERAL("telegram");

struct delivery {     // a row that is being delivered
    struct list link; // telegram::deliveries
    struct telegram *telegram;
    struct telegram_chat *chat;
    int64_t number, created_ms, begun_ms;
    char turn[64];
    char thread[TELEGRAM_THREAD_MAX];
    char *text; // owned
    struct span rest;
    struct telegram_split split;
    struct buf part; // the present one
    int index;       // its number
    bool plain, editing;
    char message_id[TELEGRAM_MESSAGE_ID_MAX]; // "": a new message
    int attempts;
    telegram_call_id call;
    int64_t job;
    // What is being written down, and may have to be again.
    struct store_delivery_change change;
    char error[TELEGRAM_ANSWER_TEXT_MAX];
    int write_failures;
    loop_id again;
    void (*written)(struct delivery *delivery);
};

static void pump(void *context);

void telegram_warn_uncertain(const char *turn, const char *chat, const char *why)
{
    LOG_EVENT(LOG_WARNING, "telegram.uncertain", turn, LOG_TEXT("chat", chat), LOG_TEXT("why", why),
              LOG_TEXT("done", "Telegram may or may not have it; it is sent again"));
}

// Writing down.

static void delivery_destroy(struct delivery *delivery)
{
    struct telegram *telegram = delivery->telegram;
    if (delivery->call) {
        telegram_api_cancel(telegram, delivery->call);
        telegram->in_flight--;
    }
    store_forget(telegram->env.store, delivery->job);
    loop_cancel(telegram->env.loop, delivery->again);
    delivery->chat->busy = false;
    list_remove(&delivery->link);
    buf_finish(&delivery->part);
    free(delivery->text);
    free(delivery);
}

static void delivery_end(struct delivery *delivery)
{
    struct telegram *telegram = delivery->telegram;
    delivery_destroy(delivery);
    telegram_send_soon(telegram);
}

static void submit_change(void *context);

static void on_change_written(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    struct delivery *delivery = context;
    struct telegram *telegram = delivery->telegram;
    delivery->job = 0;
    if (result < 0) {
        if (delivery->write_failures++ == 0)
            log_warning("telegram: the state of a delivery cannot be stored: %s", err->text);
        delivery->again = loop_timer_after(
            telegram->env.loop,
            telegram_backoff_ms(delivery->write_failures, BACKOFF_FIRST_MS, WRITE_BACKOFF_MAX_MS),
            submit_change, delivery);
        return;
    }
    delivery->write_failures = 0;
    if (result == STORE_NOT_FOUND) // somebody deleted it
        delivery_end(delivery);
    else
        delivery->written(delivery);
}

// Until it is on disk nothing else happens to this row.
static void submit_change(void *context)
{
    struct delivery *delivery = context;
    struct error err = ERROR_INIT;
    delivery->again = 0;
    int64_t job = store_outbox_change(delivery->telegram->env.store, &delivery->change,
                                      on_change_written, delivery, &err);
    if (job > 0)
        delivery->job = job;
    else
        on_change_written(delivery, (int)job, &err, 0);
}

static struct store_delivery_change *begin_change(struct delivery *delivery, bool in_flight)
{
    delivery->change = (struct store_delivery_change){
        .number = delivery->number,
        .state = STORE_DELIVERY_KEEP,
        .in_flight = in_flight,
        .part = STORE_DELIVERY_KEEP,
        .attempts = delivery->attempts,
        .now_ms = loop_wall(delivery->telegram->env.loop),
    };
    return &delivery->change;
}

static void write_down(struct delivery *delivery, void (*then)(struct delivery *delivery))
{
    delivery->written = then;
    submit_change(delivery);
}

// Failing.

static void warn_when_stuck(struct delivery *delivery)
{
    struct telegram_chat *chat = delivery->chat;
    int64_t age_ms = loop_wall(delivery->telegram->env.loop) - delivery->created_ms;
    if (age_ms < STUCK_MS || chat->stuck == delivery->number)
        return;
    chat->stuck = delivery->number;
    LOG_EVENT(LOG_WARNING, "telegram.stuck", delivery->turn, LOG_TEXT("chat", chat->id),
              LOG_NUMBER("minutes", age_ms / 60000), LOG_NUMBER("attempts", delivery->attempts),
              LOG_TEXT("error", delivery->error));
}

static void fail_later(struct delivery *delivery, const struct telegram_answer *answer)
{
    struct telegram *telegram = delivery->telegram;
    int64_t wait_ms = answer->retry_after_ms;
    delivery->attempts++;
    snprintf(delivery->error, sizeof delivery->error, "%s", answer->text);
    if (answer->outcome == TELEGRAM_LIMITED) {
        telegram_chat_limit(telegram, delivery->chat, wait_ms);
    } else {
        wait_ms = telegram_backoff_jitter_ms(delivery->attempts, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        delivery->chat->not_before_ms = loop_now(telegram->env.loop) + wait_ms;
    }
    warn_when_stuck(delivery);
    struct store_delivery_change *change = begin_change(delivery, false);
    change->next_ms = change->now_ms + wait_ms;
    change->error = span_of(delivery->error);
    write_down(delivery, delivery_end);
}

static void give_up(struct delivery *delivery, const char *why)
{
    snprintf(delivery->error, sizeof delivery->error, "%s", why);
    LOG_EVENT(LOG_ERROR, "telegram.given_up", delivery->turn, LOG_TEXT("chat", delivery->chat->id),
              LOG_NUMBER("part", delivery->index), LOG_TEXT("error", delivery->error));
    struct store_delivery_change *change = begin_change(delivery, false);
    change->state = STORE_DELIVERY_FAILED;
    change->error = span_of(delivery->error);
    write_down(delivery, delivery_end);
}

// Parts.

// The next part that shows anything; false when all are through.
static bool load_part(struct delivery *delivery)
{
    do {
        buf_clear(&delivery->part);
        if (!telegram_next_part(&delivery->split, &delivery->rest, &delivery->part))
            return false;
        delivery->index++;
    } while (span_trim(buf_span(&delivery->part)).len == 0);
    return true;
}

static void send_part(struct delivery *delivery);

static void on_part_done(struct delivery *delivery)
{
    if (delivery->change.state == STORE_DELIVERY_SENT) {
        delivery_end(delivery);
        return;
    }
    delivery->plain = false;
    send_part(delivery);
}

static void part_arrived(struct delivery *delivery)
{
    LOG_EVENT(LOG_INFO, "reply.sent", delivery->turn, LOG_TEXT("channel", "telegram"),
              LOG_TEXT("chat", delivery->chat->id), LOG_NUMBER("part", delivery->index + 1),
              LOG_NUMBER("ms", loop_now(delivery->telegram->env.loop) - delivery->begun_ms));
    delivery->message_id[0] = '\0';
    delivery->attempts = 0;
    int delivered = delivery->index + 1;
    bool more = load_part(delivery);
    struct store_delivery_change *change = begin_change(delivery, false);
    change->part = more ? delivery->index : delivered;
    change->message_id = SPAN_LITERAL("");
    if (!more)
        change->state = STORE_DELIVERY_SENT;
    delivery->telegram->sent++;
    write_down(delivery, on_part_done);
}

// Markup is ours to get right; when it is refused the text still gets through.
static void send_plain(struct delivery *delivery, const struct telegram_answer *answer)
{
    if (delivery->plain && delivery->editing) { // perhaps it is the edit that is refused
        delivery->message_id[0] = '\0';
        delivery->plain = false;
        send_part(delivery);
        return;
    }
    if (delivery->plain) {
        give_up(delivery, answer->text);
        return;
    }
    LOG_EVENT(LOG_WARNING, "telegram.markup_refused", delivery->turn,
              LOG_TEXT("chat", delivery->chat->id), LOG_NUMBER("part", delivery->index),
              LOG_TEXT("error", answer->text), LOG_TEXT("done", "it is sent as plain text"));
    delivery->plain = true;
    send_part(delivery);
}

static void on_answer(void *context, const struct telegram_answer *answer)
{
    struct delivery *delivery = context;
    struct telegram *telegram = delivery->telegram;
    delivery->call = 0;
    telegram->in_flight--;
    telegram_api_count_send(telegram, delivery->editing, answer->outcome);
    switch (answer->outcome) {
    case TELEGRAM_OK:
    case TELEGRAM_UNCHANGED:
        part_arrived(delivery);
        break;
    case TELEGRAM_BAD_MARKUP:
    case TELEGRAM_TOO_LONG:
    case TELEGRAM_REFUSED:
        send_plain(delivery, answer);
        break;
    case TELEGRAM_NO_MESSAGE: // somebody deleted it: the text is still owed
        delivery->message_id[0] = '\0';
        if (delivery->editing)
            send_part(delivery);
        else
            give_up(delivery, answer->text);
        break;
    case TELEGRAM_NO_THREAD: // the chat is still there
        if (*delivery->thread) {
            delivery->thread[0] = '\0';
            send_part(delivery);
            break;
        } // fall through
    case TELEGRAM_NO_CHAT:
        give_up(delivery, answer->text);
        break;
    case TELEGRAM_UNKNOWN:
        if (!delivery->editing)
            telegram_warn_uncertain(delivery->turn, delivery->chat->id, answer->text);
        fail_later(delivery, answer);
        break;
    default:
        fail_later(delivery, answer);
        break;
    }
}

static void hand_over(struct delivery *delivery)
{
    struct telegram *telegram = delivery->telegram;
    BUF_AUTO text = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    if (delivery->plain)
        telegram_plain(buf_span(&delivery->part), &text);
    else
        telegram_markdown(buf_span(&delivery->part), &text);
    delivery->editing = *delivery->message_id;
    telegram->in_flight++;
    delivery->call = telegram_api_message(
        telegram, (struct telegram_place){delivery->chat->id, delivery->thread},
        delivery->editing ? delivery->message_id : NULL, buf_span(&text), !delivery->plain,
        on_answer, delivery);
}

// For the next process: what was noted to be under way is not.
static void let_go(struct delivery *delivery)
{
    if (!delivery->change.in_flight || *delivery->message_id) {
        delivery_end(delivery);
        return;
    }
    begin_change(delivery, false);
    write_down(delivery, delivery_end);
}

static void send_again(void *context)
{
    struct delivery *delivery = context;
    delivery->again = 0;
    send_part(delivery);
}

/*
 * The pace is kept before the note is made, so that the time in which it is not known what became
 * of a message is that of the request. A refused attempt leaves the note standing, so plain text
 * after refused markup writes nothing.
 */
static void send_part(struct delivery *delivery)
{
    struct telegram *telegram = delivery->telegram;
    int64_t at_ms = telegram_chat_next(telegram, delivery->chat);
    if (telegram->draining) {
        let_go(delivery);
        return;
    }
    if (at_ms > loop_now(telegram->env.loop)) {
        delivery->again = loop_timer_at(telegram->env.loop, at_ms, send_again, delivery);
        return;
    }
    telegram_chat_take(telegram, delivery->chat, *delivery->message_id);
    if (*delivery->message_id || delivery->change.in_flight) {
        hand_over(delivery);
        return;
    }
    struct store_delivery_change *change = begin_change(delivery, true);
    change->message_id = SPAN_LITERAL("");
    write_down(delivery, hand_over);
}

// Looking into the outbox.

static void copy_span(char *out, size_t size, struct span text)
{
    size_t len = text.len < size ? text.len : 0;
    memcpy(out, text.len ? text.data : "", len);
    out[len] = '\0';
}

static void delivery_start(struct telegram *telegram, struct telegram_chat *chat,
                           const struct store_delivery *row)
{
    struct delivery *delivery = mem_new(struct delivery);
    delivery->telegram = telegram;
    delivery->chat = chat;
    delivery->number = row->number;
    delivery->created_ms = row->created_ms;
    delivery->begun_ms = loop_now(telegram->env.loop);
    delivery->attempts = row->attempts;
    copy_span(delivery->turn, sizeof delivery->turn, row->turn);
    copy_span(delivery->thread, sizeof delivery->thread, row->thread);
    copy_span(delivery->message_id, sizeof delivery->message_id, row->message_id);
    delivery->text = mem_strndup(row->text.len ? row->text.data : "", row->text.len);
    delivery->rest = span_make(delivery->text, row->text.len);
    delivery->index = -1;
    delivery->change.in_flight = row->in_flight && !*delivery->message_id;
    buf_init(&delivery->part, TELEGRAM_PART_BYTES_MAX);
    chat->busy = true;
    list_append(&telegram->deliveries, &delivery->link);
}

static void send_first(struct delivery *delivery)
{
    if (delivery->change.in_flight && !*delivery->message_id)
        telegram_warn_uncertain(delivery->turn, delivery->chat->id,
                                "the program stopped before Telegram replied");
    send_part(delivery);
}

// Outside of the reading, because it writes.
static void delivery_go(struct delivery *delivery, int part)
{
    while (load_part(delivery))
        if (delivery->index >= part) {
            send_first(delivery);
            return;
        }
    if (part == 0) { // an empty code block, say: who asked must not wait for ever
        buf_append_text(&delivery->part, "(an empty answer)");
        delivery->index = 0;
        send_first(delivery);
        return;
    }
    begin_change(delivery, false)->state = STORE_DELIVERY_SENT; // nothing is left to be shown
    write_down(delivery, delivery_end);
}

struct look { // one reading of the outbox
    struct telegram *telegram;
    int64_t wake_ms;
    int64_t last; // number of the row that was read
    struct {
        struct delivery *delivery;
        int part;
    } started[TELEGRAM_IN_FLIGHT_MAX];
    size_t started_count;
};

static void wait_until(struct look *look, int64_t at_ms)
{
    if (at_ms < look->wake_ms)
        look->wake_ms = at_ms;
}

// A chat that is seen first in this process takes over what the last one was waiting for.
static struct telegram_chat *chat_of(struct telegram *telegram, const struct store_delivery *row)
{
    struct list *newest = telegram->chats.prev;
    struct telegram_chat *chat = telegram_chat_get(telegram, row->chat);
    if (chat && telegram->chats.prev != newest && row->next_ms > 0) {
        int64_t wait_ms = row->next_ms - loop_wall(telegram->env.loop);
        if (wait_ms > 0 && wait_ms <= WAIT_READ_MAX_MS)
            chat->not_before_ms = loop_now(telegram->env.loop) + wait_ms;
    }
    return chat;
}

static size_t deliveries_under_way(const struct telegram *telegram)
{
    size_t count = 0;
    for (struct list *link = telegram->deliveries.next; link != &telegram->deliveries;
         link = link->next)
        count++;
    return count;
}

static bool on_row(void *context, const struct store_delivery *row)
{
    struct look *look = context;
    struct telegram *telegram = look->telegram;
    look->last = row->number;
    if (row->state != STORE_DELIVERY_PENDING)
        return true;
    struct telegram_chat *chat = chat_of(telegram, row);
    if (!chat) // of more chats than are served at a time, or of none that could be
        return true;
    bool first = !chat->seen && !chat->busy;
    chat->seen = true;
    if (!first || telegram_stream_holds(telegram, row->turn))
        return true;
    int64_t at_ms = telegram_chat_next(telegram, chat);
    if (at_ms > loop_now(telegram->env.loop)) {
        wait_until(look, at_ms);
        return true;
    }
    if (deliveries_under_way(telegram) >= TELEGRAM_IN_FLIGHT_MAX) // its end looks again
        return true;
    delivery_start(telegram, chat, row);
    look->started[look->started_count].delivery =
        list_entry(telegram->deliveries.prev, struct delivery, link);
    look->started[look->started_count++].part = row->part;
    return look->started_count < TELEGRAM_IN_FLIGHT_MAX;
}

static void on_pump_timer(void *context)
{
    struct telegram *telegram = context;
    telegram->pump_timer = 0;
    pump(telegram);
}

static void pump_at(struct telegram *telegram, int64_t at_ms)
{
    loop_cancel(telegram->env.loop, telegram->pump_timer);
    telegram->pump_timer =
        at_ms == INT64_MAX ? 0 : loop_timer_at(telegram->env.loop, at_ms, on_pump_timer, telegram);
}

static void pump(void *context)
{
    struct telegram *telegram = context;
    struct look look = {.telegram = telegram, .wake_ms = INT64_MAX};
    struct error err = ERROR_INIT;
    telegram->pump = 0;
    if (telegram->draining)
        return;
    list_for_each(link, &telegram->chats)
        list_entry(link, struct telegram_chat, link)->seen = false;
    if (store_read_outbox(telegram->env.store, channel_name, 0, on_row, &look, &err) < 0) {
        log_warning("telegram: the outbox cannot be read: %s", err.text);
        wait_until(&look, loop_now(telegram->env.loop) + BACKOFF_FIRST_MS);
    }
    for (size_t i = 0; i < look.started_count; i++)
        delivery_go(look.started[i].delivery, look.started[i].part);
    wait_until(&look, telegram_chats_sweep(telegram));
    pump_at(telegram, look.wake_ms);
}

void telegram_send_soon(struct telegram *telegram)
{
    if (!telegram->pump && !telegram->draining)
        telegram->pump = loop_defer(telegram->env.loop, pump, telegram);
}

// What waits for its turn is let go; what is under way, or must be written down, goes on.
void telegram_send_drain(struct telegram *telegram)
{
    loop_cancel(telegram->env.loop, telegram->pump);
    loop_cancel(telegram->env.loop, telegram->pump_timer);
    telegram->pump = telegram->pump_timer = 0;
    list_for_each(link, &telegram->deliveries) {
        struct delivery *delivery = list_entry(link, struct delivery, link);
        if (delivery->call || delivery->job || delivery->write_failures)
            continue;
        loop_cancel(telegram->env.loop, delivery->again);
        delivery->again = 0;
        let_go(delivery);
    }
}

void telegram_send_stop(struct telegram *telegram)
{
    loop_cancel(telegram->env.loop, telegram->pump);
    loop_cancel(telegram->env.loop, telegram->pump_timer);
    list_for_each(link, &telegram->deliveries)
        delivery_destroy(list_entry(link, struct delivery, link));
}
