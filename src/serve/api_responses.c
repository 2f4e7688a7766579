/*
 * OpenAI's responses: a turn as a list of items (what was said, calls of tools and their results),
 * each told by events when it is streamed. A response is its turn: it has its name, is read from
 * the store once it has ended, and goes on after a restart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "net/http_server.h"
#include "serve/api_internal.h"
#include "serve/api_request.h"
#include "serve/api_turn.h"
#include "serve/control_internal.h"
#include "store/settle.h"

#define PREFIX "resp_"

static void add_part(struct node parent, const char *key, struct span text)
{
    struct node part = node_add_object(parent, key);
    node_add_text(part, "type", "output_text");
    node_add_string(part, "text", text);
    node_add_array(part, "annotations");
}

static void fill_message(struct node item, const struct api_work *work, const char *status)
{
    CLEANUP(mem_cleanup) char *id = mem_printf("msg_%s_%u", work->turn, work->index);
    node_add_text(item, "id", id);
    node_add_text(item, "type", "message");
    node_add_text(item, "status", status);
    node_add_text(item, "role", "assistant");
    struct node content = node_add_array(item, "content");
    if (work->text.len)
        add_part(content, NULL, buf_span(&work->text));
}

static void write_response(struct node parent, const char *key, const struct api_work *work,
                           const char *status, struct span output, const char *error)
{
    struct node root = key ? node_add_object(parent, key) : parent;
    CLEANUP(mem_cleanup) char *id = mem_printf(PREFIX "%s", work->turn);
    CLEANUP(mem_cleanup) char *items = mem_printf("[%.*s]", (int)output.len, output.data);
    node_add_text(root, "id", id);
    node_add_text(root, "object", "response");
    node_add_int(root, "created_at", work->created_s);
    node_add_text(root, "status", status);
    if (error) {
        struct node node = node_add_object(root, "error");
        node_add_text(node, "code", "server_error");
        node_add_text(node, "message", error);
    } else {
        node_add_null(root, "error");
    }
    node_add_null(root, "incomplete_details");
    node_add_null(root, "instructions");
    node_add_object(root, "metadata");
    node_add_text(root, "model", work->model);
    node_add_raw(root, "output", span_of(items));
    node_add_bool(root, "parallel_tool_calls", true);
    node_add_text(root, "previous_response_id", work->previous);
    node_add_text(root, "tool_choice", "auto");
    node_add_array(root, "tools");
    if (strcmp(status, "in_progress") == 0) {
        node_add_null(root, "usage");
        return;
    }
    struct node usage = api_write_usage(root, &work->usage, "input_tokens", "output_tokens");
    int64_t cached = work->usage.cached_tokens, thought = work->usage.reasoning_tokens;
    node_add_int(node_add_object(usage, "input_tokens_details"), "cached_tokens",
                 cached > 0 ? cached : 0);
    node_add_int(node_add_object(usage, "output_tokens_details"), "reasoning_tokens",
                 thought > 0 ? thought : 0);
}

// The items so far.
static struct span output_of(const struct api_work *work)
{
    struct span items = buf_span(&work->items);
    items.len -= items.len > 0; // the comma
    return items;
}

static struct node begin_event(struct api_work *work, struct document *doc, const char *type)
{
    struct node root = document_object(doc);
    node_add_text(root, "type", type);
    node_add_int(root, "sequence_number", work->sequence++);
    return root;
}

static void send_response(struct api_work *work, const char *type, const char *status,
                          const char *error)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    write_response(begin_event(work, &doc, type), "response", work, status, output_of(work), error);
    api_work_send(work, type, &doc);
}

static void begin(struct api_work *work)
{
    send_response(work, "response.created", "in_progress", NULL);
    send_response(work, "response.in_progress", "in_progress", NULL);
}

// One event about the present message.
static void send_message(struct api_work *work, const char *type, const char *status,
                         const char *key, struct span text)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct node root = begin_event(work, &doc, type);
    node_add_int(root, "output_index", work->index);
    if (status) {
        fill_message(node_add_object(root, "item"), work, status);
    } else {
        CLEANUP(mem_cleanup) char *id = mem_printf("msg_%s_%u", work->turn, work->index);
        node_add_text(root, "item_id", id);
        node_add_int(root, "content_index", 0);
        if (strcmp(key, "part") == 0)
            add_part(root, key, text);
        else
            node_add_string(root, key, text);
    }
    api_work_send(work, type, &doc);
}

static void keep_item(struct api_work *work, const struct document *doc)
{
    BUF_AUTO item = BUF_INIT(API_ANSWER_MAX);
    document_print(doc, &item, NULL);
    buf_append_char(&item, ',');
    // The answer itself is kept whatever its calls have taken.
    size_t room = work->items.len < API_ITEMS_MAX ? API_ITEMS_MAX - work->items.len : 0;
    if (item.len <= room || work->ended)
        buf_append_span(&work->items, buf_span(&item));
    work->index++;
}

static void say(struct api_work *work, struct span text)
{
    if (!work->spoke) {
        send_message(work, "response.output_item.added", "in_progress", NULL, SPAN_ABSENT);
        send_message(work, "response.content_part.added", NULL, "part", SPAN_LITERAL(""));
    }
    work->spoke = true;
    buf_append_span(&work->text, text);
    send_message(work, "response.output_text.delta", NULL, "delta", text);
}

static void close_message(struct api_work *work)
{
    if (!STEAL(work->spoke))
        return;
    struct span text = buf_span(&work->text);
    send_message(work, "response.output_text.done", NULL, "text", text);
    send_message(work, "response.content_part.done", NULL, "part", text);
    send_message(work, "response.output_item.done", "completed", NULL, SPAN_ABSENT);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    fill_message(document_object(&doc), work, "completed");
    keep_item(work, &doc);
    buf_clear(&work->text);
}

// A call of a tool, or its result: both are over when they are told of.
static void fill_call(struct node item, const struct api_work *work, const struct turn_event *event)
{
    bool calls = event->kind == TURN_EVENT_CALL;
    CLEANUP(mem_cleanup)
    char *id = mem_printf("%s_%s_%u", calls ? "fc" : "fco", work->turn, work->index);
    node_add_text(item, "id", id);
    node_add_text(item, "type", calls ? "function_call" : "function_call_output");
    node_add_text(item, "status", "completed");
    node_add_text(item, "call_id", event->call_id);
    if (calls) {
        node_add_text(item, "name", event->name);
        node_add_text(item, "arguments", event->arguments);
        return;
    }
    struct span text = event->text;
    if (text.len > API_RESULT_MAX)
        text.len = API_RESULT_MAX;
    text.len -= utf8_incomplete_tail(text);
    // A list, which OpenAI's clients read as well as a text, and Open WebUI alone.
    struct node part = node_add_object(node_add_array(item, "output"), NULL);
    node_add_text(part, "type", "input_text");
    node_add_string(part, "text", text);
}

static void tell_call(struct api_work *work, const struct turn_event *event)
{
    static const char *const types[] = {"response.output_item.added", "response.output_item.done"};
    close_message(work);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
        struct node root = begin_event(work, &doc, types[i]);
        node_add_int(root, "output_index", work->index);
        fill_call(node_add_object(root, "item"), work, event);
        api_work_send(work, types[i], &doc);
    }
    DOCUMENT_AUTO item = DOCUMENT_INIT(API_TREE_MAX);
    fill_call(document_object(&item), work, event);
    keep_item(work, &item);
}

static void on_event(struct api_work *work, const struct turn_event *event)
{
    if (event->kind == TURN_EVENT_TEXT)
        say(work, event->text);
    else if (event->kind == TURN_EVENT_STEP)
        close_message(work);
    else if (event->kind == TURN_EVENT_CALL || event->kind == TURN_EVENT_RESULT)
        tell_call(work, event);
}

static void end(struct api_work *work, const struct turn_outcome *outcome)
{
    struct http_exchange *exchange = api_work_exchange(work);
    bool done = outcome->state == TURN_DONE;
    work->usage = outcome->usage;
    if (!work->spoke && *outcome->text)
        say(work, span_of(outcome->text));
    if (*outcome->remark) {
        CLEANUP(mem_cleanup)
        char *remark = mem_printf("%s(%s)", work->spoke ? "\n\n" : "", outcome->remark);
        say(work, span_of(remark));
    }
    close_message(work);
    if (work->streams) {
        send_response(work, done ? "response.completed" : "response.failed",
                      done ? "completed" : "failed", done ? NULL : api_failure(outcome));
        return;
    }
    if (!exchange)
        return;
    if (!done) {
        api_refuse_turn(exchange, outcome);
        return;
    }
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    write_response(document_object(&doc), NULL, work, "completed", output_of(work), NULL);
    api_once_reply(work, exchange, 200, &doc);
}

static void ask(struct api *api, struct http_exchange *exchange)
{
    static const struct api_form form = {PREFIX, begin, on_event, end, NULL, NULL, false};
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    CLEANUP(api_request_finish) struct api_request request = {.asked = mem_new(struct asked)};
    if (!api_read_body(exchange, &doc))
        return;
    struct node root = document_root(&doc);
    struct node named = node_get(root, "conversation"), id = node_get(named, "id");
    bool kept = true;
    request.asked->priority = CHAT_API;
    request.asked->lasts = true;
    node_bool(node_get(root, "store"), &kept);
    node_bool(node_get(root, "stream"), &request.streams);
    if (!api_read_input(api, &request, root, exchange))
        return;
    struct span name = span_of(node_text(node_text(named) ? named : id));
    bool chore = api_take_chore(&request);
    if (!*request.chat && !api_name_session(api, &request, chore ? SPAN_ABSENT : name, exchange))
        return;
    request.forgets = chore || (!kept && !request.previous && node_type(named) == JSON_ABSENT);
    api_work_start(api, &form, &request, exchange);
}

static void show(struct api *api, struct http_exchange *exchange, const struct api_turn *turn)
{
    struct api_work as = {.api = api,
                          .model = (char *)api->config->model_name,
                          .created_s = turn->started_ms / 1000,
                          .usage = turn->usage};
    bool open = turn->state < STORE_TURN_DONE, done = turn->state == STORE_TURN_DONE;
    memcpy(as.turn, turn->name, sizeof as.turn);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    DOCUMENT_AUTO item = DOCUMENT_INIT(API_TREE_MAX);
    BUF_AUTO output = BUF_INIT(API_ANSWER_MAX);
    if (!open) {
        as.text = (struct buf){turn->text, strlen(turn->text), 0, 0, false}; // only read
        fill_message(document_object(&item), &as, "completed");
        document_print(&item, &output, NULL);
    }
    const char *error = turn->error && *turn->error ? turn->error : "the answer was stopped";
    write_response(document_object(&doc), NULL, &as,
                   open   ? "in_progress"
                   : done ? "completed"
                          : "failed",
                   buf_span(&output), open || done ? NULL : error);
    api_reply(exchange, 200, &doc);
}

static void on_deleted(struct api_page *page, int result, const struct error *err)
{
    struct http_exchange *exchange = http_server_find(page->api->server, page->exchange);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    if (!exchange)
        return;
    if (result < 0) {
        api_refuse(exchange, control_status_of(result), NULL, "%s", err->text);
        return;
    }
    struct node root = document_object(&doc);
    node_add_text(root, "id", page->id);
    node_add_text(root, "object", "response.deleted");
    node_add_bool(root, "deleted", true);
    api_reply(exchange, 200, &doc);
}

// What was asked and answered is no longer a part of its conversation.
static void drop(struct api *api, struct http_exchange *exchange, const struct api_turn *turn)
{
    struct error err = ERROR_INIT;
    if (turn->state < STORE_TURN_DONE) {
        api_refuse(exchange, 409, NULL, "this response is still being written");
        return;
    }
    struct store_settlement settlement = {.session = span_of(turn->session),
                                          .drop_turn = span_of(turn->name),
                                          .now_ms = loop_wall(api->control->loop)};
    struct api_page *page = api_page_begin(api, exchange, on_deleted);
    snprintf(page->id, sizeof page->id, PREFIX "%s", turn->name);
    api_page_wait(page, store_settle(api->control->store, &settlement, api_page_done, page, &err),
                  &err);
}

void api_responses(struct api *api, struct http_exchange *exchange, struct span rest)
{
    struct span method = http_exchange_method(exchange);
    CLEANUP(api_turn_finish) struct api_turn turn = {0};
    if (!rest.len && span_is(method, "POST"))
        ask(api, exchange);
    else if (!rest.len || (!span_is(method, "GET") && !span_is(method, "DELETE")))
        api_refuse(exchange, 405, NULL, "POST /v1/responses; GET or DELETE /v1/responses/ID");
    else if (!api_turn_read(api, span_skip(rest, 1), PREFIX, &turn, exchange))
        return;
    else if (span_is(method, "GET"))
        show(api, exchange, &turn);
    else
        drop(api, exchange, &turn);
}
