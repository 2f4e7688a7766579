/*
 * Reactions to the message that a turn answers: 👀 while it runs, then how it ended. They are an
 * ornament: whatever Telegram says of them, nothing is tried again. One call of a message is under
 * way at a time, since the order of two would be left to the network.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "channels/telegram_internal.h"
#include "store/inbox.h"

enum { EXTERNAL_MAX = 64 }; // bytes of "CHAT:MESSAGE"

struct reaction {     // of a turn that runs
    struct list link; // telegram::reactions
    struct telegram *telegram;
    telegram_call_id call;
    const char *next; // that it is to have; NULL: none
    bool ended;       // the turn
    char turn[TELEGRAM_TURN_MAX], chat[TELEGRAM_CHAT_MAX], message[TELEGRAM_MESSAGE_ID_MAX];
};

static void reaction_destroy(struct reaction *reaction)
{
    telegram_api_cancel(reaction->telegram, reaction->call);
    list_remove(&reaction->link);
    free(reaction);
}

static void on_answer(void *context, const struct telegram_answer *answer);

static void go_on(struct reaction *reaction)
{
    const char *emoji = STEAL(reaction->next);
    if (emoji)
        reaction->call = telegram_api_react(reaction->telegram, reaction->chat, reaction->message,
                                            emoji, on_answer, reaction);
    else if (reaction->ended)
        reaction_destroy(reaction);
}

static void on_answer(void *context, const struct telegram_answer *answer)
{
    struct reaction *reaction = context;
    reaction->call = 0;
    go_on(reaction);
}

static void begin(struct telegram *telegram, const struct turn_event *event)
{
    BUF_AUTO external = BUF_INIT(EXTERNAL_MAX);
    if (store_read_turn_message(telegram->env.store, span_of(event->turn), &external, NULL) != 0)
        return;
    struct span message = buf_span(&external), chat = span_cut(&message, ':');
    if (message.len == 0 || message.len >= TELEGRAM_MESSAGE_ID_MAX || !span_is(chat, event->chat) ||
        chat.len >= TELEGRAM_CHAT_MAX || strlen(event->turn) >= TELEGRAM_TURN_MAX)
        return; // a button, or nobody's message
    struct reaction *reaction = mem_new(struct reaction);
    reaction->telegram = telegram;
    reaction->next = "👀";
    memcpy(reaction->chat, chat.data, chat.len);
    memcpy(reaction->message, message.data, message.len);
    snprintf(reaction->turn, sizeof reaction->turn, "%s", event->turn);
    list_append(&telegram->reactions, &reaction->link);
    go_on(reaction);
}

void telegram_react_event(struct telegram *telegram, const struct turn_event *event)
{
    static const char *const emojis[] = {
        [TURN_DONE] = "👍", [TURN_FAILED] = "👎", [TURN_CANCELLED] = "", [TURN_WAITING] = NULL};
    if (event->kind == TURN_EVENT_BEGIN && telegram->config->reactions)
        begin(telegram, event);
    if (event->kind != TURN_EVENT_END)
        return;
    list_for_each(link, &telegram->reactions) {
        struct reaction *reaction = list_entry(link, struct reaction, link);
        if (strcmp(reaction->turn, event->turn) != 0 || reaction->ended)
            continue;
        reaction->ended = true;
        reaction->next = emojis[event->outcome->state];
        if (!reaction->call)
            go_on(reaction);
    }
}

void telegram_react_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->reactions)
        reaction_destroy(list_entry(link, struct reaction, link));
}
