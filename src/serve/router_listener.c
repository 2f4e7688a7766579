#include "serve/router_listener.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/mem.h"
#include "codec/sha256.h"
#include "llm/upstream.h"
#include "loop/loop.h"
#include "net/http_field.h"
#include "net/http_server.h"
#include "net/sse_stream.h"
#include "router/router.h"
#include "router/wire/reply_edit.h"
#include "router/wire/reply_watch.h"
#include "serve/key.h"
#include "serve/router_headers.h"
#include "serve/router_pages.h"

/*
 * An ask is one exchange and the call that was made for it. They end apart: the client may leave
 * (then the call is cancelled), or the call ends (then the exchange is answered). Both know each
 * other by number only.
 */
enum {
    CALLS_MAX = 1024,
    CALLS_MIN = 16,
    SPARE_CONNECTIONS = 16,      // for probes and pages while as many calls run as may
    DESCRIPTORS_RESERVED = 480,  // for the other listeners, the store, chats, kept connections
    HEADER_MAX = 32 * 1024,      // bytes of request line and headers
    IDLE_TIMEOUT_MS = 75 * 1000, // as long as clients' pools like to keep connections
    PENDING_MAX = REPLY_WHOLE_MAX + (1 << 18), // bytes: a reply that was held, at once
    PAUSE_AT = 64 * 1024,                      // bytes that wait for a slow reader
    LARGE = 256 * 1024,                        // bytes of a whole reply that are counted
    ERROR_MAX = 128 * 1024,                    // bytes of an error's body
};

struct router_listener {
    struct router_listener_env env;
    struct http_server *server;
    struct list asks;               // struct ask::link
    char key_hash[SHA256_HEX_SIZE]; // of the master key, for the metrics' label
    unsigned calls_max;
};

struct ask {
    struct list link; // router_listener::asks
    struct router_listener *listener;
    uint64_t exchange;
    router_call_id call;
    struct sse_stream stream;
    bool streams;
    struct buf whole; // of an answer that is no stream
    struct span last; // the same where it is all in one piece, which stays until the end
    bool passes;      // which was too large to be kept
    size_t kept;      // bytes of a whole one that waits for its reader
    loop_id cut;      // its client was given up
};

static void ask_destroy(struct ask *ask)
{
    loop_cancel(ask->listener->env.loop, ask->cut);
    router_keeps(ask->listener->env.router, -(int64_t)ask->kept);
    sse_stream_abort(&ask->stream);
    buf_finish(&ask->whole);
    list_remove(&ask->link);
    free(ask);
}

static struct http_exchange *exchange_of(const struct ask *ask)
{
    return http_server_find(ask->listener->server, ask->exchange);
}

// --- what the router tells -----------------------------------------------------------------------

static void begin_stream(struct ask *ask, struct http_exchange *exchange)
{
    const struct router_listener *listener = ask->listener;
    ask->streams = true;
    sse_stream_begin(&ask->stream, listener->env.loop, listener->server, exchange,
                     router_plan(listener->env.router)->keep_alive_ms);
}

// Of who will answer nothing is known yet, and what goes out now cannot be told later.
static void on_silence(void *context, const char *id)
{
    struct ask *ask = context;
    struct http_exchange *exchange = exchange_of(ask);
    if (!exchange)
        return;
    http_exchange_add_header(exchange, "x-litellm-call-id", id);
    http_exchange_add_header(exchange, "x-litellm-version", HERMES_VERSION);
    begin_stream(ask, exchange);
    sse_stream_send_raw(&ask->stream, SPAN_LITERAL(REPLY_KEEP_ALIVE));
}

static void on_begin(void *context, const struct router_answer *answer)
{
    struct ask *ask = context;
    struct http_exchange *exchange = exchange_of(ask);
    if (!exchange || ask->streams)
        return;
    router_answer_headers(exchange, answer, loop_now(ask->listener->env.loop));
    if (answer->stream)
        begin_stream(ask, exchange);
}

