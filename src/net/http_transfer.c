/*
 * The state of a transfer: when it may take no longer, how it ends, and what is put off to a
 * deferred call. Those who send and receive on top of this leave a transfer that has to begin again
 * in that state and return; http_client.c begins it again.
 *
 * Limits need no timer each. There is one, set for the earliest instant at which any limit could
 * come up as it was known then; limits only move away (a piece came, the transfer ended), so the
 * timer looks at all transfers when it rings, and mostly finds that it may sleep again.
 */
#include "net/http_transfer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static void disconnect(struct http_transfer *transfer)
{
    dial_close(STEAL(transfer->dial));
    http_wire_destroy(STEAL(transfer->connection));
}

const struct http_proxy *http_transfer_forwarder(const struct http_transfer *transfer)
{
    const struct http_proxy *proxy = transfer->proxy;
    return proxy && proxy->http && !transfer->origin->secure ? proxy : NULL;
}

bool http_transfer_is_alone(const struct http_transfer *transfer)
{
    return transfer->over_unix || transfer->guard;
}

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
        sentence = transfer->dial && dial_is_resolving(transfer->dial)
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

void http_client_drop_spares(struct http_client *client)
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
        http_client_drop_spares(client);
}

/* How it ends */

void http_transfer_destroy(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    disconnect(transfer);
    if (transfer->id)
        client->slots[transfer->id & (HTTP_TRANSFERS_MAX - 1)] = NULL;
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
    client->ended_was_sent = transfer->sent;
    if (keep) {
        http_pool_keep(&client->pool, STEAL(transfer->connection));
        wake_at(client, http_pool_expire(&client->pool, loop_now(client->loop)));
    }
    http_transfer_destroy(transfer);
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

/* What is put off */

static void defer(struct http_client *client)
{
    if (!client->deferred)
        client->deferred = loop_defer(client->loop, client->on_deferred, client);
}

void http_transfer_fail_later(struct http_transfer *transfer, enum http_failure failure, int code,
                              const char *fmt, ...)
{
    va_list arguments;
    disconnect(transfer);
    transfer->state = HTTP_FAILED;
    transfer->failure = failure;
    transfer->err = mem_new(struct error);
    transfer->err->code = code;
    va_start(arguments, fmt);
    vsnprintf(transfer->err->text, sizeof transfer->err->text, fmt, arguments);
    va_end(arguments);
    defer(transfer->client);
}

void http_transfer_resume_later(struct http_transfer *transfer)
{
    transfer->resuming = true;
    defer(transfer->client);
}

void http_transfer_repeat_later(struct http_transfer *transfer)
{
    disconnect(transfer);
    if (transfer->client->repeats)
        ++*transfer->client->repeats;
    transfer->state = HTTP_DIALING;
    transfer->repeating = transfer->fresh = true;
    transfer->connect_ms = loop_now(transfer->client->loop);
    transfer->part_at = transfer->part_offset = 0;
    transfer->sent = false;
    transfer->send_failed = false;
    http_response_init(&transfer->response, transfer->response.to_head);
    http_transfer_look_at_limits(transfer);
    defer(transfer->client);
}
