/*
 * A request is its head, made here, and its body, wherever it lies: one system call sends both when
 * the socket takes them. A peer that does not read stops us, not the loop. One that has closed its
 * end may still have answered ("too large"), so a failure to send is no verdict: reading gives it.
 *
 * A file is a part of which a piece is here. The next is read when the socket, or TLS, has all of
 * it, so what is given again is the same. What no cache holds the kernel is asked to fetch, and
 * looked for again a little later: no disk stops the loop either, nor does a socket that takes all.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/http_field.h"
#include "net/http_transfer.h"

enum {
    COPIED_BODY_MAX = 256 * 1024 * 1024, // bytes
    IOV_COUNT = 16,
    RECORD_BYTES = 4096, // of what TLS sends at once: cross/config/mbedtls_config.h
    SMALL_HEAD = BUF_POOL_SMALL_BYTES - 1, // bytes; with its NUL it is a small buffer
    FILE_AHEAD = 1024 * 1024,              // bytes that the kernel fetches at once
    FILE_PIECES_PER_EVENT = 4,             // then others have their turn
    FILE_AGAIN_MS = 10,
    FILE_WAITS_MAX = 60 * 1000 / FILE_AGAIN_MS, // then a disk is taken for dead
};

/* Making it */

// Which of the headers that could be ours the caller's lines hold, and how long these are.
struct named {
    bool host, accept, framing;
    size_t bytes;
};

static int look_at_headers(const struct http_request *request, struct named *named,
                           struct error *err)
{
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        struct span line = span_of(request->headers[i]), rest = line;
        if (i >= HTTP_REQUEST_HEADERS_MAX)
            return error_set(err, -E2BIG, "more than %d request headers", HTTP_REQUEST_HEADERS_MAX);
        if (!http_is_field_value(line))
            return error_set(err, -EINVAL, "a request header holds a control character");
        named->bytes += line.len + 2;
        struct span name = span_cut(&rest, ':');
        named->host |= http_same_name(name, SPAN_LITERAL("Host"));
        named->accept |= http_same_name(name, SPAN_LITERAL("Accept"));
        named->framing |= http_same_name(name, SPAN_LITERAL("Content-Length")) ||
                          http_same_name(name, SPAN_LITERAL("Transfer-Encoding"));
    }
    return named->framing ? error_set(err, -EINVAL, "a request header says how long the body is")
                          : 0;
}

// RFC 9110 §8.6: a method that means a body says that there is none.
static bool wants_length(const struct http_request *request, size_t length)
{
    return length || request->body.data || request->body_part_count || request->file ||
           strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 ||
           strcmp(request->method, "PATCH") == 0;
}

static void write_head(struct buf *head, const struct http_transfer *transfer,
                       const struct http_request *request, struct named named, struct span target)
{
    size_t length = transfer->part_count ? transfer->file.len : request->body.len;
    for (size_t i = 0; i < transfer->part_count; i++)
        length += transfer->parts[i].len;
    const struct http_origin *origin = transfer->origin;
    const struct http_proxy *proxy = http_transfer_forwarder(transfer);
    buf_append_text(head, request->method);
    buf_append_char(head, ' ');
    if (proxy) // RFC 9112 §3.2.2
        buf_append_text(head, origin->prefix);
    if (target.len == 0 || *target.data != '/')
        buf_append_char(head, '/');
    buf_append_span(head, target);
    buf_append_text(head, " HTTP/1.1\r\n");
    if (!named.host) {
        buf_append_text(head, "Host: ");
        buf_append_text(head, origin->authority);
        buf_append_text(head, "\r\n");
    }
    if (proxy && proxy->authorization)
        buf_printf(head, "Proxy-Authorization: %s\r\n", proxy->authorization);
    if (!named.accept)
        buf_append_text(head, "Accept: */*\r\n");
    for (size_t i = 0; request->headers && request->headers[i]; i++) {
        buf_append_text(head, request->headers[i]);
        buf_append_text(head, "\r\n");
    }
    if (wants_length(request, length)) {
        buf_append_text(head, "Content-Length: ");
        buf_append_uint(head, length);
        buf_append_text(head, "\r\n");
    }
    buf_append_text(head, "\r\n");
}