static ssize_t pass(struct ask *ask, struct span piece)
{
    struct http_exchange *exchange = exchange_of(ask);
    if (ask->streams)
        return sse_stream_send_raw(&ask->stream, piece);
    return exchange ? http_exchange_write(exchange, piece) : -EPIPE;
}

// The router has already handed out all that it keeps of a reply, and there is more.
static ssize_t begin_to_pass(struct ask *ask)
{
    struct http_exchange *exchange = exchange_of(ask);
    if (exchange)
        http_exchange_begin(exchange, 200, "application/json");
    ssize_t waiting = pass(ask, buf_span(&ask->whole));
    buf_finish(&ask->whole);
    ask->passes = true;
    return waiting;
}

static void on_cut(void *context)
{
    struct ask *ask = context;
    struct http_exchange *exchange = exchange_of(ask);
    ask->cut = 0;
    router_call_cancel(ask->listener->env.router, ask->call);
    if (exchange)
        http_exchange_abort(exchange);
    ask_destroy(ask);
}

static bool on_pieces(void *context, const struct pieces *pieces)
{
    struct ask *ask = context;
    ssize_t waiting = 0;
    bool keeps = !ask->streams && !ask->passes && !ask->whole.len;
    if (keeps && pieces->last && pieces->count == 1 && pieces->spans[0].len <= LARGE) {
        ask->last = pieces->spans[0];
        return false;
    }
    if (!keeps && !ask->streams && !ask->passes)
        waiting = begin_to_pass(ask);
    for (size_t i = 0; i < pieces->count && waiting >= 0; i++) {
        if (keeps)
            buf_append_span(&ask->whole, pieces->spans[i]);
        else
            waiting = pass(ask, pieces->spans[i]);
    }
    if (waiting < 0 && !ask->cut)
        ask->cut = loop_defer(ask->listener->env.loop, on_cut, ask);
    return waiting > PAUSE_AT;
}

// LiteLLM names no type within a stream.
static struct error_body error_of(const struct router_result *result, bool in_stream)
{
    const struct router_failure *failure = result->failure;
    return (struct error_body){
        .message = result->message,
        .type = *failure->type && !in_stream ? failure->type : NULL,
        .param = *failure->param && !in_stream ? failure->param : NULL,
        .status = failure->status,
    };
}

static void answer_failure(struct http_exchange *exchange, const struct router_result *result)
{
    BUF_AUTO body = BUF_INIT(ERROR_MAX);
    char number[24];
    const struct router_failure *failure = result->failure;
    struct error_body error = error_of(result, false);
    error_body_write(&body, &error);
    http_exchange_add_header(exchange, "x-litellm-call-id", result->id);
    int64_t wait_s = router_failure_retry_after_s(failure);
    if (wait_s >= 0) {
        snprintf(number, sizeof number, "%" PRId64, wait_s);
        http_exchange_add_header(exchange, "Retry-After", number);
    }
    if (result->budget)
        http_exchange_add_header(exchange, "x-hermes-budget", result->budget);
    http_exchange_reply_take(exchange, (unsigned)failure->status, "application/json", &body);
}

// A client that has seen a part is told in-band why it was not all, and the stream does not end as
// if it were whole. Clients wait for the mark, which some providers leave out.
static void end_stream(struct ask *ask, const struct router_result *result)
{
    BUF_AUTO last = BUF_INIT(ERROR_MAX);
    struct error_body error = result->failure ? error_of(result, true) : (struct error_body){0};
    if (result->failure && !result->shown && reply_edit_error(&last, &error, result->torn))
        sse_stream_send_raw(&ask->stream, buf_span(&last));
    else if (!result->failure && result->unmarked)
        sse_stream_send_raw(&ask->stream, SPAN_LITERAL(REPLY_DONE));
    sse_stream_end(&ask->stream);
}

// A large reply is counted until its reader has it; its end follows then.
static bool waits_for_reader(struct ask *ask)
{
    size_t len = ask->whole.len;
    ssize_t waiting = len > LARGE ? begin_to_pass(ask) : 0;
    struct http_exchange *exchange = exchange_of(ask);
    if (waiting < 0 && exchange)
        http_exchange_abort(exchange);
    if (waiting <= PAUSE_AT)
        return false;
    ask->kept = len;
    router_keeps(ask->listener->env.router, (int64_t)len);
    return true;
}

