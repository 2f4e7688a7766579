/*
 * The outbox to messages. A row of it is a reply; Telegram wants parts of at most 4096 units, which
 * are cut the same way each time, so "part 3" means the same after a restart. The first part may be
 * a message already, which grew while the turn ran: then it is the last edit of that message.
 *
 * A row that failed is let go and read again when its time has come. The waiting is kept on the
 * monotonic clock with the chat, so that a wall clock that jumps neither floods nor silences.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "channels/telegram_delivery.h"
#include "channels/telegram_file.h"
#include "codec/telegram_text.h"

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MAX_MS = 300 * 1000,
    WAIT_READ_MAX_MS = 3600 * 1000, // of a row that an earlier process left waiting
    STUCK_MS = 600 * 1000,
};

struct reply { // a row that is being delivered
    struct telegram_delivery delivery;
    int64_t created_ms, begun_ms;
    char *text, *buttons;       // owned; buttons as in the outbox, under the last part
    struct telegram_file *file; // in place of text; NULL: none, or it cannot be sent
    struct span rest;
    struct telegram_split split;
    struct buf part; // the present one
    int index;       // its number; -1: none yet
    int delivered;   // parts that an earlier delivery of the row saw arrive
    bool plain, is_file;
    loop_id pause;                        // until the pace allows it
    char error[TELEGRAM_ANSWER_TEXT_MAX]; // as it is written down
};

static struct reply *reply_of(struct telegram_delivery *delivery)
{
    return CONTAINER_OF(delivery, struct reply, delivery);
}

static void reply_destroy(struct reply *reply)
{
    loop_cancel(reply->delivery.telegram->env.loop, reply->pause);
    reply->delivery.chat->busy = false;
    reply->delivery.telegram->replies--;
    reply->delivery.telegram->files -= reply->is_file;
    telegram_delivery_finish(&reply->delivery);
    telegram_file_destroy(reply->file);
    buf_finish(&reply->part);
    free(reply->text);
    free(reply->buttons);
    free(reply);
}

static void reply_end(struct reply *reply)
{
    struct telegram *telegram = reply->delivery.telegram;
    reply_destroy(reply);
    telegram_send_soon(telegram);
}

static void on_ended(struct telegram_delivery *delivery, bool found)
{
    reply_end(reply_of(delivery));
}

// Failing.

static void warn_when_stuck(struct reply *reply)
{
    struct telegram_delivery *delivery = &reply->delivery;
    struct telegram_chat *chat = delivery->chat;
    int64_t age_ms = loop_wall(delivery->telegram->env.loop) - reply->created_ms;
    if (age_ms < STUCK_MS || chat->stuck == delivery->number)
        return;
    chat->stuck = delivery->number;
    LOG_EVENT(LOG_WARNING, "telegram.stuck", delivery->turn, LOG_TEXT("chat", chat->id),
              LOG_NUMBER("minutes", age_ms / 60000), LOG_NUMBER("attempts", delivery->attempts),
              LOG_TEXT("error", reply->error));
}

static void fail_later(struct reply *reply, const struct telegram_answer *answer)
{
    struct telegram_delivery *delivery = &reply->delivery;
    int64_t wait_ms = answer->retry_after_ms;
    delivery->attempts++;
    snprintf(reply->error, sizeof reply->error, "%s", answer->text);
    if (answer->outcome != TELEGRAM_LIMITED) {
        wait_ms = telegram_backoff_jitter_ms(delivery->attempts, BACKOFF_FIRST_MS, BACKOFF_MAX_MS);
        delivery->chat->not_before_ms = loop_now(delivery->telegram->env.loop) + wait_ms;
    }
    warn_when_stuck(reply);
    struct store_delivery_change *change = telegram_delivery_change(delivery, false);
    change->next_ms = change->now_ms + wait_ms;
    change->error = span_of(reply->error);
    telegram_delivery_write(delivery, on_ended);
}

static void give_up(struct reply *reply, const char *why)
{
    struct telegram_delivery *delivery = &reply->delivery;
    snprintf(reply->error, sizeof reply->error, "%s", why);
    LOG_EVENT(LOG_ERROR, "telegram.given_up", delivery->turn, LOG_TEXT("chat", delivery->chat->id),
              LOG_NUMBER("part", reply->index), LOG_TEXT("error", reply->error));
    struct store_delivery_change *change = telegram_delivery_change(delivery, false);
    change->state = STORE_DELIVERY_FAILED;
    change->error = span_of(reply->error);
    telegram_delivery_write(delivery, on_ended);
}

// Parts.

// The next part that shows anything; false when all are through.
static bool load_part(struct reply *reply)
{
    do {
        buf_clear(&reply->part);
        if (!telegram_next_part(&reply->split, &reply->rest, &reply->part))
            return false;
        reply->index++;
    } while (span_trim(buf_span(&reply->part)).len == 0);
    return true;
}

static void send_part(struct reply *reply);

static void on_part_written(struct telegram_delivery *delivery, bool found)
{
    if (!found || delivery->change.state == STORE_DELIVERY_SENT)
        reply_end(reply_of(delivery));
    else
        send_part(reply_of(delivery));
}

static void part_arrived(struct reply *reply)
{
    struct telegram_delivery *delivery = &reply->delivery;
    struct telegram *telegram = delivery->telegram;
    LOG_EVENT(LOG_INFO, "reply.sent", delivery->turn, LOG_TEXT("channel", "telegram"),
              LOG_TEXT("chat", delivery->chat->id), LOG_NUMBER("part", reply->index + 1),
              LOG_NUMBER("ms", loop_now(telegram->env.loop) - reply->begun_ms));
    delivery->message_id[0] = '\0';
    delivery->attempts = 0;
    reply->plain = false;
    int delivered = reply->index + 1;
    bool more = load_part(reply);
    struct store_delivery_change *change = telegram_delivery_change(delivery, false);
    change->part = more ? reply->index : delivered;
    if (!more)
        change->state = STORE_DELIVERY_SENT;
    telegram->sent++;
    telegram_delivery_write(delivery, on_part_written);
}

/* Files */

