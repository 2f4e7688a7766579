/*
 * What is remembered of a chat while something is to be sent there: how fast it goes, and how long
 * to wait after a failure. When nothing is left to remember, it is forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "channels/telegram_internal.h"

enum { CHATS_MAX = 1024 }; // with something to send at a time; the rest waits

struct telegram_chat *telegram_chat_get(struct telegram *telegram, struct span id)
{
    size_t count = 0;
    list_for_each(link, &telegram->chats) {
        struct telegram_chat *chat = list_entry(link, struct telegram_chat, link);
        if (span_is(id, chat->id))
            return chat;
        count++;
    }
    if (id.len == 0 || id.len >= TELEGRAM_CHAT_MAX || count >= CHATS_MAX)
        return NULL;
    struct telegram_chat *chat = mem_new(struct telegram_chat);
    memcpy(chat->id, id.data, id.len);
    list_append(&telegram->chats, &chat->link);
    return chat;
}

int64_t telegram_chat_next(const struct telegram *telegram, const struct telegram_chat *chat)
{
    int64_t at = telegram_pace_next(&telegram->pace, &telegram_rate_all);
    at = telegram_later(at, telegram->not_before_ms);
    at = telegram_later(at, telegram_pace_next(&chat->pace, &telegram_rate_chat));
    return telegram_later(at, chat->not_before_ms);
}

void telegram_chat_take(struct telegram *telegram, struct telegram_chat *chat, bool edit)
{
    int64_t now_ms = loop_now(telegram->env.loop);
    if (edit)
        telegram_pace_take(&chat->edits, &telegram_rate_edit, now_ms);
    telegram_pace_take(&telegram->pace, &telegram_rate_all, now_ms);
    telegram_pace_take(&chat->pace, &telegram_rate_chat, now_ms);
}

void telegram_chat_limit(struct telegram *telegram, struct telegram_chat *chat, int64_t wait_ms)
{
    int64_t until_ms = loop_now(telegram->env.loop) + wait_ms;
    chat->not_before_ms = telegram_later(chat->not_before_ms, until_ms);
    telegram->not_before_ms = telegram_later(telegram->not_before_ms, until_ms);
}

int64_t telegram_chats_sweep(struct telegram *telegram)
{
    int64_t now_ms = loop_now(telegram->env.loop), next_ms = INT64_MAX;
    list_for_each(link, &telegram->chats) {
        struct telegram_chat *chat = list_entry(link, struct telegram_chat, link);
        if (chat->seen || chat->deliveries)
            continue;
        int64_t until_ms = telegram_later(chat->pace.full_ms, chat->edits.full_ms);
        until_ms = telegram_later(until_ms, chat->not_before_ms);
        if (until_ms <= now_ms) {
            list_remove(&chat->link);
            free(chat);
        } else if (until_ms < next_ms) {
            next_ms = until_ms;
        }
    }
    return next_ms;
}

void telegram_chats_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->chats) {
        struct telegram_chat *chat = list_entry(link, struct telegram_chat, link);
        list_remove(&chat->link);
        free(chat);
    }
}
