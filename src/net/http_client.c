/*
 * A transfer has a connection made (dialer.h), or takes one that is kept and sends at once, within
 * http_client_start(). From then on one event on the connection is one recv() into a buffer that
 * all transfers share, and one call of on_body: nothing is copied, nothing is armed, and the
 * connection's watch is the same for all its requests.
 *
 * Limits need no timer each. There is one, set for the earliest instant at which any limit could
 * come up as it was known then; limits only move away (a piece came, the transfer ended), so the
 * timer looks at all transfers when it rings, and mostly finds that it may sleep again.
 *
 * A callback may cancel any transfer, its own included. Its own is only marked, and goes when the
 * callback has returned; every other goes at once. What fails within http_client_start() is told
 * in a deferred call, because no callback may come from inside it.
 */
#include "net/http_client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/url.h"
#include "net/http_transfer.h"

enum {
    CONNECT_DEFAULT_MS = 300 * 1000,
    SLOT_BITS = 16, // of an id
    TRANSFERS_MAX = 1 << SLOT_BITS,
};

/* Limits */

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static bool is_connecting(const struct http_transfer *transfer)
{
    return transfer->state < HTTP_EXCHANGING;
}

static int64_t connect_limit(const struct http_transfer *transfer)
{
    return transfer->connect_ms + transfer->timeouts.connect;
}

// That of the first byte, or that between two pieces.
static int64_t silence_limit(const struct http_transfer *transfer)
{
    const struct http_timeouts *timeouts = &transfer->timeouts;
    int64_t limit = transfer->body_seen ? timeouts->idle : timeouts->first_byte;
    return limit <= 0 || transfer->paused ? INT64_MAX : transfer->active_ms + limit;
}

static int64_t total_limit(const struct http_transfer *transfer)
{
    int64_t limit = transfer->timeouts.total;
    return limit > 0 ? transfer->start_ms + limit : INT64_MAX;
}

static int64_t next_limit(const struct http_transfer *transfer)
{
    if (transfer->state == HTTP_FAILED)
        return INT64_MAX;
    int64_t at_ms = earlier(silence_limit(transfer), total_limit(transfer));
    if (is_connecting(transfer))
        at_ms = earlier(at_ms, connect_limit(transfer));
    return at_ms;
}

static void on_timer(void *context);

static void wake_at(struct http_client *client, int64_t at_ms)
{
    if (at_ms == INT64_MAX || (client->timer && client->timer_at_ms <= at_ms))
        return;
    loop_cancel(client->loop, client->timer);
    client->timer = loop_timer_at(client->loop, at_ms, on_timer, client);
    client->timer_at_ms = at_ms;
}

void http_transfer_look_at_limits(struct http_transfer *transfer)
{
    wake_at(transfer->client, next_limit(transfer));
}

static void come_to_limit(struct http_transfer *transfer, int64_t now_ms)
{
    const char *sentence;
    if (total_limit(transfer) <= now_ms)
        sentence = "it took too long (total timeout)";
    else if (is_connecting(transfer) && connect_limit(transfer) <= now_ms)
        sentence = dial_is_resolving(transfer->dial)
                       ? "the name was not resolved in time (connect timeout)"
                       : "no connection was made in time (connect timeout)";
    else
        sentence = transfer->body_seen ? "the answer stopped coming (idle timeout)"
                                       : "no answer began in time (first-byte timeout)";
    const struct http_proxy *proxy = is_connecting(transfer) ? transfer->proxy : NULL;
    http_transfer_fail(transfer, HTTP_TIMED_OUT, -ETIMEDOUT, "%s%s%s: %s",
                       transfer->origin->authority, proxy ? " by the proxy " : "",
                       proxy ? proxy->authority : "", sentence);
}

static struct http_transfer *find_due(struct http_client *client, int64_t now_ms)
{
    list_for_each(link, &client->transfers) {
        struct http_transfer *transfer = list_entry(link, struct http_transfer, link);
        if (next_limit(transfer) <= now_ms)
            return transfer;
    }
    return NULL;
}

static void drop_spares(struct http_client *client)
{
    while (client->spare_count)
        free(client->spares[--client->spare_count]);
    buf_stock_finish(&client->stock);
}

static void on_timer(void *context)
{
    struct http_client *client = context;
    struct http_transfer *due;
    int64_t now_ms = loop_now(client->loop);
    client->timer = 0;
    while ((due = find_due(client, now_ms))) // from the beginning: a callback may end others
        come_to_limit(due, now_ms);
    list_for_each(link, &client->transfers)
        http_transfer_look_at_limits(list_entry(link, struct http_transfer, link));
    wake_at(client, http_pool_expire(&client->pool, now_ms));
    if (client->pool.idle_count == 0) // nobody has asked for some time, or all still wait
        drop_spares(client);
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
    size_t slot = id & (TRANSFERS_MAX - 1);
    struct http_transfer *transfer = slot < client->slot_count ? client->slots[slot] : NULL;
    return transfer && transfer->id == id && !transfer->cancelled ? transfer : NULL;
}

