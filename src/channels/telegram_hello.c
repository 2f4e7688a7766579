/*
 * The bot's name and its menu, once: neither is needed for talking.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "channels/telegram_internal.h"
#include "codec/document.h"

enum {
    HELLO_MAX = 3, // attempts to learn the bot's name
    MENU_MAX = 2,  // attempts to set the menu
    MENU_BYTES = 4096,
};

static void set_menu(struct telegram *telegram);

static void on_menu(void *context, const struct telegram_answer *answer)
{
    struct telegram *telegram = context;
    telegram->hello.call = 0;
    if (answer->outcome != TELEGRAM_OK && telegram->hello.menu_attempts < MENU_MAX)
        set_menu(telegram);
}

static void set_menu(struct telegram *telegram)
{
    static const char *const menu[][2] = {
        {"new", "Begin a new conversation"},
        {"stop", "Stop the current answer"},
        {"status", "What Hermes is doing"},
        {"usage", "Tokens and costs"},
        {"retry", "Answer the last question again"},
        {"undo", "Remove the last exchange"},
        {"model", "Show or choose the model"},
        {"title", "Name this conversation"},
        {"context", "What the model gets, and its size"},
        {"help", "All commands"},
    };
    BUF_AUTO body = BUF_INIT(MENU_BYTES);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node commands = node_add_array(document_object(&doc), "commands");
    for (size_t i = 0; i < ARRAY_LEN(menu); i++) {
        struct node entry = node_add_object(commands, NULL);
        node_add_text(entry, "command", menu[i][0]);
        node_add_text(entry, "description", menu[i][1]);
    }
    document_print(&doc, &body, NULL);
    telegram->hello.menu_attempts++;
    struct telegram_ask ask = {.method = "setMyCommands", .body = buf_span(&body)};
    telegram->hello.call = telegram_api_ask(telegram, &ask, on_menu, telegram);
}

static void on_me(void *context, const struct telegram_answer *answer)
{
    struct telegram *telegram = context;
    BUF_AUTO name = BUF_INIT(sizeof telegram->hello.username - 1);
    telegram->hello.call = 0;
    if (answer->outcome != TELEGRAM_OK || // the poller meets it too, and says so
        !json_string(json_get(answer->result, "username"), &name) || name.len == 0)
        return;
    snprintf(telegram->hello.username, sizeof telegram->hello.username, "%s", buf_text(&name));
    log_info("telegram: connected as @%s", telegram->hello.username);
    if (!telegram->draining)
        set_menu(telegram);
}

void telegram_hello_start(struct telegram *telegram)
{
    struct telegram_hello *hello = &telegram->hello;
    if (hello->call || hello->attempts >= HELLO_MAX || telegram->draining)
        return;
    hello->attempts++;
    struct telegram_ask ask = {.method = "getMe", .body = SPAN_LITERAL("{}")};
    hello->call = telegram_api_ask(telegram, &ask, on_me, telegram);
}
