/*
 * A connection for a transfer: one that is kept, or a new one to the first of the server's
 * addresses that answers. Addresses are tried one after the other, of both families by turns, and
 * none but the last is waited for: a family that leads nowhere costs ATTEMPT_MS, and for the next
 * minute not even that, because the resolver remembers which address answered.
 *
 * All this may happen within http_client_start(), so every failure is told later.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/mem.h"
#include "net/http_tls.h"
#include "net/http_transfer.h"

enum { ATTEMPT_MS = 600 };

/* Whom the connection leads to */

static const char *host_of(const struct http_transfer *transfer)
{
    return transfer->proxy ? transfer->proxy->host : transfer->origin->host;
}

static uint16_t port_of(const struct http_transfer *transfer)
{
    return transfer->proxy ? transfer->proxy->port : transfer->origin->port;
}

static const char *authority_of(const struct http_transfer *transfer)
{
    return transfer->proxy ? transfer->proxy->authority : transfer->origin->authority;
}

static const char *title_of(const struct http_transfer *transfer)
{
    return transfer->proxy ? "the proxy " : "";
}

void http_transfer_disconnect(struct http_transfer *transfer)
{
    resolver_cancel(transfer->client->resolver, transfer->lookup);
    transfer->lookup = 0;
    http_wire_destroy(STEAL(transfer->connection));
}

static void begin_exchange(struct http_transfer *transfer)
{
    transfer->state = HTTP_EXCHANGING;
    http_wire_watch(transfer->connection, LOOP_READ);
    http_transfer_send(transfer);
}

static void shake_hands(struct http_transfer *transfer)
{
    struct error err = ERROR_INIT;
    int r = http_tls_handshake(transfer->connection->tls, &err);
    if (r > 0)
        begin_exchange(transfer);
    else if (r < 0)
        http_transfer_fail_later(transfer, HTTP_UNTRUSTED, -EPROTO, "no %sTLS connection to %s: %s",
                                 r == -EKEYREJECTED ? "trusted " : "", transfer->origin->authority,
                                 err.text);
}

void http_transfer_secure(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    struct http_wire *connection = transfer->connection;
    struct error err = ERROR_INIT;
    int r = 0;
    if (!client->tls)
        r = http_tls_shared_create(client->trust, &client->tls, &err);
    if (r == 0)
        r = http_tls_create(client->tls, connection->fd, transfer->origin->host, &connection->tls,
                            &err);
    if (r < 0) {
        http_transfer_fail_later(transfer, HTTP_UNTRUSTED, r, "no trusted TLS connection to %s: %s",
                                 transfer->origin->authority, err.text);
        return;
    }
    transfer->state = HTTP_SHAKING_HANDS;
    http_wire_watch(connection, LOOP_READ);
    shake_hands(transfer);
}

static void on_connected(struct http_transfer *transfer)
{
    unsigned at = transfer->address_at; // of the next one
    if (!transfer->over_unix && at > 1)
        resolver_prefer(transfer->client->resolver, host_of(transfer),
                        &transfer->addresses.addresses[at - 1]);
    if (!transfer->origin->secure || transfer->over_unix)
        begin_exchange(transfer);
    else if (transfer->proxy)
        http_transfer_tunnel(transfer);
    else
        http_transfer_secure(transfer);
}

// 0, or -errno when it cannot even be tried.
static int open_connection(struct http_transfer *transfer, const struct sockaddr *address,
                           socklen_t address_len)
{
    int one = 1, family = address->sa_family;
    FD_AUTO fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    if (connect(fd, address, address_len) < 0 && errno != EINPROGRESS)
        return -errno;
    struct http_origin *origin = transfer->over_unix ? NULL : transfer->origin;
    transfer->connection = http_wire_create(&transfer->client->pool, origin, fd);
    transfer->connection->transfer = transfer;
    transfer->state = HTTP_CONNECTING;
    fd = -1;
    return 0;
}

static void fail_to_connect(struct http_transfer *transfer, int errno_value)
{
    bool files = errno_value == EMFILE || errno_value == ENFILE;
    if (fd_is_shortage(errno_value))
        http_transfer_fail_later(
            transfer, HTTP_EXHAUSTED, -errno_value,
            "cannot connect to %s%s, because this machine has run out of %s: %s",
            title_of(transfer), authority_of(transfer), files ? "file descriptors" : "memory",
            strerror(errno_value));
    else
        http_transfer_fail_later(transfer, HTTP_UNREACHABLE, -ECONNREFUSED,
                                 "cannot connect to %s%s: %s", title_of(transfer),
                                 authority_of(transfer), strerror(errno_value));
}

static void try_addresses(struct http_transfer *transfer, int errno_value)
{
    const struct address_list *list = &transfer->addresses;
    http_transfer_disconnect(transfer);
    while (transfer->address_at < list->count) {
        struct sockaddr_storage socket_address;
        const struct address *address = &list->addresses[transfer->address_at++];
        socklen_t len = address_to_socket(address, port_of(transfer), &socket_address);
        int r = open_connection(transfer, (struct sockaddr *)&socket_address, len);
        if (r == 0) {
            bool others = transfer->address_at < list->count;
            transfer->attempt_until_ms =
                others ? loop_now(transfer->client->loop) + ATTEMPT_MS : INT64_MAX;
            http_wire_watch(transfer->connection, LOOP_WRITE);
            http_transfer_look_at_limits(transfer);
            return;
        }
        errno_value = -r;
    }
    if (!fd_is_shortage(errno_value))
        resolver_forget(transfer->client->resolver, host_of(transfer)); // it may have moved
    fail_to_connect(transfer, errno_value);
}

