/*
 * The listening socket: it is opened, not looked at for a while when there is no room for those who
 * wait in its queue, and closed. What is done with a client is for http_server.c.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/http_internal.h"
#include "net/unix_socket.h"

enum {
    LISTEN_BACKLOG = 511,
    ACCEPT_RETRY_MS = 100,
    UNSENT_MAX = 128 * 1024, // bytes the kernel holds that were not yet put on the wire
};

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

int http_listener_open(struct http_server *server, loop_watch_fn *fn, struct error *err)
{
    struct http_server_options *options = &server->options;
    struct span address = span_of(options->address);
    struct addrinfo *list;
    int r;
    server->is_unix = span_starts_with(address, UNIX_SOCKET_PREFIX);
    if (server->is_unix) {
        r = unix_socket_listen(options->address + sizeof UNIX_SOCKET_PREFIX - 1, LISTEN_BACKLOG,
                               &server->listen_fd, err);
    } else {
        r = bind_address(options, &list, err);
        if (r < 0)
            return r;
        r = listen_on(options, list, &server->listen_fd, &server->port, err);
        freeaddrinfo(list);
    }
    if (r < 0)
        return r;
    server->listen_watch = loop_watch(server->loop, server->listen_fd, LOOP_READ, fn, server);
    if (!server->listen_watch)
        return error_errno(err, errno, "cannot watch the HTTP server's socket");
    options->address = NULL; // the caller's
    return 0;
}

static void look_again(void *ctx)
{
    struct http_server *server = ctx;
    server->retry = 0;
    loop_watch_change(server->loop, server->listen_watch, LOOP_READ);
}

void http_listener_resume(struct http_server *server)
{
    if (!server->retry || server->connections >= server->options.max_connections)
        return;
    loop_cancel(server->loop, server->retry);
    look_again(server);
}

// The queue stays readable, so without a rest this would be tried again and again.
void http_listener_rest(struct http_server *server)
{
    if (server->retry || !server->listen_watch)
        return;
    loop_watch_change(server->loop, server->listen_watch, 0);
    server->retry = loop_timer_after(server->loop, ACCEPT_RETRY_MS, look_again, server);
}

void http_server_stop_accepting(struct http_server *server)
{
    loop_unwatch(server->loop, server->listen_watch);
    loop_cancel(server->loop, server->retry);
    server->listen_watch = server->retry = 0;
    fd_close(&server->listen_fd);
}
