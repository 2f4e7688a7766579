/*
 * The HTTP server is libmicrohttpd in external-epoll mode: it has an epoll instance of its own,
 * which is one readable descriptor of our loop, and does its work inside MHD_run(). Three things it
 * does not do are done here and in the two files beside it:
 *
 * - It never looks at a suspended connection, and every exchange that waits for its handler is
 *   one, so each connection is watched by our loop for the client's leaving.
 * - Its timeout starts again with every byte, which lets a client hold a connection for ever by
 *   sending one byte a second. Each connection that owes us (a part of) a request is on a list
 *   ordered by deadline: the wait is always the same, so appending keeps the order.
 * - It has no way to close a connection from outside. A connection past its deadline is shut down,
 *   which libmicrohttpd reads as the client's leaving.
 *
 * MHD_run() is never called inside one of its own callbacks: whatever makes work for it defers a
 * run to the end of the loop's pass, which also batches all the chunks that one pass produced.
 */
#include "net/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/http_internal.h"
#include "net/unix_socket.h"

enum {
    LISTEN_BACKLOG = 511,
    CONNECTIONS_DEFAULT = 256,
    CONNECTIONS_MAX = UINT16_MAX,
    BODY_DEFAULT = 1024 * 1024,        // bytes
    BODIES_DEFAULT = 32 * 1024 * 1024, // bytes
    HEADER_DEFAULT = 16 * 1024,        // bytes
    PENDING_DEFAULT = 256 * 1024,      // bytes
    ANSWER_ROOM = 12 * 1024,           // bytes of a connection's memory beyond the request's head
    RUNS_MAX = 3,
    UNSENT_MAX = 128 * 1024, // bytes the kernel holds that were not yet put on the wire
    IDLE_TIMEOUT_DEFAULT_MS = 60 * 1000,
};

static void on_departure(void *ctx, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    struct http_connection *connection = ctx;
    loop_unwatch(connection->server->loop, connection->departure); // level-triggered: it stays true
    connection->departure = 0;
    struct http_exchange *exchange = connection->exchange;
    if (exchange && (exchange->state == HTTP_OPEN || exchange->state == HTTP_STREAMING)) {
        http_connection_reset(connection);
        http_exchange_gone(exchange);
    }
}

void http_connection_watch(struct http_connection *connection)
{
    if (!connection->departure)
        connection->departure = loop_watch(connection->server->loop, connection->fd,
                                           LOOP_PEER_CLOSED, on_departure, connection);
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
}

static void set_timer(struct http_server *server, int64_t at_ms);

void http_connection_await(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->deadline_ms = loop_now(server->loop) + server->options.idle_timeout_ms;
    list_remove(&connection->waiting);
    list_append(&server->waiting, &connection->waiting);
    set_timer(server, connection->deadline_ms);
}

static void connection_started(struct http_server *server, struct MHD_Connection *mhd, void **slot)
{
    struct http_connection *connection = mem_new(struct http_connection);
    connection->server = server;
    connection->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    connection->refused = server->is_unix && !unix_socket_may_serve(connection->fd);
    if (connection->refused)
        shutdown(connection->fd, SHUT_RDWR);
    list_init(&connection->waiting);
    server->connections++;
    http_connection_await(connection);
    *slot = connection;
}

static void connection_closed(struct http_server *server, void **slot)
{
    struct http_connection *connection = *slot;
    loop_unwatch(server->loop, connection->departure);
    list_remove(&connection->waiting);
    if (server->connections-- >= server->options.max_connections)
        http_server_kick(server); // it listens again only when it is run
    free(connection);
    *slot = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connection_started(ctx, mhd, slot);
    else if (*slot)
        connection_closed(ctx, slot);
}

static void expire_waiting(struct http_server *server)
{
    while (!list_empty(&server->waiting)) {
        struct http_connection *connection =
            list_entry(server->waiting.next, struct http_connection, waiting);
        if (connection->deadline_ms > loop_now(server->loop))
            return;
        list_remove(&connection->waiting);
        shutdown(connection->fd, SHUT_RDWR);
    }
}

static void run(void *ctx);

static void on_timer(void *ctx)
{
    struct http_server *server = ctx;
    server->timer = 0;
    expire_waiting(server);
    run(server);
}

