/*
 * From the bytes of a request to the handler. A head is parsed where it lies and copied once, into
 * the exchange. A body is copied out of what was read together with the head; the rest of it is
 * read from the socket straight into its place.
 *
 * A refused request, and one whose body the handler does not want, is still read to its end and
 * thrown away, within DISCARD_MAX and the deadline, so that the connection lives on and a client
 * that sends everything before it reads gets its answer. That does not go where the client waits
 * for leave to send, where the head takes much memory meanwhile, or where it is unknown where the
 * request ends: then the answer goes out at once, and the connection lingers.
 *
 * A few exchanges that are over are kept with their small buffers. musl's malloc gives memory back
 * as soon as nobody has any of its size, and gets it again for the next request: two system calls
 * and a page fault, a tenth of a request's time. They go with the last connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf_pool.h"
#include "net/http_field.h"
#include "net/http_internal.h"

enum {
    DISCARD_MAX = 64 * 1024 * 1024, // bytes of a refused body that are read before it is answered
    DISCARD_HEAD_MAX = 4 * 1024,    // bytes of a head that is kept meanwhile
    BODY_STEP = 64 * 1024,          // bytes of a body that are made room for before they came
    READS_MAX = 4,                  // for one body, before others have their turn
    PROGRESS_STEP = 256 * 1024,     // bytes of a body that earn it the time for as many again
    SENTENCE_MAX = 256,             // bytes of a refusal
    REFUSAL_MAX = 4 * 1024,         // bytes of one in the words of a listener
    KEPT_ROOM = 1024,               // bytes of a head
    KEPT_BUFFER = 2 * 1024,         // bytes
};

static struct http_exchange *take_kept(struct http_server *server, size_t room)
{
    if (room <= KEPT_ROOM && server->free_exchange_count) {
        struct http_exchange *taken = server->free_exchanges[--server->free_exchange_count];
        *taken = (struct http_exchange){.body = taken->body,
                                        .headers = taken->headers,
                                        .lead = taken->lead,
                                        .stream = taken->stream,
                                        .room = taken->room};
        return taken;
    }
    room = room < KEPT_ROOM ? KEPT_ROOM : room;
    struct http_exchange *exchange = mem_alloc(sizeof *exchange + room);
    *exchange = (struct http_exchange){.room = room};
    return exchange;
}

static struct http_exchange *create_exchange(struct http_connection *connection, struct span head)
{
    struct http_server *server = connection->server;
    const struct http_parse *parse = &connection->parse;
    struct http_exchange *exchange = take_kept(server, head.len + parse->target_len);
    exchange->server = server;
    exchange->connection = connection;
    connection->exchange = exchange;
    list_init(&exchange->open);
    exchange->body.max = server->options.max_body;
    if (head.len)
        memcpy(exchange->text, head.data, head.len);
    exchange->decoded = exchange->text + head.len;
    exchange->method = span_make(exchange->text + parse->method_at, parse->method_len);
    exchange->target = span_make(exchange->text + parse->target_at, parse->target_len);
    exchange->fields = span_make(exchange->text + parse->fields_at, head.len - parse->fields_at);
    exchange->is_1_0 = parse->is_1_0;
    exchange->is_chunked = parse->is_chunked;
    exchange->chunks = (struct http_chunked){.strict = true};
    exchange->is_head = span_is(exchange->method, "HEAD");
    exchange->keep_alive = !parse->says_close && (!parse->is_1_0 || parse->says_keep_alive);
    exchange->left = parse->content_length;
    return exchange;
}

static void destroy_exchange(struct http_exchange *exchange)
{
    buf_finish(&exchange->body);
    buf_finish(&exchange->headers);
    buf_finish(&exchange->lead);
    buf_finish(&exchange->stream);
    free(exchange);
}

static void empty(struct buf *buf)
{
    if (buf->capacity > KEPT_BUFFER)
        buf_finish(buf);
    else
        buf_clear(buf);
}

void http_exchange_free(struct http_exchange *exchange)
{
    if (!exchange)
        return;
    struct http_server *server = exchange->server;
    server->body_bytes -= exchange->body.len;
    if (exchange->half_closed)
        loop_cancel(server->loop, exchange->probe);
    if (exchange->room > KEPT_ROOM ||
        server->free_exchange_count == ARRAY_LEN(server->free_exchanges)) {
        destroy_exchange(exchange);
        return;
    }
    empty(&exchange->body);
    empty(&exchange->headers);
    empty(&exchange->lead);
    empty(&exchange->stream);
    server->free_exchanges[server->free_exchange_count++] = exchange;
}

void http_server_free_kept(struct http_server *server)
{
    while (server->free_exchange_count)
        destroy_exchange(server->free_exchanges[--server->free_exchange_count]);
}

// False for a broken escape and for NUL, which would hide the rest of the path.
static bool decode_path(struct http_exchange *exchange)
{
    bool broken = false;
    struct span raw = http_parse_path(exchange->target);
    size_t len = http_parse_decode(raw, false, exchange->decoded, &broken);
    exchange->path = span_make(exchange->decoded, len);
    return !broken;
}

static void refuse(struct http_exchange *exchange, unsigned status)
{
    struct http_server *server = exchange->server;
    server->body_bytes -= exchange->body.len;
    buf_finish(&exchange->body);
    if (!exchange->refusal)
        exchange->refusal = status;
}

static const char *sentence_of(const struct http_exchange *exchange, char room[SENTENCE_MAX])
{
    const struct http_server_options *o = &exchange->server->options;
    switch (exchange->refusal) {
    case 408:
        return "The request did not arrive in time.";
    case 413:
        snprintf(room, SENTENCE_MAX, "The body is larger than %zu bytes.", o->max_body);
        return room;
    case 414:
    case 431:
        snprintf(room, SENTENCE_MAX, "The request's head is larger than %zu bytes.", o->max_header);
        return room;
    case 417:
        return "Only Expect: 100-continue is supported.";
    case 501:
        return "CONNECT and transfer codings but chunked are not supported.";
    case 503:
        return "Too many bytes of other requests are waiting; try again.";
    case 505:
        return "Only HTTP/1.1 and HTTP/1.0 are supported.";
    default:
        return exchange->target.len ? "The path is not well-formed."
                                    : "The request is not well-formed.";
    }
}

// In the words of the listener, if it has any for this.
static void answer_refusal(struct http_exchange *exchange)
{
    char room[SENTENCE_MAX];
    const struct http_server_options *o = &exchange->server->options;
    const char *sentence = sentence_of(exchange, room);
    exchange->state = HTTP_OPEN; // never in the table: no handler can find it
    if (exchange->refusal == 503)
        http_exchange_add_header(exchange, "Retry-After", "1");
    if (!o->write_refusal) {
        http_exchange_reply_text(exchange, exchange->refusal, "%s", sentence);
        return;
    }
    BUF_AUTO body = BUF_INIT(REFUSAL_MAX);
    const char *type = o->write_refusal(o->ctx, exchange, exchange->refusal, sentence, &body);
    http_exchange_reply_take(exchange, exchange->refusal, type, &body);
}

static void hand_over(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    list_remove(&exchange->connection->waiting);
    if (exchange->refusal) {
        answer_refusal(exchange);
        return;
    }
    uint16_t slot = server->free_slots[--server->free_count];
    exchange->id = ++server->next_serial << 16 | slot;
    server->slots[slot] = exchange;
    server->open_exchanges++;
    list_append(&server->open, &exchange->open);
    exchange->state = HTTP_OPEN;
    server->options.on_request(server->options.ctx, exchange);
}

// The client is told before all of its request was read, and nothing further is read as one.
static void answer_at_once(struct http_exchange *exchange)
{
    exchange->unread = true;
    exchange->keep_alive = false;
    hand_over(exchange);
}

void http_request_refuse(struct http_connection *connection, unsigned status)
{
    if (!connection->exchange) {
        connection->parse = (struct http_parse){0}; // nothing of it is believed
        create_exchange(connection, SPAN_ABSENT);
    }
    refuse(connection->exchange, status);
    answer_at_once(connection->exchange);
}

static void check_head(struct http_exchange *exchange, bool expects_more)
{
    const struct http_server_options *o = &exchange->server->options;
    if (expects_more)
        refuse(exchange, 417);
    else if (!decode_path(exchange))
        refuse(exchange, 400);
    else if (o->wants_body && !o->wants_body(o->ctx, exchange))
        exchange->unwanted = true;
    else if (exchange->left > o->max_body)
        refuse(exchange, 413);
}

static bool is_thrown_away(const struct http_exchange *exchange)
{
    return exchange->refusal || exchange->unwanted;
}

// The buffers of a socket on which nothing waits to be sent take so little.
void http_request_send_continue(struct http_connection *connection)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec part = {text, sizeof text - 1};
    if (http_connection_send(connection, &part, 1) < part.iov_len)
        connection->closing = true;
}

static void begin_request(struct http_connection *connection, struct span head, bool more)
{
    struct http_exchange *exchange = create_exchange(connection, head);
    struct http_parse parse = connection->parse;
    bool asks_first = parse.expects_continue && !parse.is_1_0;
    connection->parse = (struct http_parse){0};
    connection->discarded = connection->progress = 0;
    check_head(exchange, parse.expects_more);
    bool at_once = asks_first || parse.expects_more || exchange->left > DISCARD_MAX ||
                   exchange->room > DISCARD_HEAD_MAX;
    if (!exchange->is_chunked && !exchange->left) {
        hand_over(exchange);
    } else if (at_once && is_thrown_away(exchange)) {
        answer_at_once(exchange);
    } else {
        http_connection_await(connection);
        if (asks_first && !more)
            http_request_send_continue(connection);
    }
}

// How many of the bytes were the head; 0 when it is not whole, or was refused.
static size_t take_head(struct http_connection *connection, struct span data)
{
    size_t max = connection->server->options.max_header;
    struct http_parse *parse = &connection->parse;
    bool had_line = parse->line_seen;
    ssize_t len = http_parse_head(parse, data);
    if (len < 0) {
        http_request_refuse(connection, parse->refusal);
    } else if ((len ? (size_t)len : data.len) > max) {
        http_request_refuse(connection, parse->line_seen ? 431 : 414);
    } else if (len) {
        begin_request(connection, (struct span){data.data, (size_t)len}, data.len > (size_t)len);
        return (size_t)len;
    } else if (!had_line && parse->line_seen) {
        http_connection_await(connection);
    }
    return 0;
}

static bool has_room(const struct http_exchange *exchange, size_t len)
{
    return len <= exchange->server->options.max_bodies - exchange->server->body_bytes;
}

static void count_body(struct http_exchange *exchange, size_t len)
{
    struct http_connection *connection = exchange->connection;
    if (is_thrown_away(exchange)) {
        connection->discarded += len;
        if (connection->discarded > DISCARD_MAX)
            connection->closing = true;
        return;
    }
    exchange->server->body_bytes += len;
    connection->progress += len;
    if (connection->progress >= PROGRESS_STEP) { // one over a slow line is no attack
        connection->progress = 0;
        http_connection_await(connection);
    }
}

static void keep_body(struct http_exchange *exchange, struct span piece)
{
    if (!is_thrown_away(exchange) && !has_room(exchange, piece.len))
        refuse(exchange, 503);
    if (!is_thrown_away(exchange) && !buf_append_span(&exchange->body, piece))
        refuse(exchange, 413);
    count_body(exchange, piece.len);
}

static void take_counted(struct http_exchange *exchange, struct span *data)
{
    size_t len = data->len < exchange->left ? data->len : (size_t)exchange->left;
    if (!exchange->body.len && !is_thrown_away(exchange)) {
        // For what is to come of a body of which nothing has come yet.
        struct buf_pool *bodies = exchange->server->options.bodies;
        if (bodies)
            buf_pool_lend(bodies, exchange->left, &exchange->body);
        buf_reserve(&exchange->body, exchange->left < BODY_STEP ? exchange->left : BODY_STEP);
    }
    keep_body(exchange, (struct span){data->data, len});
    *data = span_skip(*data, len);
    exchange->left -= len;
    if (!exchange->left && !exchange->connection->closing)
        hand_over(exchange);
}

static void take_chunks(struct http_exchange *exchange, struct span *data)
{
    size_t used, decoded;
    char *bytes = (char *)data->data; // of a buffer of the connection, or of receive_first()
    int r = http_chunked_decode(&exchange->chunks, bytes, data->len, &used, &decoded);
    *data = span_skip(*data, used);
    if (decoded)
        keep_body(exchange, (struct span){bytes, decoded});
    if (r > 0 && !exchange->connection->closing) {
        hand_over(exchange);
    } else if (r < 0) {
        exchange->target.len = 0; // it is not the path that is wrong
        exchange->refusal = 0;
        http_request_refuse(exchange->connection, 400);
    }
}

struct span http_request_take(struct http_connection *connection, struct span data)
{
    while (data.len && !connection->closing && !connection->lingering) {
        struct http_exchange *exchange = connection->exchange;
        if (!exchange) {
            size_t used = take_head(connection, data);
            if (!used)
                break;
            data = span_skip(data, used);
        } else if (exchange->state != HTTP_RECEIVING) {
            break;
        } else if (exchange->is_chunked) {
            take_chunks(exchange, &data);
        } else {
            take_counted(exchange, &data);
        }
    }
    return connection->closing || connection->lingering ? SPAN_ABSENT : data;
}

// False when there is nothing more to read for now.
static bool receive_piece(struct http_exchange *exchange)
{
    char dump[16 * 1024];
    struct http_connection *connection = exchange->connection;
    size_t len = exchange->left < BODY_STEP ? (size_t)exchange->left : BODY_STEP;
    if (!is_thrown_away(exchange) && !has_room(exchange, len))
        refuse(exchange, 503);
    char *room = is_thrown_away(exchange) ? NULL : buf_reserve(&exchange->body, len);
    if (!room && !is_thrown_away(exchange))
        refuse(exchange, 503); // no memory
    if (!room && len > sizeof dump)
        len = sizeof dump;
    ssize_t n = recv(connection->fd, room ? room : dump, len, 0);
    if (n <= 0) {
        connection->closing = n == 0 || (errno != EAGAIN && errno != EINTR);
        return false;
    }
    exchange->left -= (size_t)n;
    if (room)
        buf_grow_by(&exchange->body, (size_t)n);
    count_body(exchange, (size_t)n);
    return (size_t)n == len && exchange->left && !connection->closing;
}

void http_request_receive(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->exchange;
    for (int i = 0; i < READS_MAX && receive_piece(exchange); i++)
        continue;
    if (!exchange->left && !connection->closing)
        hand_over(exchange);
}

uint64_t http_exchange_id(const struct http_exchange *exchange)
{
    return exchange->id;
}

struct span http_exchange_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

struct span http_exchange_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

// What is decoded lies at the same place of `decoded` as it has in the target. The decoded path,
// which comes before it, cannot reach there: decoding never makes a text longer.
struct span http_exchange_query(const struct http_exchange *exchange, const char *name)
{
    bool broken = false;
    struct span rest = http_parse_query(exchange->target);
    while (rest.len) {
        struct span value = span_cut(&rest, '&');
        struct span key = span_cut(&value, '=');
        char *room = exchange->decoded + (key.data - exchange->target.data);
        size_t len = http_parse_decode(key, true, room, &broken);
        if (!http_same(span_make(room, len), name))
            continue;
        room += key.len;
        return span_make(room, http_parse_decode(value, true, room, &broken));
    }
    return SPAN_ABSENT;
}

struct span http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    struct span wanted = span_of(name), rest = exchange->fields, field, value;
    while (http_parse_field(&rest, &field, &value))
        if (http_same_name(field, wanted))
            return value;
    return SPAN_ABSENT;
}

void http_exchange_each_header(const struct http_exchange *exchange,
                               void (*fn)(void *ctx, struct span name, struct span value),
                               void *ctx)
{
    struct span rest = exchange->fields, name, value;
    while (http_parse_field(&rest, &name, &value))
        fn(ctx, name, value);
}

struct span http_exchange_body(const struct http_exchange *exchange)
{
    return buf_span(&exchange->body);
}

bool http_exchange_body_wanted(const struct http_exchange *exchange)
{
    return !exchange->unwanted;
}

void http_exchange_take_body(struct http_exchange *exchange, struct buf *ret_body)
{
    exchange->server->body_bytes -= exchange->body.len;
    buf_finish(ret_body);
    *ret_body = exchange->body;
    buf_init(&exchange->body, ret_body->max);
}

struct span http_exchange_peer(const struct http_exchange *exchange)
{
    const char *peer = exchange->connection->peer;
    return peer[0] ? span_of(peer) : SPAN_ABSENT;
}
