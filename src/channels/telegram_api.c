/*
 * One request to the Bot API. Its URL holds the token, so no URL is ever part of a sentence, and
 * what the server says is searched for the token before anybody sees it.
 */
#include "channels/telegram_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "channels/telegram_internal.h"
#include "codec/document.h"
#include "net/http_client.h"

enum {
    CONNECT_MS = 15 * 1000, // shorter than any wait for an answer, see `connecting`
    IDLE_MS = 20 * 1000,
    TOTAL_EXTRA_MS = 120 * 1000, // beyond the wait for the first byte: a body may be slow
    BODY_MAX = 256 * 1024,       // bytes of a request
    BUTTONS_MAX = 100,           // under one message, as the Bot API has it
    ASIDE_WAIT_MS = 5000,        // for an answer that nobody needs
};

struct call {
    struct list link; // telegram::calls
    struct telegram *telegram;
    telegram_call_id id;
    http_id http;
    loop_id failing; // deferred, when it could not even be started
    telegram_answer_fn *fn;
    void *context;
    int64_t started_ms, first_byte_ms;
    int status;
    bool oversized;
    struct buf body;
    char failure[TELEGRAM_ANSWER_TEXT_MAX];
};

static void call_destroy(struct call *call)
{
    struct telegram *telegram = call->telegram;
    http_client_cancel(telegram->env.http, call->http);
    loop_cancel(telegram->env.loop, call->failing);
    list_remove(&call->link);
    buf_finish(&call->body);
    free(call);
}

// The call is gone before its owner hears of it, so the owner may do anything.
static void call_end(struct call *call, enum http_failure failure, const char *sentence)
{
    struct telegram_answer answer;
    JSON_AUTO doc = JSON_INIT; // points into the body
    BUF_AUTO body = call->body;
    telegram_answer_fn *fn = call->fn;
    void *context = call->context;
    int64_t took_ms = loop_now(call->telegram->env.loop) - call->started_ms;
    if (failure == HTTP_OK)
        telegram_answer_read(call->status, buf_span(&body), &doc, &answer);
    else
        telegram_answer_lost(failure, !call->status && took_ms < call->first_byte_ms, sentence,
                             &answer);
    answer.oversized = call->oversized;
    telegram_redact(answer.text, call->telegram->token);
    buf_init(&call->body, 0);
    call_destroy(call);
    if (fn)
        fn(context, &answer);
}

static void on_head(void *context, const struct http_head *head)
{
    struct call *call = context;
    call->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    struct call *call = context;
    call->oversized = !buf_append_span(&call->body, chunk);
    return call->oversized ? -EFBIG : 0;
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct call *call = context;
    call->http = 0;
    call_end(call, failure, err->text);
}

static void on_not_started(void *context)
{
    struct call *call = context;
    call->failing = 0;
    call_end(call, HTTP_MISUSED, call->failure);
}

telegram_call_id telegram_api_ask(struct telegram *telegram, const struct telegram_ask *ask,
                                  telegram_answer_fn *fn, void *context)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    const char *const headers[] = {ask->type ? ask->type : "Content-Type: application/json",
                                   "User-Agent: hermes/" HERMES_VERSION, NULL};
    CLEANUP(mem_cleanup) char *url = mem_printf("%s%s", telegram->api, ask->method);
    struct error err = ERROR_INIT;
    struct call *call = mem_new(struct call);
    call->telegram = telegram;
    call->id = ++telegram->last_call;
    call->fn = fn;
    call->context = context;
    call->started_ms = loop_now(telegram->env.loop);
    call->first_byte_ms = ask->first_byte_ms ? ask->first_byte_ms : TELEGRAM_FIRST_BYTE_MS;
    buf_init(&call->body, ask->answer_max ? ask->answer_max : TELEGRAM_ANSWER_MAX);
    list_append(&telegram->calls, &call->link);

    struct http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body = ask->body,
        .body_parts = ask->parts,
        .body_part_count = ask->part_count,
        .file = ask->file,
        .once = ask->once,
        .long_poll = ask->long_poll,
        .timeouts = {.connect = CONNECT_MS,
                     .first_byte = call->first_byte_ms,
                     .idle = IDLE_MS,
                     .total = call->first_byte_ms + TOTAL_EXTRA_MS},
    };
    if (http_client_start(telegram->env.http, &request, &handler, call, &call->http, &err) < 0) {
        snprintf(call->failure, sizeof call->failure, "%.*s", (int)sizeof call->failure - 1,
                 err.text);
        call->failing = loop_defer(telegram->env.loop, on_not_started, call);
    }
    return call->id;
}

void telegram_api_cancel(struct telegram *telegram, telegram_call_id id)
{
    list_for_each(link, &telegram->calls) {
        struct call *call = list_entry(link, struct call, link);
        if (call->id == id) {
            call_destroy(call);
            return;
        }
    }
}

void telegram_api_stop(struct telegram *telegram)
{
    list_for_each(link, &telegram->calls)
        call_destroy(list_entry(link, struct call, link));
}

// Chats are numbers for the Bot API; it takes them as text as well, but only as they were given.
static void add_number(struct node request, const char *key, const char *text)
{
    int64_t number;
    if (span_to_i64(span_of(text), &number))
        node_add_int(request, key, number);
    else
        node_add_text(request, key, text);
}

static void add_place(struct node request, struct telegram_place place, const char *message_id)
{
    add_number(request, "chat_id", place.chat);
    if (*message_id)
        add_number(request, "message_id", message_id);
    else if (*place.thread)
        add_number(request, "message_thread_id", place.thread);
}