// A timer that fires too early costs one pass; moving it at every byte would cost more.
static void set_timer(struct http_server *server, int64_t at_ms)
{
    if (server->timer && server->timer_at_ms <= at_ms)
        return;
    loop_cancel(server->loop, server->timer);
    server->timer_at_ms = at_ms;
    server->timer = loop_timer_at(server->loop, at_ms, on_timer, server);
}

// Preparing a chunk and sending it are two runs of libmicrohttpd, so it gets a few at once before
// the rest of the loop has its turn. Returns the milliseconds it can wait, or -1 for ever.
static int64_t run_some(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    for (int i = 0; i < RUNS_MAX; i++) {
        MHD_run(server->daemon);
        if (MHD_get_timeout(server->daemon, &wait_ms) != MHD_YES)
            return -1;
        if (wait_ms)
            return wait_ms < INT32_MAX ? (int64_t)wait_ms : INT32_MAX;
    }
    return 0;
}

static void schedule(struct http_server *server, int64_t wait_ms)
{
    if (wait_ms == 0)
        http_server_kick(server);
    else if (wait_ms > 0)
        set_timer(server, loop_now(server->loop) + wait_ms);
    if (!list_empty(&server->waiting))
        set_timer(server,
                  list_entry(server->waiting.next, struct http_connection, waiting)->deadline_ms);
}

static void announce_drained(struct http_server *server)
{
    for (struct list *link; (link = list_shift(&server->draining));) {
        struct http_exchange *exchange = list_entry(link, struct http_exchange, draining);
        if (exchange->state == HTTP_STREAMING && server->options.on_drain)
            server->options.on_drain(server->options.ctx, exchange);
    }
}

static void run(void *ctx)
{
    struct http_server *server = ctx;
    loop_cancel(server->loop, server->run);
    server->run = 0;
    int64_t wait_ms = run_some(server);
    announce_drained(server);
    schedule(server, wait_ms);
}

static void on_epoll(void *ctx, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    run(ctx);
}

void http_server_kick(struct http_server *server)
{
    if (!server->run && !server->closing)
        server->run = loop_defer(server->loop, run, server);
}

static int bind_address(const struct http_server_options *options, struct addrinfo **ret_list,
                        struct error *err)
{
    char port[sizeof "65535"];
    snprintf(port, sizeof port, "%u", options->port);
    struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
        .ai_socktype = SOCK_STREAM,
    };
    if (!options->address || getaddrinfo(options->address, port, &hints, ret_list))
        return error_set(err, -EINVAL, "cannot listen on \"%s\": not a numeric IP address",
                         options->address ? options->address : "");
    return 0;
}

// Accepted sockets inherit TCP_NOTSENT_LOWAT, without which the kernel buffers up to 4 MiB for
// each slow reader.
static int listen_on(const struct http_server_options *options, const struct addrinfo *to,
                     int *ret_fd, uint16_t *ret_port, struct error *err)
{
    int on = 1, off = 0, unsent = UNSENT_MAX;
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof bound;
    FD_AUTO fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
        if (to->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (fd < 0 || bind(fd, to->ai_addr, to->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_len) < 0)
        return error_errno(err, errno, "cannot listen on %s port %u", options->address,
                           options->port);
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int open_listener(struct http_server *server, int *ret_fd, struct error *err)
{
    struct addrinfo *list;
    const char *address = server->options.address ? server->options.address : "";
    size_t prefix = sizeof UNIX_SOCKET_PREFIX - 1;
    server->is_unix = strncmp(address, UNIX_SOCKET_PREFIX, prefix) == 0;
    if (server->is_unix)
        return unix_socket_listen(address + prefix, LISTEN_BACKLOG, ret_fd, err);
    int r = bind_address(&server->options, &list, err);
    if (r < 0)
        return r;
    r = listen_on(&server->options, list, ret_fd, &server->port, err);
    freeaddrinfo(list);
    return r;
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int listen_fd)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
#if MHD_VERSION >= 0x00097707
    flags |= MHD_USE_NO_THREAD_SAFETY;
#endif
    const struct http_server_options *o = &server->options;
    return MHD_start_daemon(flags, 0, NULL, NULL, http_request_received, server,             //
                            MHD_OPTION_LISTEN_SOCKET, listen_fd,                             //
                            MHD_OPTION_CONNECTION_LIMIT, o->max_connections,                 //
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, o->max_header + ANSWER_ROOM, //
                            MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)((o->idle_timeout_ms + 999) / 1000),               //
                            MHD_OPTION_URI_LOG_CALLBACK, http_request_started, server,   //
                            MHD_OPTION_NOTIFY_COMPLETED, http_request_completed, server, //
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,         //
                            MHD_OPTION_STRICT_FOR_CLIENT, 1,                             //
                            MHD_OPTION_END);
}