void http_transfer_next_address(struct http_transfer *transfer)
{
    try_addresses(transfer, ETIMEDOUT);
}

static void connect_to_unix(struct http_transfer *transfer)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, transfer->socket.path, strlen(transfer->socket.path) + 1);
    int r = open_connection(transfer, (struct sockaddr *)&address, sizeof address);
    if (r < 0)
        fail_to_connect(transfer, -r);
    else
        on_connected(transfer);
}

// Why no socket can be had; 0 when one can. The library does not say what kept it from resolving.
static int open_failure(void)
{
    FD_AUTO fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 && fd_is_shortage(errno) ? errno : 0;
}

static void on_resolved(void *context, const struct address_list *list)
{
    struct http_transfer *transfer = context;
    transfer->lookup = 0;
    transfer->addresses = *list;
    transfer->address_at = 0;
    int failed = list->count ? 0 : open_failure();
    if (list->count)
        try_addresses(transfer, ECONNREFUSED);
    else if (failed)
        fail_to_connect(transfer, failed);
    else
        http_transfer_fail_later(transfer, HTTP_UNRESOLVED, -EHOSTUNREACH,
                                 "cannot resolve the name of %s%s", title_of(transfer),
                                 authority_of(transfer));
}

static void resolve(struct http_transfer *transfer)
{
    struct error err = ERROR_INIT;
    struct address_list list;
    transfer->state = HTTP_RESOLVING;
    int r = resolver_ask(transfer->client->resolver, host_of(transfer), on_resolved, transfer,
                         &transfer->lookup, &list, &err);
    if (r > 0)
        on_resolved(transfer, &list);
    else if (r < 0 && fd_is_shortage(-r))
        fail_to_connect(transfer, -r);
    else if (r < 0)
        http_transfer_fail_later(transfer, HTTP_UNRESOLVED, r,
                                 "cannot resolve the name of %s%s: %s", title_of(transfer),
                                 authority_of(transfer), err.text);
}

// What must not be sent twice is not sent over a connection that can be seen to have ended. Others
// are not worth the system call: they are repeated.
static bool may_be_used(const struct http_transfer *transfer, const struct http_wire *connection)
{
    char byte;
    if (!transfer->once)
        return true;
    ssize_t n = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 ? errno == EAGAIN : n > 0 && connection->tls;
}

static struct http_wire *take_kept(struct http_transfer *transfer)
{
    struct http_wire *connection = NULL;
    while (!transfer->fresh && !transfer->over_unix && !connection) {
        connection = http_pool_take(&transfer->client->pool, transfer->origin);
        if (!connection)
            break;
        if (!may_be_used(transfer, connection))
            http_wire_destroy(STEAL(connection));
    }
    return connection;
}

void http_transfer_connect(struct http_transfer *transfer)
{
    struct http_wire *kept = take_kept(transfer);
    if (kept) {
        transfer->connection = kept;
        kept->transfer = transfer;
        begin_exchange(transfer);
    } else if (transfer->over_unix) {
        connect_to_unix(transfer);
    } else if (!host_of(transfer)) {
        http_transfer_fail_later(transfer, HTTP_UNREACHABLE, -EPROTONOSUPPORT,
                                 "cannot connect to %s: the variable %s is not an HTTP proxy such "
                                 "as http://host:port",
                                 transfer->origin->authority, transfer->proxy->variable);
    } else {
        resolve(transfer);
    }
}

void http_transfer_repeat(struct http_transfer *transfer)
{
    http_transfer_disconnect(transfer);
    if (transfer->client->repeats)
        ++*transfer->client->repeats;
    transfer->fresh = true;
    transfer->connect_ms = loop_now(transfer->client->loop);
    transfer->part_at = transfer->part_offset = 0;
    transfer->sent = false;
    transfer->send_failed = false;
    http_response_init(&transfer->response, transfer->response.to_head);
    http_transfer_connect(transfer);
    if (transfer->state != HTTP_FAILED)
        http_transfer_look_at_limits(transfer);
}

static int connect_result(const struct http_transfer *transfer)
{
    int result = 0;
    socklen_t len = sizeof result;
    int fd = transfer->connection->fd;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &len) < 0 ? errno : result;
}

void http_transfer_on_event(void *context, int fd, unsigned events)
{
    struct http_wire *connection = context;
    struct http_transfer *transfer = connection->transfer;
    (void)fd;
    if (connection->tls)
        http_tls_readable(connection->tls);
    if (transfer->state == HTTP_CONNECTING) {
        int failed = connect_result(transfer);
        if (failed)
            try_addresses(transfer, failed);
        else
            on_connected(transfer);
    } else if (transfer->state == HTTP_TUNNELLING) {
        http_transfer_tunnel_receive(transfer);
    } else if (transfer->state == HTTP_SHAKING_HANDS) {
        shake_hands(transfer);
    } else if (transfer->state == HTTP_EXCHANGING) {
        if (events & LOOP_WRITE)
            http_transfer_send(transfer);
        if (transfer->state == HTTP_EXCHANGING && events & (LOOP_READ | LOOP_FAILED))
            http_transfer_receive(transfer);
    }
}
