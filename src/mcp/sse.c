/*
 * HTTP+SSE, the transport of 2024-11-05: a stream brings everything, and its first event names the
 * URL that messages are posted to, whose answers say nothing. An exchange of a message is there
 * until it was answered over the stream; before the URL is known, its text waits in it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/url.h"
#include "mcp/exchange.h"
#include "mcp/rpc.h"
#include "mcp/transport_ops.h"
#include "net/http_field.h"

struct sse {
    struct mcp_transport transport; // the first
    struct exchange_site site;
    struct mcp_transport_events events;
    void *context;
    struct exchange *stream; // NULL: it has ended
    char *endpoint;          // NULL: not known yet
    struct list exchanges;   // of messages, in their order
    size_t waiting;          // bytes of those that wait for the endpoint
    unsigned telling;
    bool destroyed;
};

static struct sse *of(struct mcp_transport *transport)
{
    return (struct sse *)transport;
}

// Whether it is still there when an event has been told.
static bool told(struct sse *sse)
{
    bool destroyed = sse->destroyed;
    if (--sse->telling == 0 && destroyed)
        free(sse);
    return !destroyed;
}

static bool fail(struct sse *sse, struct exchange *exchange, const struct mcp_failure *failure)
{
    uint64_t request = exchange->request;
    exchange_drop(exchange);
    sse->telling++;
    sse->events.on_failure(sse->context, request, failure);
    return told(sse);
}

static bool is_waiting(const struct exchange *exchange)
{
    return !exchange->id && !exchange->status;
}

// What waits for the URL was not sent, and suffers what the stream suffered.
static void close_because(struct sse *sse, const struct mcp_failure *failure)
{
    exchange_drop(STEAL(sse->stream)); // whose event this is: it stays until that is told
    sse->telling++;
    while (!sse->destroyed && !list_empty(&sse->exchanges)) {
        struct exchange *first = list_entry(sse->exchanges.next, struct exchange, link);
        struct mcp_failure its = {.loss = MCP_CUT, .err = failure->err};
        if (is_waiting(first)) {
            its = *failure;
            its.loss = failure->loss == MCP_CUT ? MCP_NOT_SENT : failure->loss;
        }
        fail(sse, first, &its);
    }
    if (!sse->destroyed)
        sse->events.on_closed(sse->context, failure->err);
    told(sse);
}

/* Messages there */

static void on_accepted(struct exchange *exchange, const struct http_head *head)
{
    const struct sse *sse = exchange->context;
    if (!exchange->request && sse->events.on_taken)
        sse->events.on_taken(sse->context);
}

static void on_posted(struct exchange *exchange, const struct mcp_failure *failure)
{
    if (exchange->answered || (!failure && !exchange->request))
        exchange_drop(exchange);
    else if (failure)
        fail(exchange->context, exchange, failure);
}

static int post(struct exchange *exchange, struct span text, struct error *err)
{
    const struct sse *sse = exchange->context;
    const struct mcp_outgoing message = {.text = text};
    const struct exchange_order order = {
        .method = "POST", .url = sse->endpoint, .message = &message};
    return exchange_send(exchange, &order, err);
}

static int keep_waiting(struct exchange *exchange, struct span text, struct error *err)
{
    struct sse *sse = exchange->context;
    size_t waiting = 0;
    list_for_each(link, &sse->exchanges)
        waiting += list_entry(link, struct exchange, link)->body.len;
    buf_init(&exchange->body, MCP_WAITING_MAX - waiting);
    if (buf_append_span(&exchange->body, text))
        return 0;
    return error_set(err, -EAGAIN,
                     "%s has not said yet where messages go, and more than %d MiB would wait",
                     sse->site.authority, MCP_WAITING_MAX >> 20);
}

static void post_all(struct sse *sse)
{
    sse->telling++;
    struct list *link = sse->exchanges.next;
    while (!sse->destroyed && link != &sse->exchanges) {
        struct exchange *exchange = list_entry(link, struct exchange, link);
        struct error err = ERROR_INIT;
        const struct mcp_failure failure = {.loss = MCP_NOT_SENT, .err = &err};
        BUF_AUTO text = exchange->body;
        buf_init(&exchange->body, 0);
        link = link->next;
        if (is_waiting(exchange) && post(exchange, buf_span(&text), &err) < 0) {
            fail(sse, exchange, &failure);
            link = sse->exchanges.next; // whatever became of the others
        }
    }
    told(sse);
}

/* The stream */

