/*
 * The state of a transfer: when it may take no longer, how it ends, and what is put off to a
 * deferred call. Those who send and receive on top of this leave a transfer that has failed or has
 * to begin again in that state and return; http_client.c ends it, or begins it again.
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
    loop_cancel(transfer->client->loop, transfer->file_timer);
    transfer->file_timer = 0;
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

static bool is_connecting(const struct http_transfer *transfer)
{
    return transfer->state < HTTP_EXCHANGING;
}

struct limit {
    int64_t at_ms;
    const char *sentence; // what is said when it comes up
};

static struct limit earlier(struct limit limit, int64_t at_ms, const char *sentence)
{
    return at_ms < limit.at_ms ? (struct limit){at_ms, sentence} : limit;
}

static struct limit next_limit(const struct http_transfer *transfer)
{
    const struct http_timeouts *timeouts = &transfer->timeouts;
    int64_t silence = transfer->body_seen ? timeouts->idle : timeouts->first_byte;
    struct limit next = {.at_ms = INT64_MAX};
    if (transfer->state == HTTP_FAILED)
        return next;
    if (timeouts->total > 0)
        next =
            earlier(next, transfer->start_ms + timeouts->total, "it took too long (total timeout)");
    if (is_connecting(transfer))
        next = earlier(next, transfer->connect_ms + timeouts->connect,
                       transfer->dial && dial_is_resolving(transfer->dial)
                           ? "the name was not resolved in time (connect timeout)"
                           : "no connection was made in time (connect timeout)");
    if (silence > 0 && !transfer->paused)
        next = earlier(next, transfer->active_ms + silence,
                       transfer->body_seen ? "the answer stopped coming (idle timeout)"
                                           : "no answer began in time (first-byte timeout)");
    return next;
}

static void on_timer(void *context);

static void wake_at(struct http_client *client, int64_t at_ms)
{
    client->timer = loop_timer_by(client->loop, client->timer, at_ms, on_timer, client);
}

void http_transfer_look_at_limits(struct http_transfer *transfer)
{
    wake_at(transfer->client, next_limit(transfer).at_ms);
}

void http_client_free_kept(struct http_client *client)
{
    while (client->free_count)
        free(client->free_list[--client->free_count]);
    buf_pool_finish(&client->heads);
}

static void on_timer(void *context)
{
    struct http_client *client = context;
    int64_t now_ms = loop_now(client->loop);
    client->timer = 0;
    list_for_each(link, &client->transfers) {
        struct http_transfer *transfer = list_entry(link, struct http_transfer, link);
        struct limit limit = next_limit(transfer);
        const struct http_proxy *proxy = is_connecting(transfer) ? transfer->proxy : NULL;
        if (limit.at_ms <= now_ms)
            http_transfer_fail(transfer, HTTP_TIMED_OUT, -ETIMEDOUT, "%s%s%s: %s",
                               transfer->origin->authority, proxy ? " by the proxy " : "",
                               proxy ? proxy->authority : "", limit.sentence);
        else
            wake_at(client, limit.at_ms);
    }
    wake_at(client, http_pool_expire(&client->pool, now_ms));
    if (client->pool.idle_count == 0) // nobody has asked for some time, or all still wait
        http_client_free_kept(client);
}

/* How it ends */

void http_transfer_destroy(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    disconnect(transfer);
    if (transfer->id)
        client->slots[transfer->id & (HTTP_TRANSFERS_MAX - 1)] = NULL;
    list_remove(&transfer->link);
    list_remove(&transfer->deferred);
    http_origin_release(&client->pool, transfer->origin);
    unix_socket_address_finish(&transfer->socket);
    if (transfer->head.capacity <= BUF_POOL_SMALL_BYTES) // a body that was copied stays nowhere
        buf_pool_take_back(&client->heads, &transfer->head);
    buf_finish(&transfer->head);
    buf_finish(&transfer->kept);
    if (transfer->parts != transfer->parts_few)
        free(transfer->parts);
    free(transfer->file_piece);
    free(transfer->err);
    if (client->free_count == HTTP_FREE_MAX) {
        free(transfer);
        return;
    }
    *transfer = (struct http_transfer){.id = 0};
    client->free_list[client->free_count++] = transfer;
}

void http_transfer_end(struct http_transfer *transfer, bool keep)
{
    static const struct error none = ERROR_INIT;
    struct http_client *client = transfer->client;
    struct http_handler handler = transfer->handler;
    void *context = transfer->context;
    enum http_failure failure = transfer->failure;
    struct error *err = STEAL(transfer->err);
    client->ended = transfer->id;
    client->ended_was_sent = transfer->sent;
    if (keep) {
        http_pool_keep(&client->pool, STEAL(transfer->connection));
        wake_at(client, http_pool_expire(&client->pool, loop_now(client->loop)));
    }
    http_transfer_destroy(transfer);
    handler.on_done(context, failure, err ? err : &none);
    free(err);
}

/* What is put off */

void http_transfer_put_off(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    list_remove(&transfer->deferred);
    list_append(&client->put_off, &transfer->deferred);
    if (!client->deferred)
        client->deferred = loop_defer(client->loop, client->on_deferred, client);
}

void http_transfer_fail(struct http_transfer *transfer, enum http_failure failure, int code,
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
    http_transfer_put_off(transfer);
}

void http_transfer_repeat(struct http_transfer *transfer)
{
    disconnect(transfer);
    if (transfer->client->repeats)
        ++*transfer->client->repeats;
    transfer->state = HTTP_DIALING;
    transfer->fresh = true;
    transfer->connect_ms = loop_now(transfer->client->loop);
    transfer->part_at = transfer->part_offset = 0;
    transfer->file_read = 0;
    if (transfer->file_part)
        transfer->parts[transfer->file_part - 1] = SPAN_ABSENT;
    transfer->sent = false;
    transfer->send_failed = false;
    transfer->response = (struct http_response){.to_head = transfer->response.to_head};
    http_transfer_look_at_limits(transfer);
    http_transfer_put_off(transfer);
}
