/*
 * The way of one call: it is read, looked up, put in the queue where its group is limited, and then
 * led over attempts by a fallback iterator (fallback_iter.h) until one answers or it gives up.
 *
 * Nothing is told from inside router_call_start(): what can be said at once is said by a timer of
 * no length. A call ends in one place, end(), after which its memory is gone; whoever calls into
 * the sink therefore returns at once.
 */
#include "router/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "router/queue.h"
#include "router/router_internal.h"

enum {
    BYTES_PER_TOKEN = 3,         // of a prompt, for the limits per minute: few enough to be safe
    MEDIA_TOKENS = 1500,         // of an image or sound, there and for the context; most have fewer
    TOKENS_UNBOUNDED = 1024,     // what an answer is taken for that nobody bounded
    TOKENS_BOUND_MAX = 4096,     // more than that few answers use of what they might
    CLIENT_MODELS_MAX = 8 << 10, // bytes of the names of a client's own fallbacks
    PARALLEL_AGAIN_MS = 1000,    // when who was one too many may come again
    LEDGER_PATIENCE_MS = 5000,
    LEDGER_LOOK_MS = 10,
    LEDGER_AGAIN_MS = 1000, // Retry-After while it is full
};

// --- the end -------------------------------------------------------------------------------------

static void destroy(struct router_call *call)
{
    struct router *router = call->router;
    router_attempt_cancel(call);
    router_attempt_finish(call);
    router_queue_leave(call);
    loop_cancel(router->env.loop, call->timer);
    loop_cancel(router->env.loop, call->silence);
    list_remove(&call->link);
    list_remove(&call->waiting);
    router->call_count--;
    router->buffered -= call->counted;
    router_metrics_level(router->metrics, ROUTER_LEVEL_IN_FLIGHT, (int64_t)router->call_count);
    router->asking -= call->admitted;
    router_give_back_body(call);
    router_give_back(router, &call->body.own);
    router_body_finish(&call->body);
    router_body_finish(call->plain);
    free(call->plain);
    buf_finish(&call->client_models);
    router_runtime_unref(call->runtime);
    free(call->texts);
    router_pool_return(call);
}

static void end(struct router_call *call, const struct router_failure *failure)
{
    const struct router_sink *sink = call->sink;
    void *context = call->context;
    BUF_AUTO message = BUF_INIT(64 * 1024);
    if (failure && call->admitted && failure != &call->failure)
        router_fallback_message(&call->iter, span_of(call->told_provider), &message);
    else if (failure)
        router_failure_message(failure, SPAN_ABSENT, &message);
    struct router_result result = {
        .id = call->id,
        .begun = call->begun,
        .failure = failure,
        .message = buf_span(&message),
        .shown = call->attempt.watch.error_shown,
        .torn = call->attempt.watch.torn,
        .unmarked = !failure && call->attempt.watch.shape == REPLY_STREAM &&
                    call->operation != UPSTREAM_EMBEDDINGS && !call->attempt.watch.done,
        .budget = *call->budget ? call->budget : NULL,
        .cost_pico = call->cost_pico,
    };
    if (failure && failure->error == ROUTER_BUDGET)
        router_metrics_refused(call->router->metrics, "budget");
    if (call->iter.fallbacks > 0)
        router_report_fallback(call, call->iter.target.group, !failure);
    bool told = call->begun || call->silence_told; // the head went out
    router_report_end(call, failure, !failure || told ? 200 : failure->status);
    sink->on_end(context, &result);
    destroy(call);
}

static void on_refused(struct router_call *call, const struct router_failure *failure)
{
    call->failure = *failure;
    end(call, &call->failure);
}

// --- the attempts --------------------------------------------------------------------------------

static void go(struct router_call *call)
{
    struct router_step step;
    router_fallback_next(&call->iter, loop_now(loop_of(call)), &step);
    if (call->bucket_reservation.granted && call->iter.target.group != call->match.group)
        router_queue_leave(call); // it was not asked there, so others may be
    switch (step.kind) {
    case STEP_ATTEMPT:
        router_attempt_begin(call, &step);
        return;
    case STEP_WAIT:
        router_queue_wait(call, step.at_ms);
        return;
    case STEP_GIVE_UP:
        end(call, router_fallback_failure(&call->iter));
        return;
    }
}

// Once something was passed on there is no other way than to say so.
static void on_failed(struct router_call *call, const struct router_failure *failure)
{
    if (call->begun) {
        on_refused(call, failure);
        return;
    }
    size_t group = call->iter.target.group;
    int fallbacks = call->iter.fallbacks;
    router_fallback_failed(&call->iter, failure, loop_now(loop_of(call)));
    if (call->iter.again == ROUTER_NONE)
        router_queue_renew(call);
    if (fallbacks > 0 && fallbacks < call->iter.fallbacks)
        router_report_fallback(call, group, false);
    router_queue_step(call);
}

