/*
 * The answer. A handler answers whenever it likes; libmicrohttpd takes an answer only while it asks
 * for one. So an answer is prepared here and handed over in http_answer_settle(), which runs inside
 * libmicrohttpd's call, at once or after the connection is resumed.
 *
 * A streamed answer is pulled: read_stream() is asked for bytes whenever the socket takes some, and
 * suspends the connection when there are none. What a slow reader costs is therefore the pending
 * buffer (max_pending), libmicrohttpd's one buffer for the connection, and the kernel's.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/http_internal.h"

enum {
    ANSWER_HEADERS_MAX = 8 * 1024, // bytes of names and values that a handler adds
    ANSWER_TEXT_MAX = 4 * 1024,    // bytes of a reply_text()
    STREAM_BLOCK = 16 * 1024,      // bytes asked for at once where the answer is not chunked
};

static bool is_over(const struct http_exchange *exchange)
{
    return exchange->state == HTTP_DONE || exchange->state == HTTP_CUT;
}

static void wake(struct http_exchange *exchange)
{
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->mhd);
    http_server_kick(exchange->server);
}

static void suspend(struct http_exchange *exchange)
{
    exchange->suspended = true;
    MHD_suspend_connection(exchange->mhd);
}

void http_exchange_leave(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    if (!exchange->id)
        return;
    unsigned slot = exchange->id & UINT16_MAX;
    server->slots[slot] = NULL;
    server->free_slots[server->free_count++] = (uint16_t)slot;
    server->open_exchanges--;
    list_remove(&exchange->open);
    exchange->id = 0;
}

void http_exchange_gone(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    uint64_t id = exchange->id;
    http_exchange_leave(exchange);
    exchange->state = HTTP_CUT;
    wake(exchange);
    if (server->options.on_gone)
        server->options.on_gone(server->options.ctx, id);
}

enum MHD_Result http_answer_settle(struct http_exchange *exchange)
{
    if (exchange->state == HTTP_CUT)
        return MHD_NO;
    if (!is_over(exchange))
        http_connection_watch(exchange->connection);
    if (!exchange->response) {
        suspend(exchange);
        return MHD_YES;
    }
    enum MHD_Result r = MHD_queue_response(exchange->mhd, exchange->status, exchange->response);
    MHD_destroy_response(exchange->response); // our reference
    exchange->queued = true;
    return r;
}

// RFC 9110 §5.6.2
static bool is_token(const char *text)
{
    size_t len = strlen(text);
    return len && strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == len;
}

static bool is_field_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

int http_exchange_add_header(struct http_exchange *exchange, const char *name, const char *value)
{
    if (!is_token(name) || !is_field_value(value))
        return -EINVAL;
    exchange->headers.max = ANSWER_HEADERS_MAX;
    size_t before = exchange->headers.len;
    if (buf_append(&exchange->headers, name, strlen(name) + 1) &&
        buf_append(&exchange->headers, value, strlen(value) + 1))
        return 0;
    buf_truncate(&exchange->headers, before);
    return -ENOBUFS;
}

static void dress(struct http_exchange *exchange, const char *content_type)
{
    if (content_type)
        MHD_add_response_header(exchange->response, "Content-Type", content_type);
    const char *at = buf_text(&exchange->headers);
    const char *end = at + exchange->headers.len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        MHD_add_response_header(exchange->response, at, value);
        at = value + strlen(value) + 1;
    }
    buf_finish(&exchange->headers);
}

static void reply_with(struct http_exchange *exchange, unsigned status, const char *content_type,
                       struct MHD_Response *response)
{
    if (!response) {
        http_exchange_abort(exchange);
        return;
    }
    exchange->status = status;
    exchange->response = response;
    dress(exchange, content_type);
    http_exchange_leave(exchange);
    exchange->state = HTTP_DONE;
    wake(exchange);
}

void http_exchange_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                         struct span body)
{
    if (exchange->state != HTTP_OPEN)
        return;
    void *bytes = (void *)(body.len ? body.data : "");
    reply_with(exchange, status, content_type,
               MHD_create_response_from_buffer(body.len, bytes, MHD_RESPMEM_MUST_COPY));
}

void http_exchange_reply_take(struct http_exchange *exchange, unsigned status,
                              const char *content_type, struct buf *body)
{
    if (exchange->state != HTTP_OPEN)
        return;
    size_t len = body->len;
    char *bytes = buf_take_text(body);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(bytes);
    reply_with(exchange, status, content_type, response);
}

void http_exchange_reply_text(struct http_exchange *exchange, unsigned status, const char *fmt, ...)
{
    char text[ANSWER_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text - 1, fmt, args);
    va_end(args);
    size_t len = strlen(text);
    text[len++] = '\n';
    http_exchange_reply(exchange, status, "text/plain; charset=utf-8", (struct span){text, len});
}

static void note_drained(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    if (!exchange->above_half || http_exchange_pending(exchange) >= server->options.max_pending / 4)
        return;
    exchange->above_half = false;
    list_remove(&exchange->draining);
    list_append(&server->draining, &exchange->draining);
}

static size_t take_stream(struct http_exchange *exchange, char *out, size_t room)
{
    size_t len = http_exchange_pending(exchange);
    len = len < room ? len : room;
    memcpy(out, exchange->stream.data + exchange->stream_sent, len);
    exchange->stream_sent += len;
    // Moving the rest to the front only when it is the smaller half keeps the copying linear.
    if (exchange->stream_sent >= exchange->stream.len / 2) {
        buf_consume(&exchange->stream, exchange->stream_sent);
        exchange->stream_sent = 0;
    }
    note_drained(exchange);
    return len;
}

// libmicrohttpd tells the kernel that more follows the head. Nothing may follow for long, so the
// first time there is nothing to send, the kernel is told to send what it has.
static void flush_head(struct http_exchange *exchange)
{
    int on = 1;
    if (!exchange->flushed)
        setsockopt(exchange->connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    exchange->flushed = true;
}

static ssize_t read_stream(void *ctx, uint64_t position, char *out, size_t room)
{
    (void)position;
    struct http_exchange *exchange = ctx;
    if (exchange->state == HTTP_CUT)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (http_exchange_pending(exchange))
        return (ssize_t)take_stream(exchange, out, room);
    if (exchange->state == HTTP_DONE)
        return MHD_CONTENT_READER_END_OF_STREAM;
    flush_head(exchange);
    suspend(exchange);
    return 0;
}

void http_exchange_begin(struct http_exchange *exchange, unsigned status, const char *content_type)
{
    if (exchange->state != HTTP_OPEN)
        return;
    exchange->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                           read_stream, exchange, NULL);
    if (!exchange->response) {
        http_exchange_abort(exchange);
        return;
    }
    exchange->status = status;
    dress(exchange, content_type);
    buf_init(&exchange->stream, exchange->server->options.max_pending);
    exchange->state = HTTP_STREAMING;
    wake(exchange);
}

ssize_t http_exchange_write(struct http_exchange *exchange, struct span data)
{
    size_t max = exchange->server->options.max_pending;
    size_t pending = http_exchange_pending(exchange);
    if (exchange->state != HTTP_STREAMING)
        return -EPIPE;
    if (data.len > max - pending)
        return -ENOBUFS;
    if (data.len > max - exchange->stream.len) {
        buf_consume(&exchange->stream, exchange->stream_sent);
        exchange->stream_sent = 0;
    }
    if (!buf_append_span(&exchange->stream, data))
        return -ENOBUFS;
    pending += data.len;
    exchange->above_half = exchange->above_half || pending > max / 2;
    if (data.len)
        wake(exchange);
    return (ssize_t)pending;
}

size_t http_exchange_pending(const struct http_exchange *exchange)
{
    return exchange->stream.len - exchange->stream_sent;
}

void http_exchange_end(struct http_exchange *exchange)
{
    if (exchange->state != HTTP_STREAMING)
        return;
    http_exchange_leave(exchange);
    exchange->state = HTTP_DONE;
    wake(exchange);
}

void http_exchange_abort(struct http_exchange *exchange)
{
    if (is_over(exchange))
        return;
    http_exchange_leave(exchange);
    exchange->state = HTTP_CUT;
    http_connection_reset(exchange->connection);
    wake(exchange);
}
