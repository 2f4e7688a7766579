/*
 * A proxy is asked to connect us to an https server, and from then on hands bytes to and fro. The
 * question is small and the socket new, so it goes in one piece; the answer is read byte for byte
 * up to its end, because the server's own first bytes would follow. Only so many of them at a time,
 * or a proxy that talks without end would have the loop for itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "net/http_transfer.h"

enum {
    QUESTION_MAX = 4096,    // bytes; of one head of the answer, too
    BYTES_PER_EVENT = 1024, // then others have their turn
};

static void refuse(struct http_transfer *transfer, const char *what)
{
    http_transfer_fail_later(transfer, HTTP_UNREACHABLE, -ECONNREFUSED,
                             "cannot connect to %s: the proxy %s %s", transfer->origin->authority,
                             transfer->proxy->authority, what);
}

void http_transfer_tunnel(struct http_transfer *transfer)
{
    const struct http_origin *origin = transfer->origin;
    const char *authorization = transfer->proxy->authorization;
    bool ipv6 = strchr(origin->host, ':') != NULL;
    BUF_AUTO question = BUF_INIT(QUESTION_MAX);
    BUF_AUTO server = BUF_INIT(QUESTION_MAX);
    buf_printf(&server, "%s%s%s:%u", ipv6 ? "[" : "", origin->host, ipv6 ? "]" : "", origin->port);
    buf_printf(&question, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", buf_text(&server),
               buf_text(&server));
    if (authorization)
        buf_printf(&question, "Proxy-Authorization: %s\r\n", authorization);
    buf_append_text(&question, "\r\n");
    transfer->state = HTTP_TUNNELLING;
    transfer->interim = 0;
    http_wire_watch(transfer->connection, LOOP_READ);
    ssize_t n = send(transfer->connection->fd, question.data, question.len, MSG_NOSIGNAL);
    if (n != (ssize_t)question.len || buf_is_full(&question))
        refuse(transfer, "does not listen");
}

static void take_answer(struct http_transfer *transfer)
{
    struct error err = ERROR_INIT;
    struct span lines;
    size_t len;
    int r =
        http_response_head(&transfer->response, buf_span(&transfer->partial), &len, &lines, &err);
    int status = transfer->response.status;
    char text[64];
    if (r == 0)
        return;
    buf_finish(&transfer->partial);
    buf_init(&transfer->partial, HTTP_HEAD_MAX + HTTP_PIECE_MAX);
    http_response_init(&transfer->response, transfer->response.to_head);
    if (r < 0) {
        refuse(transfer, "did not reply in HTTP");
    } else if (status < 200) {
        if (++transfer->interim > HTTP_INTERIM_MAX)
            refuse(transfer, "sends too much");
    } else if (status < 300) {
        transfer->interim = 0; // the server's own count anew
        http_transfer_secure(transfer);
    } else {
        snprintf(text, sizeof text, "refuses (HTTP %d)%s", status,
                 status == 407 ? ": its URL needs a user name and password" : "");
        refuse(transfer, text);
    }
}

void http_transfer_tunnel_receive(struct http_transfer *transfer)
{
    for (int i = 0; i < BYTES_PER_EVENT && transfer->state == HTTP_TUNNELLING; i++) {
        char byte;
        ssize_t n = recv(transfer->connection->fd, &byte, 1, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || transfer->partial.len >= QUESTION_MAX) {
            refuse(transfer, n <= 0 ? "closed the connection" : "sends too much");
            return;
        }
        buf_append_char(&transfer->partial, byte);
        if (byte == '\n')
            take_answer(transfer);
    }
}
