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

#include "base/mem.h"
#include "codec/url.h"
#include "net/address_guard.h"
#include "net/http_field.h"
#include "net/http_transfer.h"

enum {
    CONNECT_DEFAULT_MS = 300 * 1000,
};

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
    struct http_transfer *transfer =
        client->spare_count ? client->spares[--client->spare_count] : mem_new(struct http_transfer);
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
    buf_init(&transfer->partial, HTTP_HEAD_MAX + HTTP_PIECE_MAX);
    buf_init(&transfer->held, HTTP_PIECE_MAX);
    http_response_init(&transfer->response, strcmp(request->method, "HEAD") == 0);
    list_append(&client->transfers, &transfer->link);
    return transfer;
}

// What is wrong with a URL is told like any other failure, when the loop comes to it.
static void refuse_url(struct http_transfer *transfer, const char *text)
{
    struct url url;
    struct error err = ERROR_INIT;
    if (url_parse(span_of(text), &url, &err) == 0)
        error_set(&err, -EINVAL, "a URL may not hold a blank or a control character");
    http_transfer_fail_later(transfer, HTTP_MISUSED, -EINVAL, "cannot ask this URL: %s", err.text);
}

static int check(const struct http_request *request, struct error *err)
{
    if (request->body_part_count > HTTP_BODY_PARTS_MAX)
        return error_set(err, -E2BIG, "a request body of more than %d parts", HTTP_BODY_PARTS_MAX);
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        if (i >= HTTP_REQUEST_HEADERS_MAX)
            return error_set(err, -E2BIG, "more than %d request headers", HTTP_REQUEST_HEADERS_MAX);
        if (!http_is_field_value(span_of(request->headers[i])))
            return error_set(err, -EINVAL, "a request header holds a control character");
    }
    return 0;
}

static void ask_guard(struct http_transfer *transfer)
{
    struct error err = ERROR_INIT;
    struct span host = span_of(transfer->origin->host);
    if (transfer->guard && address_guard_grants(transfer->guard, host))
        transfer->guard = NULL;
    if (transfer->guard && transfer->proxy &&
        address_guard_check_proxied(transfer->guard, host, &err) < 0)
        http_transfer_fail_later(transfer, HTTP_FORBIDDEN, -EACCES, "cannot connect to %s: %s",
                                 transfer->origin->authority, err.text);
}

static int prepare(struct http_transfer *transfer, const struct http_request *request,
                   struct error *err)
{
    struct http_client *client = transfer->client;
    struct span target;
    int r = 0;
    if (!take_slot(client, transfer))
        return error_set(err, -EAGAIN, "%d requests are under way already", HTTP_TRANSFERS_MAX);
    transfer->origin = http_origin_of(&client->pool, span_of(request->url), &target);
    if (!transfer->origin) {
        refuse_url(transfer, request->url);
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
    int r = check(request, err);
    if (r < 0)
        return r;
    struct http_transfer *transfer = transfer_create(client, request, handler, context);
    r = prepare(transfer, request, err);
    if (r < 0) {
        http_transfer_destroy(transfer);
        return r;
    }
    *ret_id = transfer->id;
    if (transfer->state != HTTP_FAILED)
        http_transfer_connect(transfer);
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
    http_transfer_resume_later(transfer);
}

/* What was put off */

static bool is_put_off(const struct http_transfer *transfer)
{
    return transfer->state == HTTP_FAILED || transfer->resuming || transfer->repeating;
}

static struct http_transfer *find_deferred(struct http_client *client)
{
    list_for_each(link, &client->transfers) {
        struct http_transfer *transfer = list_entry(link, struct http_transfer, link);
        if (is_put_off(transfer))
            return transfer;
    }
    return NULL;
}

// As many as there are now: what is put off meanwhile has its own deferred call.
static void on_deferred(void *context)
{
    struct http_client *client = context;
    struct http_transfer *transfer;
    size_t count = 0;
    client->deferred = 0;
    list_for_each(link, &client->transfers)
        count += is_put_off(list_entry(link, struct http_transfer, link));
    while (count-- && (transfer = find_deferred(client))) {
        transfer->resuming = false;
        list_remove(&transfer->link); // it may be put off again: others go first
        list_append(&client->transfers, &transfer->link);
        if (transfer->state == HTTP_FAILED) {
            struct error err = *transfer->err;
            http_transfer_end(transfer, transfer->failure, false, &err);
        } else if (transfer->repeating) {
            transfer->repeating = false;
            http_transfer_connect(transfer);
        } else if (!transfer->paused) {
            http_transfer_resume(transfer);
        }
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
    http_pool_init(&client->pool, loop, http_transfer_on_event);
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
    http_client_drop_spares(client);
    free(client->slots);
    free(client);
}
