/*
 * One attempt of a call: a deployment is asked, its reply is watched, and either it begins to pass
 * to the client, or it failed and the fallback iterator hears of it. An attempt lives inside its
 * call; `running` says whether there is one. Nothing is decided here about what comes next.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "llm/translation.h"
#include "router/call.h"
#include "router/queue.h"
#include "router/router_internal.h"
#include "router/wire/reply_stream.h"

enum { SMALL_REPLY = 64 * 1024 }; // bytes

// The edits that the deployment wants of the request; its model's name is resolved here, once.
static struct router_edit edit_of(struct router_call *call)
{
    struct router_edit edit = ROUTER_EDIT_INIT;
    struct router_attempt *attempt = &call->attempt;
    struct router_match match = router_target_match(call->runtime->plan, &attempt->step.target);
    edit.model = router_plan_model(attempt->deployment, &match, &attempt->model);
    edit.params = span_of(attempt->deployment->params);
    edit.is_completion_bound =
        call->operation == UPSTREAM_CHAT &&
        endpoint_wants_completion_bound(attempt->deployment->provider, edit.model);
    return edit;
}

// What it held is settled or released before.
void router_attempt_finish(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    loop_cancel(loop_of(call), attempt->timer);
    if (attempt->http)
        http_client_cancel(call->router->env.http, attempt->http);
    router_give_back(call->router, &attempt->watch.held);
    router_give_back(call->router, &attempt->head);
    buf_finish(&attempt->model);
    reply_watch_finish(&attempt->watch);
    translation_destroy(STEAL(attempt->translation));
    router_call_count(call);
    attempt->timer = 0;
    attempt->http = 0;
    attempt->running = false;
}

// Charged, written down and told. Returns the tokens that it used; -1: not known.
static int64_t settle(struct router_call *call, const struct router_failure *failure,
                      bool cancelled)
{
    const struct chat_usage *usage = &call->attempt.watch.usage;
    if (!call->attempt.settled)
        router_charge_settle(call, failure, cancelled);
    router_report_attempt(call, failure, cancelled);
    if (usage->prompt_tokens < 0 || usage->completion_tokens < 0)
        return -1;
    return usage->prompt_tokens + usage->completion_tokens;
}

// What it kept from others is theirs.
static void make_way(struct router_call *call, int64_t tokens)
{
    if (call->queue && call->bucket_reservation.granted) {
        router_bucket_settle(call->queue->bucket, &call->bucket_reservation, tokens,
                             loop_now(loop_of(call)));
        router_group_queue_wake(call->queue);
    }
    router_wake_later(call->router);
}

// It never went out: nothing was spent, and nothing is known of the deployment.
static void abandon(struct router_call *call)
{
    int64_t now_ms = loop_now(loop_of(call));
    router_charge_release(call);
    router_picker_returned(call->runtime->picker, &call->attempt.step.lease, now_ms);
    router_queue_leave(call);
    router_attempt_finish(call);
    router_wake_later(call->router);
}

static void refused(struct router_call *call, const struct router_failure *failure)
{
    abandon(call);
    call->events->failed(call, failure);
}

static void refuse(struct router_call *call, enum router_error error, const char *text)
{
    struct router_failure failure;
    router_failure_make(error, -1, text, &failure);
    refused(call, &failure);
}

static void tell_circuit(struct router_call *call, bool opened,
                         const struct router_failure *failure)
{
    const struct router_attempt *attempt = &call->attempt;
    struct router_pick_view view = router_picker_view(
        call->runtime->picker, attempt->deployment->index, loop_now(loop_of(call)));
    bool model_only = opened && view.state == CIRCUIT_CLOSED; // behind a wildcard
    if (opened)
        log_warning("router: %s is paused for a while: %s",
                    model_only ? attempt->step.target.name : attempt->deployment->litellm_name,
                    failure->text);
    const struct router_runtime *now = call->router->runtime; // it may be another one's by now
    struct router_match match = {.deployment = attempt->deployment->index};
    if (call->runtime == now ||
        router_plan_find_id(now->plan, span_of(attempt->deployment->id), &match))
        router_report_circuit(call->router, match.deployment, opened ? failure->status : 0);
}

static void fail(struct router_call *call, struct chat_failure told)
{
    struct router_attempt *attempt = &call->attempt;
    struct router_error_words *words = &attempt->watch.words;
    struct router_failure failure;
    int64_t now_ms = loop_now(loop_of(call));
    int64_t wait_ms = router_rate_limits_retry_after(&attempt->rate_limits, now_ms);
    if (told.retry_after_ms < 0)
        told.retry_after_ms = wait_ms;
    const struct upstream *upstream = call->runtime->upstreams[attempt->deployment->index];
    upstream_redact(upstream, told.text);
    words->is_narrowed = request_type(&call->body.scan, REQUEST_PROVIDER) == JSON_OBJECT;
    router_failure_read(&told, words, &failure);
    if (failure.error == ROUTER_INTERRUPTED && !call->body.stream)
        failure.error = ROUTER_MALFORMED;  // LiteLLM tells half a piece of JSON from half a stream
    if (!call->iter.failed || call->begun) // the one that the client hears of
        call->told_provider = attempt->deployment->provider;
    int64_t tokens = settle(call, &failure, false);
    if (tokens < 0 && !reply_is_answer(attempt->status)) // it was refused, or never arrived
        tokens = 0;
    bool opened = false;
    if (attempt->reader_late)
        router_picker_cancelled(call->runtime->picker, &attempt->step.lease, tokens, now_ms);
    else
        opened = router_picker_failed(call->runtime->picker, &attempt->step.lease, &failure, tokens,
                                      now_ms);
    tell_circuit(call, opened, &failure);
    router_attempt_finish(call);
    make_way(call, tokens);
    call->events->failed(call, &failure);
}

static void complete(struct router_call *call)
{
    int64_t tokens = settle(call, NULL, false);
    router_picker_answered(call->runtime->picker, &call->attempt.step.lease, tokens,
                           loop_now(loop_of(call)));
    make_way(call, tokens);
    call->events->answered(call);
}

// Nothing is learnt of the deployment.
static void cancel(struct router_call *call, const struct router_failure *failure, bool cancelled)
{
    int64_t tokens = settle(call, failure, cancelled);
    router_picker_cancelled(call->runtime->picker, &call->attempt.step.lease, tokens,
                            loop_now(loop_of(call)));
    router_attempt_finish(call);
    make_way(call, tokens);
}

static void on_linger(void *context)
{
    struct router_call *call = context;
    call->attempt.timer = 0;
    complete(call);
}

// All is said, but for the end.
static void linger(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    if (attempt->lingers)
        return;
    loop_cancel(loop_of(call), attempt->timer);
    attempt->timer = loop_timer_after(loop_of(call), ROUTER_LINGER_MS, on_linger, call);
    attempt->lingers = true;
}

/*
 * When a stream has said nothing for too long. Until its first content it has its own time
 * (stream_timeout), or else that of a whole answer, but not longer than a client waits for a first
 * word; then that time again from event to event, however long it takes in all. A comment says
 * nothing. While its reader has enough, it is the reader who has that time. Where the whole stream
 * has a limit (model.timeout), the transfer keeps that one and the silence in between.
 */