static void on_answered(struct router_call *call)
{
    call->attempt.running = false;
    end(call, NULL);
}

static void begin(struct router_call *call)
{
    const struct router_attempt *attempt = &call->attempt;
    bool stream = attempt->watch.shape == REPLY_STREAM;
    struct router_answer answer = {
        .id = call->id,
        .content_type = stream ? "text/event-stream; charset=utf-8" : "application/json",
        .stream = stream,
        .deployment = attempt->deployment,
        .plan = call->runtime->plan,
        .asked = call->match.group,
        .model = attempt->edit.model,
        .group = call->iter.target.name,
        .failed = call->iter.failed ? router_fallback_failure(&call->iter) : NULL,
        .head_lines = buf_span(&attempt->head),
        .retries = call->iter.retries,
        .fallbacks = call->iter.fallbacks,
        .retries_max = call->iter.max_retries,
        .capped_tokens = attempt->capped_tokens,
        .asked_ms = call->came_ms,
        .upstream_ms = loop_now(loop_of(call)) - attempt->begun_ms,
        .cost_pico = stream ? -1 : call->cost_pico,
    };
    call->begun = true;
    call->sink->on_begin(call->context, &answer);
}

static void pass(struct router_call *call)
{
    const struct pieces *pieces = &call->attempt.watch.pieces;
    if (!call->begun)
        begin(call);
    if (!pieces->count)
        return;
    if (call->sink->on_pieces(call->context, pieces)) // enough for now
        router_attempt_pause(call);
}

// --- the beginning -------------------------------------------------------------------------------

static bool find_model(const struct router_call *call, struct span name,
                       struct router_match *ret_match)
{
    const struct router_plan *plan = call->runtime->plan;
    return call->own ? router_plan_find_own(plan, name, ret_match)
                     : router_plan_find(plan, name, ret_match);
}

// A client may name its own fallbacks: ["a", {"model": "b"}]. Each is looked up like any name.
static int read_client_chain(struct router_call *call, struct error *err)
{
    JSON_AUTO doc = JSON_INIT;
    struct span raw = request_raw(&call->body.scan, REQUEST_FALLBACKS);
    if (request_type(&call->body.scan, REQUEST_FALLBACKS) != JSON_ARRAY)
        return 0;
    int r = json_parse(&doc, raw, err);
    struct json_iter it = json_iter_init(json_root(&doc));
    struct json_value item;
    size_t count = 0;
    size_t ends[ROUTER_TARGETS_MAX];
    buf_init(&call->client_models, CLIENT_MODELS_MAX);
    while (r == 0 && count < ROUTER_TARGETS_MAX && json_iter_next(&it, NULL, &item)) {
        struct json_value name = json_type(item) == JSON_OBJECT ? json_get(item, "model") : item;
        if (!json_string(name, &call->client_models) || !buf_append_char(&call->client_models, 0))
            return error_set(err, -EINVAL, "fallbacks: must be a list of model names");
        ends[count++] = call->client_models.len;
    }
    for (size_t i = 0, at = 0; r == 0 && i < count; at = ends[i++]) {
        const char *name = call->client_models.data + at;
        struct router_match match;
        if (!find_model(call, span_of(name), &match))
            return error_set(err, -ENOENT, "%.128s", name);
        call->client_targets[i] = (struct router_target){name, match.group, ROUTER_NONE};
    }
    call->client_chain = (struct router_chain){"", call->client_targets, count};
    return r;
}

static struct router_fallback_request fallback_request_of(struct router_call *call)
{
    const struct router_plan *plan = call->runtime->plan;
    int64_t answer = call->body.max_tokens < 0 ? TOKENS_UNBOUNDED : call->body.max_tokens;
    answer = answer < TOKENS_BOUND_MAX ? answer : TOKENS_BOUND_MAX;
    struct router_fallback_request request = {
        .target = {buf_text(&call->body.model), call->match.group, call->match.deployment},
        .client = call->client_chain.count ? &call->client_chain : NULL,
        .num_retries = -1,
        .tokens = call->prompt_tokens + (call->operation == UPSTREAM_EMBEDDINGS ? 0 : answer),
        .prompt_tokens = call->prompt_tokens,
        .deadline_ms = call->came_ms + plan->timeout_ms,
        .wait_ms = plan->queue_timeout_ms,
    };
    request_bool(&call->body.scan, REQUEST_DISABLE_FALLBACKS, &request.disable_fallbacks, NULL);
    request_int(&call->body.scan, REQUEST_NUM_RETRIES, &request.num_retries, NULL);
    return request;
}

static const char *route_without_v1(const struct router_call *call)
{
    return strncmp(call->route, "/v1", 3) == 0 ? call->route + 3 : call->route;
}

