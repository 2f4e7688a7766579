/*
 * The listening socket, the deadlines, and what is to be done at the end of a pass.
 *
 * A deadline is for all of what it waits for, however the bytes drip in. The wait is always the
 * same, so connections that owe us something are on one list in the order of their deadlines, and
 * one timer of the loop serves them all: it is set for the first of them and not moved when that
 * one is answered, which costs a wake-up per timeout instead of work per request.
 *
 * Anybody can connect and then say nothing, so who waits longest on that list makes room for others
 * when connections, descriptors or memory for heads run out. Bytes of an idle connection that
 * nobody has read yet are most likely a request: it is spared. When all are at work, the listening
 * socket is not looked at for a while, and further clients wait in the kernel's queue.
 */
#include "net/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/http_internal.h"
#include "net/unix_socket.h"

enum {
    LISTEN_BACKLOG = 511,
    ACCEPTS_MAX = 64, // at once, before those who are connected have their turn
    ACCEPT_RETRY_MS = 100,
    LOOKS_MAX = 16, // at sockets, for one that may be closed
    CONNECTIONS_DEFAULT = 256,
    CONNECTIONS_MAX = UINT16_MAX,
    BODY_DEFAULT = 1024 * 1024,        // bytes
    BODIES_DEFAULT = 32 * 1024 * 1024, // bytes
    HEADER_DEFAULT = 16 * 1024,        // bytes
    HEADS_DEFAULT = 4 * 1024 * 1024,   // bytes
    PENDING_DEFAULT = 256 * 1024,      // bytes
    UNSENT_MAX = 128 * 1024,           // bytes the kernel holds that were not yet put on the wire
    IDLE_TIMEOUT_DEFAULT_MS = 60 * 1000,
};

static struct http_connection *first_waiting(const struct http_server *server)
{
    return list_empty(&server->waiting)
               ? NULL
               : list_entry(server->waiting.next, struct http_connection, waiting);
}

static void on_timer(void *ctx)
{
    struct http_server *server = ctx;
    struct http_connection *first;
    server->timer = 0;
    while ((first = first_waiting(server)) && first->deadline_ms <= loop_now(server->loop))
        http_connection_expire(first);
    if (first)
        http_server_set_timer(server, first->deadline_ms);
}

// A timer that fires too early costs one pass; moving it at every byte would cost more.
void http_server_set_timer(struct http_server *server, int64_t at_ms)
{
    if (server->timer && server->timer_at_ms <= at_ms)
        return;
    loop_cancel(server->loop, server->timer);
    server->timer_at_ms = at_ms;
    server->timer = loop_timer_at(server->loop, at_ms, on_timer, server);
}

// What is put on the list meanwhile waits for the next pass.
static void run(void *ctx)
{
    struct http_server *server = ctx;
    struct list now;
    server->run = 0;
    list_init(&now);
    for (struct list *link; (link = list_shift(&server->todo));)
        list_append(&now, link);
    for (struct list *link; (link = list_shift(&now));)
        http_connection_run(list_entry(link, struct http_connection, todo));
}

void http_server_kick(struct http_server *server)
{
    if (!server->run && !server->closing)
        server->run = loop_defer(server->loop, run, server);
}

static void pause_accepting(struct http_server *server, bool paused)
{
    if (server->paused == paused || !server->listen_watch)
        return;
    server->paused = paused;
    loop_watch_change(server->loop, server->listen_watch, paused ? 0 : LOOP_READ);
}

void http_server_accept_again(struct http_server *server)
{
    if (!server->closing && server->connections < server->options.max_connections)
        pause_accepting(server, false);
}

// Nobody's work is lost with it: it says nothing, or takes its time over a mere page or a refusal.
static bool is_dispensable(const struct http_connection *connection)
{
    const struct http_exchange *exchange = connection->exchange;
    if (!exchange)
        return true;
    bool stalls = exchange->state == HTTP_RECEIVING || exchange->state == HTTP_DONE;
    return stalls && (exchange->refusal || exchange->unwanted);
}

unsigned http_server_at_work(const struct http_server *server)
{
    unsigned count = 0;
    list_for_each(link, &server->all)
        count += !is_dispensable(list_entry(link, struct http_connection, all));
    return count;
}

