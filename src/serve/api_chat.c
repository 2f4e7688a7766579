// OpenAI's chat completions, with hermes-agent's event for what tools do.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/http_server.h"
#include "serve/api_internal.h"
#include "serve/api_request.h"

static struct node begin_chunk(const struct api_work *work, struct document *doc, bool stream)
{
    struct node root = document_object(doc);
    CLEANUP(mem_cleanup) char *id = mem_printf("%s%s", work->form->id_prefix, work->turn);
    node_add_text(root, "id", id);
    node_add_text(root, "object", stream ? "chat.completion.chunk" : "chat.completion");
    node_add_int(root, "created", work->created_s);
    node_add_text(root, "model", work->model);
    return root;
}

// Its delta; to be filled.
static struct node add_choice(struct node root, const char *finish)
{
    struct node choice = node_add_object(node_add_array(root, "choices"), NULL);
    node_add_int(choice, "index", 0);
    node_add_text(choice, "finish_reason", finish);
    return node_add_object(choice, "delta");
}

// `delta` NULL: the last one.
static void send_delta(struct api_work *work, const char *role, struct span delta,
                       const char *finish)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct node root = begin_chunk(work, &doc, true);
    struct node said = add_choice(root, finish);
    if (role)
        node_add_text(said, "role", role);
    if (delta.data)
        node_add_string(said, "content", delta);
    api_work_send(work, NULL, &doc);
}

static void begin(struct api_work *work)
{
    send_delta(work, "assistant", SPAN_LITERAL(""), NULL);
}

// A chunk as well, as OpenAI's clients take every event for one, and one with "error" for the end.
static void send_progress(struct api_work *work, const struct turn_event *event)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct node root = begin_chunk(work, &doc, true);
    add_choice(root, NULL);
    bool runs = event->kind == TURN_EVENT_CALL;
    node_add_text(root, "tool", event->name);
    node_add_text(root, "emoji", "🔧");
    node_add_text(root, "label", event->name);
    node_add_text(root, "toolCallId", event->call_id);
    node_add_text(root, "status", runs ? "running" : "completed");
    if (!runs)
        node_add_bool(root, "failed", event->failed);
    api_work_send(work, "hermes.tool.progress", &doc);
}

static void on_event(struct api_work *work, const struct turn_event *event)
{
    if (!work->streams)
        return;
    if (event->kind == TURN_EVENT_TEXT) {
        send_delta(work, NULL, event->text, NULL);
        work->spoke = true;
    } else if (event->kind == TURN_EVENT_STEP && STEAL(work->spoke)) {
        send_delta(work, NULL, SPAN_LITERAL("\n\n"), NULL);
    } else if (event->kind == TURN_EVENT_CALL || event->kind == TURN_EVENT_RESULT) {
        send_progress(work, event);
    }
}

static void add_usage(struct node root, const struct turn_outcome *outcome)
{
    api_write_usage(root, &outcome->usage, "prompt_tokens", "completion_tokens");
}

static void end_stream(struct api_work *work, const struct turn_outcome *outcome)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    if (outcome->state != TURN_DONE) { // without the mark, as it is not whole
        api_write_error(document_object(&doc), 500, "turn_failed", api_failure(outcome));
        api_work_send(work, NULL, &doc);
        return;
    }
    if (*outcome->remark) {
        CLEANUP(mem_cleanup) char *remark = mem_printf("\n\n(%s)", outcome->remark);
        send_delta(work, NULL, span_of(remark), NULL);
    }
    send_delta(work, NULL, SPAN_ABSENT, "stop");
    if (work->tells_usage) {
        struct node root = begin_chunk(work, &doc, true);
        node_add_array(root, "choices");
        add_usage(root, outcome);
        api_work_send(work, NULL, &doc);
    }
    sse_stream_send(&work->stream, SPAN_ABSENT, SPAN_LITERAL("[DONE]"));
}

static void end(struct api_work *work, const struct turn_outcome *outcome)
{
    struct http_exchange *exchange = api_work_exchange(work);
    if (work->streams) {
        end_stream(work, outcome);
        return;
    }
    if (!exchange)
        return;
    if (outcome->state != TURN_DONE) {
        api_refuse_turn(exchange, outcome);
        return;
    }
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct node root = begin_chunk(work, &doc, false);
    struct node choice = node_add_object(node_add_array(root, "choices"), NULL);
    node_add_int(choice, "index", 0);
    struct node message = node_add_object(choice, "message");
    node_add_text(message, "role", "assistant");
    CLEANUP(mem_cleanup)
    char *text = *outcome->remark ? mem_printf("%s\n\n(%s)", outcome->text, outcome->remark) : NULL;
    node_add_text(message, "content", text ? text : outcome->text);
    node_add_text(choice, "finish_reason", "stop");
    add_usage(root, outcome);
    api_once_reply(work, exchange, 200, &doc);
}

void api_chat(struct api *api, struct http_exchange *exchange, struct span rest)
{
    static const struct api_form form = {"chatcmpl-", begin, on_event, end, NULL, NULL, false};
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    CLEANUP(api_request_finish) struct api_request request = {.asked = mem_new(struct asked)};
    if (!api_read_body(exchange, &doc))
        return;
    struct node root = document_root(&doc);
    request.asked->priority = CHAT_API;
    request.asked->compares = true;
    node_bool(node_get(root, "stream"), &request.streams);
    node_bool(node_get(node_get(root, "stream_options"), "include_usage"), &request.tells_usage);
    const char *model = node_text(node_get(root, "model"));
    request.model = model ? mem_strdup(model) : NULL;
    if (!api_read_messages(&request, node_get(root, "messages"), exchange))
        return;
    struct span session = http_exchange_header(exchange, "X-Hermes-Session-Id");
    if (!api_name_session(api, &request, api_take_chore(&request) ? SPAN_ABSENT : session,
                          exchange))
        return;
    if (!request.forgets && node_is(node_get(root, "tool_choice"), "none"))
        request.asked->tools = mem_strdup("-"); // which is the name of none
    api_work_start(api, &form, &request, exchange);
}