// A model that is not listed does not exist. Programs read LiteLLM's words, and people ours.
static void refuse_model(struct router_call *call, const char *name)
{
    char text[ROUTER_FAILURE_TEXT_MAX];
    if (call->own)
        snprintf(text, sizeof text,
                 "there is no model \"%.128s\"; /model default takes the configured one", name);
    else
        snprintf(
            text, sizeof text,
            "%s: Invalid model name passed in model=%.128s. Call `/v1/models` to view available "
            "models for your key.",
            route_without_v1(call), name);
    router_metrics_refused(call->router->metrics, "model");
    router_failure_make(ROUTER_BAD_REQUEST, -1, text, &call->failure);
}

// What LiteLLM misses before it looks for the model; NULL: nothing.
static const char *missing_member(const struct router_call *call)
{
    static const enum request_member wanted[] = {
        [UPSTREAM_CHAT] = REQUEST_MESSAGES,
        [UPSTREAM_COMPLETIONS] = REQUEST_PROMPT,
        [UPSTREAM_EMBEDDINGS] = REQUEST_INPUT,
    };
    enum request_member member = wanted[call->operation];
    enum json_type type = request_type(&call->body.scan, member);
    return type == JSON_ABSENT || type == JSON_NULL ? request_member_name(member) : NULL;
}

// What was spent before this start is known after some milliseconds; no client need hear of them.
static bool waits_for_ledger(const struct router_call *call)
{
    const struct router_ledger *ledger = call->router->ledger;
    return call->runtime->plan->budget_count > 0 && ledger && router_ledger_is_starting(ledger) &&
           loop_now(loop_of(call)) - call->came_ms < LEDGER_PATIENCE_MS;
}

// general_settings.global_max_parallel_requests, in LiteLLM's words.
static void refuse_one_too_many(struct router_call *call)
{
    char text[ROUTER_FAILURE_TEXT_MAX];
    const struct router *router = call->router;
    int64_t most = call->runtime->plan->max_parallel;
    if (most < 0 || router->asking < (size_t)most)
        return;
    snprintf(text, sizeof text,
             "Max parallel request limit reached Hit Global Limit: Limit=%lld, current: %zu",
             (long long)most, router->asking);
    router_failure_make(ROUTER_RATE_LIMIT, PARALLEL_AGAIN_MS, text, &call->failure);
    router_metrics_refused(router->metrics, "parallel");
}

// What the call asks, and of whom; or why it may not, in call->failure.
static void check(struct router_call *call)
{
    char text[ROUTER_FAILURE_TEXT_MAX];
    struct error err = ERROR_INIT;
    struct router_ledger *ledger = call->router->ledger;
    if (ledger && router_ledger_is_full(ledger)) { // none begins whose rows might find no room
        router_failure_make(ROUTER_SERVICE_UNAVAILABLE, LEDGER_AGAIN_MS,
                            router_ledger_trouble(ledger), &call->failure);
        router_metrics_refused(call->router->metrics, "ledger");
        return;
    }
    const char *missing = missing_member(call);
    if (missing) {
        snprintf(text, sizeof text, "%s: Missing required parameter: '%s'.", route_without_v1(call),
                 missing);
        router_failure_make_bad(missing, text, &call->failure);
        return;
    }
    // A request without a model may say for which work it is.
    const char *model =
        call->body.model.len ? NULL : router_plan_own_slot(call->runtime->plan, call->origin.slot);
    if (model)
        router_body_name_model(&call->body, span_of(model));
    if (model && call->plain)
        router_body_name_model(call->plain, span_of(model));
    struct span asked = buf_span(&call->body.model);
    int r = 0;
    if (!asked.len)
        r = error_set(&err, -EINVAL, "the request names no model: set \"model\"");
    else if (!find_model(call, asked, &call->match))
        r = error_set(&err, -ENOENT, "%s", buf_text(&call->body.model));
    else
        r = read_client_chain(call, &err);
    if (r == -ENOENT)
        refuse_model(call, err.text);
    else if (r < 0)
        router_failure_make(ROUTER_BAD_REQUEST, -1, err.text, &call->failure);
    else
        refuse_one_too_many(call);
}

static void on_start(void *context)
{
    struct router_call *call = context;
    call->timer = 0;
    if (!call->failure.text[0] && waits_for_ledger(call)) {
        call->timer = loop_timer_after(loop_of(call), LEDGER_LOOK_MS, on_start, call);
        return;
    }
    if (!call->failure.text[0])
        check(call);
    if (call->failure.text[0]) {
        end(call, &call->failure);
        return;
    }
    struct router_fallback_request request = fallback_request_of(call);
    router_fallback_init(&call->iter, call->runtime->plan, call->runtime->picker, &request,
                         ++call->router->seed);
    call->admitted = true;
    call->router->asking++;
    router_queue_enter(call);
}