static int take_parts(struct http_transfer *transfer, const struct http_request *request,
                      struct error *err)
{
    const struct http_file *file = request->file;
    size_t count = request->body_part_count + (file != NULL);
    size_t before = file ? file->after : request->body_part_count;
    if (count > HTTP_BODY_PARTS_MAX)
        return error_set(err, -E2BIG, "a request body of more than %d parts", HTTP_BODY_PARTS_MAX);
    if (before > request->body_part_count)
        return error_set(err, -EINVAL, "a file behind parts that are not there");
    if (count == 0)
        return 0;
    transfer->parts =
        count > HTTP_PARTS_FEW ? mem_alloc(count * sizeof *transfer->parts) : transfer->parts_few;
    transfer->part_count = count;
    for (size_t i = 0; i < request->body_part_count; i++)
        transfer->parts[i < before ? i : i + 1] = request->body_parts[i];
    if (file) {
        transfer->file = *file;
        transfer->file_part = before + 1;
        transfer->parts[before] = SPAN_ABSENT;
    }
    return 0;
}

int http_transfer_compose(struct http_transfer *transfer, const struct http_request *request,
                          struct span target, struct error *err)
{
    enum { FIXED = 128 }; // bytes of all that is not counted here
    struct named named = {0};
    int r = look_at_headers(request, &named, err);
    if (r == 0)
        r = take_parts(transfer, request, err);
    if (r < 0)
        return r;
    size_t room = FIXED + strlen(request->method) + target.len + request->body.len +
                  strlen(transfer->origin->authority) + named.bytes;
    if (transfer->proxy)
        room += transfer->origin->prefix_len + HTTP_PROXY_AUTHORIZATION_MAX;
    bool fits = room < COPIED_BODY_MAX;
    buf_init(&transfer->head, !fits ? COPIED_BODY_MAX : room < SMALL_HEAD ? SMALL_HEAD : room);
    buf_pool_lend(&transfer->client->heads, 0, &transfer->head);
    buf_reserve(&transfer->head, fits ? room : 0);
    write_head(&transfer->head, transfer, request, named, target);
    if (transfer->part_count == 0)
        buf_append_span(&transfer->head, request->body);
    return buf_is_full(&transfer->head) ? error_set(err, -E2BIG, "the request is too large") : 0;
}

/* Sending it */

static bool is_taken(const struct http_transfer *transfer) // by the socket, or by TLS
{
    return transfer->part_at > transfer->part_count;
}

static struct span piece_at(const struct http_transfer *transfer, size_t at)
{
    struct span piece = at == 0 ? buf_span(&transfer->head) : transfer->parts[at - 1];
    return at == transfer->part_at ? span_skip(piece, transfer->part_offset) : piece;
}

// The last part of which something may go out now: none beyond a file that is not read to its end.
static size_t last_part(const struct http_transfer *transfer)
{
    return transfer->file_read < transfer->file.len ? transfer->file_part : transfer->part_count;
}

static void advance(struct http_transfer *transfer, size_t bytes)
{
    while (!is_taken(transfer)) {
        size_t left = piece_at(transfer, transfer->part_at).len;
        if (bytes < left) {
            transfer->part_offset += bytes;
            return;
        }
        bytes -= left;
        transfer->part_offset = 0;
        if (transfer->part_at == transfer->file_part &&
            transfer->file_read < transfer->file.len) { // the next piece of it is still to be read
            transfer->parts[transfer->file_part - 1] = SPAN_ABSENT;
            return;
        }
        transfer->part_at++;
    }
}

/* A file */

static void on_file_timer(void *context)
{
    struct http_transfer *transfer = context;
    transfer->file_timer = 0;
    http_transfer_send(transfer);
}

static int wait_for_disk(struct http_transfer *transfer, int64_t at)
{
    if (transfer->file_waits++ == FILE_WAITS_MAX)
        return -ETIMEDOUT;
    posix_fadvise(transfer->file.fd, at, FILE_AHEAD, POSIX_FADV_WILLNEED);
    if (!transfer->file_timer)
        transfer->file_timer =
            loop_timer_after(transfer->client->loop, FILE_AGAIN_MS, on_file_timer, transfer);
    return -EINPROGRESS;
}

// Bytes of the next piece, 0 at the end of the file; -EINPROGRESS: the timer is set.
static ssize_t read_piece(struct http_transfer *transfer)
{
    const struct http_file *file = &transfer->file;
    int64_t at = file->offset + (int64_t)transfer->file_read;
    size_t left = file->len - transfer->file_read;
    struct iovec piece = {transfer->file_piece, left < HTTP_FILE_PIECE ? left : HTTP_FILE_PIECE};
    ssize_t n = preadv2(file->fd, &piece, 1, at, RWF_NOWAIT);
    if (n < 0 && errno == EAGAIN)
        return wait_for_disk(transfer, at);
    if (n <= 0) // not every file can be read so, and some kernels say so by an end
        n = pread(file->fd, piece.iov_base, piece.iov_len, at);
    return n < 0 ? -errno : n;
}

