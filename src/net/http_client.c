/*
 * A transfer has a connection made (dialer.h), or takes one that is kept and sends at once, within
 * http_client_start(). From then on one event on the connection is one recv() into a buffer that
 * all transfers share, and one call of on_body: nothing is copied, nothing is armed, and the
 * connection's watch is the same for all its requests.
 *
 * A callback may cancel any transfer, its own included. Its own is only marked, and goes when the
 * callback has returned; every other goes at once. What fails within http_client_start() is told
 * in a deferred call, because no callback may come from inside it.
 */
#include "net/http_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "codec/url.h"
#include "net/address_guard.h"
#include "net/http_transfer.h"

enum {
    CONNECT_DEFAULT_MS = 300 * 1000,
};

/* A connection: one that is kept, or a new one, which the dialer makes */

static void begin_exchange(struct http_transfer *transfer, struct http_wire *connection)
{
    transfer->connection = connection;
    connection->transfer = transfer;
    transfer->state = HTTP_EXCHANGING;
    http_wire_watch(connection, LOOP_READ);
    http_transfer_send(transfer);
}

static void on_dialed(void *context, enum http_failure failure, const struct error *err)
{
    struct http_transfer *transfer = context;
    if (failure != HTTP_OK) {
        http_transfer_fail(transfer, failure, err->code, "%s", err->text);
        return;
    }
    struct http_origin *origin = http_transfer_is_alone(transfer) ? NULL : transfer->origin;
    struct http_wire *connection =
        http_wire_create(&transfer->client->pool, origin, STEAL(transfer->dial));
    connection->long_poll = transfer->long_poll;
    begin_exchange(transfer, connection);
    http_transfer_put_off(transfer); // of what came together with the handshake no event tells
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
        .unix_socket = transfer->over_unix ? transfer->socket.kernel.sun_path : NULL,
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
    struct http_wire *connection;
    if (transfer->fresh || http_transfer_is_alone(transfer))
        return NULL;
    while ((connection =
                http_pool_take(&transfer->client->pool, transfer->origin, transfer->long_poll)) &&
           !may_be_used(transfer, connection))
        http_wire_destroy(connection);
    return connection;
}

static void connect_to_server(struct http_transfer *transfer)
{
    struct error err;
    struct http_wire *kept = take_kept(transfer);
    if (kept)
        begin_exchange(transfer, kept);
    else if (http_proxy_check(transfer->proxy, transfer->origin->authority, &err) < 0)
        http_transfer_fail(transfer, HTTP_UNREACHABLE, err.code, "%s", err.text);
    else
        dial(transfer);
}

static void on_event(void *context, int fd, unsigned events)
{
    struct http_wire *connection = context;
    struct http_transfer *transfer = connection->transfer;
    if (events & LOOP_WRITE)
        http_transfer_send(transfer);
    if (transfer->state == HTTP_EXCHANGING && events & (LOOP_READ | LOOP_FAILED))
        http_transfer_receive(transfer);
}

/* Begin and end */

struct span http_head_get(const struct http_head *head, const char *name)
{
    size_t name_len = strlen(name);
    struct span rest = head->lines;
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (line.len > name_len && line.data[name_len] == ':' &&
            strncasecmp(line.data, name, name_len) == 0)
            return span_trim(span_skip(line, name_len + 1));
    }
    return SPAN_ABSENT;
}

static struct http_transfer *find(const struct http_client *client, http_id id)
{
    size_t slot = id & (HTTP_TRANSFERS_MAX - 1);
    struct http_transfer *transfer = slot < client->slot_count ? client->slots[slot] : NULL;
    return transfer && transfer->id == id && !transfer->cancelled ? transfer : NULL;
}

bool http_client_was_sent(const struct http_client *client, http_id id)
{
    const struct http_transfer *transfer = find(client, id);
    return transfer ? transfer->sent : id == client->ended && client->ended_was_sent;
}

static bool take_slot(struct http_client *client, struct http_transfer *transfer)
{
    size_t slot = 0;
    while (slot < client->slot_count && client->slots[slot])
        slot++;
    if (slot == HTTP_TRANSFERS_MAX)
        return false;
    if (slot == client->slot_count) {
        client->slots = mem_grow(client->slots, client->slot_count, &client->slot_capacity,
                                 sizeof(struct http_transfer *));
        client->slot_count++;
    }
    client->slots[slot] = transfer;
    transfer->id = ++client->last_serial << HTTP_SLOT_BITS | slot;
    return true;
}

// RFC 9110 §9.2.2
static bool is_idempotent(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(method, methods[i]) == 0)
            return true;
    return false;
}

static struct http_transfer *transfer_create(struct http_client *client,
                                             const struct http_request *request,
                                             const struct http_handler *handler, void *context)
{
    struct http_transfer *transfer = client->free_count ? client->free_list[--client->free_count]
                                                        : mem_new(struct http_transfer);
    transfer->client = client;
    transfer->handler = *handler;
    transfer->context = context;
    transfer->timeouts = request->timeouts;
    if (transfer->timeouts.connect <= 0)
        transfer->timeouts.connect = CONNECT_DEFAULT_MS;
    transfer->once = request->once;
    transfer->long_poll = request->long_poll;
    transfer->idempotent = is_idempotent(request->method);
    transfer->start_ms = transfer->active_ms = clock_monotonic_ms(loop_clock(client->loop));
    transfer->connect_ms = transfer->start_ms;
    transfer->socket = (struct unix_socket_address)UNIX_SOCKET_ADDRESS_INIT;
    transfer->over_unix = request->unix_socket != NULL;
    transfer->guard = request->guard;
    buf_init(&transfer->kept, HTTP_HEAD_MAX + HTTP_PIECE_MAX);
    transfer->response.to_head = strcmp(request->method, "HEAD") == 0;
    list_append(&client->transfers, &transfer->link);
    list_init(&transfer->deferred);
    return transfer;
}