// A body that could not be read, or a member of it that has an impossible value.
static void refuse_unread(struct router_call *call, int r, const struct error *why)
{
    char text[ROUTER_FAILURE_TEXT_MAX];
    if (r == -EINVAL) {
        router_failure_make_bad("", why->text, &call->failure);
        return;
    }
    snprintf(text, sizeof text, "Invalid JSON payload: %.300s", why->text);
    router_failure_make_bad("request_body", text, &call->failure);
}

static void on_silence(void *context)
{
    struct router_call *call = context;
    call->silence = 0;
    if (call->begun)
        return;
    call->silence_told = true;
    call->sink->on_silence(call->context, call->id);
}

/*
 * Streams that have nothing to say yet. What is held, or waits in the queue, is told to nobody, so
 * that it can still be mended elsewhere and fail with a status of its own. But whoever stands in
 * between takes a silent connection for a dead one, mostly after a minute. So after a while the
 * client gets a sign of life, and with it the head of the answer; what fails from then on fails
 * within the stream.
 */
static void watch_client(struct router_call *call)
{
    int64_t patience_ms = call->runtime->plan->keep_alive_ms;
    if (call->body.stream && call->sink->on_silence && patience_ms > 0 &&
        call->operation != UPSTREAM_EMBEDDINGS)
        call->silence = loop_timer_at(loop_of(call), call->came_ms + patience_ms, on_silence, call);
}

static const struct router_call_events events = {go, pass, on_failed, on_refused, on_answered};

static int add_plain(struct router_call *call, const struct router_request *request,
                     struct error *err)
{
    call->plain = mem_new(struct router_body);
    call->media = request->media;
    int r = router_body_init(call->plain, request->plain, err);
    call->plain->media_bytes = request->plain_media_bytes;
    return r;
}

int router_call_start(struct router *router, const struct router_request *request,
                      const struct router_sink *sink, void *context, router_call_id *ret_id,
                      struct error *err)
{
    if (router->call_count >= ROUTER_CALLS_MAX) {
        buf_finish(request->body);
        return error_set(err, -EAGAIN, "too many calls are running (%d)", ROUTER_CALLS_MAX);
    }
    struct router_call *call = router_pool_take(router);
    struct error local = ERROR_INIT;
    call->router = router;
    call->runtime = router_runtime_ref(router->runtime);
    call->events = &events;
    call->number = ++router->last_id;
    call->operation = request->operation;
    call->route = request->route;
    call->own = request->own;
    call->sink = sink;
    call->context = context;
    call->came_ms = loop_now(router->env.loop);
    call->cost_pico = -1;
    router_call_keep_origin(call, &request->origin);
    router_call_name(call, request->id);
    list_init(&call->waiting);
    list_append(&router->calls, &call->link);
    router->call_count++;
    router_metrics_level(router->metrics, ROUTER_LEVEL_IN_FLIGHT, (int64_t)router->call_count);
    call->prompt_tokens =
        (int64_t)(request->body->len - request->media_bytes) / BYTES_PER_TOKEN + 1;
    int r = router_body_init(&call->body, request->body, &local);
    if (r == 0 && request->plain)
        r = add_plain(call, request, &local);
    call->body.media_bytes = request->media_bytes;
    if (request->media_bytes)
        call->prompt_tokens +=
            MEDIA_TOKENS * (call->body.scan.parts.images + call->body.scan.parts.audio);
    if (r < 0)
        refuse_unread(call, r, &local);
    else if (request->model.len) // of the path: it is before the body's
        router_body_name_model(&call->body, request->model);
    router_call_count(call);
    bool readable = !call->failure.text[0];
    if (readable && router->buffered > (size_t)call->runtime->plan->buffers) {
        router_failure_no_room(&call->failure);
        router_give_back_body(call);
        router_call_count(call);
    }
    watch_client(call);
    call->timer = loop_defer(router->env.loop, on_start, call);
    *ret_id = call->number;
    return 0;
}

static struct router_call *find(struct router *router, router_call_id id)
{
    list_for_each(link, &router->calls) {
        struct router_call *call = list_entry(link, struct router_call, link);
        if (call->number == id)
            return call;
    }
    return NULL;
}

void router_call_resume(struct router *router, router_call_id id)
{
    struct router_call *call = find(router, id);
    if (call)
        router_attempt_resume(call);
}

void router_call_cancel(struct router *router, router_call_id id)
{
    struct router_call *call = find(router, id);
    if (!call)
        return;
    router_attempt_cancel(call);
    router_failure_make(ROUTER_CANCELLED, -1, "the client left", &call->failure);
    router_report_end(call, &call->failure, call->failure.status);
    destroy(call);
}