static int64_t stream_due(const struct router_call *call)
{
    const struct router_attempt *attempt = &call->attempt;
    const struct router_deployment *d = attempt->deployment;
    bool whole = d->stream_total_ms >= 0, own = d->stream_timeout_ms >= 0;
    int64_t limit_ms = own ? d->stream_timeout_ms : whole ? INT64_MAX : d->timeout_ms;
    int64_t patience_ms = call->runtime->plan->first_content_timeout_ms;
    int64_t since_ms = attempt->begun_ms;
    if (attempt->first_ms >= 0)
        since_ms = attempt->paused ? attempt->paused_since_ms : attempt->said_ms;
    else if (!own && patience_ms > 0 && patience_ms < limit_ms)
        limit_ms = patience_ms;
    return limit_ms == INT64_MAX ? INT64_MAX : since_ms + limit_ms;
}

static void on_stream_late(void *context);

static void watch_silence(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    int64_t due_ms = stream_due(call);
    loop_cancel(loop_of(call), attempt->timer);
    attempt->timer =
        due_ms < INT64_MAX ? loop_timer_at(loop_of(call), due_ms, on_stream_late, call) : 0;
}

static void on_stream_late(void *context)
{
    struct router_call *call = context;
    struct router_attempt *attempt = &call->attempt;
    struct chat_failure told = {.kind = CHAT_TIMED_OUT, .retry_after_ms = -1};
    attempt->timer = 0;
    if (stream_due(call) > loop_now(loop_of(call))) { // something came in between
        watch_silence(call);
        return;
    }
    attempt->reader_late = attempt->paused;
    snprintf(told.text, sizeof told.text, "%s",
             attempt->paused          ? "the client did not read the answer in time"
             : attempt->first_ms >= 0 ? "the answer stopped coming"
                                      : "no content came in time");
    fail(call, told);
}

