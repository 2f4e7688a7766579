/*
 * A request that a turn answers. The turn ends it, whether its client is still there or not: the
 * client's leaving ends the turn, and its last event follows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/http_server.h"
#include "serve/api_internal.h"
#include "serve/api_request.h"
#include "serve/control_internal.h"
#include "store/session.h"

enum { KEEP_ALIVE_MS = 10 * 1000 };

void api_work_destroy(struct api_work *work)
{
    list_remove(&work->link);
    sse_stream_abort(&work->stream);
    if (work->form->finish)
        work->form->finish(work);
    buf_finish(&work->text);
    buf_finish(&work->items);
    free(work->model);
    free(work->previous);
    free(work->output);
    free(work->error);
    free(work);
}

struct http_exchange *api_work_exchange(struct api_work *work)
{
    return work->exchange ? http_server_find(work->api->server, work->exchange) : NULL;
}

void api_work_leave(struct api_work *work)
{
    sse_stream_abort(&work->stream);
    work->exchange = 0;
    if (!work->form->outlives)
        dispatcher_stop(work->api->control->dispatcher, api_channel, work->chat);
}

// A client that does not read until what waits for it passes the limit is cut off.
void api_work_send(struct api_work *work, const char *type, const struct document *doc)
{
    BUF_AUTO data = BUF_INIT(API_ANSWER_MAX);
    if (!work->streams)
        return;
    document_print(doc, &data, NULL);
    if (work->exchange &&
        (buf_is_full(&data) ||
         sse_stream_send(&work->stream, type ? span_of(type) : SPAN_ABSENT, buf_span(&data)) < 0))
        api_work_leave(work);
}

struct node api_write_usage(struct node parent, const struct chat_usage *usage, const char *in,
                            const char *out)
{
    struct node node = node_add_object(parent, "usage");
    int64_t read = usage->prompt_tokens > 0 ? usage->prompt_tokens : 0;
    int64_t written = usage->completion_tokens > 0 ? usage->completion_tokens : 0;
    node_add_int(node, in, read);
    node_add_int(node, out, written);
    node_add_int(node, "total_tokens", read + written);
    return node;
}

// The official clients would send it again, and run its tools a second time.
void api_refuse_turn(struct http_exchange *exchange, const struct turn_outcome *outcome)
{
    http_exchange_add_header(exchange, "x-should-retry", "false");
    api_refuse(exchange, 500, "turn_failed", "%s", api_failure(outcome));
}

const char *api_failure(const struct turn_outcome *outcome)
{
    return outcome->state == TURN_FAILED && *outcome->error ? outcome->error
           : outcome->state == TURN_WAITING ? "the answer waits for somebody's approval"
                                            : "the answer was stopped";
}

static void begin(struct api_work *work)
{
    struct http_exchange *exchange = api_work_exchange(work);
    const struct control_env *control = work->api->control;
    snprintf(work->session, sizeof work->session, "%s",
             dispatcher_session(control->dispatcher, api_channel, work->chat));
    if (!exchange)
        return;
    http_exchange_add_header(exchange, "X-Hermes-Session-Id", work->session);
    if (!work->streams)
        return;
    sse_stream_begin(&work->stream, control->loop, work->api->server, exchange, KEEP_ALIVE_MS);
    work->form->begin(work);
}

static void forget(struct api_work *work)
{
    struct error err = ERROR_INIT;
    if (work->forgets && *work->session)
        store_session_delete(work->api->control->store, span_of(work->session), NULL, NULL, &err);
}

static void end(struct api_work *work, const struct turn_outcome *outcome)
{
    struct http_exchange *exchange = api_work_exchange(work);
    work->ended = true;
    if (work->streams && exchange && !work->stream.exchange) // it never began
        work->streams = false;
    work->form->end(work, outcome);
    sse_stream_end(&work->stream);
    forget(work);
    if (!work->form->outlives)
        api_work_destroy(work);
}

static void on_event(void *context, const struct turn_event *event);

// What it waits for is told of, and listened to again once it is answered.
static bool goes_on_waiting(struct api_work *work, const struct turn_outcome *outcome)
{
    if (outcome->state != TURN_WAITING || !work->form->waits ||
        !dispatcher_listen(work->api->control->dispatcher, api_channel, work->chat, on_event, work))
        return false;
    work->form->waits(work, outcome);
    return true;
}

static void on_event(void *context, const struct turn_event *event)
{
    struct api_work *work = context;
    if (event->kind == TURN_EVENT_BEGIN)
        begin(work);
    else if (event->kind == TURN_EVENT_END && !goes_on_waiting(work, event->outcome))
        end(work, event->outcome);
    else if (event->kind != TURN_EVENT_END && (work->form->outlives || work->exchange))
        work->form->event(work, event);
}

static bool has_room(const struct api *api)
{
    int64_t running = 0;
    list_for_each(link, &api->works)
        running += !list_entry(link, struct api_work, link)->ended;
    return running < api->config->runs_max;
}

static int ask(struct api_work *work, struct api_request *request, struct error *err)
{
    int r = dispatcher_ask(work->api->control->dispatcher, api_channel, request->chat,
                           span_of(request->text), request->asked, on_event, work, err);
    if (r == -EBUSY && request->derived) { // two that began with the same words
        random_hex(request->chat, sizeof work->turn);
        request->asked->compares = request->derived = false;
        return ask(work, request, err);
    }
    if (r == 0)
        request->asked = NULL;
    return r;
}

struct api_work *api_work_start(struct api *api, const struct api_form *form,
                                struct api_request *request, struct http_exchange *exchange)
{
    struct error err = ERROR_INIT;
    if (!has_room(api)) {
        http_exchange_add_header(exchange, "Retry-After", "5"); // seconds
        api_refuse(exchange, 429, "too_many_runs",
                   "as many answers are being written as may be at once "
                   "(gateway.api_server.max_concurrent_runs); try again in a moment");
        return NULL;
    }
    struct api_work *work = mem_new(struct api_work);
    random_hex(request->asked->turn, sizeof request->asked->turn);
    memcpy(work->turn, request->asked->turn, sizeof work->turn);
    memcpy(work->session, request->asked->session, sizeof work->session);
    work->api = api;
    work->form = form;
    work->exchange = http_exchange_id(exchange);
    work->streams = request->streams;
    work->tells_usage = request->tells_usage;
    work->forgets = request->forgets;
    work->model = request->model ? STEAL(request->model) : mem_strdup(api->config->model_name);
    work->previous = STEAL(request->previous);
    work->created_s = api_now_s(api);
    list_init(&work->watchers);
    buf_init(&work->text, CHAT_TEXT_MAX);
    buf_init(&work->items, API_ITEMS_MAX);
    list_append(&api->works, &work->link);
    int r = ask(work, request, &err);
    memcpy(work->chat, request->chat, sizeof work->chat);
    if (r == 0)
        return work;
    if (r == -EBUSY)
        http_exchange_add_header(exchange, "Retry-After", "1"); // second
    api_refuse(exchange, control_status_of(r), r == -EBUSY ? "session_busy" : NULL, "%s", err.text);
    api_work_destroy(work);
    return NULL;
}