// The person hears of it in its place.
static void tell_unsent(struct reply *reply, const char *why)
{
    struct span path = telegram_file_path(reply->file);
    char *text = mem_printf("⚠️ `%.*s` could not be sent: %s", (int)path.len, path.data, why);
    LOG_EVENT(LOG_WARNING, "telegram.unsent", reply->delivery.turn,
              LOG_TEXT("chat", reply->delivery.chat->id), LOG_TEXT("error", why));
    telegram_file_destroy(STEAL(reply->file));
    free(reply->text);
    reply->text = text;
    reply->rest = span_of(text);
    reply->index = -1;
    load_part(reply);
    send_part(reply);
}

static void on_opened(void *context, int fd, int64_t size, struct span first, const char *why)
{
    struct reply *reply = context;
    reply->file->opening = NULL;
    if (why) {
        tell_unsent(reply, why);
        return;
    }
    telegram_file_take(reply->file, fd, size, first);
    send_part(reply);
}

static void open_file(struct reply *reply)
{
    struct error err = ERROR_INIT;
    struct telegram_file *file = reply->file;
    if (dispatcher_open_file(reply->delivery.telegram->env.dispatcher, file->what, on_opened, reply,
                             &file->opening, &err) < 0)
        tell_unsent(reply, err.text);
}

static void send_otherwise(struct reply *reply, const struct telegram_answer *answer)
{
    if (!telegram_file_is_photo(reply->file)) {
        tell_unsent(reply, answer->text);
        return;
    }
    reply->file->as_document = true;
    send_part(reply);
}

// Markup is ours to get right; when it is refused the text still gets through.
static void send_plain(struct reply *reply, const struct telegram_answer *answer)
{
    struct telegram_delivery *delivery = &reply->delivery;
    if (reply->plain && !delivery->editing) {
        give_up(reply, answer->text);
        return;
    }
    if (reply->plain) // perhaps it is the edit that is refused
        delivery->message_id[0] = '\0';
    else
        LOG_EVENT(LOG_WARNING, "telegram.markup_refused", delivery->turn,
                  LOG_TEXT("chat", delivery->chat->id), LOG_NUMBER("part", reply->index),
                  LOG_TEXT("error", answer->text), LOG_TEXT("done", "it is sent as plain text"));
    reply->plain = !reply->plain;
    send_part(reply);
}

