// What comes back: a head, then the body, handed over from the buffer into which it was read.
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net/http_transfer.h"

enum { READS_PER_EVENT = 4 }; // of HTTP_PIECE_MAX, then others have their turn

enum progress { GOES_ON, GONE };

static enum progress fail(struct http_transfer *transfer, const char *what)
{
    http_transfer_fail(transfer, HTTP_CUT, -ECONNRESET, "the connection to %s broke: %s",
                       transfer->origin->authority, what);
    return GONE;
}

// Nothing but what TLS says to itself may be left over on a connection that is kept.
static bool is_quiet(const struct http_transfer *transfer)
{
    char byte;
    struct http_wire *connection = transfer->connection;
    return !connection->secure || dial_receive(connection->dial, &byte, 1) == -EAGAIN;
}

static enum progress complete(struct http_transfer *transfer, bool more_came)
{
    bool keep = transfer->response.keep && !more_came && !http_transfer_is_alone(transfer) &&
                transfer->sent && !transfer->send_failed && is_quiet(transfer);
    if (keep)
        http_wire_watch(transfer->connection, LOOP_READ);
    http_transfer_end(transfer, HTTP_OK, keep && transfer->connection->watch, NULL);
    return GONE;
}

static enum progress after_callback(struct http_transfer *transfer)
{
    transfer->in_callback = false;
    if (!transfer->cancelled)
        return GOES_ON;
    http_transfer_end(transfer, HTTP_STOPPED, false, NULL);
    return GONE;
}

static enum progress tell_head(struct http_transfer *transfer, struct span lines)
{
    const struct http_head head = {transfer->response.status, lines};
    transfer->head_told = true;
    if (!transfer->handler.on_head)
        return GOES_ON;
    transfer->in_callback = true;
    transfer->handler.on_head(transfer->context, &head);
    return after_callback(transfer);
}

static enum progress tell_body(struct http_transfer *transfer, struct span piece)
{
    bool first = !transfer->body_seen;
    transfer->body_seen = true;
    transfer->active_ms = loop_now(transfer->client->loop);
    if (first)
        http_transfer_look_at_limits(transfer);
    transfer->in_callback = true;
    int r = transfer->handler.on_body(transfer->context, piece);
    if (after_callback(transfer) == GONE)
        return GONE;
    if (r >= 0)
        return GOES_ON;
    http_transfer_fail(transfer, HTTP_STOPPED, -ECANCELED,
                       "the answer of %s was not read to its end", transfer->origin->authority);
    return GONE;
}

static enum progress take_body(struct http_transfer *transfer, char *data, size_t len)
{
    size_t used = 0, decoded = 0;
    if (transfer->paused && transfer->response.framing != HTTP_BODY_NONE) {
        if (buf_append(&transfer->held, data, len))
            return GOES_ON;
        return fail(transfer, "it sent more than one answer");
    }
    int r = http_response_body(&transfer->response, data, len, &used, &decoded);
    if (decoded && tell_body(transfer, span_make(data, decoded)) == GONE)
        return GONE;
    if (r < 0)
        return fail(transfer, "its chunked answer is malformed");
    return r > 0 ? complete(transfer, used < len) : GOES_ON;
}

// One head off the front of the bytes; positive when another may follow, 0 when it has to come yet.
static int take_head(struct http_transfer *transfer, char **data, size_t *len,
                     enum progress *ret_progress)
{
    struct error err = ERROR_INIT;
    struct span lines;
    size_t head_len;
    int r =
        http_response_head(&transfer->response, span_make(*data, *len), &head_len, &lines, &err);
    if ((r == 0 && *len > HTTP_HEAD_MAX) || (r > 0 && head_len > HTTP_HEAD_MAX))
        r = error_set(&err, -E2BIG, "its header is larger than %d KiB", HTTP_HEAD_MAX / 1024);
    *ret_progress = GOES_ON;
    if (r > 0) {
        *data += head_len;
        *len -= head_len;
        if (transfer->response.status >= 200)
            *ret_progress = tell_head(transfer, lines);
        else if (++transfer->interim > HTTP_INTERIM_MAX)
            r = error_set(&err, -EBADMSG, "it sent too many informational heads");
    }
    if (r < 0)
        *ret_progress = fail(transfer, err.text);
    return r;
}

