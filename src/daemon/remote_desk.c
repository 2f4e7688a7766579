/*
 * The owner's answer is an event stream; its events are the calls of a turn_sink. The outcome is
 * kept until the transfer is over, because a sink may ask the next thing from inside on_end, and
 * what this transfer still had to tell would be taken for the next one's.
 *
 * Stopping asks the owner to end the turn, and the stream then tells its end as always. An owner
 * that does not within STOP_LIMIT_MS is left: it notices that, and ends the turn by itself.
 */
#include "daemon/remote_desk.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/agent.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "daemon/control_client.h"
#include "net/http_client.h"
#include "serve/control.h"

enum {
    CONNECT_LIMIT_MS = 5 * 1000,
    SILENCE_LIMIT_MS = 60 * 1000, // the owner says something every few seconds
    STOP_LIMIT_MS = 5 * 1000,
    REFUSAL_MAX = 16 * 1024, // bytes
};

struct remote_desk {
    struct loop *loop;
    struct http_client *http;
    char *socket, *url;
    const struct turn_sink *sink; // NULL: nothing was said
    void *context;
    http_id transfer, stopping;
    loop_id stop_timer;
    int status;
    struct sse_parser events;
    struct json document;
    struct buf refusal; // the body, when the status is not 200
    bool ended;         // "end" came, and the following say how
    bool over; // the stream is over, and who stops it has not heard yet that it was stopped
    enum turn_state state;
    char *text, *error, *remark;
    struct chat_usage usage;
    int64_t iterations;
};

static char *text_of(struct json_value event, const char *key)
{
    char *text = json_strdup(json_get(event, key), CONTROL_ANSWER_MAX);
    return text ? text : mem_strdup("");
}

static int64_t number_of(struct json_value event, const char *key, int64_t fallback)
{
    int64_t number;
    return json_int64(json_get(event, key), &number) ? number : fallback;
}

static void forget_outcome(struct remote_desk *desk)
{
    free(desk->text);
    free(desk->error);
    free(desk->remark);
    desk->text = desk->error = desk->remark = NULL;
    desk->ended = false;
}

static void take_end(struct remote_desk *desk, struct json_value event)
{
    struct json_value usage = json_get(event, "usage");
    forget_outcome(desk);
    desk->ended = true;
    desk->state = json_is(json_get(event, "state"), "done")        ? TURN_DONE
                  : json_is(json_get(event, "state"), "cancelled") ? TURN_CANCELLED
                                                                   : TURN_FAILED;
    desk->text = text_of(event, "text");
    desk->error = text_of(event, "error");
    desk->remark = text_of(event, "remark");
    desk->iterations = number_of(event, "iterations", 0);
    desk->usage = (struct chat_usage){
        .prompt_tokens = number_of(usage, "prompt_tokens", -1),
        .completion_tokens = number_of(usage, "completion_tokens", -1),
        .cached_tokens = number_of(usage, "cached_tokens", -1),
        .reasoning_tokens = number_of(usage, "reasoning_tokens", -1),
        .cost_micros = number_of(usage, "cost_micros", -1),
    };
}

static void tell_text(struct remote_desk *desk, struct json_value event)
{
    BUF_AUTO text = BUF_INIT(CONTROL_ANSWER_MAX);
    if (json_string(json_get(event, "delta"), &text))
        desk->sink->on_text(desk->context, buf_span(&text));
}

static void tell_call(struct remote_desk *desk, struct json_value event)
{
    CLEANUP(mem_cleanup) char *name = text_of(event, "name");
    CLEANUP(mem_cleanup) char *arguments = text_of(event, "arguments");
    desk->sink->on_call(desk->context, name, arguments);
}

static void tell_result(struct remote_desk *desk, struct json_value event)
{
    CLEANUP(mem_cleanup) char *name = text_of(event, "name");
    BUF_AUTO text = BUF_INIT(CONTROL_ANSWER_MAX);
    bool failed = false;
    json_bool(json_get(event, "failed"), &failed);
    json_string(json_get(event, "text"), &text);
    desk->sink->on_result(desk->context, name, failed, buf_span(&text));
}

static void tell_wait(struct remote_desk *desk, struct json_value event)
{
    CLEANUP(mem_cleanup) char *text = text_of(event, "text");
    if (desk->sink->on_wait)
        desk->sink->on_wait(desk->context, text);
}

static int on_event(void *context, const struct sse_event *event)
{
    struct remote_desk *desk = context;
    if (event->kind != SSE_EVENT || json_parse(&desk->document, event->data, NULL) < 0)
        return 0;
    struct json_value root = json_root(&desk->document);
    if (span_is(event->type, "text"))
        tell_text(desk, root);
    else if (span_is(event->type, "call"))
        tell_call(desk, root);
    else if (span_is(event->type, "result"))
        tell_result(desk, root);
    else if (span_is(event->type, "wait"))
        tell_wait(desk, root);
    else if (span_is(event->type, "step") && desk->sink->on_step)
        desk->sink->on_step(desk->context);
    else if (span_is(event->type, "end"))
        take_end(desk, root);
    return 0; // what is not known is from a newer hermes
}

static void on_head(void *context, const struct http_head *head)
{
    struct remote_desk *desk = context;
    desk->status = head->status;
}

static int on_body(void *context, struct span chunk)
{
    struct remote_desk *desk = context;
    if (desk->status == 200)
        return sse_feed(&desk->events, chunk, on_event, desk, NULL);
    buf_append_span(&desk->refusal, chunk);
    return 0;
}

static void end_with(struct remote_desk *desk, enum turn_state state, const char *sentence)
{
    forget_outcome(desk);
    desk->state = state;
    desk->text = mem_strdup("");
    desk->error = mem_strdup(sentence);
    desk->remark = mem_strdup("");
    desk->usage = (struct chat_usage)CHAT_USAGE_UNKNOWN;
    desk->iterations = 0;
}