static void on_end(void *context, const struct router_result *result)
{
    struct ask *ask = context;
    ask->call = 0;
    if (result->begun && !result->failure && waits_for_reader(ask))
        return;
    struct http_exchange *exchange = exchange_of(ask);
    if (exchange && ask->cut) // a piece is missing
        http_exchange_abort(exchange);
    else if (exchange && !result->begun && !ask->streams)
        answer_failure(exchange, result);
    else if (exchange && ask->streams)
        end_stream(ask, result);
    else if (exchange && result->failure)
        http_exchange_abort(exchange);
    else if (exchange && ask->passes)
        http_exchange_end(exchange);
    else if (exchange && ask->last.data)
        http_exchange_reply(exchange, 200, "application/json", ask->last);
    else if (exchange)
        http_exchange_reply_take(exchange, 200, "application/json", &ask->whole);
    ask_destroy(ask);
}

// --- what clients ask ----------------------------------------------------------------------------

static enum chat_priority priority_of(struct span word)
{
    static const char *const words[] = {"interactive", "api", "cron", "background"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_is(word, words[i]))
            return (enum chat_priority)i;
    return CHAT_API;
}

static const struct post {
    const char *path; // without /v1
    enum upstream_operation operation;
    const char *route_v1;
} posts[] = {
    {"/chat/completions", UPSTREAM_CHAT, "/v1/chat/completions"},
    {"/completions", UPSTREAM_COMPLETIONS, "/v1/completions"},
    {"/embeddings", UPSTREAM_EMBEDDINGS, "/v1/embeddings"},
};

static void refuse_for_now(struct http_exchange *exchange, const char *message)
{
    http_exchange_add_header(exchange, "Retry-After", "1"); // second
    router_pages_error(exchange, 503, "ServiceUnavailableError", message, NULL);
}

static void start_call(struct router_listener *listener, struct http_exchange *exchange,
                       const struct router_headers *headers, const struct post *post, bool v1,
                       struct span model)
{
    static const struct router_sink sink = {on_begin, on_pieces, on_end, NULL, on_silence};
    BUF_AUTO body = BUF_INIT((size_t)router_plan(listener->env.router)->max_body);
    struct error err = ERROR_INIT;
    struct ask *ask = mem_new(struct ask);
    http_exchange_take_body(exchange, &body);
    struct router_request request = {
        .operation = post->operation,
        .body = &body,
        .origin =
            {
                .slot = headers->slot,
                .session = headers->session,
                .job = headers->job,
                .key_name = SPAN_LITERAL(ROUTER_MASTER_KEY_NAME),
                .key_hash = span_of(listener->key_hash),
                .priority = priority_of(headers->priority),
            },
        .route = v1 ? post->route_v1 : post->path,
        .model = model,
        .id = headers->call_id,
    };
    ask->listener = listener;
    ask->exchange = http_exchange_id(exchange);
    buf_init(&ask->whole, SIZE_MAX / 2); // what the router holds of a reply is bounded there
    list_append(&listener->asks, &ask->link);
    if (router_call_start(listener->env.router, &request, &sink, ask, &ask->call, &err) == 0)
        return;
    ask_destroy(ask);
    refuse_for_now(exchange, err.text);
}

// Also as Azure's clients and OpenAI's first ones write it: the model stands in the path. NULL: it
// is none of these.
static const struct post *post_of(struct span path, struct span *ret_model)
{
    static const char *const before[] = {"", "/openai/deployments/", "/engines/"};
    for (size_t i = 0; i < ARRAY_LEN(posts); i++)
        for (size_t j = 0; j < ARRAY_LEN(before); j++) {
            struct span rest = path;
            if (!span_starts_with(rest, before[j]) || !span_ends_with(rest, posts[i].path))
                continue;
            rest.len -= strlen(posts[i].path);
            rest = span_skip(rest, strlen(before[j]));
            if ((rest.len > 0) != (j > 0))
                continue;
            *ret_model = rest;
            return &posts[i];
        }
    return NULL;
}

