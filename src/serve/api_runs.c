/*
 * hermes-agent's runs: turns that are begun and looked at later. Nobody waits for one: it goes on
 * without its asker, also after a restart, may wait for somebody's approval, and may be delivered
 * to a channel. Its events are kept for a while, so that whoever comes late hears them all; past a
 * limit the oldest are forgotten.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "channels/target.h"
#include "net/http_server.h"
#include "serve/api_internal.h"
#include "serve/api_request.h"
#include "serve/api_turn.h"

#define PREFIX "run_"

enum { KEEP_ALIVE_MS = 10 * 1000 };

struct api_watcher { // of a run's events
    struct list link;
    uint64_t exchange;
    struct sse_stream stream;
};

static void watcher_destroy(struct api_watcher *watcher)
{
    sse_stream_abort(&watcher->stream);
    list_remove(&watcher->link);
    free(watcher);
}

struct sse_stream *api_run_stream(struct api_work *run, uint64_t exchange)
{
    list_for_each(link, &run->watchers) {
        struct api_watcher *watcher = list_entry(link, struct api_watcher, link);
        if (watcher->exchange == exchange)
            return &watcher->stream;
    }
    return NULL;
}

void api_run_gone(struct api_work *run, uint64_t exchange)
{
    struct sse_stream *stream = api_run_stream(run, exchange);
    if (stream)
        watcher_destroy(CONTAINER_OF(stream, struct api_watcher, stream));
}

// --- events --------------------------------------------------------------------------------------

static struct node begin_event(const struct api_work *run, struct document *doc, const char *name)
{
    struct node root = document_object(doc);
    CLEANUP(mem_cleanup) char *id = mem_printf(PREFIX "%s", run->turn);
    node_add_text(root, "event", name);
    node_add_text(root, "run_id", id);
    node_add_fixed(root, "timestamp", loop_wall(run->api->control->loop), 3);
    return root;
}

static void tell(struct api_work *run, const struct document *doc)
{
    BUF_AUTO frame = BUF_INIT(API_ANSWER_MAX);
    buf_append_text(&frame, "data: ");
    document_print(doc, &frame, NULL);
    buf_append_text(&frame, "\n\n");
    if (run->items.len + frame.len > API_RUN_EVENTS_MAX)
        buf_clear(&run->items);
    if (frame.len <= API_RUN_EVENTS_MAX)
        buf_append_span(&run->items, buf_span(&frame));
    list_for_each(link, &run->watchers) {
        struct api_watcher *watcher = list_entry(link, struct api_watcher, link);
        if (sse_stream_send_raw(&watcher->stream, buf_span(&frame)) < 0)
            watcher_destroy(watcher);
    }
}

static void on_event(struct api_work *run, const struct turn_event *event)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct node root;
    run->status = "running";
    if (event->kind == TURN_EVENT_TEXT) {
        root = begin_event(run, &doc, "message.delta");
        node_add_string(root, "delta", event->text);
    } else if (event->kind == TURN_EVENT_CALL || event->kind == TURN_EVENT_RESULT) {
        bool begins = event->kind == TURN_EVENT_CALL;
        root = begin_event(run, &doc, begins ? "tool.started" : "tool.completed");
        node_add_text(root, "tool", event->name);
        node_add_text(root, "tool_call_id", event->call_id);
        if (begins)
            node_add_text(root, "preview", event->arguments);
        else
            node_add_bool(root, "error", event->failed);
    } else {
        return;
    }
    tell(run, &doc);
}

static void waits(struct api_work *run, const struct turn_outcome *outcome)
{
    run->status = "waiting_for_approval";
    for (size_t i = 0; i < outcome->question_count; i++) {
        const struct turn_question *question = &outcome->questions[i];
        DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
        struct node root = begin_event(run, &doc, "approval.request");
        node_add_text(root, "code", question->code);
        node_add_text(root, "tool", question->name);
        node_add_text(root, "arguments", question->arguments);
        node_add_text(root, "why", question->why);
        if (question->asks)
            node_add_text(root, "asks", question->asks);
        tell(run, &doc);
    }
}

static void end(struct api_work *run, const struct turn_outcome *outcome)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    bool done = outcome->state == TURN_DONE, cancelled = outcome->state == TURN_CANCELLED;
    run->status = done ? "completed" : cancelled ? "cancelled" : "failed";
    run->output = mem_strdup(outcome->text);
    run->error = done || cancelled ? NULL : mem_strdup(api_failure(outcome));
    run->usage = outcome->usage;
    run->ended_ms = loop_now(run->api->control->loop);
    CLEANUP(mem_cleanup) char *name = mem_printf("run.%s", run->status);
    struct node root = begin_event(run, &doc, name);
    node_add_text(root, "output", run->output);
    if (run->error)
        node_add_text(root, "error", run->error);
    api_write_usage(root, &run->usage, "input_tokens", "output_tokens");
    tell(run, &doc);
    list_for_each(link, &run->watchers) {
        struct api_watcher *watcher = list_entry(link, struct api_watcher, link);
        sse_stream_end(&watcher->stream);
        watcher_destroy(watcher);
    }
}

static void finish(struct api_work *run)
{
    list_for_each(link, &run->watchers)
        watcher_destroy(list_entry(link, struct api_watcher, link));
}

static const struct api_form form = {PREFIX, NULL, on_event, end, waits, finish, true};

// --- what is asked of them -----------------------------------------------------------------------

static struct api_work *find(struct api *api, const char *turn)
{
    list_for_each(link, &api->works) {
        struct api_work *run = list_entry(link, struct api_work, link);
        if (run->form == &form && strcmp(run->turn, turn) == 0)
            return run;
    }
    return NULL;
}

// From the newest back, so many, and those of the last minutes; the others are in the store.
static void forget_old(struct api *api)
{
    size_t count = 0;
    int64_t now = loop_now(api->control->loop);
    for (struct list *link = api->works.prev, *before; link != &api->works; link = before) {
        struct api_work *run = list_entry(link, struct api_work, link);
        before = link->prev;
        if (run->form == &form && run->ended &&
            (++count > API_RUNS_KEPT_MAX || now - run->ended_ms > API_RUN_KEPT_MS))
            api_work_destroy(run);
    }
}

static bool read_deliver(struct api *api, struct asked *asked, struct node deliver,
                         struct http_exchange *exchange)
{
    const char *text = node_text(deliver);
    struct target target;
    struct error err = ERROR_INIT;
    if (!text || !*text || strcmp(text, "local") == 0)
        return true;
    int r = target_resolve(api->control->targets, span_of(text), &target, &err);
    if (r == 0 && !dispatcher_delivers(api->control->dispatcher, span_of(target.channel)))
        r = error_set(&err, -ENOTCONN, "%s is not switched on", target.channel);
    if (r < 0) {
        api_refuse(exchange, 400, NULL, "\"deliver\": %s", err.text);
        return false;
    }
    asked->reply_channel = mem_strdup(target.channel);
    asked->reply_chat = mem_strdup(target.chat);
    if (*target.thread)
        asked->reply_thread = mem_strdup(target.thread);
    asked->unattended = true; // who reads it there does not know what it was asked
    return true;
}

static void start(struct api *api, struct http_exchange *exchange)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX), answer = DOCUMENT_INIT(DOCUMENT_SMALL);
    CLEANUP(api_request_finish) struct api_request request = {.asked = mem_new(struct asked)};
    if (!api_read_body(exchange, &doc))
        return;
    struct node root = document_root(&doc);
    request.asked->priority = CHAT_API;
    request.asked->lasts = true;
    request.asked->origin = mem_strdup("run");
    forget_old(api);
    if (!api_read_input(api, &request, root, exchange) ||
        !read_deliver(api, request.asked, node_get(root, "deliver"), exchange) ||
        (!*request.chat &&
         !api_name_session(api, &request, span_of(node_text(node_get(root, "session_id"))),
                           exchange)))
        return;
    struct api_work *run = api_work_start(api, &form, &request, exchange);
    if (!run)
        return;
    run->status = "queued";
    run->exchange = 0;
    CLEANUP(mem_cleanup) char *id = mem_printf(PREFIX "%s", run->turn);
    struct node told = document_object(&answer);
    node_add_text(told, "run_id", id);
    node_add_text(told, "status", "started");
    node_add_text(told, "session_id", run->session);
    api_once_reply(run, exchange, 202, &answer);
}

static const char *state_name(enum store_turn_state state)
{
    return state == STORE_TURN_DONE        ? "completed"
           : state == STORE_TURN_FAILED    ? "failed"
           : state == STORE_TURN_CANCELLED ? "cancelled"
           : state == STORE_TURN_WAITING   ? "waiting_for_approval"
                                           : "running";
}

static void show(struct http_exchange *exchange, const struct api_turn *turn,
                 const struct api_work *run)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(API_TREE_MAX);
    struct node root = document_object(&doc);
    CLEANUP(mem_cleanup) char *id = mem_printf(PREFIX "%s", turn->name);
    const char *status = run ? run->status : state_name(turn->state);
    const char *error = run ? run->error : turn->state == STORE_TURN_FAILED ? turn->error : NULL;
    node_add_text(root, "object", "hermes.run");
    node_add_text(root, "run_id", id);
    node_add_text(root, "status", status);
    node_add_text(root, "session_id", turn->session);
    node_add_int(root, "created_at", turn->started_ms / 1000);
    node_add_text(root, "output", run ? run->output : turn->text);
    node_add_text(root, "error", error);
    api_write_usage(root, run ? &run->usage : &turn->usage, "input_tokens", "output_tokens");
    api_reply(exchange, 200, &doc);
}

static void watch(struct api *api, struct http_exchange *exchange, struct api_work *run)
{
    if (!run) {
        api_refuse(exchange, 410, "events_gone",
                   "the events of this run are not kept any more; GET /v1/runs/ID tells its state");
        return;
    }
    struct api_watcher *watcher = mem_new(struct api_watcher);
    watcher->exchange = http_exchange_id(exchange);
    list_append(&run->watchers, &watcher->link);
    sse_stream_begin(&watcher->stream, api->control->loop, api->server, exchange, KEEP_ALIVE_MS);
    bool taken =
        !run->items.len || sse_stream_send_raw(&watcher->stream, buf_span(&run->items)) >= 0;
    if (taken && !run->ended)
        return;
    sse_stream_end(&watcher->stream);
    watcher_destroy(watcher);
}

// One that waits ends as soon as what it asks is answered.
static void stop(struct api *api, struct http_exchange *exchange, const struct api_turn *turn)
{
    DOCUMENT_AUTO doc = DOCUMENT_INIT(DOCUMENT_SMALL);
    struct node root = document_object(&doc);
    CLEANUP(mem_cleanup) char *id = mem_printf(PREFIX "%s", turn->name);
    bool over = turn->state >= STORE_TURN_DONE;
    if (!over) {
        dispatcher_stop(api->control->dispatcher, api_channel, turn->chat);
        api_approvals_deny(api, turn->name);
    }
    node_add_text(root, "run_id", id);
    node_add_text(root, "status", over ? state_name(turn->state) : "stopping");
    api_reply(exchange, 200, &doc);
}

// Until the store has it, a run that has just begun is known from memory alone.
static bool find_turn(struct api *api, struct span id, struct api_turn *turn,
                      struct http_exchange *exchange)
{
    char name[sizeof turn->name] = "";
    struct span given = span_skip(id, strlen(PREFIX));
    if (span_starts_with(id, PREFIX) && given.len == sizeof name - 1)
        memcpy(name, given.data, given.len);
    const struct api_work *run = find(api, name);
    if (!run)
        return api_turn_read(api, id, PREFIX, turn, exchange);
    memcpy(turn->name, name, sizeof name);
    memcpy(turn->chat, run->chat, sizeof turn->chat);
    memcpy(turn->session, run->session, sizeof turn->session);
    turn->started_ms = run->created_s * 1000;
    turn->state = !run->ended                             ? STORE_TURN_MODEL
                  : strcmp(run->status, "completed") == 0 ? STORE_TURN_DONE
                  : run->error                            ? STORE_TURN_FAILED
                                                          : STORE_TURN_CANCELLED;
    return true;
}

void api_runs(struct api *api, struct http_exchange *exchange, struct span rest)
{
    CLEANUP(api_turn_finish) struct api_turn turn = {0};
    struct span method = http_exchange_method(exchange);
    bool get = span_is(method, "GET"), post = span_is(method, "POST");
    if (!rest.len && post) {
        start(api, exchange);
        return;
    }
    rest = span_skip(rest, 1);
    struct span id = span_cut(&rest, '/');
    if (!id.len || !find_turn(api, id, &turn, exchange)) {
        if (!id.len)
            api_refuse(exchange, 405, NULL, "POST /v1/runs; GET /v1/runs/ID");
    } else if (!rest.len && get) {
        show(exchange, &turn, find(api, turn.name));
    } else if (span_is(rest, "events") && get) {
        watch(api, exchange, find(api, turn.name));
    } else if (span_is(rest, "stop") && post) {
        stop(api, exchange, &turn);
    } else if (span_is(rest, "approval") && post) {
        api_approvals_answer(api, exchange, SPAN_ABSENT, turn.name);
    } else {
        api_refuse(exchange, 405, NULL,
                   "a run has GET, GET /events, POST /stop and POST /approval");
    }
}
