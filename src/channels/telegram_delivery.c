#include "channels/telegram_delivery.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "channels/telegram_file.h"

enum { WRITE_AGAIN_MS = 1000, WRITE_AGAIN_MAX_MS = 60 * 1000 };

static void copy_span(char *out, size_t size, struct span text)
{
    size_t len = text.len < size ? text.len : 0;
    memcpy(out, text.len ? text.data : "", len);
    out[len] = '\0';
}

void telegram_delivery_init(struct telegram_delivery *delivery, struct telegram *telegram,
                            struct telegram_chat *chat, struct span turn, struct span thread)
{
    delivery->telegram = telegram;
    delivery->chat = chat;
    chat->deliveries++;
    copy_span(delivery->turn, sizeof delivery->turn, turn);
    copy_span(delivery->thread, sizeof delivery->thread, thread);
}

void telegram_delivery_finish(struct telegram_delivery *delivery)
{
    struct telegram *telegram = delivery->telegram;
    if (delivery->call) {
        telegram_api_cancel(telegram, delivery->call);
        telegram->in_flight--;
    }
    store_forget(telegram->env.store, delivery->job);
    loop_cancel(telegram->env.loop, delivery->again);
    delivery->chat->deliveries--;
    list_remove(&delivery->link);
}

struct telegram_delivery *telegram_delivery_of(const struct list *head, struct span turn)
{
    for (struct list *link = head->next; link != head; link = link->next) {
        struct telegram_delivery *delivery = list_entry(link, struct telegram_delivery, link);
        if (turn.len && span_is(turn, delivery->turn))
            return delivery;
    }
    return NULL;
}

bool telegram_delivery_busy(const struct telegram_delivery *delivery)
{
    return delivery->call || delivery->job || delivery->again;
}

void telegram_delivery_take(struct telegram_delivery *delivery, const struct store_delivery *row)
{
    delivery->number = row->number;
    delivery->attempts = row->attempts;
    copy_span(delivery->message_id, sizeof delivery->message_id, row->message_id);
    delivery->in_flight = row->in_flight && !*delivery->message_id;
    if (delivery->in_flight)
        telegram_delivery_uncertain(delivery, "the program stopped before Telegram replied");
}

void telegram_delivery_uncertain(const struct telegram_delivery *delivery, const char *why)
{
    LOG_EVENT(LOG_WARNING, "telegram.uncertain", delivery->turn,
              LOG_TEXT("chat", delivery->chat->id), LOG_TEXT("why", why),
              LOG_TEXT("done", "Telegram may or may not have it; it is sent again"));
}

// Writing down.

static void submit(void *context);

static void on_written(void *context, int result, const struct error *err, int64_t rowid)
{
    struct telegram_delivery *delivery = context;
    delivery->job = 0;
    if (result < 0) {
        if (delivery->write_failures++ == 0)
            log_warning("telegram: the state of a delivery cannot be stored: %s", err->text);
        delivery->again = loop_timer_after(
            delivery->telegram->env.loop,
            telegram_backoff_ms(delivery->write_failures, WRITE_AGAIN_MS, WRITE_AGAIN_MAX_MS),
            submit, delivery);
        return;
    }
    delivery->write_failures = 0;
    delivery->in_flight &= result != STORE_NOT_FOUND;
    delivery->written(delivery, result != STORE_NOT_FOUND);
}

static void submit(void *context)
{
    struct telegram_delivery *delivery = context;
    struct error err = ERROR_INIT;
    delivery->again = 0;
    int64_t job = store_outbox_change(delivery->telegram->env.store, &delivery->change, on_written,
                                      delivery, &err);
    if (job > 0)
        delivery->job = job;
    else
        on_written(delivery, (int)job, &err, 0);
}

struct store_delivery_change *telegram_delivery_change(struct telegram_delivery *delivery,
                                                       bool in_flight)
{
    delivery->in_flight = in_flight;
    delivery->change = (struct store_delivery_change){
        .number = delivery->number,
        .state = STORE_DELIVERY_KEEP,
        .in_flight = in_flight,
        .part = STORE_DELIVERY_KEEP,
        .message_id = span_of(delivery->message_id),
        .attempts = delivery->attempts,
        .now_ms = loop_wall(delivery->telegram->env.loop),
    };
    return &delivery->change;
}

void telegram_delivery_write(struct telegram_delivery *delivery, telegram_written_fn *written)
{
    delivery->written = written;
    submit(delivery);
}

// Asking Telegram.

static void on_answer(void *context, const struct telegram_answer *answer)
{
    struct telegram_delivery *delivery = context;
    struct telegram *telegram = delivery->telegram;
    delivery->call = 0;
    telegram->in_flight--;
    telegram_api_count_send(telegram, delivery->sent, answer->outcome);
    if (answer->outcome == TELEGRAM_LIMITED)
        telegram_chat_limit(telegram, delivery->chat, answer->retry_after_ms);
    else if (answer->outcome == TELEGRAM_UNKNOWN && !delivery->editing)
        telegram_delivery_uncertain(delivery, answer->text);
    delivery->answered(delivery, answer);
}

void telegram_delivery_send(struct telegram_delivery *delivery, struct telegram_message message,
                            telegram_answered_fn *answered)
{
    struct telegram *telegram = delivery->telegram;
    message.place = (struct telegram_place){delivery->chat->id, delivery->thread};
    message.message_id = delivery->message_id;
    delivery->editing = *delivery->message_id;
    delivery->sent = message.file ? telegram_file_is_photo(message.file) ? TELEGRAM_SENT_PHOTO
                                                                         : TELEGRAM_SENT_DOCUMENT
                     : delivery->editing ? TELEGRAM_SENT_EDIT
                                         : TELEGRAM_SENT_MESSAGE;
    delivery->answered = answered;
    telegram_chat_take(telegram, delivery->chat, delivery->editing);
    telegram->in_flight++;
    delivery->call = message.file ? telegram_file_send(telegram, message.file, message.place,
                                                       on_answer, delivery)
                                  : telegram_api_message(telegram, &message, on_answer, delivery);
}
