/*
 * A message over the socket and its answer as an event stream. The chat lives until its turn has
 * ended, whether its client is still there or not: the desk goes on calling the sink. The client's
 * leaving ends the turn, as Ctrl-C does; but never from inside one of the turn's own callbacks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/desk.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "codec/utf8.h"
#include "serve/control_internal.h"

enum {
    CHAT_NAME_LEN_MAX = 64,      // bytes
    RESULT_SHOWN_MAX = 16 << 10, // bytes of a tool's result that are told
    KEEP_ALIVE_MS = 10 * 1000,
};

static const char channel_name[] = "console";

struct control_chat {
    struct list link; // control::chats
    struct control *control;
    struct sse_stream stream;
    uint64_t exchange; // 0: the client is gone, or has its answer
    char *name;
    loop_id stopper;
    bool starting; // inside desk_say()
    bool ended;
};

static void chat_destroy(struct control_chat *chat)
{
    list_remove(&chat->link);
    loop_cancel(chat->control->env->loop, chat->stopper);
    sse_stream_finish(&chat->stream);
    free(chat->name);
    free(chat);
}

static void on_stopper(void *context)
{
    struct control_chat *chat = context;
    chat->stopper = 0;
    desk_stop(chat->control->env->desk, channel_name, chat->name);
}

// The client will not hear the rest, so nobody waits for it.
static void stop_soon(struct control_chat *chat)
{
    chat->exchange = 0;
    if (!chat->stopper && !chat->ended && !chat->control->closing)
        chat->stopper = loop_defer(chat->control->env->loop, on_stopper, chat);
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

static bool send_event(struct control_chat *chat, const char *type, const struct buf *data)
{
    begin_stream(chat);
    ssize_t r = buf_is_full(data) ? -ENOBUFS
                                  : sse_stream_send(&chat->stream, span_of(type), buf_span(data));
    return r >= 0;
}

// Who does not read for so long that what waits for him passes the limit is cut off.
static void send_or_cut(struct control_chat *chat, const char *type, const struct buf *data)
{
    if (!chat->exchange || send_event(chat, type, data))
        return;
    sse_stream_abort(&chat->stream);
    stop_soon(chat);
}

static void on_step(void *context)
{
    BUF_AUTO data = BUF_INIT(16);
    buf_append_text(&data, "{}");
    send_or_cut(context, "step", &data);
}

static void on_text(void *context, struct span delta)
{
    BUF_AUTO data = BUF_INIT(CONTROL_ANSWER_MAX);
    struct json_writer w;
    json_writer_init(&w, &data);
    json_write_object_begin(&w);
    json_write_member_string(&w, "delta", delta);
    json_write_object_end(&w);
    send_or_cut(context, "text", &data);
}

static void on_wait(void *context, const char *sentence)
{
    BUF_AUTO data = BUF_INIT(CONTROL_ANSWER_MAX);
    struct json_writer w;
    json_writer_init(&w, &data);
    json_write_object_begin(&w);
    json_write_member_text(&w, "text", sentence);
    json_write_object_end(&w);
    send_or_cut(context, "wait", &data);
}

static void on_call(void *context, const char *name, const char *arguments)
{
    BUF_AUTO data = BUF_INIT(CONTROL_ANSWER_MAX);
    struct json_writer w;
    json_writer_init(&w, &data);
    json_write_object_begin(&w);
    json_write_member_text(&w, "name", name);
    json_write_member_text(&w, "arguments", arguments);
    json_write_object_end(&w);
    send_or_cut(context, "call", &data);
}

static void on_result(void *context, const char *name, bool failed, struct span text)
{
    BUF_AUTO data = BUF_INIT(CONTROL_ANSWER_MAX);
    struct json_writer w;
    if (text.len > RESULT_SHOWN_MAX)
        text.len = RESULT_SHOWN_MAX;
    text.len -= utf8_incomplete_tail(text);
    json_writer_init(&w, &data);
    json_write_object_begin(&w);
    json_write_member_text(&w, "name", name);
    json_write_member_bool(&w, "failed", failed);
    json_write_member_string(&w, "text", text);
    json_write_object_end(&w);
    send_or_cut(context, "result", &data);
}

static const char *outcome_name(enum turn_state state)
{
    return state == TURN_DONE ? "done" : state == TURN_CANCELLED ? "cancelled" : "failed";
}

static void write_usage(struct json_writer *w, const struct chat_usage *usage)
{
    json_write_key(w, "usage");
    json_write_object_begin(w);
    json_write_member_int(w, "prompt_tokens", usage->prompt_tokens);
    json_write_member_int(w, "completion_tokens", usage->completion_tokens);
    json_write_member_int(w, "cached_tokens", usage->cached_tokens);
    json_write_member_int(w, "reasoning_tokens", usage->reasoning_tokens);
    json_write_member_int(w, "cost_micros", usage->cost_micros);
    json_write_object_end(w);
}

static void write_end(const struct turn_outcome *outcome, const char *text, struct buf *data)
{
    struct json_writer w;
    json_writer_init(&w, data);
    json_write_object_begin(&w);
    json_write_member_text(&w, "state", outcome_name(outcome->state));
    json_write_member_text(&w, "text", text);
    json_write_member_text(&w, "error", outcome->state == TURN_FAILED ? outcome->error : NULL);
    json_write_member_text(&w, "remark", outcome->remark);
    write_usage(&w, &outcome->usage);
    json_write_member_int(&w, "iterations", outcome->iterations);
    json_write_object_end(&w);
}

// A text that does not fit beside what the reader has not taken yet is left out: it was told piece
// by piece already.
static void send_end(struct control_chat *chat, const struct turn_outcome *outcome)
{
    BUF_AUTO data = BUF_INIT(CONTROL_ANSWER_MAX);
    write_end(outcome, outcome->text, &data);
    if (!chat->exchange || send_event(chat, "end", &data))
        return;
    BUF_AUTO bare = BUF_INIT(CONTROL_ANSWER_MAX);
    write_end(outcome, NULL, &bare);
    send_or_cut(chat, "end", &bare);
}

static void on_end(void *context, const struct turn_outcome *outcome)
{
    struct control_chat *chat = context;
    chat->ended = true;
    send_end(chat, outcome);
    sse_stream_end(&chat->stream);
    if (!chat->starting)
        chat_destroy(chat);
}

static void refuse(struct http_exchange *exchange, unsigned status, const char *sentence)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ERROR_MAX);
    control_write_error(sentence, &body);
    http_exchange_reply(exchange, status, "application/json", buf_span(&body));
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.len > 0 && name.len <= CHAT_NAME_LEN_MAX;
}

// NULL when the message can be taken.
static const char *refusal(struct http_exchange *exchange, unsigned *ret_status)
{
    struct span body = http_exchange_body(exchange);
    *ret_status = 400;
    if (!is_name(http_exchange_query(exchange, "chat")))
        return "the chat's name is missing: /chat?chat=NAME, of letters, digits, \".\", \"-\" and "
               "\"_\", 64 at most";
    if (span_trim(body).len == 0)
        return "the message is empty";
    if (memchr(body.data, '\0', body.len) || !utf8_valid(body))
        return "the message is not UTF-8 text";
    *ret_status = 413;
    if (body.len > CONTROL_MESSAGE_MAX)
        return "the message is larger than 1 MiB";
    return NULL;
}

static struct control_chat *chat_create(struct control *control, struct http_exchange *exchange)
{
    struct span name = http_exchange_query(exchange, "chat");
    struct control_chat *chat = mem_new(struct control_chat);
    chat->control = control;
    chat->exchange = http_exchange_id(exchange);
    chat->name = mem_strndup(name.data, name.len);
    list_append(&control->chats, &chat->link);
    return chat;
}

void control_chat_start(struct control *control, struct http_exchange *exchange)
{
    static const struct turn_sink sink = {
        .on_step = on_step,
        .on_text = on_text,
        .on_wait = on_wait,
        .on_call = on_call,
        .on_result = on_result,
        .on_end = on_end,
    };
    struct error err = ERROR_INIT;
    unsigned status;
    const char *sentence = refusal(exchange, &status);
    if (sentence || !control->env->desk) {
        refuse(exchange, sentence ? status : 409, sentence ? sentence : "no agent runs here");
        return;
    }
    struct control_chat *chat = chat_create(control, exchange);
    chat->starting = true;
    int r = desk_say(control->env->desk, channel_name, chat->name, http_exchange_body(exchange),
                     &sink, chat, &err);
    chat->starting = false;
    if (r < 0)
        refuse(exchange, control_status_of(r), err.text);
    else
        begin_stream(chat);
    if (r < 0 || chat->ended)
        chat_destroy(chat);
}

void control_chat_stop(struct control *control, struct http_exchange *exchange)
{
    struct span name = http_exchange_query(exchange, "chat");
    if (!is_name(name) || !control->env->desk) {
        refuse(exchange, 400, "there is no such chat");
        return;
    }
    CLEANUP(mem_cleanup) char *text = mem_strndup(name.data, name.len);
    desk_stop(control->env->desk, channel_name, text);
    http_exchange_reply(exchange, 200, "application/json", SPAN_LITERAL("{\"done\":true}\n"));
}

void control_chat_gone(struct control *control, uint64_t exchange)
{
    list_for_each(link, &control->chats) {
        struct control_chat *chat = list_entry(link, struct control_chat, link);
        if (chat->exchange != exchange)
            continue;
        sse_stream_abort(&chat->stream);
        stop_soon(chat);
    }
}

void control_chats_finish(struct control *control)
{
    list_for_each(link, &control->chats)
        chat_destroy(list_entry(link, struct control_chat, link));
}
