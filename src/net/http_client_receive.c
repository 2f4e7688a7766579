// What comes back: a head, then the body, handed over from the buffer into which it was read.
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net/http_transfer.h"

enum { READS_PER_EVENT = 4 }; // of HTTP_PIECE_MAX, then others have their turn

// Each of these returns whether the transfer goes on; else it was ended, or begins again.

static bool fail(struct http_transfer *transfer, const char *what)
{
    http_transfer_fail(transfer, HTTP_CUT, -ECONNRESET, "the connection to %s broke: %s",
                       transfer->origin->authority, what);
    return false;
}

static bool complete(struct http_transfer *transfer, bool more_came)
{
    char byte;
    struct http_wire *connection = transfer->connection;
    bool keep = transfer->response.keep && !more_came && !http_transfer_is_alone(transfer) &&
                transfer->sent && !transfer->send_failed;
    if (keep && connection->secure) // nothing but what TLS says to itself may be left over
        keep = dial_receive(connection->dial, &byte, 1) == -EAGAIN;
    if (keep)
        http_wire_watch(connection, LOOP_READ);
    http_transfer_end(transfer, keep && connection->watch);
    return false;
}

static bool after_callback(struct http_transfer *transfer)
{
    transfer->in_callback = false;
    if (!transfer->cancelled)
        return true;
    http_transfer_destroy(transfer);
    return false;
}

static bool tell_head(struct http_transfer *transfer, struct span lines)
{
    const struct http_head head = {transfer->response.status, lines};
    transfer->head_told = true;
    if (!transfer->handler.on_head)
        return true;
    transfer->in_callback = true;
    transfer->handler.on_head(transfer->context, &head);
    return after_callback(transfer);
}

static bool tell_body(struct http_transfer *transfer, struct span piece)
{
    bool first = !transfer->body_seen;
    transfer->body_seen = true;
    transfer->active_ms = loop_now(transfer->client->loop);
    if (first)
        http_transfer_look_at_limits(transfer);
    transfer->in_callback = true;
    int r = transfer->handler.on_body(transfer->context, piece);
    if (!after_callback(transfer))
        return false;
    if (r >= 0)
        return true;
    http_transfer_fail(transfer, HTTP_STOPPED, -ECANCELED,
                       "the answer of %s was not read to its end", transfer->origin->authority);
    return false;
}

// What cannot be taken yet: it was just read, or is the end of what is kept.
static bool keep(struct http_transfer *transfer, const char *data, size_t len)
{
    struct buf *kept = &transfer->kept;
    if (kept->len)
        buf_consume(kept, kept->len - len);
    else
        buf_append(kept, data, len);
    return true;
}

static bool take_body(struct http_transfer *transfer, char *data, size_t len)
{
    size_t used = 0, decoded = 0;
    const struct http_response *response = &transfer->response;
    if (transfer->paused && (response->framing != HTTP_BODY_LENGTH || response->left))
        return keep(transfer, data, len);
    int r = http_response_body(&transfer->response, data, len, &used, &decoded);
    if (decoded && !tell_body(transfer, span_make(data, decoded)))
        return false;
    if (r < 0)
        return fail(transfer, "its chunked answer is malformed");
    if (r > 0)
        return complete(transfer, used < len);
    if (transfer->kept.len)
        buf_finish(&transfer->kept);
    return true;
}

// One head off the front of the bytes; positive when another may follow, 0 when it has to come yet.
static int take_head(struct http_transfer *transfer, char **data, size_t *len, bool *ret_goes_on)
{
    struct error err = ERROR_INIT;
    struct span lines;
    size_t head_len;
    int r =
        http_response_head(&transfer->response, span_make(*data, *len), &head_len, &lines, &err);
    if ((r == 0 && *len > HTTP_HEAD_MAX) || (r > 0 && head_len > HTTP_HEAD_MAX))
        r = error_set(&err, -E2BIG, "its header is larger than %d KiB", HTTP_HEAD_MAX / 1024);
    *ret_goes_on = true;
    if (r > 0) {
        *data += head_len;
        *len -= head_len;
        if (transfer->response.status >= 200)
            *ret_goes_on = tell_head(transfer, lines);
        else if (++transfer->interim > HTTP_INTERIM_MAX)
            r = error_set(&err, -EBADMSG, "it sent too many informational heads");
    }
    if (r < 0)
        *ret_goes_on = fail(transfer, err.text);
    return r;
}

static bool take(struct http_transfer *transfer, char *data, size_t len)
{
    struct buf *kept = &transfer->kept;
    bool goes_on = true;
    transfer->heard = true;
    if (kept->len) {
        buf_append(kept, data, len); // has room: take_head() sees to it
        data = kept->data;
        len = kept->len;
    }
    while (goes_on && !transfer->head_told)
        if (take_head(transfer, &data, &len, &goes_on) == 0)
            return keep(transfer, data, len);
    return goes_on && take_body(transfer, data, len);
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

static bool end_of_connection(struct http_transfer *transfer, int error)
{
    if (error == 0 && transfer->head_told && transfer->response.framing == HTTP_BODY_UNTIL_CLOSE &&
        !transfer->kept.len)
        return complete(transfer, true);
    if (!transfer->heard && transfer->connection->used) {
        bool lost = never_arrived(transfer, error);
        if (!transfer->once && (lost || transfer->idempotent)) {
            http_transfer_repeat(transfer);
            return false; // from this connection
        }
        if (lost) {
            http_transfer_fail(
                transfer, HTTP_CUT, -ESTALE,
                "the connection to %s broke: it was closed without an answer, as old ones are",
                transfer->origin->authority);
            return false;
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
        if (!take(transfer, client->piece, (size_t)n))
            return;
        if (!connection->secure && n < (ssize_t)sizeof client->piece)
            return;
    }
    if (connection->secure) // with TLS inside of TLS the outer one may hold what no event tells of
        http_transfer_put_off(transfer);
}

void http_transfer_resume(struct http_transfer *transfer)
{
    bool sending = !transfer->sent && !transfer->send_failed;
    http_wire_watch(transfer->connection, LOOP_READ | (sending ? LOOP_WRITE : 0u));
    struct buf *kept = &transfer->kept;
    if (kept->len && transfer->head_told && !take_body(transfer, kept->data, kept->len))
        return;
    http_transfer_receive(transfer);
}