static bool has_unread_bytes(const struct http_connection *connection)
{
    char byte;
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

// Who has waited longest of those that may be closed, or NULL.
static struct http_connection *find_dispensable(struct http_server *server)
{
    int looks = 0;
    list_for_each(link, &server->waiting) {
        struct http_connection *connection = list_entry(link, struct http_connection, waiting);
        if (!is_dispensable(connection))
            continue;
        if (connection->exchange || connection->lingering || !has_unread_bytes(connection))
            return connection;
        if (++looks == LOOKS_MAX)
            break;
    }
    return NULL;
}

static struct http_connection *find_head(struct http_server *server)
{
    list_for_each(link, &server->waiting) {
        struct http_connection *connection = list_entry(link, struct http_connection, waiting);
        if (connection->counted && is_dispensable(connection))
            return connection;
    }
    return NULL;
}

void http_server_bound_heads(struct http_server *server)
{
    struct http_connection *oldest;
    while (server->head_bytes > server->options.max_heads && (oldest = find_head(server)))
        http_connection_expire(oldest);
}

static void on_retry(void *ctx)
{
    struct http_server *server = ctx;
    server->retry = 0;
    pause_accepting(server, false);
}

// The queue stays readable, so without a rest this would be tried again and again.
static void rest_from_accepting(struct http_server *server)
{
    pause_accepting(server, true);
    if (!server->retry)
        server->retry = loop_timer_after(server->loop, ACCEPT_RETRY_MS, on_retry, server);
}

// Of descriptors or memory. False: nobody waits for it (accept4 looks for a descriptor before it
// looks for a client), or all that there are do work.
static bool make_room(struct http_server *server)
{
    struct pollfd queue = {.fd = server->listen_fd, .events = POLLIN};
    if (poll(&queue, 1, 0) == 0)
        return false;
    struct http_connection *dispensable = find_dispensable(server);
    if (dispensable)
        http_connection_expire(dispensable);
    else
        rest_from_accepting(server);
    return dispensable;
}

// False when there is nobody more, or no room.
static bool accept_one(struct http_server *server)
{
    bool full = server->connections >= server->options.max_connections;
    struct http_connection *dispensable = full ? find_dispensable(server) : NULL;
    if (full && !dispensable) {
        rest_from_accepting(server);
        return false;
    }
    struct sockaddr_storage peer = {0};
    socklen_t peer_len = sizeof peer;
    FD_AUTO fd = accept4(server->listen_fd, (struct sockaddr *)&peer, &peer_len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && fd_is_shortage(errno))
        return make_room(server);
    if (fd < 0)
        return errno == ECONNABORTED || errno == EINTR;
    if (server->is_unix && !unix_socket_may_serve(fd))
        return true; // nothing it sent is read
    if (dispensable)
        http_connection_expire(dispensable);
    http_connection_open(server, fd, (struct sockaddr *)&peer);
    fd = -1;
    return true;
}

static void on_listener(void *ctx, int fd, unsigned events)
{
    (void)fd;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX && accept_one(ctx); i++)
        continue;
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

// Accepted sockets inherit both: an answer does not wait for the one before to be acknowledged, and
// the kernel does not buffer up to 4 MiB for each slow reader.
static int listen_on(const struct http_server_options *options, const struct addrinfo *to,
                     int *ret_fd, uint16_t *ret_port, struct error *err)
{
    int on = 1, off = 0, unsent = UNSENT_MAX;
    struct sockaddr_storage bound;
    socklen_t bound_len = sizeof bound;
    FD_AUTO fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
        if (to->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (fd < 0 || bind(fd, to->ai_addr, to->ai_addrlen) < 0 || listen(fd, LISTEN_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_len) < 0) {
        if (errno == EADDRINUSE)
            return error_set(err, -EADDRINUSE,
                             "cannot listen on %s port %u: another program listens there; stop "
                             "it, or set another port",
                             options->address, options->port);
        return error_errno(err, errno, "cannot listen on %s port %u", options->address,
                           options->port);
    }
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

static int start(struct http_server *server, struct error *err)
{
    int r = open_listener(server, &server->listen_fd, err);
    if (r < 0)
        return r;
    server->listen_watch =
        loop_watch(server->loop, server->listen_fd, LOOP_READ, on_listener, server);
    if (!server->listen_watch)
        return error_errno(err, errno, "cannot watch the HTTP server's socket");
    server->options.address = NULL; // the caller's
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
    o->max_heads = o->max_heads ? o->max_heads : HEADS_DEFAULT;
    o->max_pending = o->max_pending ? o->max_pending : PENDING_DEFAULT;
    o->pause_at = o->pause_at ? o->pause_at : o->max_pending / 2;
    o->idle_timeout_ms = o->idle_timeout_ms > 0 ? o->idle_timeout_ms : IDLE_TIMEOUT_DEFAULT_MS;
}

int http_server_create(struct loop *loop, const struct http_server_options *options,
                       struct http_server **ret_server, struct error *err)
{
    struct http_server *server = mem_new(struct http_server);
    server->loop = loop;
    server->options = *options;
    fill_defaults(&server->options);
    server->listen_fd = -1;
    list_init(&server->all);
    list_init(&server->waiting);
    list_init(&server->todo);
    list_init(&server->open);
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

// Each is sent what its socket takes.
static void close_connections(struct http_server *server)
{
    list_for_each(link, &server->all)
        http_answer_flush_ended(list_entry(link, struct http_connection, all));
    while (!list_empty(&server->open))
        http_exchange_gone(list_entry(server->open.next, struct http_exchange, open));
    while (!list_empty(&server->all))
        http_connection_close(list_entry(server->all.next, struct http_connection, all));
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    server->closing = true;
    close_connections(server);
    http_server_stop_accepting(server);
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
    loop_unwatch(server->loop, server->listen_watch);
    loop_cancel(server->loop, server->retry);
    server->listen_watch = server->retry = 0;
    fd_close(&server->listen_fd);
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