// The first content: from here on it is this deployment that answers.
static void alive(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    if (attempt->first_ms >= 0)
        return;
    attempt->first_ms = attempt->said_ms = loop_now(loop_of(call));
    if (call->body.stream)
        watch_silence(call);
    router_picker_alive(call->runtime->picker, &attempt->step.lease, attempt->first_ms);
    tell_circuit(call, false, NULL);
}

static void on_head(void *context, const struct http_head *head)
{
    struct router_call *call = context;
    struct router_attempt *attempt = &call->attempt;
    struct span type = http_head_get(head, "Content-Type");
    attempt->status = head->status;
    if (attempt->translation && reply_is_answer(head->status))
        type = translation_begin(attempt->translation, type);
    reply_watch_head(&attempt->watch, head->status, type);
    if (head->lines.len <= attempt->head.max)
        buf_append_span(&attempt->head, head->lines);
    for (struct span lines = head->lines; lines.len;) {
        struct span line = span_trim(span_cut(&lines, '\n')), name = span_cut(&line, ':');
        router_rate_limits_read(&attempt->rate_limits, name, span_trim(line),
                                loop_now(loop_of(call)), loop_wall(loop_of(call)));
    }
    router_picker_rate(call->runtime->picker, &attempt->step.lease, &attempt->rate_limits);
}

// A client that asked for one piece of JSON cannot read a stream; another deployment may know
// better.
static bool is_unasked_stream(const struct router_call *call)
{
    return !call->begun && !call->body.stream && call->attempt.watch.shape == REPLY_STREAM;
}

static void refuse_unasked_stream(struct router_call *call)
{
    reply_fail(&call->attempt.watch, CHAT_MALFORMED,
               "the provider answered with an unwanted stream");
}

// Small replies are let through: they end soon.
static bool has_room(const struct router_call *call)
{
    const struct router_attempt *attempt = &call->attempt;
    size_t hidden = attempt->translation ? translation_bytes(attempt->translation) : 0;
    return reply_watch_waiting(&attempt->watch) + hidden < SMALL_REPLY ||
           call->router->buffered <= (size_t)call->runtime->plan->buffers;
}

// What it held is free for others at once: they would be refused for it, one after the other,
// before the transfer has ended.
static int give_up_room(struct router_call *call)
{
    if (!call->begun)
        buf_finish(&call->attempt.watch.held);
    router_call_count(call);
    return -ENOBUFS;
}

// What the upstream sent, or with `end` that it sent all, in the format that the router speaks.
static enum reply_state watch_bytes(struct router_attempt *attempt, struct span bytes, bool end)
{
    const struct chat_failure *failure = NULL;
    if (attempt->translation && reply_is_answer(attempt->status))
        failure = end ? translation_end(attempt->translation, &bytes)
                      : translation_feed(attempt->translation, bytes, &bytes);
    enum reply_state state = reply_watch_feed(&attempt->watch, bytes);
    if (attempt->translation) { // no server knows the names that it made
        const char *model = translation_model(attempt->translation);
        attempt->watch.id[0] = '\0';
        snprintf(attempt->watch.model, sizeof attempt->watch.model, "%s", model ? model : "");
    }
    if (!failure || state == REPLY_FAILED)
        return state;
    reply_fail(&attempt->watch, failure->kind, failure->text);
    attempt->watch.failure = *failure;
    return REPLY_FAILED;
}

static int take_bytes(struct router_call *call, struct span bytes, bool end)
{
    struct router_attempt *attempt = &call->attempt;
    enum reply_state state = watch_bytes(attempt, bytes, end);
    router_call_count(call);
    if (attempt->recorded && !attempt->reply_recorded)
        router_charge_record_reply(call);
    uint64_t said = attempt->watch.said, hidden = 0;
    if (attempt->translation)
        said += hidden = translation_said(attempt->translation);
    if (attempt->said != said)
        attempt->said_ms = loop_now(loop_of(call));
    attempt->said = said;
    if (hidden && state != REPLY_FAILED)
        alive(call);
    if (state == REPLY_FAILED && reply_is_answer(attempt->status)) {
        if (attempt->watch.failure.kind == CHAT_TOO_LARGE && is_unasked_stream(call))
            refuse_unasked_stream(call);
        if (call->begun) // the upstream's own word on what went wrong
            call->events->pass(call);
        return -EPROTO; // told in on_done, from where the next attempt may be begun
    }
    if (state != REPLY_PASS)
        return has_room(call) ? 0 : give_up_room(call);
    if (is_unasked_stream(call)) {
        refuse_unasked_stream(call);
        return -EPROTO;
    }
    alive(call);
    if (attempt->watch.done) {
        if (!attempt->settled) // before the client gets the last byte
            router_charge_settle(call, NULL, false);
        linger(call);
    }
    bool room = attempt->watch.done || has_room(call); // for an event that has not ended
    call->events->pass(call);
    return room ? 0 : give_up_room(call);
}

