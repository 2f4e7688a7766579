/*
 * One socket. It is watched for reading and for the client's leaving from its first moment to its
 * last, so an ordinary request costs no change to the epoll set: read, answered, read again.
 *
 * While a request is in the handler's hands nothing more is read. Should more come, reading is
 * switched off until the answer is out; then the kernel's buffer bounds what such a client costs.
 *
 * A client that closes and one that only says that it will send no more (a half-close, which HTTP
 * allows) look the same here: an end of file. Most are gone, and cost money as long as nobody
 * notices, so it is found out: something is written that does no harm to one who still reads. The
 * socket of one who has closed answers by a reset, a round trip later. Before the answer that is an
 * interim response (RFC 9110 §15.2.1 lets a client discard a 100 that it did not ask for); within a
 * stream only the handler knows what its readers skip. It is asked a few times, later and later: a
 * tunnel (ssh) passes a close on as a half-close, and the whole of it only when something came
 * back. HTTP/1.0 has no such thing, and who asks in it and half-closes is taken for gone. A Unix
 * socket tells the two apart by itself.
 *
 * A deadline is for all of what it waits for, however the bytes drip in. The wait is always the
 * same, so connections that owe us something are on one list in the order of their deadlines, and
 * one timer of the loop serves them all: it is set for the first of them and not moved when that
 * one is answered, which costs a wake-up per timeout instead of work per request. The one that
 * waits longest also makes room when the memory for heads runs out.
 *
 * Nobody frees a connection in the middle of something. Whoever finds that it must end sets
 * `closing`; it is closed where its own event ends, or, when it was somebody else's event, at the
 * end of the loop's pass.
 *
 * An answer that is sent before its request was read whole would be destroyed by the reset that
 * closing a socket with unread bytes causes. Such a connection lingers (RFC 9112 §9.6): it says
 * that nothing more follows, and reads on for a while, to the client's end of file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/http_internal.h"

enum {
    READ_BLOCK = 16 * 1024,        // bytes
    LINGER_MAX = 64 * 1024 * 1024, // bytes that are thrown away for a client that still sends
    PROBES_MAX = 4,                // of one exchange; some clients bear five interim responses
    PROBE_MS = 1000,               // before the second, doubled for each further one
};

static bool is_handled(const struct http_connection *connection)
{
    return connection->exchange && connection->exchange->state != HTTP_RECEIVING;
}

static unsigned wanted_events(const struct http_connection *connection)
{
    unsigned write = connection->blocked ? LOOP_WRITE : 0;
    if (write && connection->exchange && connection->exchange->state == HTTP_DONE)
        return write; // a client that sends no more may still be reading
    if (is_handled(connection) && connection->exchange->half_closed)
        return write; // its end of file has been seen; a reset is always told
    return write | LOOP_PEER_CLOSED | (connection->held ? 0 : LOOP_READ);
}

// Nobody's work is lost with it: it says nothing, or takes its time over a mere page or a refusal.
bool http_connection_is_dispensable(const struct http_connection *connection)
{
    const struct http_exchange *exchange = connection->exchange;
    if (!exchange)
        return true;
    bool stalls = exchange->state == HTTP_RECEIVING || exchange->state == HTTP_DONE;
    return stalls && (exchange->refusal || exchange->unwanted);
}

static struct http_connection *find_head(struct http_server *server)
{
    list_for_each(link, &server->waiting) {
        struct http_connection *connection = list_entry(link, struct http_connection, waiting);
        if (connection->counted && http_connection_is_dispensable(connection))
            return connection;
    }
    return NULL;
}

// Afterwards the connection may be gone.
static void count_input(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    server->head_bytes += connection->input.capacity - connection->counted;
    connection->counted = connection->input.capacity;
    // Closes connections until the inputs of all fit. One's own may be among them.
    struct http_connection *oldest;
    while (server->head_bytes > server->options.max_heads && (oldest = find_head(server)))
        http_connection_expire(oldest);
}

// At the end of what made it busy. The same goes for this.
static void settle(struct http_connection *connection)
{
    unsigned events = wanted_events(connection);
    connection->busy = false;
    if (connection->closing) {
        http_connection_close(connection);
        return;
    }
    if (events != connection->watched) {
        connection->watched = events;
        loop_watch_change(connection->server->loop, connection->watch, events);
    }
    if (connection->input.capacity != connection->counted)
        count_input(connection);
}

// A timer that fires too early costs one pass; moving it at every byte would cost more.
static void on_timer(void *ctx)
{
    struct http_server *server = ctx;
    server->timer = 0;
    while (!list_empty(&server->waiting)) {
        struct http_connection *first =
            list_entry(server->waiting.next, struct http_connection, waiting);
        if (first->deadline_ms > loop_now(server->loop)) {
            server->timer = loop_timer_by(server->loop, server->timer, first->deadline_ms, on_timer,
                                          server); // a refusal may have set it
            return;
        }
        http_connection_expire(first);
    }
}

void http_connection_await(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->deadline_ms = loop_now(server->loop) + server->options.idle_timeout_ms;
    list_remove(&connection->waiting);
    list_append(&server->waiting, &connection->waiting);
    server->timer =
        loop_timer_by(server->loop, server->timer, connection->deadline_ms, on_timer, server);
}

// Disconnecting a TCP socket that is established sends a reset at once and drops what is unsent;
// closing it would send a FIN, which ends an HTTP/1.0 answer in good order. A Unix socket knows no
// reset: there it is the missing last chunk that tells.
void http_connection_reset(struct http_connection *connection)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    if (connection->server->is_unix)
        shutdown(connection->fd, SHUT_RDWR);
    else
        connect(connection->fd, &none, sizeof none);
    connection->closing = true;
}

void http_connection_expire(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->exchange;
    list_remove(&connection->waiting);
    if (is_handled(connection) && exchange->id)
        http_exchange_gone(exchange, true);
    else if (is_handled(connection))
        http_connection_reset(connection);
    else if (!connection->lingering && (exchange || connection->input.len))
        http_request_refuse(connection, 408);
    http_connection_close(connection);
}

size_t http_connection_send(struct http_connection *connection, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    ssize_t n = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    size_t sent = n > 0 ? (size_t)n : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        connection->closing = true;
    connection->blocked = sent < total;
    return sent;
}

void http_connection_answered(struct http_connection *connection)
{
    struct http_exchange *exchange = STEAL(connection->exchange);
    bool keep_alive = exchange->keep_alive;
    bool unread = exchange->unread || connection->held;
    http_exchange_free(exchange);
    connection->held = connection->blocked = false;
    connection->lingering = !keep_alive && unread;
    if (connection->lingering)
        shutdown(connection->fd, SHUT_WR);
    if (keep_alive || unread)
        http_connection_await(connection);
    else
        connection->closing = true;
    bool needs_more = connection->closing || connection->lingering || connection->input.len ||
                      wanted_events(connection) != connection->watched;
    if (needs_more && !connection->busy)
        http_connection_touch(connection);
}

// False when nothing came.
static bool came(struct http_connection *connection, ssize_t n)
{
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        connection->closing = true;
    return n > 0;
}

static void take_input(struct http_connection *connection)
{
    struct buf *input = &connection->input;
    struct span rest = http_request_take(connection, buf_span(input));
    buf_consume(input, input->len - rest.len);
    if (!input->len)
        buf_finish(input);
}

static void receive_more(struct http_connection *connection)
{
    struct buf *input = &connection->input;
    char *room = buf_reserve(input, READ_BLOCK);
    if (!room) {
        connection->closing = true; // no memory: what may wait is bounded elsewhere
        return;
    }
    ssize_t n = recv(connection->fd, room, READ_BLOCK, 0);
    if (!came(connection, n))
        return;
    buf_grow_by(input, (size_t)n);
    take_input(connection);
}

static void receive(struct http_connection *connection)
{
    char block[READ_BLOCK];
    bool lingering = connection->lingering;
    if (!lingering && connection->exchange && connection->exchange->left) {
        http_request_receive(connection);
        return;
    }
    if (!lingering && connection->input.len) {
        receive_more(connection);
        return;
    }
    ssize_t n = recv(connection->fd, block, sizeof block, 0);
    if (!came(connection, n))
        return;
    if (lingering) {
        connection->discarded += (size_t)n;
        connection->closing = connection->discarded > LINGER_MAX;
        return;
    }
    // Most requests come in one piece and never see a buffer of the connection.
    struct span rest = http_request_take(connection, (struct span){block, (size_t)n});
    if (rest.len && !buf_append_span(&connection->input, rest))
        connection->closing = true;
}

static void on_probe(void *context);

// See the essay: what is written here comes back as a reset when nobody is there.
static void probe(struct http_connection *connection)
{
    struct http_exchange *exchange = connection->exchange;
    struct http_server *server = connection->server;
    int64_t pause_ms = PROBE_MS << exchange->probes;
    if (++exchange->probes < PROBES_MAX)
        exchange->probe = loop_timer_after(server->loop, pause_ms, on_probe, exchange);
    if (exchange->state == HTTP_OPEN && !exchange->is_1_0)
        http_request_send_continue(connection);
    else if (exchange->state == HTTP_STREAMING && server->options.on_half_closed)
        server->options.on_half_closed(server->options.ctx, exchange);
    if (connection->closing && connection->exchange && connection->exchange->id)
        http_exchange_gone(connection->exchange, true);
}

static void on_probe(void *context)
{
    struct http_exchange *exchange = context;
    struct http_connection *connection = exchange->connection;
    exchange->probe = 0;
    if (!exchange->id)
        return; // its answer is on its way
    connection->busy = true;
    probe(connection);
    settle(connection);
}

static void depart(struct http_connection *connection, unsigned events)
{
    struct http_exchange *exchange = connection->exchange;
    bool is_unix = connection->server->is_unix, is_open = exchange->state == HTTP_OPEN;
    bool failed = events & LOOP_FAILED;
    bool may_still_read = is_unix || (is_open ? !exchange->is_1_0
                                              : connection->server->options.on_half_closed != NULL);
    if (!exchange->id)
        connection->closing = connection->closing || failed;
    else if (failed)
        http_exchange_gone(exchange, true);
    else if (exchange->half_closed)
        return;
    else if (may_still_read) {
        exchange->half_closed = true;
        if (!is_unix)
            probe(connection);
    } else
        http_exchange_gone(exchange, !is_open); // before an answer without a reset
}

static void take_leftover(struct http_connection *connection)
{
    if (!connection->closing && !connection->exchange && connection->input.len)
        take_input(connection);
    if (connection->lingering)
        buf_finish(&connection->input);
}

static void on_event(void *ctx, int fd, unsigned events)
{
    struct http_connection *connection = ctx;
    connection->busy = true;
    if (events & LOOP_WRITE) {
        http_answer_flush(connection);
        take_leftover(connection);
    }
    if (!connection->closing && events & ~(unsigned)LOOP_WRITE) {
        if (!is_handled(connection))
            receive(connection);
        else if (events & LOOP_READ)
            connection->held = true;
    }
    if (!connection->closing && is_handled(connection) && events & (LOOP_PEER_CLOSED | LOOP_FAILED))
        depart(connection, events);
    settle(connection);
}

// What is put on the list meanwhile waits for the next pass.
static void run_all(void *ctx)
{
    struct http_server *server = ctx;
    struct list now;
    server->run = 0;
    list_init(&now);
    for (struct list *link; (link = list_shift(&server->todo));)
        list_append(&now, link);
    for (struct list *link; (link = list_shift(&now));) {
        struct http_connection *connection = list_entry(link, struct http_connection, todo);
        connection->busy = true;
        if (!connection->closing && !connection->blocked)
            http_answer_flush(connection);
        take_leftover(connection);
        settle(connection);
    }
}

void http_connection_touch(struct http_connection *connection)
{
    list_remove(&connection->todo);
    list_append(&connection->server->todo, &connection->todo);
    if (!connection->server->run && !connection->server->closing)
        connection->server->run = loop_defer(connection->server->loop, run_all, connection->server);
}

static void format_peer(struct http_connection *connection, const struct sockaddr *peer)
{
    int family = peer->sa_family;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)peer)->sin6_addr;
    const void *bytes = six;
    if (family == AF_INET) {
        bytes = &((const struct sockaddr_in *)peer)->sin_addr;
    } else if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(six)) { // of a socket for both families
        family = AF_INET;
        bytes = &six->s6_addr[sizeof *six - sizeof(struct in_addr)];
    }
    inet_ntop(family, bytes, connection->peer, sizeof connection->peer); // a file has no address
}

void http_connection_open(struct http_server *server, int fd, const struct sockaddr *peer)
{
    struct http_connection *connection = mem_new(struct http_connection);
    connection->server = server;
    connection->fd = fd;
    connection->watched = wanted_events(connection);
    buf_init(&connection->input, server->options.max_header + 2 * READ_BLOCK);
    list_init(&connection->all);
    list_init(&connection->waiting);
    list_init(&connection->todo);
    list_append(&server->all, &connection->all);
    server->connections++;
    format_peer(connection, peer);
    http_connection_await(connection);
    connection->watch = loop_watch(server->loop, fd, connection->watched, on_event, connection);
    if (!connection->watch)
        http_connection_close(connection);
}

void http_connection_close(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    loop_unwatch(server->loop, connection->watch);
    fd_close(&connection->fd);
    list_remove(&connection->all);
    list_remove(&connection->waiting);
    list_remove(&connection->todo);
    http_exchange_free(connection->exchange);
    buf_finish(&connection->input);
    server->head_bytes -= connection->counted;
    free(connection);
    if (--server->connections == 0)
        http_server_free_kept(server);
    http_listener_resume(server);
}
