/*
 * A message over the socket and its answer as an event stream. The chat lives until its turn has
 * ended, whether its client is still there or not: its events go on coming. The
 * client's leaving ends the turn, as Ctrl-C does.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "agent/turn_event_json.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "serve/control_internal.h"

enum {
    CHAT_NAME_LEN_MAX = 64, // bytes
    KEEP_ALIVE_MS = 10 * 1000,
};

static const char channel_name[] = "console";

struct control_chat {
    struct list link; // control::chats
    struct control *control;
    struct sse_stream stream;
    uint64_t exchange; // 0: the client is gone, or has its answer
    char *name;
};

static void chat_destroy(struct control_chat *chat)
{
    list_remove(&chat->link);
    sse_stream_abort(&chat->stream);
    free(chat->name);
    free(chat);
}

// The client will not hear the rest, so nobody waits for it.
static void leave(struct control_chat *chat)
{
    sse_stream_abort(&chat->stream);
    chat->exchange = 0;
    if (!chat->control->closing)
        dispatcher_stop(chat->control->env->dispatcher, channel_name, chat->name);
}

static void begin_stream(struct control_chat *chat)
{
    struct control *control = chat->control;
    struct http_exchange *exchange =
        chat->exchange ? http_server_find(control->server, chat->exchange) : NULL;
    if (exchange && !chat->stream.exchange)
        sse_stream_begin(&chat->stream, control->env->loop, control->server, exchange,
                         KEEP_ALIVE_MS);
}

static bool send_event(struct control_chat *chat, const struct turn_event *event)
{
    BUF_AUTO data = BUF_INIT(CONTROL_ANSWER_MAX);
    turn_event_write(event, &data);
    begin_stream(chat);
    return !buf_is_full(&data) &&
           sse_stream_send(&chat->stream, span_of(turn_event_type(event->kind)), buf_span(&data)) >=
               0;
}

static void on_turn_event(void *context, const struct turn_event *event)
{
    struct control_chat *chat = context;
    if (event->kind != TURN_EVENT_END) {
        // A client that does not read until what waits for it passes the limit is cut off.
        if (chat->exchange && !send_event(chat, event))
            leave(chat);
        return;
    }
    if (chat->exchange && !send_event(chat, event)) {
        // The text, which was sent piece by piece already, does not fit beside what the client has
        // not taken yet.
        struct turn_outcome outcome = *event->outcome;
        outcome.text = NULL;
        if (!send_event(chat, &(struct turn_event){.kind = TURN_EVENT_END, .outcome = &outcome}))
            sse_stream_abort(&chat->stream);
    }
    sse_stream_end(&chat->stream);
    chat_destroy(chat);
}

static void refuse(struct control *control, struct http_exchange *exchange, unsigned status,
                   const char *sentence)
{
    struct control_question question = {.server = control->server,
                                        .exchange = http_exchange_id(exchange)};
    control_refuse(&question, status, sentence);
}

bool control_is_chat_name(struct span name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    for (size_t i = 0; i < name.len; i++)
        if (!memchr(letters, name.data[i], sizeof letters - 1))
            return false;
    return name.len > 0 && name.len <= CHAT_NAME_LEN_MAX;
}

// NULL when the message can be taken.
static const char *refusal(const struct control *control, struct http_exchange *exchange,
                           unsigned *ret_status)
{
    struct span body = http_exchange_body(exchange);
    *ret_status = 400;
    if (!control_is_chat_name(http_exchange_query(exchange, "chat")))
        return "the chat's name is missing: /chat?chat=NAME, of letters, digits, \".\", \"-\" and "
               "\"_\", 64 at most";
    if (span_trim(body).len == 0)
        return "the message is empty";
    if (memchr(body.data, '\0', body.len) || !utf8_valid(body))
        return "the message is not UTF-8 text";
    *ret_status = 413;
    if (body.len > CONTROL_MESSAGE_MAX)
        return "the message is larger than 1 MiB";
    *ret_status = 409;
    return control->env->dispatcher ? NULL : "no agent runs here";
}

void control_chat_start(struct control *control, struct http_exchange *exchange)
{
    struct error err = ERROR_INIT;
    unsigned status;
    const char *sentence = refusal(control, exchange, &status);
    if (sentence) {
        refuse(control, exchange, status, sentence);
        return;
    }
    struct span name = http_exchange_query(exchange, "chat");
    struct control_chat *chat = mem_new(struct control_chat);
    chat->control = control;
    chat->exchange = http_exchange_id(exchange);
    chat->name = mem_strndup(name.data, name.len);
    list_append(&control->chats, &chat->link);
    int r = dispatcher_say(control->env->dispatcher, channel_name, chat->name,
                           http_exchange_body(exchange), on_turn_event, chat, &err);
    if (r == 0) {
        begin_stream(chat);
        return;
    }
    refuse(control, exchange, control_status_of(r), err.text);
    chat_destroy(chat);
}

void control_chat_stop(struct control *control, struct http_exchange *exchange)
{
    struct span name = http_exchange_query(exchange, "chat");
    if (!control_is_chat_name(name) || !control->env->dispatcher) {
        refuse(control, exchange, 400, "there is no such chat");
        return;
    }
    CLEANUP(mem_cleanup) char *text = mem_strndup(name.data, name.len);
    dispatcher_stop(control->env->dispatcher, channel_name, text);
    http_exchange_reply(exchange, 200, "application/json", SPAN_LITERAL("{\"done\":true}\n"));
}

void control_chat_gone(void *context, uint64_t exchange)
{
    struct control *control = context;
    list_for_each(link, &control->chats) {
        struct control_chat *chat = list_entry(link, struct control_chat, link);
        if (chat->exchange == exchange)
            leave(chat);
    }
}

void control_chats_finish(struct control *control)
{
    list_for_each(link, &control->chats)
        chat_destroy(list_entry(link, struct control_chat, link));
}