static int on_body(void *context, struct span chunk)
{
    return take_bytes(context, chunk, false);
}

// The time was over, but without the waits for its reader it would not be: the deployment is not to
// blame.
static bool is_reader_late(const struct router_call *call, enum http_failure how)
{
    const struct router_attempt *attempt = &call->attempt;
    int64_t now_ms = loop_now(loop_of(call));
    int64_t end_ms = attempt->begun_ms + attempt->deployment->timeout_ms;
    int64_t paused_ms =
        attempt->paused_ms + (attempt->paused ? now_ms - attempt->paused_since_ms : 0);
    return how == HTTP_TIMED_OUT && end_ms <= now_ms && now_ms < end_ms + paused_ms;
}

static void on_done(void *context, enum http_failure how, const struct error *err)
{
    struct router_call *call = context;
    struct router_attempt *attempt = &call->attempt;
    const struct upstream *upstream = call->runtime->upstreams[attempt->deployment->index];
    struct reply_watch *watch = &attempt->watch;
    attempt->reached = http_client_was_sent(call->router->env.http, attempt->http);
    attempt->http = 0;
    attempt->reader_late = is_reader_late(call, how);
    bool stopped = how == HTTP_STOPPED;
    // No more can be kept of it: the deployment is not to blame, and no other would help.
    if (stopped && watch->state != REPLY_FAILED) {
        struct router_failure failure;
        router_failure_no_room(&failure);
        cancel(call, &failure, false);
        call->events->refused(call, &failure);
        return;
    }
    if (attempt->translation && how == HTTP_OK && watch->state != REPLY_FAILED)
        take_bytes(call, SPAN_ABSENT, true);
    enum reply_state state =
        watch->state == REPLY_FAILED ? REPLY_FAILED : reply_watch_end(watch, how != HTTP_OK);
    if (state == REPLY_PASS && is_unasked_stream(call)) {
        refuse_unasked_stream(call);
    } else if (state == REPLY_PASS) {
        alive(call);
        if (!attempt->settled)
            router_charge_settle(call, NULL, false);
        call->events->pass(call);
        complete(call);
        return;
    }
    struct chat_failure told = watch->failure;
    if (how != HTTP_OK && !stopped && !watch->error_shown)
        upstream_read_cut(upstream, how, err, attempt->status, call->begun, &told);
    else if (!reply_is_answer(attempt->status))
        upstream_read_refusal(upstream, attempt->status, reply_watch_held(watch), &told);
    if (told.status == 0 && attempt->status >= 400)
        told.status = attempt->status;
    fail(call, told);
}

static int send(struct router_call *call, struct error *err)
{
    static const struct http_handler handler = {on_head, on_body, on_done};
    struct router_attempt *attempt = &call->attempt;
    const struct router_deployment *d = attempt->deployment;
    const struct upstream *upstream;
    int r =
        router_runtime_upstream(call->runtime, call->router->env.http, d->index, &upstream, err);
    if (r < 0)
        return r;
    const struct span *parts = call->body.parts.spans;
    size_t part_count = call->body.parts.count;
    if (d->format != &wire_openai_chat && call->operation == UPSTREAM_CHAT) {
        if (translation_create(d->format, parts, part_count, attempt->edit.params,
                               &attempt->translation, err) < 0)
            return -ENOTSUP; // whatever it is, it is the request's
        parts = translation_request(attempt->translation);
        part_count = 1;
    }
    const struct router_plan *plan = call->runtime->plan;
    // Those of a stream of model_list are on_stream_late()'s.
    int64_t total_ms = call->body.stream ? d->stream_total_ms : d->timeout_ms;
    struct upstream_request request = {
        .operation = call->operation,
        .parts = parts,
        .part_count = part_count,
        .stream = call->body.stream,
        .timeouts.connect = plan->connect_timeout_ms,
        .timeouts.first_byte = d->first_byte_ms > 0 ? d->first_byte_ms : 0,
        .timeouts.idle = total_ms > 0 ? plan->idle_timeout_ms : 0,
        .timeouts.total = total_ms > 0 ? total_ms : 0,
    };
    r = upstream_start(upstream, &request, &handler, call, &attempt->http, err);
    if (r < 0)
        return r;
    if (call->body.stream)
        watch_silence(call);
    return 0;
}