// The path without /v1.
static struct span path_of(const struct http_exchange *exchange, bool *ret_v1)
{
    struct span path = http_exchange_path(exchange);
    *ret_v1 = span_starts_with(path, "/v1/");
    struct span rest = *ret_v1 ? span_skip(path, 3) : path;
    if (rest.len > 1 && rest.data[rest.len - 1] == '/')
        rest.len--; // LiteLLM redirects to the path without it
    return rest;
}

static bool has_key(const struct router_listener *listener, const struct http_exchange *exchange)
{
    const struct router_plan *plan = router_plan(listener->env.router);
    return key_shown(exchange, plan->key_header, span_of(plan->master_key));
}

// All connections meant for calls are in use. The spare ones must stay free, or whoever looks
// whether this program lives would wait until a model has answered.
static bool is_busy(const struct router_listener *listener)
{
    return http_server_connections(listener->server) > listener->calls_max &&
           http_server_at_work(listener->server) > listener->calls_max;
}

// Of a request whose body was not wanted when its head came. If there is room by now, nobody knows
// why: it was full then, or another key counted. Either way it is right next time.
static void refuse_busy(const struct router_listener *listener, struct http_exchange *exchange)
{
    const char *text = is_busy(listener)
                           ? "as many calls are running as this router has connections "
                             "for; try again in a second"
                           : "this router was full, or got another key, while the request "
                             "came in; send it again";
    router_refused(listener->env.router, "calls", http_exchange_peer(exchange));
    refuse_for_now(exchange, text);
}

// Nobody without a key may fill the memory that all bodies share.
static bool wants_body(void *context, const struct http_exchange *exchange)
{
    bool v1;
    struct span model, path = path_of(exchange, &v1);
    return post_of(path, &model) && span_is(http_exchange_method(exchange), "POST") &&
           has_key(context, exchange) && !is_busy(context);
}

static void on_request(void *context, struct http_exchange *exchange)
{
    struct router_listener *listener = context;
    bool v1;
    struct span rest = path_of(exchange, &v1);
    struct router_headers headers;
    router_headers_read(exchange, &headers);
    if (router_headers_welcome(exchange, &headers) ||
        router_pages_open(exchange, rest, listener->env.router))
        return;
    const struct router_plan *plan = router_plan(listener->env.router);
    bool metrics = span_is(rest, "/metrics") && plan->metrics_key == 0;
    if (!http_exchange_body_wanted(exchange) && !metrics && !has_key(listener, exchange)) {
        router_refused(listener->env.router, "key", http_exchange_peer(exchange));
        router_pages_no_key(exchange);
        return;
    }
    struct span model = SPAN_ABSENT;
    const struct post *post = post_of(rest, &model);
    if (!post)
        router_pages_answer(exchange, rest, listener->env.router, listener->env.metrics);
    else if (!span_is(http_exchange_method(exchange), "POST"))
        router_pages_wrong_method(exchange, "POST");
    else if (!http_exchange_body_wanted(exchange))
        refuse_busy(listener, exchange);
    else if (headers.coding.len && !http_same(headers.coding, "identity")) {
        router_refused(listener->env.router, "packed", http_exchange_peer(exchange));
        http_exchange_add_header(exchange, "Accept-Encoding", "identity"); // RFC 9110 §15.5.16
        router_pages_error(exchange, 415, NULL,
                           "The request's body is compressed (Content-Encoding); send it plain.",
                           "invalid_request_error");
    } else
        start_call(listener, exchange, &headers, post, v1, model);
}

static struct ask *ask_of(struct router_listener *listener, uint64_t exchange)
{
    list_for_each(link, &listener->asks) {
        struct ask *ask = list_entry(link, struct ask, link);
        if (ask->exchange == exchange)
            return ask;
    }
    return NULL;
}