// A head that is not whole: `data` is what was just read, or the end of `partial`.
static enum progress keep_for_later(struct http_transfer *transfer, const char *data, size_t len)
{
    struct buf *partial = &transfer->partial;
    if (partial->len)
        buf_consume(partial, partial->len - len);
    else
        buf_append(partial, data, len);
    return GOES_ON;
}

static enum progress take_answer(struct http_transfer *transfer, char *data, size_t len)
{
    enum progress progress = GOES_ON;
    while (progress == GOES_ON && !transfer->head_told) {
        int r = take_head(transfer, &data, &len, &progress);
        if (r == 0)
            return keep_for_later(transfer, data, len);
    }
    return progress == GOES_ON ? take_body(transfer, data, len) : GONE;
}

static enum progress take(struct http_transfer *transfer, char *data, size_t len)
{
    transfer->heard = true;
    if (transfer->head_told)
        return take_body(transfer, data, len);
    if (transfer->partial.len == 0)
        return take_answer(transfer, data, len);
    buf_append(&transfer->partial, data, len); // has room: take_head() sees to it
    return take_answer(transfer, transfer->partial.data, transfer->partial.len);
}

/*
 * A kept connection that ends before one byte of an answer is mostly one that its server had given
 * up just before. A FIN acknowledges all that had come until it was sent, and TLS's close_notify
 * travels with such an acknowledgement: where it leaves something out, or something is still here,
 * nobody there can have acted on the request (RFC 9110 §9.2.2). A reset says nothing of the kind,
 * because acknowledgements are sent late (40 ms) and one that a reset overtakes is lost. What may
 * have been read, and begun, and costs money a second time, is not for us to repeat.
 */
static bool never_arrived(const struct http_transfer *transfer, int error)
{
    // EPIPE is what becomes of a reset that came after a FIN.
    bool finished = error == 0 || error == -ECONNABORTED || error == -EPIPE;
    int unacknowledged = 0;
    if (!finished || !transfer->sent)
        return finished;
    return ioctl(transfer->connection->fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged > 0;
}

static enum progress end_of_connection(struct http_transfer *transfer, int error)
{
    if (error == 0 && transfer->held.len == 0 && transfer->head_told &&
        http_response_ends_with_connection(&transfer->response))
        return complete(transfer, true);
    if (!transfer->heard && transfer->connection->used) {
        bool lost = never_arrived(transfer, error);
        if (!transfer->once && (lost || transfer->idempotent)) {
            http_transfer_repeat_later(transfer);
            return GONE; // from this connection
        }
        if (lost) {
            http_transfer_fail(
                transfer, HTTP_CUT, -ESTALE,
                "the connection to %s broke: it was closed without an answer, as old ones are",
                transfer->origin->authority);
            return GONE;
        }
    }
    if (error && error != -ECONNABORTED)
        return fail(transfer, strerror(-error));
    return fail(transfer, !transfer->heard       ? "it was closed without an answer"
                          : !transfer->head_told ? "it was closed within the header"
                                                 : "it was closed before the answer ended");
}

void http_transfer_receive(struct http_transfer *transfer)
{
    struct http_wire *connection = transfer->connection;
    struct http_client *client = transfer->client;
    for (int round = 0; round < READS_PER_EVENT; round++) {
        if (transfer->paused) {
            // Level-triggered, and what has failed is always reported: so a connection that
            // nobody reads is not watched for it.
            bool sending = !transfer->sent && !transfer->send_failed;
            http_wire_watch(transfer->connection, sending ? LOOP_WRITE : 0u);
            return;
        }
        ssize_t n = dial_receive(connection->dial, client->piece, sizeof client->piece);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            end_of_connection(transfer, (int)n);
            return;
        }
        if (take(transfer, client->piece, (size_t)n) == GONE)
            return;
        if (!connection->secure && n < (ssize_t)sizeof client->piece)
            return;
    }
    if (connection->secure) // with TLS inside of TLS the outer one may hold what no event tells of
        http_transfer_resume_later(transfer);
}

void http_transfer_resume(struct http_transfer *transfer)
{
    if (transfer->state != HTTP_EXCHANGING)
        return;
    struct http_wire *connection = transfer->connection;
    bool sending = !transfer->sent && !transfer->send_failed;
    http_wire_watch(connection, LOOP_READ | (sending ? LOOP_WRITE : 0u));
    BUF_AUTO held = transfer->held;
    buf_init(&transfer->held, HTTP_PIECE_MAX);
    if (held.len && take_body(transfer, held.data, held.len) == GONE)
        return;
    http_transfer_receive(transfer);
}