bool http_client_was_sent(const struct http_client *client, http_id id)
{
    const struct http_transfer *transfer = find(client, id);
    return transfer ? http_transfer_is_sent(transfer)
                    : id == client->ended && client->ended_was_sent;
}

static bool take_slot(struct http_client *client, struct http_transfer *transfer)
{
    size_t slot = 0;
    while (slot < client->slot_count && client->slots[slot])
        slot++;
    if (slot == TRANSFERS_MAX)
        return false;
    if (slot == client->slot_count) {
        client->slots = mem_grow(client->slots, client->slot_count, &client->slot_capacity,
                                 sizeof(struct http_transfer *));
        client->slot_count++;
    }
    client->slots[slot] = transfer;
    transfer->id = ++client->last_serial << SLOT_BITS | slot;
    return true;
}

static void transfer_destroy(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    http_transfer_disconnect(transfer);
    if (transfer->id)
        client->slots[transfer->id & (TRANSFERS_MAX - 1)] = NULL;
    list_remove(&transfer->link);
    http_origin_release(&client->pool, transfer->origin);
    unix_socket_address_finish(&transfer->socket);
    if (transfer->head.capacity <= BUF_STOCK_SMALL_BYTES) // a body that was copied stays nowhere
        buf_stock_take_back(&client->stock, &transfer->head);
    buf_finish(&transfer->head);
    buf_finish(&transfer->partial);
    buf_finish(&transfer->held);
    free(transfer->parts_owned);
    free(transfer->err);
    if (client->spare_count == HTTP_SPARES_MAX) {
        free(transfer);
        return;
    }
    *transfer = (struct http_transfer){.id = 0};
    client->spares[client->spare_count++] = transfer;
}

void http_transfer_end(struct http_transfer *transfer, enum http_failure failure, bool keep,
                       const struct error *err)
{
    static const struct error none = ERROR_INIT;
    struct http_client *client = transfer->client;
    struct http_handler handler = transfer->handler;
    void *context = transfer->context;
    bool cancelled = transfer->cancelled;
    client->ended = transfer->id;
    client->ended_was_sent = http_transfer_is_sent(transfer);
    if (keep) {
        http_pool_keep(&client->pool, STEAL(transfer->connection));
        wake_at(client, http_pool_expire(&client->pool, loop_now(client->loop)));
    }
    transfer_destroy(transfer);
    if (!cancelled)
        handler.on_done(context, failure, err ? err : &none);
}

void http_transfer_fail(struct http_transfer *transfer, enum http_failure failure, int code,
                        const char *fmt, ...)
{
    struct error err = {.code = code};
    va_list arguments;
    va_start(arguments, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, arguments);
    va_end(arguments);
    http_transfer_end(transfer, failure, false, &err);
}

void http_transfer_fail_later(struct http_transfer *transfer, enum http_failure failure, int code,
                              const char *fmt, ...)
{
    va_list arguments;
    http_transfer_disconnect(transfer);
    transfer->state = HTTP_FAILED;
    transfer->failure = failure;
    transfer->err = mem_new(struct error);
    transfer->err->code = code;
    va_start(arguments, fmt);
    vsnprintf(transfer->err->text, sizeof transfer->err->text, fmt, arguments);
    va_end(arguments);
    http_client_defer(transfer->client);
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
    transfer->idempotent = is_idempotent(request->method);
    transfer->start_ms = transfer->active_ms = clock_monotonic_ms(loop_clock(client->loop));
    transfer->connect_ms = transfer->start_ms;
    transfer->socket = (struct unix_socket_address)UNIX_SOCKET_ADDRESS_INIT;
    transfer->over_unix = request->unix_socket != NULL;
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
        if (strpbrk(request->headers[i], "\r\n"))
            return error_set(err, -EINVAL, "a request header holds a line break");
    }
    return 0;
}

static int prepare(struct http_transfer *transfer, const struct http_request *request,
                   struct error *err)
{
    struct http_client *client = transfer->client;
    struct span target;
    int r = 0;
    if (!take_slot(client, transfer))
        return error_set(err, -EAGAIN, "%d requests are under way already", TRANSFERS_MAX);
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
        transfer_destroy(transfer);
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
        transfer_destroy(transfer);
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
    return transfer->state == HTTP_FAILED || transfer->resuming;
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
        } else if (!transfer->paused) {
            http_transfer_resume(transfer);
        }
    }
}

void http_client_defer(struct http_client *client)
{
    if (!client->deferred)
        client->deferred = loop_defer(client->loop, on_deferred, client);
}

void http_transfer_resume_later(struct http_transfer *transfer)
{
    transfer->resuming = true;
    http_client_defer(transfer->client);
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
        transfer_destroy(list_entry(link, struct http_transfer, link));
    http_pool_finish(&client->pool);
    dialer_destroy(client->dialer);
    http_proxies_finish(&client->proxies);
    loop_cancel(client->loop, client->timer);
    loop_cancel(client->loop, client->deferred);
    drop_spares(client);
    free(client->slots);
    free(client);
}