static int start(struct http_server *server, struct error *err)
{
    FD_AUTO listen_fd = -1;
    int r = open_listener(server, &listen_fd, err);
    if (r < 0)
        return r;
    server->daemon = start_daemon(server, listen_fd);
    if (!server->daemon)
        return error_set(err, -EIO, "cannot start the HTTP server on %s port %u",
                         server->options.address, server->options.port);
    listen_fd = -1; // libmicrohttpd's now
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    server->epoll_watch = loop_watch(server->loop, epoll_fd, LOOP_READ, on_epoll, server);
    if (!server->epoll_watch)
        return error_errno(err, errno, "cannot watch the HTTP server's sockets");
    server->options.address = NULL; // the caller's
    http_server_kick(server);       // the listening socket joins the epoll set in the first run
    return 0;
}

static void fill_defaults(struct http_server_options *o)
{
    o->max_connections = o->max_connections ? o->max_connections : CONNECTIONS_DEFAULT;
    if (o->max_connections > CONNECTIONS_MAX)
        o->max_connections = CONNECTIONS_MAX;
    o->max_body = o->max_body ? o->max_body : BODY_DEFAULT;
    o->max_bodies = o->max_bodies ? o->max_bodies : BODIES_DEFAULT;
    o->max_header = o->max_header ? o->max_header : HEADER_DEFAULT;
    o->max_pending = o->max_pending ? o->max_pending : PENDING_DEFAULT;
    o->idle_timeout_ms = o->idle_timeout_ms > 0 ? o->idle_timeout_ms : IDLE_TIMEOUT_DEFAULT_MS;
}

int http_server_create(struct loop *loop, const struct http_server_options *options,
                       struct http_server **ret_server, struct error *err)
{
    struct http_server *server = mem_new(struct http_server);
    server->loop = loop;
    server->options = *options;
    fill_defaults(&server->options);
    list_init(&server->waiting);
    list_init(&server->open);
    list_init(&server->draining);
    unsigned slots = server->options.max_connections;
    server->slots = mem_zalloc(slots * sizeof(struct http_exchange *));
    server->free_slots = mem_alloc(slots * sizeof *server->free_slots);
    while (slots-- > 0)
        server->free_slots[server->free_count++] = (uint16_t)slots;
    int r = start(server, err);
    if (r < 0)
        http_server_destroy(server);
    else
        *ret_server = server;
    return r;
}

static void stop_daemon(struct http_server *server)
{
    while (!list_empty(&server->open))
        http_exchange_gone(list_entry(server->open.next, struct http_exchange, open));
    MHD_run(server->daemon); // resumes what was cut, and sends what it can
    MHD_stop_daemon(server->daemon);
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    server->closing = true;
    if (server->daemon)
        stop_daemon(server);
    loop_unwatch(server->loop, server->epoll_watch);
    loop_cancel(server->loop, server->run);
    loop_cancel(server->loop, server->timer);
    free(server->slots);
    free(server->free_slots);
    free(server);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stop_accepting(struct http_server *server)
{
    if (server->stopped)
        return;
    server->stopped = true;
    int fd = MHD_quiesce_daemon(server->daemon); // takes it out of the epoll set, too
    fd_close(&fd);
}

unsigned http_server_open_exchanges(const struct http_server *server)
{
    return server->open_exchanges;
}

unsigned http_server_connections(const struct http_server *server)
{
    return server->connections;
}

struct http_exchange *http_server_find(struct http_server *server, uint64_t id)
{
    unsigned slot = id & UINT16_MAX;
    struct http_exchange *exchange =
        slot < server->options.max_connections ? server->slots[slot] : NULL;
    return exchange && exchange->id == id ? exchange : NULL;
}