static void on_gone(void *context, uint64_t id)
{
    struct router_listener *listener = context;
    struct ask *ask = ask_of(listener, id);
    if (!ask)
        return;
    router_call_cancel(listener->env.router, ask->call);
    ask_destroy(ask);
}

static void on_drain(void *context, struct http_exchange *exchange)
{
    struct router_listener *listener = context;
    struct ask *ask = ask_of(listener, http_exchange_id(exchange));
    if (ask && ask->kept) {
        http_exchange_end(exchange);
        ask_destroy(ask);
    } else if (ask) {
        router_call_resume(listener->env.router, ask->call);
    }
}

// What the server itself refused, most of it before anybody's key was seen.
static const char *write_refusal(void *context, const struct http_exchange *exchange,
                                 unsigned status, const char *sentence, struct buf *body)
{
    const struct router_listener *listener = context;
    const char *why = status == 503                                     ? "buffers"
                      : status == 408                                   ? "late"
                      : status == 413 || status == 414 || status == 431 ? "size"
                                                                        : "malformed";
    router_refused(listener->env.router, why, http_exchange_peer(exchange));
    return router_pages_refusal(status, sentence, body);
}

// Only a stream can be asked whether anybody reads it; of the rest the next piece tells.
static void on_half_closed(void *context, struct http_exchange *exchange)
{
    struct ask *ask = ask_of(context, http_exchange_id(exchange));
    if (ask && ask->streams)
        sse_stream_probe(&ask->stream);
}

// --- life ----------------------------------------------------------------------------------------

// A request takes a second descriptor, for its upstream.
static unsigned calls_max(void)
{
    unsigned limit = fd_limit();
    unsigned most = limit > DESCRIPTORS_RESERVED ? (limit - DESCRIPTORS_RESERVED) / 2 : 0;
    if (most > CALLS_MAX)
        most = CALLS_MAX;
    return most < CALLS_MIN ? CALLS_MIN : most;
}

void router_listener_configure(struct router_listener *listener)
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, span_of(router_plan(listener->env.router)->master_key));
    sha256_end_hex(&hash, listener->key_hash);
}

int router_listener_create(const struct router_listener_env *env,
                           struct router_listener **ret_listener, struct error *err)
{
    const struct router_plan *plan = router_plan(env->router);
    if (!plan->master_key || !*plan->master_key)
        return error_set(err, -ENOKEY,
                         "the router has no key: set LITELLM_MASTER_KEY (or "
                         "general_settings.master_key) to one that begins with sk-");
    struct router_listener *listener = mem_new(struct router_listener);
    listener->env = *env;
    list_init(&listener->asks);
    listener->calls_max = calls_max();
    router_listener_configure(listener);
    struct http_server_options options = {
        .address = env->host,
        .port = (uint16_t)env->port,
        .max_connections = listener->calls_max + SPARE_CONNECTIONS,
        .max_body = (size_t)plan->max_body,
        .max_bodies = (size_t)plan->buffers,
        .max_header = HEADER_MAX,
        .max_pending = PENDING_MAX,
        .pause_at = PAUSE_AT,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .bodies = router_buffers(env->router),
        .wants_body = wants_body,
        .on_request = on_request,
        .on_gone = on_gone,
        .on_drain = on_drain,
        .on_half_closed = on_half_closed,
        .write_refusal = write_refusal,
        .ctx = listener,
    };
    int r = http_server_create(env->loop, &options, &listener->server, err);
    if (r < 0) {
        free(listener);
        return error_wrap(err, "the router (router.port)");
    }
    *ret_listener = listener;
    return 0;
}

void router_listener_destroy(struct router_listener *listener)
{
    if (!listener)
        return;
    http_server_destroy(listener->server); // on_gone ends the calls
    free(listener);
}

uint16_t router_listener_port(const struct router_listener *listener)
{
    return http_server_port(listener->server);
}

void router_listener_close(struct router_listener *listener)
{
    http_server_stop_accepting(listener->server);
}

unsigned router_listener_open(const struct router_listener *listener)
{
    return http_server_open_exchanges(listener->server);
}
