/*
 * Streamable HTTP. A request of JSON-RPC is a POST, and its answer comes as that one's document or
 * stream. In the legacy era a stream may end before that, by plan even (SEP-1699): it is taken up
 * again behind its last event by a GET, for which the exchange is sent once more. The stream on
 * which a server speaks unasked is one more exchange, and never a reason to fail.
 *
 * An answer may come on another stream than its request's, so each message is looked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/wait.h"
#include "loop/loop.h"
#include "mcp/exchange.h"
#include "mcp/rpc.h"
#include "mcp/transport_ops.h"
#include "net/http_field.h"

enum {
    RETRY_MS = 1000,          // where the stream does not say, and doubled each time in vain
    RETRY_MIN_MS = 100,       // however eager it is
    RETRY_MAX_MS = 60 * 1000, // likewise
    RETRY_DOUBLINGS = 6,
    TRIES_MAX = 5,           // in a row that bring nothing, for one answer
    LINGER_MS = 1000,        // a stream is left to end by itself: its connection can be kept
    LISTENED_MS = 10 * 1000, // so long a stream was no attempt in vain
};

struct streamable {
    struct mcp_transport transport; // the first
    struct loop *loop;
    struct exchange_site site;
    struct mcp_transport_events events;
    void *context;
    struct list exchanges;     // of messages
    struct exchange *listener; // NULL: none
    int64_t listens_since;
};

static struct streamable *of(struct mcp_transport *transport)
{
    return (struct streamable *)transport;
}

static void drop(struct exchange *exchange)
{
    struct streamable *http = exchange->context;
    loop_cancel(http->loop, exchange->timer);
    exchange_drop(exchange);
}

static struct exchange *find(struct streamable *http, uint64_t request)
{
    list_for_each(link, &http->exchanges) {
        struct exchange *exchange = list_entry(link, struct exchange, link);
        if (request && exchange->request == request)
            return exchange;
    }
    return NULL;
}

static void fail(struct exchange *exchange, const struct mcp_failure *failure)
{
    struct streamable *http = exchange->context;
    uint64_t request = exchange->request;
    drop(exchange);
    http->events.on_failure(http->context, request, failure);
}

/* What comes */

// Graphic ASCII, as the protocol says: it goes into a header.
static void keep_session(struct exchange_site *site, const struct http_head *head)
{
    struct span id = http_head_get(head, "Mcp-Session-Id");
    if (site->modern || !id.len || id.len > MCP_SESSION_MAX || span_printable(id) < id.len ||
        memchr(id.data, ' ', id.len) || (site->session && span_is(id, site->session)))
        return;
    free(site->session);
    site->session = mem_strndup(id.data, id.len);
    site->session_count++;
}

static void on_accepted(struct exchange *exchange, const struct http_head *head)
{
    struct streamable *http = exchange->context;
    keep_session(exchange->site, head);
    if (!exchange->request && http->events.on_taken)
        http->events.on_taken(http->context);
}

static void on_lingered(void *context)
{
    struct exchange *exchange = context;
    exchange->timer = 0;
    drop(exchange);
}

static void set_answered(struct exchange *exchange)
{
    struct streamable *http = exchange->context;
    exchange->answered = true;
    loop_cancel(http->loop, exchange->timer);
    exchange->timer = loop_timer_after(http->loop, LINGER_MS, on_lingered, exchange);
}

static void on_event(struct exchange *exchange, struct span type, struct span data)
{
    struct streamable *http = exchange->context;
    uint64_t answered;
    exchange->tries = 0;
    if (!span_is(type, "message") || !span_trim(data).len)
        return; // what only says that the stream is there, and where it is
    rpc_peek(data, &answered);
    struct exchange *asked = find(http, answered);
    if (asked)
        set_answered(asked);
    http->events.on_message(http->context, data, exchange->request);
}

static int64_t wait_before_retry(const struct exchange *exchange)
{
    unsigned doublings = exchange->tries < RETRY_DOUBLINGS ? exchange->tries : RETRY_DOUBLINGS;
    int64_t own = wait_scaled((int64_t)RETRY_MS << doublings);
    int64_t asked = exchange->stream.retry_ms;
    int64_t wait = asked < 0 || (exchange->tries && asked < own) ? own : asked;
    return wait < RETRY_MIN_MS ? RETRY_MIN_MS : wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS;
}

// What a header cannot hold is no place to begin behind.
static const char *last_event(const struct exchange *exchange)
{
    struct span id = buf_span(&exchange->stream.id);
    return http_is_field_value(id) ? id.data : "";
}

static int get_stream(struct exchange *exchange, struct error *err)
{
    const struct exchange_order order = {.method = "GET", .last_event = last_event(exchange)};
    exchange->tries++;
    return exchange_send(exchange, &order, err);
}

/* The end of an answer's stream */

static void fail_cut(struct exchange *exchange, const char *what, const struct error *cause)
{
    struct error err;
    const struct mcp_failure failure = {.loss = MCP_CUT, .status = exchange->status, .err = &err};
    error_set(&err, -ECONNRESET, "%s %s%s%s", exchange->site->authority, what, cause ? ": " : "",
              cause ? cause->text : "");
    fail(exchange, &failure);
}

static void on_resume(void *context)
{
    struct exchange *exchange = context;
    struct error err = ERROR_INIT;
    exchange->timer = 0;
    exchange->resumes = true;
    if (get_stream(exchange, &err) < 0)
        fail_cut(exchange, "ended the stream before its answer, which cannot be taken up", &err);
}