// Without what is gone: the message to edit, or the topic. The text is still owed.
static void send_without(struct reply *reply, char *gone, const struct telegram_answer *answer)
{
    if (!*gone) {
        give_up(reply, answer->text);
        return;
    }
    *gone = '\0';
    send_part(reply);
}

static void on_answer(struct telegram_delivery *delivery, const struct telegram_answer *answer)
{
    struct reply *reply = reply_of(delivery);
    switch (answer->outcome) {
    case TELEGRAM_OK:
    case TELEGRAM_UNCHANGED:
        part_arrived(reply);
        break;
    case TELEGRAM_BAD_MARKUP:
    case TELEGRAM_TOO_LONG:
    case TELEGRAM_REFUSED:
        (reply->file ? send_otherwise : send_plain)(reply, answer);
        break;
    case TELEGRAM_NO_MESSAGE:
        send_without(reply, delivery->message_id, answer);
        break;
    case TELEGRAM_NO_THREAD:
        send_without(reply, delivery->thread, answer);
        break;
    case TELEGRAM_NO_CHAT:
        give_up(reply, answer->text);
        break;
    case TELEGRAM_NO_FILE:
        tell_unsent(reply, answer->text);
        break;
    default:
        fail_later(reply, answer);
        break;
    }
}

static void hand_over(struct telegram_delivery *delivery, bool found)
{
    struct reply *reply = reply_of(delivery);
    BUF_AUTO text = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    if (!found) { // somebody deleted it
        reply_end(reply);
        return;
    }
    if (reply->file) {
        telegram_delivery_send(delivery, (struct telegram_message){.file = reply->file}, on_answer);
        return;
    }
    if (reply->plain)
        telegram_plain(buf_span(&reply->part), &text);
    else
        telegram_markdown(buf_span(&reply->part), &text);
    struct telegram_message message = {.text = buf_span(&text), .markup = !reply->plain};
    if (span_trim(reply->rest).len == 0)
        message.buttons = span_of(reply->buttons);
    telegram_delivery_send(delivery, message, on_answer);
}

// For the next process: what was noted to be under way is not.
static void let_go(struct reply *reply)
{
    if (!reply->delivery.in_flight) {
        reply_end(reply);
        return;
    }
    telegram_delivery_change(&reply->delivery, false);
    telegram_delivery_write(&reply->delivery, on_ended);
}

static void send_again(void *context)
{
    struct reply *reply = context;
    reply->pause = 0;
    send_part(reply);
}

/*
 * The pace is kept before the note is made, so that the time in which it is not known what became
 * of a message is that of the request. A refused attempt leaves the note standing, so plain text
 * after refused markup writes nothing.
 */
static void send_part(struct reply *reply)
{
    struct telegram_delivery *delivery = &reply->delivery;
    struct telegram *telegram = delivery->telegram;
    int64_t at_ms = telegram_chat_next(telegram, delivery->chat);
    if (telegram->draining) {
        let_go(reply);
    } else if (at_ms > loop_now(telegram->env.loop)) {
        reply->pause = loop_timer_at(telegram->env.loop, at_ms, send_again, reply);
    } else if (reply->file && reply->file->fd < 0) {
        open_file(reply);
    } else if (*delivery->message_id || delivery->in_flight) {
        hand_over(delivery, true);
    } else {
        telegram_delivery_change(delivery, true);
        telegram_delivery_write(delivery, hand_over);
    }
}

// Looking into the outbox.

static void reply_create(struct telegram *telegram, struct telegram_chat *chat,
                         const struct store_delivery *row)
{
    struct reply *reply = mem_new(struct reply);
    telegram_delivery_init(&reply->delivery, telegram, chat, row->turn, row->thread);
    telegram_delivery_take(&reply->delivery, row);
    list_append(&telegram->deliveries, &reply->delivery.link);
    reply->created_ms = row->created_ms;
    reply->begun_ms = loop_now(telegram->env.loop);
    reply->text = mem_strndup(row->text.len ? row->text.data : "", row->text.len);
    reply->rest = span_make(reply->text, row->text.len);
    reply->is_file = row->kind == STORE_REPLY_FILE;
    if (reply->is_file) {
        reply->file = telegram_file_create(reply->rest);
        reply->rest.len = 0;
        telegram->files++;
    }
    reply->buttons = mem_strndup(row->buttons.len ? row->buttons.data : "", row->buttons.len);
    reply->index = -1;
    reply->delivered = row->part;
    buf_init(&reply->part, TELEGRAM_PART_BYTES_MAX);
    chat->busy = true;
    telegram->replies++;
}