static void take_endpoint(struct sse *sse, struct span reference)
{
    BUF_AUTO target = BUF_INIT(URL_BYTES_MAX);
    struct url ours, theirs;
    struct error err;
    const struct mcp_failure failure = {.loss = MCP_CUT, .err = &err};
    struct span base = span_of(sse->site.url);
    bool same = url_resolve(base, span_trim(reference), &target) &&
                url_parse(base, &ours, NULL) == 0 &&
                url_parse(buf_span(&target), &theirs, NULL) == 0 && ours.secure == theirs.secure &&
                ours.port == theirs.port && http_same_name(ours.host, theirs.host);
    if (same) {
        sse->endpoint = buf_take_text(&target);
        post_all(sse);
        return;
    }
    error_set(&err, -EACCES,
              "%s wants its messages sent to another server, or to what is no URL, and is given up",
              sse->site.authority);
    close_because(sse, &failure);
}

static void set_answered(struct sse *sse, uint64_t request)
{
    list_for_each(link, &sse->exchanges) {
        struct exchange *exchange = list_entry(link, struct exchange, link);
        if (!request || exchange->request != request)
            continue;
        exchange->answered = true;
        if (!exchange->id) // else when it is known that it was accepted
            exchange_drop(exchange);
    }
}

static void on_event(struct exchange *exchange, struct span type, struct span data)
{
    struct sse *sse = exchange->context;
    uint64_t answered;
    if (span_is(type, "endpoint") && !sse->endpoint) {
        take_endpoint(sse, data);
    } else if (span_is(type, "message") && span_trim(data).len) {
        rpc_peek(data, &answered);
        set_answered(sse, answered);
        sse->events.on_message(sse->context, data, 0);
    }
}

static void on_over(struct exchange *exchange, const struct mcp_failure *failure)
{
    struct sse *sse = exchange->context;
    struct error err;
    const struct mcp_failure ended = {.loss = MCP_CUT, .status = exchange->status, .err = &err};
    error_set(&err, -EPIPE, "%s %s", sse->site.authority,
              exchange->kind == EXCHANGE_STREAM
                  ? "ended its stream of events"
                  : "answered with no stream of events; is the URL that of its HTTP+SSE?");
    close_because(sse, failure ? failure : &ended);
}

/* The transport */

static int send_message(struct mcp_transport *transport, const struct mcp_outgoing *message,
                        struct error *err)
{
    static const struct exchange_events events = {.on_accepted = on_accepted, .on_over = on_posted};
    struct sse *sse = of(transport);
    if (!sse->stream)
        return error_set(err, -EPIPE, "the stream of %s has ended", sse->site.authority);
    struct exchange *exchange = exchange_create(&sse->site, message->request, &events, sse);
    exchange->acknowledged = true;
    int r = sse->endpoint ? post(exchange, message->text, err)
                          : keep_waiting(exchange, message->text, err);
    if (r < 0)
        exchange_drop(exchange);
    else
        list_append(&sse->exchanges, &exchange->link);
    return r;
}

static void abandon(struct mcp_transport *transport, uint64_t request)
{
    list_for_each(link, &of(transport)->exchanges) {
        struct exchange *exchange = list_entry(link, struct exchange, link);
        if (request && exchange->request == request)
            exchange_drop(exchange);
    }
}

static void set_version(struct mcp_transport *transport, const char *version, bool modern)
{
    exchange_site_set_version(&of(transport)->site, version, modern);
}

static void set_headers(struct mcp_transport *transport, const char *const *headers)
{
    exchange_site_set_headers(&of(transport)->site, headers);
}

static void destroy(struct mcp_transport *transport)
{
    struct sse *sse = of(transport);
    while (!list_empty(&sse->exchanges))
        exchange_drop(list_entry(sse->exchanges.next, struct exchange, link));
    if (sse->stream)
        exchange_drop(STEAL(sse->stream));
    exchange_site_finish(&sse->site);
    free(sse->endpoint);
    sse->destroyed = true;
    if (!sse->telling)
        free(sse);
}

int mcp_sse_create(struct loop *loop, struct http_client *http, const struct mcp_address *address,
                   const struct mcp_transport_events *events, void *context,
                   struct mcp_transport **ret_transport, struct error *err)
{
    static const struct mcp_transport_ops ops = {
        .send = send_message,
        .abandon = abandon,
        .destroy = destroy,
        .set_version = set_version,
        .set_headers = set_headers,
    };
    static const struct exchange_events of_stream = {.on_event = on_event, .on_over = on_over};
    const struct exchange_order order = {.method = "GET"};
    struct exchange_site site;
    int r = exchange_site_init(&site, http, address, err);
    if (r < 0)
        return r;
    struct sse *sse = mem_new(struct sse);
    sse->transport.ops = &ops;
    sse->site = site;
    sse->events = *events;
    sse->context = context;
    list_init(&sse->exchanges);
    sse->stream = exchange_create(&sse->site, 0, &of_stream, sse);
    r = exchange_send(sse->stream, &order, err);
    if (r < 0)
        destroy(&sse->transport);
    else
        *ret_transport = &sse->transport;
    return r;
}
