/*
 * From the request line to the handler. libmicrohttpd calls http_request_started() when it has the
 * request line, http_request_received() when it has the head, again for every piece of the body,
 * once more at its end and whenever the connection is resumed, and http_request_completed() when
 * the answer is sent or the connection is lost.
 *
 * It cannot answer in the middle of a body. So a body that is too large is read to its end and
 * thrown away, within DISCARD_MAX and the deadline, and then refused: a client that is still
 * sending when the connection is closed gets a reset instead of the answer.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_internal.h"

enum {
    DISCARD_MAX = 64 * 1024 * 1024, // bytes of a refused body that are read before it is answered
    BODY_PREALLOCATE = 64 * 1024,   // bytes allocated on the word of Content-Length
};

void *http_request_started(void *ctx, const char *target, struct MHD_Connection *mhd)
{
    struct http_server *server = ctx;
    size_t size = strlen(target) + 1;
    struct http_exchange *exchange = mem_zalloc(sizeof *exchange + 2 * size);
    exchange->server = server;
    exchange->mhd = mhd;
    exchange->connection =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    exchange->connection->exchange = exchange;
    memcpy(exchange->target, target, size);
    exchange->path = exchange->target + size;
    list_init(&exchange->open);
    list_init(&exchange->draining);
    buf_init(&exchange->body, server->options.max_body);
    http_connection_await(exchange->connection);
    return exchange;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// RFC 3986 §2.1. False for a broken escape and for NUL, which would hide the rest of the path.
static bool decode_path(struct span path, char *out)
{
    while (path.len) {
        char c = path.data[0];
        size_t used = 1;
        if (c == '%') {
            int high = path.len > 2 ? hex_digit(path.data[1]) : -1;
            int low = path.len > 2 ? hex_digit(path.data[2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return false;
            c = (char)(high << 4 | low);
            used = 3;
        }
        *out++ = c;
        path = span_skip(path, used);
    }
    *out = '\0';
    return true;
}

// RFC 9112 §3.2: besides "/path?query" a server must accept "http://host/path?query".
static bool find_path(struct http_exchange *exchange)
{
    struct span target = span_of(exchange->target);
    struct span path = span_cut(&target, '?');
    ptrdiff_t scheme = span_find(path, SPAN_LITERAL("://"));
    if (path.len && path.data[0] != '/' && scheme > 0) {
        path = span_skip(path, (size_t)scheme + 3);
        span_cut(&path, '/');
        path = (struct span){path.data - 1, path.len + 1};
        if (path.data[0] != '/')
            path = SPAN_LITERAL("/");
    }
    return decode_path(path, exchange->path);
}

static struct span lookup(const struct http_exchange *exchange, enum MHD_ValueKind kind,
                          const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    MHD_lookup_connection_value_n(exchange->mhd, kind, name, strlen(name), &value, &len);
    return (struct span){value, value ? len : 0};
}

static size_t head_size(const struct http_exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

static void refuse(struct http_exchange *exchange, unsigned status)
{
    struct http_server *server = exchange->server;
    server->body_bytes -= exchange->body.len;
    buf_finish(&exchange->body);
    if (!exchange->refusal)
        exchange->refusal = status;
}

static void answer_refusal(struct http_exchange *exchange)
{
    const struct http_server_options *o = &exchange->server->options;
    exchange->state = HTTP_OPEN; // never in the table: no handler can find it
    switch (exchange->refusal) {
    case MHD_HTTP_BAD_REQUEST:
        http_exchange_reply_text(exchange, exchange->refusal, "The path is not well-formed.");
        break;
    case 413:
        http_exchange_reply_text(exchange, exchange->refusal, "The body is larger than %zu bytes.",
                                 o->max_body);
        break;
    case 431:
        http_exchange_reply_text(exchange, exchange->refusal,
                                 "The request's head is larger than %zu bytes.", o->max_header);
        break;
    default:
        http_exchange_add_header(exchange, "Retry-After", "1");
        http_exchange_reply_text(exchange, exchange->refusal,
                                 "Too many bytes of other requests are waiting; try again.");
    }
}

// False when the request is to be refused without reading its body: the client has not sent it yet,
// or it is too much even to throw away.
static bool accept_head(struct http_exchange *exchange)
{
    uint64_t announced = 0;
    span_to_u64(lookup(exchange, MHD_HEADER_KIND, "Content-Length"), &announced);
    bool asks_first = lookup(exchange, MHD_HEADER_KIND, "Expect").data != NULL;
    if (head_size(exchange) > exchange->server->options.max_header)
        refuse(exchange, 431);
    else if (!find_path(exchange))
        refuse(exchange, MHD_HTTP_BAD_REQUEST);
    else if (announced > exchange->server->options.max_body)
        refuse(exchange, 413);
    if (exchange->refusal)
        return !asks_first && announced <= DISCARD_MAX;
    if (announced)
        buf_reserve(&exchange->body, announced < BODY_PREALLOCATE ? announced : BODY_PREALLOCATE);
    return true;
}

// False when the connection is to be cut.
static bool take_body(struct http_exchange *exchange, struct span piece)
{
    struct http_server *server = exchange->server;
    if (!exchange->refusal) {
        if (piece.len > server->options.max_bodies - server->body_bytes)
            refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE);
        else if (!buf_append_span(&exchange->body, piece))
            refuse(exchange, 413);
        else
            server->body_bytes += piece.len;
    }
    if (exchange->refusal)
        exchange->discarded += piece.len;
    return exchange->discarded <= DISCARD_MAX;
}

static void enter(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    uint16_t slot = server->free_slots[--server->free_count];
    exchange->id = ++server->next_serial << 16 | slot;
    server->slots[slot] = exchange;
    server->open_exchanges++;
    list_append(&server->open, &exchange->open);
    exchange->state = HTTP_OPEN;
}

static void hand_over(struct http_exchange *exchange)
{
    list_remove(&exchange->connection->waiting);
    list_init(&exchange->connection->waiting);
    if (exchange->refusal) {
        answer_refusal(exchange);
        return;
    }
    enter(exchange);
    exchange->server->options.on_request(exchange->server->options.ctx, exchange);
}

enum MHD_Result http_request_received(void *ctx, struct MHD_Connection *mhd, const char *url,
                                      const char *method, const char *version, const char *data,
                                      size_t *data_len, void **slot)
{
    (void)mhd, (void)url, (void)version;
    struct http_server *server = ctx;
    struct http_exchange *exchange = *slot;
    if (exchange->state != HTTP_RECEIVING)
        return http_answer_settle(exchange);
    if (server->closing || exchange->connection->refused)
        return MHD_NO;
    if (!exchange->head_seen) {
        exchange->head_seen = true;
        exchange->method = method;
        http_connection_await(exchange->connection);
        if (accept_head(exchange))
            return MHD_YES;
    } else if (*data_len) {
        struct span piece = {data, *data_len};
        *data_len = 0;
        return take_body(exchange, piece) ? MHD_YES : MHD_NO;
    }
    hand_over(exchange);
    return http_answer_settle(exchange);
}

void http_request_completed(void *ctx, struct MHD_Connection *mhd, void **slot,
                            enum MHD_RequestTerminationCode how)
{
    (void)mhd;
    struct http_server *server = ctx;
    struct http_exchange *exchange = *slot;
    *slot = NULL;
    exchange->suspended = false; // nothing is to be resumed any more
    exchange->connection->exchange = NULL;
    if (exchange->id)
        http_exchange_gone(exchange);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        http_connection_await(exchange->connection);
    server->body_bytes -= exchange->body.len;
    if (exchange->response && !exchange->queued)
        MHD_destroy_response(exchange->response);
    list_remove(&exchange->draining);
    buf_finish(&exchange->body);
    buf_finish(&exchange->headers);
    buf_finish(&exchange->stream);
    free(exchange);
}

uint64_t http_exchange_id(const struct http_exchange *exchange)
{
    return exchange->id;
}

struct span http_exchange_method(const struct http_exchange *exchange)
{
    return span_of(exchange->method);
}

struct span http_exchange_path(const struct http_exchange *exchange)
{
    return span_of(exchange->path);
}

struct span http_exchange_target(const struct http_exchange *exchange)
{
    return span_of(exchange->target);
}

struct span http_exchange_query(const struct http_exchange *exchange, const char *name)
{
    return lookup(exchange, MHD_GET_ARGUMENT_KIND, name);
}

struct span http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    return lookup(exchange, MHD_HEADER_KIND, name);
}

struct span http_exchange_body(const struct http_exchange *exchange)
{
    return buf_span(&exchange->body);
}

void http_exchange_take_body(struct http_exchange *exchange, struct buf *ret_body)
{
    exchange->server->body_bytes -= exchange->body.len;
    buf_finish(ret_body);
    *ret_body = exchange->body;
    buf_init(&exchange->body, ret_body->max);
}

struct header_visit {
    void (*fn)(void *ctx, struct span name, struct span value);
    void *ctx;
};

static enum MHD_Result visit_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct header_visit *visit = ctx;
    visit->fn(visit->ctx, (struct span){name, name_len}, (struct span){value, value_len});
    return MHD_YES;
}

void http_exchange_each_header(const struct http_exchange *exchange,
                               void (*fn)(void *ctx, struct span name, struct span value),
                               void *ctx)
{
    struct header_visit visit = {fn, ctx};
    MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, visit_header, &visit);
}

struct span http_exchange_peer(const struct http_exchange *exchange)
{
    static const char mapped[] = "::ffff:"; // an IPv4 client of a socket for both families
    struct http_exchange *cache = (struct http_exchange *)exchange;
    const struct sockaddr *address =
        MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    const void *bytes = address->sa_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
    if (!inet_ntop(address->sa_family, bytes, cache->peer, sizeof cache->peer))
        return SPAN_ABSENT;
    struct span text = span_of(cache->peer);
    bool is_mapped = span_starts_with(text, mapped) && memchr(text.data, '.', text.len);
    return is_mapped ? span_skip(text, sizeof mapped - 1) : text;
}