// Outside of the reading, because it writes.
static void reply_start(struct reply *reply)
{
    if (reply->index >= 0 || telegram_delivery_busy(&reply->delivery)) // it has begun
        return;
    if (reply->file && reply->delivered == 0) {
        reply->index = 0;
        send_part(reply);
        return;
    }
    while (load_part(reply))
        if (reply->index >= reply->delivered) {
            send_part(reply);
            return;
        }
    if (reply->delivered == 0) { // an empty code block, say: the person must not wait for ever
        buf_append_text(&reply->part, "(an empty answer)");
        reply->index = 0;
        send_part(reply);
        return;
    }
    telegram_delivery_change(&reply->delivery, false)->state = STORE_DELIVERY_SENT;
    telegram_delivery_write(&reply->delivery, on_ended);
}

struct look { // one reading of the outbox
    struct telegram *telegram;
    int64_t wake_ms;
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

static bool on_row(void *context, const struct store_delivery *row)
{
    struct look *look = context;
    struct telegram *telegram = look->telegram;
    if (row->state != STORE_DELIVERY_PENDING)
        return true;
    struct telegram_chat *chat = chat_of(telegram, row);
    if (!chat) // of more chats than are served at a time, or of none that could be
        return true;
    bool first = !chat->seen && !chat->busy;
    chat->seen = true;
    if (!first || telegram_delivery_of(&telegram->streams, row->turn))
        return true;
    int64_t at_ms = telegram_chat_next(telegram, chat);
    if (at_ms > loop_now(telegram->env.loop)) {
        wait_until(look, at_ms);
        return true;
    }
    bool is_late = row->kind == STORE_REPLY_FILE && telegram->files;
    if (telegram->replies < TELEGRAM_IN_FLIGHT_MAX && !is_late) // an end looks again
        reply_create(telegram, chat, row);
    return true;
}

static void stop_pump(struct telegram *telegram)
{
    loop_cancel(telegram->env.loop, telegram->pump);
    telegram->pump = 0;
}

static void pump(void *context)
{
    struct telegram *telegram = context;
    struct look look = {.telegram = telegram, .wake_ms = INT64_MAX};
    struct error err = ERROR_INIT;
    stop_pump(telegram);
    if (telegram->draining)
        return;
    list_for_each(link, &telegram->chats)
        list_entry(link, struct telegram_chat, link)->seen = false;
    if (store_read_outbox(telegram->env.store, SPAN_LITERAL("telegram"), 0, on_row, &look, &err) <
        0) {
        log_warning("telegram: the outbox cannot be read: %s", err.text);
        wait_until(&look, loop_now(telegram->env.loop) + BACKOFF_FIRST_MS);
    }
    list_for_each(link, &telegram->deliveries)
        reply_start(list_entry(link, struct reply, delivery.link));
    wait_until(&look, telegram_chats_sweep(telegram));
    if (look.wake_ms != INT64_MAX)
        telegram->pump = loop_timer_at(telegram->env.loop, look.wake_ms, pump, telegram);
}

void telegram_send_soon(struct telegram *telegram)
{
    stop_pump(telegram);
    if (!telegram->draining)
        telegram->pump = loop_defer(telegram->env.loop, pump, telegram);
}

// What waits for its turn is let go; what is under way, or must be written down, goes on.
void telegram_send_drain(struct telegram *telegram)
{
    stop_pump(telegram);
    list_for_each(link, &telegram->deliveries) {
        struct reply *reply = list_entry(link, struct reply, delivery.link);
        loop_cancel(telegram->env.loop, reply->pause);
        reply->pause = 0;
        if (!telegram_delivery_busy(&reply->delivery))
            let_go(reply);
    }
}

void telegram_send_stop(struct telegram *telegram)
{
    stop_pump(telegram);
    list_for_each(link, &telegram->deliveries)
        reply_destroy(list_entry(link, struct reply, delivery.link));
}