static void go(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    struct error err = ERROR_INIT;
    attempt->begun_ms = loop_now(loop_of(call));
    attempt->begun_wall_ms = loop_wall(loop_of(call));
    attempt->sent = true;
    int r = send(call, &err);
    if (r == 0)
        call->asked++;
    else
        refuse(call, r == -ENOTSUP ? ROUTER_BAD_REQUEST : ROUTER_API_CONNECTION, err.text);
}

static void on_charged(struct router_call *call, const struct router_failure *failure)
{
    if (failure)
        refused(call, failure);
    else
        go(call);
}

static void reserve(struct router_call *call)
{
    static const struct router_charge_events charge_events = {on_charged, reserve};
    struct router_failure failure;
    int r = router_charge_reserve(call, &charge_events, &failure);
    if (r < 0) {
        router_report_passed_over(call, &failure);
        refused(call, &failure);
    } else if (r == 0) {
        go(call);
    }
}

// The body is the one with images and sound where the deployment takes them, else the one without.
static void choose_body(struct router_call *call)
{
    bool plain = call->media & ~call->attempt.deployment->media;
    if (!call->plain || plain == call->is_plain)
        return;
    struct router_body other = *call->plain;
    *call->plain = call->body;
    call->body = other;
    call->is_plain = plain;
}

void router_attempt_begin(struct router_call *call, const struct router_step *step)
{
    struct router_attempt *attempt = &call->attempt;
    *attempt = (struct router_attempt){
        .running = true,
        .step = *step,
        .number = call->asked + 1,
        .deployment = &call->runtime->plan->deployments[step->lease.deployment],
        .before = attempt->deployment,
        .rate_limits = ROUTER_RATE_LIMITS_INIT,
        .first_ms = -1,
        .begun_ms = loop_now(loop_of(call)),
        .begun_wall_ms = loop_wall(loop_of(call)),
        .capped_tokens = -1,
    };
    bool chat = call->operation != UPSTREAM_EMBEDDINGS;
    if (step->lease.standing.circuit.probe)
        tell_circuit(call, false, NULL);
    choose_body(call);
    buf_init(&attempt->model, ROUTER_MODEL_MAX);
    buf_init(&attempt->head, ROUTER_REMOTE_HEAD_MAX);
    buf_pool_lend(&call->router->buffers, 0, &attempt->head);
    buf_pool_lend(&call->router->buffers, 0, &call->body.own);
    attempt->edit = edit_of(call);
    struct error err = ERROR_INIT;
    int r = router_body_edit(&call->body, &attempt->edit, &err);
    bool hide_usage = call->body.added_usage &&
                      (call->body.refuses_usage || !call->runtime->plan->always_include_usage);
    reply_watch_init(&attempt->watch, chat ? REPLY_CHAT : REPLY_OTHER, hide_usage);
    attempt->watch.wants_stream = call->body.stream;
    attempt->watch.answers = call->body.sent_answers;
    buf_pool_lend(&call->router->buffers, 0, &attempt->watch.held);
    if (r < 0)
        refuse(call, ROUTER_BAD_REQUEST, err.text);
    else
        reserve(call);
}

void router_attempt_cancel(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    if (!attempt->running)
        return;
    struct router_failure failure;
    router_failure_make(ROUTER_CANCELLED, -1, "the client left", &failure);
    if (attempt->sent)
        cancel(call, &failure, true);
    else
        abandon(call);
}

void router_attempt_pause(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    if (!attempt->http)
        return;
    if (!attempt->paused)
        attempt->paused_since_ms = loop_now(loop_of(call));
    attempt->paused = true;
    http_client_pause(call->router->env.http, attempt->http, true);
}

void router_attempt_resume(struct router_call *call)
{
    struct router_attempt *attempt = &call->attempt;
    if (!attempt->running || !attempt->http)
        return;
    if (attempt->paused) {
        attempt->said_ms = loop_now(loop_of(call)); // from here on it is the upstream's time again
        attempt->paused_ms += attempt->said_ms - attempt->paused_since_ms;
    }
    attempt->paused = false;
    http_client_pause(call->router->env.http, attempt->http, false);
}