static void ask_guard(struct http_transfer *transfer)
{
    struct error err = ERROR_INIT;
    struct span host = span_of(transfer->origin->host);
    if (transfer->guard && address_guard_grants(transfer->guard, host))
        transfer->guard = NULL;
    if (transfer->guard && transfer->proxy &&
        address_guard_check_proxied(transfer->guard, host, &err) < 0)
        http_transfer_fail(transfer, HTTP_FORBIDDEN, -EACCES, "cannot connect to %s: %s",
                           transfer->origin->authority, err.text);
}

static int prepare(struct http_transfer *transfer, const struct http_request *request,
                   struct error *err)
{
    struct http_client *client = transfer->client;
    struct error why = ERROR_INIT;
    struct span target;
    struct url url;
    int r = 0;
    if (!take_slot(client, transfer))
        return error_set(err, -EAGAIN, "%d requests are under way already", HTTP_TRANSFERS_MAX);
    transfer->origin = http_origin_of(&client->pool, span_of(request->url), &target);
    if (!transfer->origin) {
        url_parse(span_of(request->url), &url, &why);
        http_transfer_fail(transfer, HTTP_MISUSED, -EINVAL, "cannot ask this URL: %s", why.text);
        return 0;
    }
    if (request->unix_socket)
        r = unix_socket_address(request->unix_socket, &transfer->socket, err);
    else
        transfer->proxy =
            http_proxies_find(&client->proxies, transfer->origin->secure, transfer->origin->host);
    ask_guard(transfer);
    return r < 0 ? r : http_transfer_compose(transfer, request, target, err);
}

int http_client_start(struct http_client *client, const struct http_request *request,
                      const struct http_handler *handler, void *context, http_id *ret_id,
                      struct error *err)
{
    struct http_transfer *transfer = transfer_create(client, request, handler, context);
    int r = prepare(transfer, request, err);
    if (r < 0) {
        http_transfer_destroy(transfer);
        return r;
    }
    *ret_id = transfer->id;
    if (transfer->state != HTTP_FAILED)
        connect_to_server(transfer);
    http_transfer_look_at_limits(transfer);
    return 0;
}

void http_client_cancel(struct http_client *client, http_id id)
{
    struct http_transfer *transfer = find(client, id);
    if (!transfer)
        return;
    transfer->cancelled = true;
    if (!transfer->in_callback)
        http_transfer_destroy(transfer);
}

void http_client_count_repeats(struct http_client *client, int64_t *counter)
{
    client->repeats = counter;
}

void http_client_pause(struct http_client *client, http_id id, bool paused)
{
    struct http_transfer *transfer = find(client, id);
    if (!transfer || transfer->paused == paused)
        return;
    transfer->paused = paused;
    if (paused)
        return; // the connection is left alone when next it has something
    transfer->active_ms = loop_now(client->loop);
    http_transfer_look_at_limits(transfer);
    http_transfer_put_off(transfer);
}

/* What was put off */

// What is put off meanwhile has its own deferred call.
static void on_deferred(void *context)
{
    struct http_client *client = context;
    struct list now;
    client->deferred = 0;
    list_init(&now);
    for (struct list *link; (link = list_shift(&client->put_off));)
        list_append(&now, link);
    for (struct list *link; (link = list_shift(&now));) {
        struct http_transfer *transfer = list_entry(link, struct http_transfer, deferred);
        if (transfer->state == HTTP_FAILED)
            http_transfer_end(transfer, false);
        else if (transfer->state == HTTP_DIALING && !transfer->dial)
            connect_to_server(transfer);
        else if (transfer->state == HTTP_EXCHANGING && !transfer->paused)
            http_transfer_resume(transfer);
    }
}

/* The whole */

int http_client_create(struct loop *loop, struct trust *trust, struct http_client **ret_client,
                       struct error *err)
{
    struct dialer *dialer;
    int r = dialer_create(loop, trust, &dialer, err);
    if (r < 0)
        return r;
    struct http_client *client = mem_new(struct http_client);
    client->loop = loop;
    client->dialer = dialer;
    client->on_deferred = on_deferred;
    http_proxies_init(&client->proxies, getenv);
    list_init(&client->transfers);
    list_init(&client->put_off);
    http_pool_init(&client->pool, loop, on_event);
    *ret_client = client;
    return 0;
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    list_for_each(link, &client->transfers)
        http_transfer_destroy(list_entry(link, struct http_transfer, link));
    http_pool_finish(&client->pool);
    dialer_destroy(client->dialer);
    http_proxies_finish(&client->proxies);
    loop_cancel(client->loop, client->timer);
    loop_cancel(client->loop, client->deferred);
    http_client_free_kept(client);
    free(client->slots);
    free(client);
}
