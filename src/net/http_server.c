/*
 * Who is let in, and the server as a whole.
 *
 * Anybody can connect and then say nothing, so of those that owe us something the one that waits
 * longest makes room for others when connections or descriptors run out. Bytes of an idle
 * connection that nobody has read yet are most likely a request: it is spared. When all are at
 * work, the listening socket is not looked at for a while, and further clients wait in the kernel's
 * queue.
 */
#include "net/http_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/http_internal.h"
#include "net/unix_socket.h"

enum {
    ACCEPTS_MAX = 64, // at once, before those who are connected have their turn
    LOOKS_MAX = 16,   // at sockets, for one that may be closed
    CONNECTIONS_DEFAULT = 256,
    CONNECTIONS_MAX = UINT16_MAX,
    BODY_DEFAULT = 1024 * 1024,        // bytes
    BODIES_DEFAULT = 32 * 1024 * 1024, // bytes
    HEADER_DEFAULT = 16 * 1024,        // bytes
    HEADS_DEFAULT = 4 * 1024 * 1024,   // bytes
    PENDING_DEFAULT = 256 * 1024,      // bytes
    IDLE_TIMEOUT_DEFAULT_MS = 60 * 1000,
};

unsigned http_server_at_work(const struct http_server *server)
{
    unsigned count = 0;
    list_for_each(link, &server->all)
        count += !http_connection_is_dispensable(list_entry(link, struct http_connection, all));
    return count;
}

// The one that has waited longest of those that may be closed, or NULL.
static struct http_connection *find_dispensable(struct http_server *server)
{
    char byte;
    int looks = 0;
    list_for_each(link, &server->waiting) {
        struct http_connection *connection = list_entry(link, struct http_connection, waiting);
        if (!http_connection_is_dispensable(connection))
            continue;
        if (connection->exchange || connection->lingering ||
            recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
            return connection;
        if (++looks == LOOKS_MAX)
            break;
    }
    return NULL;
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
        http_listener_rest(server);
    return dispensable;
}

// False when there is nobody more, or no room.
static bool accept_one(struct http_server *server)
{
    bool full = server->connections >= server->options.max_connections;
    struct http_connection *dispensable = full ? find_dispensable(server) : NULL;
    if (full && !dispensable) {
        http_listener_rest(server);
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
    for (int i = 0; i < ACCEPTS_MAX && accept_one(ctx); i++)
        continue;
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
    int r = http_listener_open(server, on_listener, err);
    if (r < 0)
        http_server_destroy(server);
    else
        *ret_server = server;
    return r;
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    server->closing = true;
    http_server_stop_accepting(server);
    // Each is sent what its socket takes.
    list_for_each(link, &server->all)
        http_answer_flush_ended(list_entry(link, struct http_connection, all));
    while (!list_empty(&server->open))
        http_exchange_gone(list_entry(server->open.next, struct http_exchange, open), true);
    while (!list_empty(&server->all))
        http_connection_close(list_entry(server->all.next, struct http_connection, all));
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
