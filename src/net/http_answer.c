/*
 * The answer. One that is given whole is sent at once, from the handler's own memory; what the
 * socket does not take is kept. A streamed one collects what one pass of the loop produced, and it
 * goes out at the end of that pass: head, one chunk, and its end, in one call.
 *
 * What waits is `lead` and then the first `chunk_left` bytes of `stream`; whatever must follow them
 * (the end of the chunk, and of the answer) is put into `lead` when they are gone. So a socket may
 * stop anywhere, and nothing that was written is moved.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "codec/http_date.h"
#include "net/http_field.h"
#include "net/http_internal.h"

enum {
    ANSWER_HEADERS_MAX = 8 * 1024,               // bytes of header lines that a handler adds
    ANSWER_HEAD_MAX = ANSWER_HEADERS_MAX + 1024, // bytes, with our own lines
    ANSWER_TYPE_MAX = 512,                       // bytes of a content type
    ANSWER_TEXT_MAX = 4 * 1024,                  // bytes of a reply_text()
    STREAM_KEEP = 16 * 1024, // bytes of a stream's memory that are kept while nothing waits
};

static void leave(struct http_exchange *exchange)
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

static void cut(struct http_exchange *exchange, bool reset)
{
    struct http_connection *connection = exchange->connection;
    leave(exchange);
    connection->exchange = NULL;
    connection->closing = true;
    if (reset)
        http_connection_reset(connection);
    list_remove(&connection->waiting);
    if (!connection->busy)
        http_connection_touch(connection);
    http_exchange_free(exchange);
}

void http_exchange_gone(struct http_exchange *exchange, bool reset)
{
    struct http_server *server = exchange->server;
    uint64_t id = exchange->id;
    cut(exchange, reset);
    if (server->options.on_gone)
        server->options.on_gone(server->options.ctx, id);
}

static bool is_ours(struct span name)
{
    return http_same(name, "Content-Length") || http_same(name, "Transfer-Encoding") ||
           http_same(name, "Connection") || http_same(name, "Date");
}

int http_exchange_add_own(struct http_exchange *exchange, struct span name, struct span value)
{
    struct buf *headers = &exchange->headers;
    headers->max = ANSWER_HEADERS_MAX;
    if (!http_is_field_value(value))
        return -EINVAL;
    char *at = buf_reserve(headers, name.len + value.len + 4);
    if (!at)
        return -ENOBUFS;
    memcpy(at, name.data, name.len);
    memcpy(at += name.len, ": ", 2);
    if (value.len)
        memcpy(at + 2, value.data, value.len);
    memcpy(at + 2 + value.len, "\r\n", 2);
    buf_grow_by(headers, name.len + value.len + 4);
    return 0;
}

int http_exchange_add_header(struct http_exchange *exchange, const char *name, const char *value)
{
    if (!http_is_token(span_of(name)) || is_ours(span_of(name)))
        return -EINVAL;
    return http_exchange_add_own(exchange, span_of(name), span_of(value));
}

static const struct {
    unsigned status;
    const char *line;
} status_lines[] = {
    {200, "HTTP/1.1 200 OK\r\n"},
    {201, "HTTP/1.1 201 Created\r\n"},
    {202, "HTTP/1.1 202 Accepted\r\n"},
    {204, "HTTP/1.1 204 No Content\r\n"},
    {304, "HTTP/1.1 304 Not Modified\r\n"},
    {400, "HTTP/1.1 400 Bad Request\r\n"},
    {401, "HTTP/1.1 401 Unauthorized\r\n"},
    {402, "HTTP/1.1 402 Payment Required\r\n"},
    {403, "HTTP/1.1 403 Forbidden\r\n"},
    {404, "HTTP/1.1 404 Not Found\r\n"},
    {405, "HTTP/1.1 405 Method Not Allowed\r\n"},
    {408, "HTTP/1.1 408 Request Timeout\r\n"},
    {409, "HTTP/1.1 409 Conflict\r\n"},
    {413, "HTTP/1.1 413 Content Too Large\r\n"},
    {414, "HTTP/1.1 414 URI Too Long\r\n"},
    {415, "HTTP/1.1 415 Unsupported Media Type\r\n"},
    {417, "HTTP/1.1 417 Expectation Failed\r\n"},
    {422, "HTTP/1.1 422 Unprocessable Content\r\n"},
    {429, "HTTP/1.1 429 Too Many Requests\r\n"},
    {431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
    {500, "HTTP/1.1 500 Internal Server Error\r\n"},
    {501, "HTTP/1.1 501 Not Implemented\r\n"},
    {502, "HTTP/1.1 502 Bad Gateway\r\n"},
    {503, "HTTP/1.1 503 Service Unavailable\r\n"},
    {504, "HTTP/1.1 504 Gateway Timeout\r\n"},
    {505, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
};

// A head is put together on the stack: it is small, and mostly sent right away.
struct head {
    size_t len;
    char text[ANSWER_HEAD_MAX];
};

static void put(struct head *head, struct span text)
{
    if (text.len > sizeof head->text - head->len)
        return; // cannot be: each part is bounded, and the sum of them fits
    memcpy(head->text + head->len, text.data, text.len);
    head->len += text.len;
}

static void put_number(struct head *head, uint64_t number, unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    put(head, (struct span){digits + at, sizeof digits - at});
}

static void put_status(struct head *head, unsigned status)
{
    for (size_t i = 0; i < ARRAY_LEN(status_lines); i++)
        if (status_lines[i].status == status) {
            put(head, span_of(status_lines[i].line));
            return;
        }
    put(head, SPAN_LITERAL("HTTP/1.1 "));
    put_number(head, status, 10);
    put(head, SPAN_LITERAL(" Status\r\n"));
}

// RFC 9110 §5.6.7. Read from the clock and written once a second.
static void put_date(struct http_server *server, struct head *head)
{
    if (loop_now(server->loop) >= server->date_until_ms) {
        int64_t wall_ms = loop_wall(server->loop);
        char date[HTTP_DATE_SIZE];
        snprintf(server->date, sizeof server->date, "Date: %s\r\n",
                 http_date_format(wall_ms / 1000, date));
        server->date_until_ms = loop_now(server->loop) + 1000 - wall_ms % 1000;
    }
    put(head, span_of(server->date));
}

// Everything but what says how long the body is, and the empty line.
static void put_common(struct http_exchange *exchange, struct head *head, unsigned status,
                       const char *content_type)
{
    put_status(head, status);
    put_date(exchange->server, head);
    struct span type = span_of(content_type);
    if (type.data && type.len <= ANSWER_TYPE_MAX && http_is_field_value(type)) {
        put(head, SPAN_LITERAL("Content-Type: "));
        put(head, type);
        put(head, SPAN_LITERAL("\r\n"));
    }
    if (exchange->headers.len)
        put(head, buf_span(&exchange->headers));
    if (!exchange->keep_alive)
        put(head, SPAN_LITERAL("Connection: close\r\n"));
    else if (exchange->is_1_0)
        put(head, SPAN_LITERAL("Connection: keep-alive\r\n"));
    buf_clear(&exchange->headers);
}

// RFC 9110 §6.4.1
static bool has_no_body(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

static void keep_rest(struct http_exchange *exchange, const struct head *head, struct span body,
                      size_t sent, struct buf *taken)
{
    size_t of_body = sent > head->len ? sent - head->len : 0;
    exchange->lead.max = ANSWER_HEAD_MAX;
    if (sent < head->len)
        buf_append(&exchange->lead, head->text + sent, head->len - sent);
    if (taken && body.len) {
        buf_finish(&exchange->stream);
        exchange->stream = *taken;
        exchange->stream_sent = of_body;
        *taken = (struct buf)BUF_INIT(taken->max);
        return;
    }
    exchange->stream.max = body.len;
    if (!buf_append_span(&exchange->stream, span_skip(body, of_body)))
        exchange->connection->closing = true; // no memory: better cut than short
}

// `taken` is the memory of `body`, when that is to be ours.
static void reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                  struct span body, struct buf *taken)
{
    struct head head;
    struct http_connection *connection = exchange->connection;
    head.len = 0;
    put_common(exchange, &head, status, content_type);
    if (!has_no_body(status)) {
        put(&head, SPAN_LITERAL("Content-Length: "));
        put_number(&head, body.len, 10);
        put(&head, SPAN_LITERAL("\r\n"));
    }
    put(&head, SPAN_LITERAL("\r\n"));
    if (has_no_body(status) || exchange->is_head)
        body.len = 0;
    leave(exchange);
    exchange->state = HTTP_DONE;
    struct iovec parts[] = {{head.text, head.len}, {(void *)body.data, body.len}};
    size_t sent = http_connection_send(connection, parts, body.len ? 2 : 1);
    if (sent == head.len + body.len) {
        http_connection_answered(connection);
        return;
    }
    if (!connection->closing) {
        keep_rest(exchange, &head, body, sent, taken);
        http_connection_await(connection);
    }
    if (!connection->busy)
        http_connection_touch(connection);
}

void http_exchange_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                         struct span body)
{
    if (exchange->state == HTTP_OPEN)
        reply(exchange, status, content_type, body, NULL);
}

void http_exchange_reply_take(struct http_exchange *exchange, unsigned status,
                              const char *content_type, struct buf *body)
{
    if (exchange->state == HTTP_OPEN)
        reply(exchange, status, content_type, buf_span(body), body);
    buf_finish(body);
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

void http_exchange_begin(struct http_exchange *exchange, unsigned status, const char *content_type)
{
    struct head head;
    if (exchange->state != HTTP_OPEN)
        return;
    head.len = 0;
    exchange->in_chunks = !exchange->is_1_0 && !has_no_body(status);
    exchange->is_head = exchange->is_head || has_no_body(status);
    if (exchange->is_1_0)
        exchange->keep_alive = false; // the end of the connection is the end of the answer
    put_common(exchange, &head, status, content_type);
    put(&head, exchange->in_chunks ? SPAN_LITERAL("Transfer-Encoding: chunked\r\n\r\n")
                                   : SPAN_LITERAL("\r\n"));
    exchange->in_chunks = exchange->in_chunks && !exchange->is_head;
    exchange->lead.max = ANSWER_HEAD_MAX;
    buf_append(&exchange->lead, head.text, head.len);
    exchange->stream.max = exchange->server->options.max_pending;
    exchange->state = HTTP_STREAMING;
    http_connection_touch(exchange->connection);
}

ssize_t http_exchange_write(struct http_exchange *exchange, struct span data)
{
    size_t max = exchange->server->options.max_pending;
    size_t pending = http_exchange_pending(exchange);
    if (exchange->state != HTTP_STREAMING)
        return -EPIPE;
    if (exchange->is_head || !data.len)
        return (ssize_t)pending;
    if (data.len > max - pending)
        return -ENOBUFS;
    if (data.len > max - exchange->stream.len) {
        buf_consume(&exchange->stream, exchange->stream_sent);
        exchange->stream_sent = 0;
    }
    if (!buf_append_span(&exchange->stream, data))
        return -ENOBUFS;
    pending += data.len;
    exchange->above_pause = exchange->above_pause || pending > exchange->server->options.pause_at;
    if (!exchange->connection->blocked)
        http_connection_touch(exchange->connection);
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
    leave(exchange);
    exchange->state = HTTP_DONE;
    if (!exchange->connection->blocked)
        http_connection_touch(exchange->connection);
}

void http_exchange_abort(struct http_exchange *exchange)
{
    if (exchange->state == HTTP_OPEN || exchange->state == HTTP_STREAMING)
        cut(exchange, true);
}

// What follows the bytes of the stream that are on their way.
static struct span trail(const struct http_exchange *exchange)
{
    static const char text[] = "\r\n0\r\n\r\n"; // the end of a chunk, and the last one
    bool is_last = exchange->state == HTTP_DONE && !exchange->last_begun &&
                   http_exchange_pending(exchange) == exchange->chunk_left;
    if (!exchange->in_chunks)
        return SPAN_LITERAL("");
    size_t from = exchange->chunk_begun ? 0 : 2;
    size_t to = is_last ? sizeof text - 1 : 2;
    return span_make(text + from, to - from);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void consume(struct http_exchange *exchange, size_t sent, struct span after)
{
    size_t of_lead = least(sent, exchange->lead.len);
    size_t of_stream = least(sent - of_lead, exchange->chunk_left);
    buf_consume(&exchange->lead, of_lead);
    exchange->stream_sent += of_stream;
    exchange->chunk_left -= of_stream;
    // Moving the rest to the front only when it is the smaller half keeps the copying linear.
    if (exchange->stream_sent >= exchange->stream.len / 2) {
        buf_consume(&exchange->stream, exchange->stream_sent);
        exchange->stream_sent = 0;
    }
    if (!exchange->stream.len && exchange->stream.capacity > STREAM_KEEP)
        buf_finish(&exchange->stream);
    if (exchange->lead.len || exchange->chunk_left)
        return;
    exchange->last_begun = exchange->last_begun || after.len > 2;
    exchange->chunk_begun = false;
    buf_append_span(&exchange->lead, span_skip(after, sent - of_lead - of_stream));
}

static bool is_out(const struct http_exchange *exchange)
{
    return exchange->state == HTTP_DONE && !exchange->lead.len &&
           !http_exchange_pending(exchange) && (!exchange->in_chunks || exchange->last_begun);
}

// Sends once. Returns the bytes that went.
static size_t send_some(struct http_exchange *exchange)
{
    struct buf *lead = &exchange->lead, *stream = &exchange->stream;
    if (!exchange->chunk_left && http_exchange_pending(exchange)) {
        exchange->chunk_left = http_exchange_pending(exchange);
        exchange->chunk_begun = exchange->in_chunks;
        if (exchange->in_chunks) {
            struct head size;
            size.len = 0;
            put_number(&size, exchange->chunk_left, 16);
            put(&size, SPAN_LITERAL("\r\n"));
            buf_append(lead, size.text, size.len);
        }
    }
    struct span after = trail(exchange);
    struct iovec parts[] = {
        {lead->data, lead->len},
        {(char *)buf_text(stream) + exchange->stream_sent, exchange->chunk_left},
        {(char *)after.data, after.len},
    };
    if (!parts[0].iov_len && !parts[1].iov_len && !parts[2].iov_len)
        return 0;
    size_t sent = http_connection_send(exchange->connection, parts, (int)ARRAY_LEN(parts));
    consume(exchange, sent, after);
    return sent;
}

void http_answer_flush(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->exchange;
    if (!exchange || (exchange->state != HTTP_STREAMING && exchange->state != HTTP_DONE))
        return;
    connection->blocked = false;
    size_t sent = 0;
    do { // what was written while a chunk was on its way makes a chunk of its own
        sent += send_some(exchange);
    } while (
        !connection->blocked && !connection->closing &&
        (http_exchange_pending(exchange) || (exchange->state == HTTP_DONE && !is_out(exchange))));
    if (connection->closing) { // the client is lost
        if (exchange->id)
            http_exchange_gone(exchange, true);
        return;
    }
    if (!connection->blocked)
        list_remove(&connection->waiting);
    else if (sent || list_empty(&connection->waiting))
        http_connection_await(connection);
    const struct http_server_options *o = &exchange->server->options;
    bool drained = exchange->above_pause && http_exchange_pending(exchange) < o->pause_at / 2;
    exchange->above_pause = exchange->above_pause && !drained;
    if (is_out(exchange))
        http_connection_answered(connection);
    else if (drained && exchange->state == HTTP_STREAMING && o->on_drain)
        o->on_drain(o->ctx, exchange);
}

void http_answer_flush_ended(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->exchange;
    if (exchange && exchange->state == HTTP_DONE && !connection->closing)
        send_some(exchange);
}