static bool may_resume(const struct exchange *exchange, const struct mcp_failure *failure)
{
    bool refused = failure && failure->loss != MCP_CUT && failure->loss != MCP_NOT_SENT;
    bool was_stream = exchange->resumes || exchange->kind == EXCHANGE_STREAM;
    return exchange->request && !exchange->site->modern && was_stream && !refused &&
           !exchange->trouble.code && *last_event(exchange) && exchange->tries < TRIES_MAX;
}

static void look_for_lost_session(struct exchange *exchange, struct mcp_failure *failure)
{
    struct exchange_site *site = exchange->site;
    bool lost = failure->status == 404 ||
                (failure->status == 400 && strcasestr(buf_text(&exchange->body), "session"));
    if (failure->loss != MCP_REFUSED || site->modern || !site->session_count || !lost)
        return;
    failure->loss = MCP_SESSION_GONE;
    if (exchange->session != site->session_count)
        return; // there is a new one already
    free(site->session);
    site->session = NULL;
}

static void on_over(struct exchange *exchange, const struct mcp_failure *failure)
{
    struct streamable *http = exchange->context;
    bool accepted = exchange->status && exchange->kind != EXCHANGE_REFUSAL;
    if (exchange->answered || (accepted && !exchange->request)) {
        drop(exchange);
    } else if (may_resume(exchange, failure)) {
        exchange->timer =
            loop_timer_after(http->loop, wait_before_retry(exchange), on_resume, exchange);
    } else if (exchange->resumes) { // nobody knows what became of the request itself
        fail_cut(exchange, "ended the stream before its answer, which cannot be taken up",
                 failure ? failure->err : NULL);
    } else if (failure) {
        struct mcp_failure told = *failure;
        look_for_lost_session(exchange, &told);
        fail(exchange, &told);
    } else if (exchange->kind == EXCHANGE_STREAM) {
        fail_cut(exchange, "ended the stream before its answer", NULL);
    } else if (!exchange->body.len) {
        fail_cut(exchange, "accepted the request, and sent no answer", NULL);
    } else {
        drop(exchange); // whatever that document was, it has been told
    }
}

/* The stream on which it speaks unasked */

static void listen_again(struct streamable *http);

static void on_listen(void *context)
{
    struct streamable *http = context;
    struct error err = ERROR_INIT;
    http->listener->timer = 0;
    http->listens_since = loop_now(http->loop);
    if (get_stream(http->listener, &err) < 0)
        listen_again(http);
}

static void listen_again(struct streamable *http)
{
    struct exchange *listener = http->listener;
    listener->timer = loop_timer_after(http->loop, wait_before_retry(listener), on_listen, http);
}

static void on_listener_over(struct exchange *exchange, const struct mcp_failure *failure)
{
    struct streamable *http = exchange->context;
    if (failure && failure->status == 405) { // there is none
        http->listener = NULL;
        drop(exchange);
        return;
    }
    if (loop_now(http->loop) - http->listens_since >= LISTENED_MS)
        exchange->tries = 0;
    listen_again(http);
}

static void listen_to_it(struct mcp_transport *transport)
{
    static const struct exchange_events events = {.on_event = on_event,
                                                  .on_over = on_listener_over};
    struct streamable *http = of(transport);
    if (http->site.modern || http->listener)
        return;
    http->listener = exchange_create(&http->site, 0, &events, http);
    on_listen(http);
}

/* What is sent */

static int send_message(struct mcp_transport *transport, const struct mcp_outgoing *message,
                        struct error *err)
{
    static const struct exchange_events events = {on_accepted, on_event, on_over};
    struct streamable *http = of(transport);
    const struct exchange_order order = {.method = "POST", .message = message};
    struct exchange *exchange = exchange_create(&http->site, message->request, &events, http);
    int r = exchange_send(exchange, &order, err);
    if (r < 0)
        exchange_drop(exchange);
    else
        list_append(&http->exchanges, &exchange->link);
    return r;
}

static void abandon(struct mcp_transport *transport, uint64_t request)
{
    struct exchange *exchange = find(of(transport), request);
    if (exchange)
        drop(exchange);
}

static void set_version(struct mcp_transport *transport, const char *version, bool modern)
{
    struct streamable *http = of(transport);
    exchange_site_set_version(&http->site, version, modern);
    if (modern && http->listener) {
        drop(http->listener);
        http->listener = NULL;
    }
}

static void set_headers(struct mcp_transport *transport, const char *const *headers)
{
    exchange_site_set_headers(&of(transport)->site, headers);
}

static void destroy(struct mcp_transport *transport)
{
    struct streamable *http = of(transport);
    while (!list_empty(&http->exchanges))
        drop(list_entry(http->exchanges.next, struct exchange, link));
    if (http->listener)
        drop(http->listener);
    exchange_site_leave(&http->site);
    exchange_site_finish(&http->site);
    free(http);
}

int mcp_http_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                    const struct mcp_transport_events *events, void *context,
                    struct mcp_transport **ret_transport, struct error *err)
{
    static const struct mcp_transport_ops ops = {
        .send = send_message,
        .abandon = abandon,
        .destroy = destroy,
        .set_version = set_version,
        .listen = listen_to_it,
        .set_headers = set_headers,
    };
    struct exchange_site site;
    int r = exchange_site_init(&site, http, address, err);
    if (r < 0)
        return r;
    struct streamable *made = mem_new(struct streamable);
    made->transport.ops = &ops;
    made->loop = loop;
    made->site = site;
    made->events = *events;
    made->context = context;
    list_init(&made->exchanges);
    *ret_transport = &made->transport;
    return 0;
}
