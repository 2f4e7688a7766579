#include <stdlib.h>
#include <string.h>

#include "agent/desk_internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

/*
 * From the store's inbox to the messages that wait in memory, of which there are few at a time.
 * What is in the store counts: reading a row a second time does no harm, so when there was no room,
 * when the store could not be read, or when a message turned out not to be what was remembered of
 * it, it is simply read again.
 */
void desk_wait_for(struct talk *talk, int64_t number, struct span text, bool cut, bool patient)
{
    struct waiting *message = mem_new(struct waiting);
    message->number = number;
    message->text = mem_strndup(text.data, text.len);
    message->len = text.len;
    message->cut = cut;
    message->patient = patient;
    message->since_ms = loop_now(talk->desk->env.loop);
    struct list *place = &talk->waiting; // the last, save one that is read for a second time
    while (place->prev != &talk->waiting &&
           list_entry(place->prev, struct waiting, link)->number > number)
        place = place->prev;
    list_append(place, &message->link);
    talk->desk->waiting++;
}

static void on_look(void *context)
{
    struct desk *desk = context;
    desk->look = 0;
    desk_wake(desk);
}

static void look_after(struct desk *desk, int64_t delay_ms)
{
    desk->behind = true;
    if (!desk->look)
        desk->look = loop_timer_after(desk->env.loop, delay_ms, on_look, desk);
}

void desk_read_again(struct desk *desk)
{
    desk->last_number = 0;
    look_after(desk, DESK_RETRY_MS);
}

void desk_catch_up(struct desk *desk)
{
    if (desk->behind && desk->waiting < DESK_WAITING_MAX / 2)
        look_after(desk, 0);
}

static bool holds(const struct list *messages, int64_t number)
{
    for (struct list *link = messages->next; link != messages; link = link->next)
        if (list_entry(link, struct waiting, link)->number == number)
            return true;
    return false;
}

static bool is_known(const struct desk *desk, int64_t number)
{
    list_for_each(link, &desk->talks) {
        const struct talk *talk = list_entry(link, struct talk, link);
        if (holds(&talk->waiting, number) || holds(&talk->steered, number))
            return true;
    }
    return false;
}

static bool has_room(const struct desk *desk, struct span text)
{
    size_t most = DESK_WAITING_MAX + (desk_is_urgent(text) ? DESK_URGENT_MAX : 0);
    return desk->waiting < most;
}

// Reading begins again at the first that there was no room for, so some are told twice.
static bool on_inbound(void *context, const struct store_inbound *row)
{
    struct desk *desk = context;
    bool known = is_known(desk, row->number);
    desk->behind |= !known && !has_room(desk, row->text);
    if (!desk->behind)
        desk->last_number = row->number;
    if (known || !has_room(desk, row->text))
        return true;
    if (!desk_channel_named(desk, row->channel))
        return true; // a channel that is switched off: its messages stay where they are
    struct talk *talk = desk_talk(desk, row->channel, row->chat);
    bool before = talk->turn && row->sent_ms + 2000 < talk->turn_wall_ms;
    desk_wait_for(talk, row->number, row->text, row->cut, desk->resume_wanted || before);
    CLEANUP(mem_cleanup) char *sender = mem_strndup(row->sender.data, row->sender.len);
    LOG_EVENT(LOG_INFO, "message.in", "", LOG_TEXT("channel", talk->channel),
              LOG_TEXT("chat", talk->chat), LOG_TEXT("sender", sender),
              LOG_NUMBER("number", row->number), LOG_NUMBER("bytes", (int64_t)row->text.len));
    ++*metrics_counter(desk->env.metrics, "hermes_messages_total", "", "Messages received");
    return true;
}

static void pull(struct desk *desk)
{
    struct error err = ERROR_INIT;
    desk->behind = false;
    if (store_read_inbox(desk->env.store, desk->last_number, on_inbound, desk, &err) < 0) {
        LOG_EVENT(LOG_ERROR, "inbox.unread", "", LOG_TEXT("error", err.text));
        look_after(desk, DESK_RETRY_MS);
    }
    list_for_each(link, &desk->talks) {
        struct talk *talk = list_entry(link, struct talk, link);
        if (!list_empty(&talk->waiting)) // so it is not one that comes to rest, and moves
            desk_go_on(talk);
    }
}

void desk_wake(struct desk *desk)
{
    if (store_state(desk->env.store) != STORE_READY)
        return;
    if (desk->resume_wanted)
        desk_take_up(desk);
    pull(desk);
    desk->resume_wanted = false;
}

void desk_resume(struct desk *desk)
{
    desk->resume_wanted = true;
    desk_wake(desk);
}