// Where the last piece has gone out, the next is read. Negative: nothing can be sent now.
static int load_file(struct http_transfer *transfer)
{
    if (transfer->file_read == transfer->file.len || transfer->part_at != transfer->file_part ||
        transfer->parts[transfer->file_part - 1].len)
        return 0;
    if (transfer->file_pieces++ == FILE_PIECES_PER_EVENT)
        return -EAGAIN;
    if (!transfer->file_piece)
        transfer->file_piece = mem_alloc(HTTP_FILE_PIECE);
    ssize_t n = read_piece(transfer);
    if (n == 0)
        http_transfer_fail(transfer, HTTP_UNREADABLE, -ESTALE,
                           "the file became shorter while it was sent: of %zu bytes %zu are left",
                           transfer->file.len, transfer->file_read);
    if (n < 0 && n != -EINPROGRESS)
        http_transfer_fail(transfer, HTTP_UNREADABLE, (int)n,
                           "the file could not be read while it was sent: %s", strerror((int)-n));
    if (n <= 0)
        return n == 0 ? -ESTALE : (int)n;
    transfer->file_waits = 0;
    transfer->file_read += (size_t)n;
    transfer->parts[transfer->file_part - 1] = span_make(transfer->file_piece, (size_t)n);
    return 0;
}

/* Both ways */

static int send_plain(struct http_transfer *transfer)
{
    while (!is_taken(transfer)) {
        struct iovec pieces[IOV_COUNT];
        struct msghdr message = {.msg_iov = pieces};
        int r = load_file(transfer);
        if (r < 0)
            return r;
        size_t last = last_part(transfer);
        for (size_t at = transfer->part_at; at <= last && message.msg_iovlen < IOV_COUNT; at++) {
            struct span piece = piece_at(transfer, at);
            if (piece.len)
                pieces[message.msg_iovlen++] = (struct iovec){(void *)piece.data, piece.len};
        }
        ssize_t n = 0;
        if (message.msg_iovlen)
            n = sendmsg(transfer->connection->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return -errno;
        advance(transfer, n < 0 ? 0 : (size_t)n);
    }
    return 0;
}

// What goes into the next record: head and body share one where they are small. The same again
// until something of it was taken, as dial_send() wants it.
static struct span gather(const struct http_transfer *transfer, char record[RECORD_BYTES])
{
    struct span piece = piece_at(transfer, transfer->part_at);
    size_t len = 0, last = last_part(transfer);
    if (piece.len >= RECORD_BYTES || transfer->part_at == last)
        return piece;
    for (size_t at = transfer->part_at; at <= last && len < RECORD_BYTES; at++) {
        piece = piece_at(transfer, at);
        size_t taken = piece.len < RECORD_BYTES - len ? piece.len : RECORD_BYTES - len;
        if (taken)
            memcpy(record + len, piece.data, taken);
        len += taken;
    }
    return span_make(record, len);
}

static int send_secure(struct http_transfer *transfer)
{
    char record[RECORD_BYTES];
    while (!is_taken(transfer)) {
        ssize_t n = load_file(transfer);
        if (n < 0)
            return (int)n;
        struct span next = gather(transfer, record);
        if (next.len)
            n = dial_send(transfer->connection->dial, next);
        if (n < 0)
            return (int)n;
        advance(transfer, (size_t)n);
    }
    return 0;
}

void http_transfer_send(struct http_transfer *transfer)
{
    struct http_wire *connection = transfer->connection;
    if (transfer->send_failed)
        return;
    transfer->file_pieces = 0;
    int r = connection->secure ? send_secure(transfer) : send_plain(transfer);
    if (transfer->state == HTTP_FAILED) // its file did, and the connection is gone
        return;
    bool waiting = r == -EAGAIN, reading = r == -EINPROGRESS;
    transfer->sent = transfer->sent || r == 0; // an alert of TLS that follows changes nothing
    if (r < 0 && !waiting && !reading && connection->used && !transfer->heard &&
        transfer->part_at == 0 && transfer->part_offset == 0 && !connection->secure) {
        http_transfer_repeat(transfer); // even what may be sent only once
        return;
    }
    transfer->send_failed = r < 0 && !waiting && !reading;
    unsigned watched = connection->events & LOOP_READ;
    http_wire_watch(connection, watched | (waiting ? LOOP_WRITE : 0u));
}
