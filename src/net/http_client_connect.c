/*
 * A connection for a transfer: one that is kept, or a new one, which the dialer makes.
 *
 * All this may happen within http_client_start(), so every failure is told later.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/http_transfer.h"

static void begin_exchange(struct http_transfer *transfer)
{
    transfer->state = HTTP_EXCHANGING;
    http_wire_watch(transfer->connection, LOOP_READ);
    http_transfer_send(transfer);
}

static void on_dialed(void *context, enum http_failure failure, const struct error *err)
{
    struct http_transfer *transfer = context;
    if (failure != HTTP_OK) {
        http_transfer_fail_later(transfer, failure, err->code, "%s", err->text);
        return;
    }
    struct http_origin *origin = http_transfer_is_alone(transfer) ? NULL : transfer->origin;
    transfer->connection = http_wire_create(&transfer->client->pool, origin, STEAL(transfer->dial));
    transfer->connection->transfer = transfer;
    transfer->connection->long_poll = transfer->long_poll;
    begin_exchange(transfer);
    if (transfer->state ==
        HTTP_EXCHANGING) // of what came together with the handshake no event tells
        http_transfer_resume_later(transfer);
}

// What is forwarded goes to the proxy as if it were the server; what is not, through it.
static void dial(struct http_transfer *transfer)
{
    const struct http_origin *origin = transfer->origin;
    const struct http_proxy *forwarder = http_transfer_forwarder(transfer);
    struct dial_target target = {
        .host = origin->host,
        .authority = origin->authority,
        .port = origin->port,
        .secure = origin->secure && !transfer->over_unix,
        .proxy = transfer->proxy,
        .unix_socket = transfer->over_unix ? transfer->socket.path : NULL,
        .guard = transfer->proxy ? NULL : transfer->guard,
        .timeout_ms = transfer->timeouts.connect,
    };
    if (forwarder) {
        target.host = forwarder->host;
        target.authority = forwarder->authority;
        target.port = forwarder->port;
        target.secure = forwarder->secure;
        target.proxy = NULL;
        target.is_proxy = true;
    }
    transfer->state = HTTP_DIALING;
    transfer->dial = dialer_dial(transfer->client->dialer, &target, on_dialed, transfer);
}

// What must not be sent twice is not sent over a connection that can be seen to have ended. Others
// are not worth the system call: they are repeated.
static bool may_be_used(const struct http_transfer *transfer, const struct http_wire *connection)
{
    char byte;
    if (!transfer->once)
        return true;
    if (connection->secure)
        return dial_receive(connection->dial, &byte, 1) == -EAGAIN;
    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct http_wire *take_kept(struct http_transfer *transfer)
{
    struct http_wire *connection = NULL;
    while (!transfer->fresh && !http_transfer_is_alone(transfer) && !connection) {
        connection = http_pool_take(&transfer->client->pool, transfer->origin, transfer->long_poll);
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
    } else if (transfer->proxy && !transfer->proxy->url) {
        http_transfer_fail_later(transfer, HTTP_UNREACHABLE, -EPROTONOSUPPORT,
                                 "cannot connect to %s: the variable %s is not a proxy such as "
                                 "http://host:port or socks5h://host:port",
                                 transfer->origin->authority, transfer->proxy->variable);
    } else {
        dial(transfer);
    }
}

void http_transfer_on_event(void *context, int fd, unsigned events)
{
    struct http_wire *connection = context;
    struct http_transfer *transfer = connection->transfer;
    (void)fd;
    if (transfer->state != HTTP_EXCHANGING)
        return;
    if (events & LOOP_WRITE)
        http_transfer_send(transfer);
    if (transfer->state == HTTP_EXCHANGING && events & (LOOP_READ | LOOP_FAILED))
        http_transfer_receive(transfer);
}