// Two in a row, which are the answers to one question; of more than Telegram takes the first.
static void add_buttons(struct node request, struct span buttons)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(2 * BODY_MAX);
    struct node rows = node_add_array(node_add_object(request, "reply_markup"), "inline_keyboard");
    struct node row = NODE_ABSENT;
    document_read(&doc, buttons, NULL);
    struct node button = node_first(document_root(&doc));
    for (size_t i = 0; i < BUTTONS_MAX && node_type(button) != JSON_ABSENT; i++) {
        row = i % 2 ? row : node_add_array(rows, NULL);
        struct node entry = node_add_object(row, NULL);
        node_add_text(entry, "text", node_text(node_get(button, "text")));
        node_add_text(entry, "callback_data", node_text(node_get(button, "data")));
        button = node_next(button);
    }
}

telegram_call_id telegram_api_message(struct telegram *telegram,
                                      const struct telegram_message *message,
                                      telegram_answer_fn *fn, void *context)
{
    BUF_AUTO body = BUF_INIT(BODY_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(2 * BODY_MAX);
    struct node request = document_object(&doc);
    bool edit = *message->message_id;
    add_place(request, message->place, message->message_id);
    node_add_string(request, "text", message->text);
    if (message->markup)
        node_add_text(request, "parse_mode", "MarkdownV2");
    if (telegram->config->disable_link_previews)
        node_add_bool(node_add_object(request, "link_preview_options"), "is_disabled", true);
    if (message->buttons.len)
        add_buttons(request, message->buttons);
    document_print(&doc, &body, NULL);
    struct telegram_ask ask = {
        .method = edit ? "editMessageText" : "sendMessage", .body = buf_span(&body), .once = !edit};
    return telegram_api_ask(telegram, &ask, fn, context);
}

// What may fail without a word.
static telegram_call_id ask_aside(struct telegram *telegram, const char *method,
                                  struct document *doc, telegram_answer_fn *fn, void *context)
{
    BUF_AUTO body = BUF_INIT(BODY_MAX);
    document_print(doc, &body, NULL);
    struct telegram_ask ask = {
        .method = method, .body = buf_span(&body), .first_byte_ms = ASIDE_WAIT_MS};
    return telegram_api_ask(telegram, &ask, fn, context);
}

void telegram_api_typing(struct telegram *telegram, struct telegram_place place)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node request = document_object(&doc);
    add_place(request, place, "");
    node_add_text(request, "action", "typing");
    ask_aside(telegram, "sendChatAction", &doc, NULL, NULL);
}

telegram_call_id telegram_api_react(struct telegram *telegram, const char *chat,
                                    const char *message_id, const char *emoji,
                                    telegram_answer_fn *fn, void *context)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node request = document_object(&doc);
    add_place(request, (struct telegram_place){chat, ""}, message_id);
    struct node all = node_add_array(request, "reaction");
    if (*emoji) {
        struct node one = node_add_object(all, NULL);
        node_add_text(one, "type", "emoji");
        node_add_text(one, "emoji", emoji);
    }
    return ask_aside(telegram, "setMessageReaction", &doc, fn, context);
}

void telegram_api_confirm(struct telegram *telegram, const char *press)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    node_add_text(document_object(&doc), "callback_query_id", press);
    ask_aside(telegram, "answerCallbackQuery", &doc, NULL, NULL);
}

telegram_call_id telegram_api_keyboard(struct telegram *telegram, struct telegram_place place,
                                       const char *message_id, struct span rows,
                                       telegram_answer_fn *fn, void *context)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(2 * BODY_MAX);
    struct node request = document_object(&doc);
    add_place(request, place, message_id);
    node_add_raw(node_add_object(request, "reply_markup"), "inline_keyboard", rows);
    return ask_aside(telegram, "editMessageReplyMarkup", &doc, fn, context);
}

// Labels are literals, so that their number is bounded.
#define RESULTS(before)                                                    \
    {                                                                      \
        [TELEGRAM_RESULT_OK] = before "result=\"ok\"",                     \
        [TELEGRAM_RESULT_UNAVAILABLE] = before "result=\"unavailable\"",   \
        [TELEGRAM_RESULT_LIMITED] = before "result=\"limited\"",           \
        [TELEGRAM_RESULT_UNAUTHORIZED] = before "result=\"unauthorized\"", \
        [TELEGRAM_RESULT_CONFLICT] = before "result=\"conflict\"",         \
        [TELEGRAM_RESULT_REFUSED] = before "result=\"refused\"",           \
    }
static const char *const poll_labels[TELEGRAM_RESULTS] = RESULTS("");
static const char *const send_labels[][TELEGRAM_RESULTS] = {
    [TELEGRAM_SENT_MESSAGE] = RESULTS("method=\"sendMessage\","),
    [TELEGRAM_SENT_EDIT] = RESULTS("method=\"editMessageText\","),
    [TELEGRAM_SENT_PHOTO] = RESULTS("method=\"sendPhoto\","),
    [TELEGRAM_SENT_DOCUMENT] = RESULTS("method=\"sendDocument\","),
};

void telegram_api_count_poll(struct telegram *telegram, enum telegram_outcome outcome)
{
    ++*metrics_counter(telegram->env.metrics, "hermes_telegram_polls_total",
                       poll_labels[telegram_result_of(outcome)],
                       "Requests for updates, by Telegram's reply");
}

void telegram_api_count_send(struct telegram *telegram, enum telegram_sent sent,
                             enum telegram_outcome outcome)
{
    ++*metrics_counter(telegram->env.metrics, "hermes_telegram_sends_total",
                       send_labels[sent][telegram_result_of(outcome)],
                       "Messages, edits and files sent, by Telegram's reply");
}