// A stop that is still on its way would hit the next answer, so that one is not begun before.
static void tell_outcome(struct remote_desk *desk)
{
    desk->over = desk->stopping != 0;
    if (desk->over)
        return;
    const struct turn_sink *sink = STEAL(desk->sink);
    CLEANUP(mem_cleanup) char *text = STEAL(desk->text);
    CLEANUP(mem_cleanup) char *error = STEAL(desk->error);
    CLEANUP(mem_cleanup) char *remark = STEAL(desk->remark);
    struct turn_outcome outcome = {
        .state = desk->state,
        .text = text,
        .error = error,
        .remark = remark,
        .usage = desk->usage,
        .iterations = (int)desk->iterations,
    };
    loop_cancel(desk->loop, desk->stop_timer);
    desk->stop_timer = 0;
    desk->transfer = 0;
    desk->ended = false;
    sink->on_end(desk->context, &outcome);
}

static void on_done(void *context, enum http_failure failure, const struct error *err)
{
    struct remote_desk *desk = context;
    struct error refusal = ERROR_INIT;
    if (desk->ended) {
        tell_outcome(desk);
        return;
    }
    if (failure == HTTP_OK && desk->status != 200) {
        control_client_refusal((unsigned)desk->status, buf_span(&desk->refusal), &refusal);
        end_with(desk, TURN_FAILED, refusal.text);
    } else if (failure == HTTP_UNREACHABLE) {
        end_with(desk, TURN_FAILED,
                 "the hermes that was running has ended; what was said is kept in its home");
    } else if (failure == HTTP_TIMED_OUT) {
        end_with(desk, TURN_FAILED, "the running hermes no longer replies");
    } else if (failure == HTTP_EXHAUSTED) {
        end_with(desk, TURN_FAILED, err->text);
    } else {
        end_with(desk, TURN_FAILED,
                 "the running hermes ended in the middle of the answer; the conversation is kept "
                 "in its home");
    }
    tell_outcome(desk);
}

static int start_transfer(struct remote_desk *desk, const char *method, struct span body,
                          const struct http_handler *handler, http_id *ret_id, struct error *err)
{
    struct http_request request = {
        .method = method,
        .url = desk->url,
        .body = body,
        .timeouts = {.connect = CONNECT_LIMIT_MS,
                     .first_byte = SILENCE_LIMIT_MS,
                     .idle = SILENCE_LIMIT_MS},
        .unix_socket = desk->socket,
    };
    return http_client_start(desk->http, &request, handler, desk, ret_id, err);
}

static int say(void *context, struct span text, const struct turn_sink *sink, void *sink_context,
               struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct remote_desk *desk = context;
    if (desk->sink)
        return error_set(err, -EBUSY, "an answer is already on its way");
    sse_reset(&desk->events);
    buf_clear(&desk->refusal);
    forget_outcome(desk);
    desk->status = 0;
    int r = start_transfer(desk, "POST", text, &handler, &desk->transfer, err);
    if (r == 0) {
        desk->sink = sink;
        desk->context = sink_context;
    }
    return r;
}

static void leave(struct remote_desk *desk)
{
    http_client_cancel(desk->http, desk->transfer);
    http_client_cancel(desk->http, desk->stopping);
    desk->stopping = 0;
    if (!desk->over)
        end_with(desk, TURN_CANCELLED, "");
    tell_outcome(desk);
}

static void on_stop_limit(void *context)
{
    struct remote_desk *desk = context;
    desk->stop_timer = 0;
    leave(desk);
}

static int ignore_body(void *context, struct span chunk)
{
    (void)context, (void)chunk;
    return 0;
}

static void on_stop_done(void *context, enum http_failure failure, const struct error *err)
{
    struct remote_desk *desk = context;
    (void)failure, (void)err; // the answer's own stream tells
    desk->stopping = 0;
    if (desk->over)
        tell_outcome(desk);
}

static void stop(void *context)
{
    static const struct http_handler handler = {NULL, ignore_body, on_stop_done};
    struct remote_desk *desk = context;
    if (!desk->sink)
        return;
    if (desk->stop_timer) { // asked for twice: no more patience
        leave(desk);
        return;
    }
    desk->stop_timer = loop_timer_after(desk->loop, STOP_LIMIT_MS, on_stop_limit, desk);
    start_transfer(desk, "DELETE", SPAN_ABSENT, &handler, &desk->stopping, NULL);
}

int remote_desk_create(struct loop *loop, const char *home, const char *chat,
                       struct remote_desk **ret_desk, struct error *err)
{
    struct http_client *http = NULL;
    int r = http_client_create(loop, NULL, &http, err);
    if (r < 0)
        return r;
    struct remote_desk *desk = mem_new(struct remote_desk);
    desk->loop = loop;
    desk->http = http;
    desk->socket = control_client_socket(home);
    desk->url = mem_printf("http://localhost/chat?chat=%s", chat);
    sse_init(&desk->events, CONTROL_ANSWER_MAX);
    buf_init(&desk->refusal, REFUSAL_MAX);
    *ret_desk = desk;
    return 0;
}

void remote_desk_destroy(struct remote_desk *desk)
{
    if (!desk)
        return;
    http_client_destroy(desk->http);
    loop_cancel(desk->loop, desk->stop_timer);
    forget_outcome(desk);
    sse_finish(&desk->events);
    json_finish(&desk->document);
    buf_finish(&desk->refusal);
    free(desk->socket);
    free(desk->url);
    free(desk);
}

struct console_backend remote_desk_backend(struct remote_desk *desk)
{
    return (struct console_backend){say, stop, desk};
}
