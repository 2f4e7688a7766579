// What the server of http_fetch.h answers, by path.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "support/http_fetch.h"

static bool send_in_pieces(int fd, int count, int every_ms)
{
    http_peer_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < count; i++) {
        if (!http_peer_send(fd, "3\r\nabc\r\n"))
            return false;
        http_peer_pause(every_ms);
    }
    return http_peer_send(fd, "0\r\n\r\n");
}

static bool send_large_head(int fd, int kilobytes)
{
    char line[1025];
    memset(line, 'h', sizeof line - 1);
    memcpy(line, "X-Long: ", 8);
    memcpy(line + 1022, "\r\n", 3);
    http_peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
    for (int i = 0; i < kilobytes; i++)
        http_peer_send(fd, line);
    return http_peer_send(fd, "\r\nok");
}

static bool send_megabytes(int fd, int count)
{
    char *megabyte = malloc((1 << 20) + 1);
    memset(megabyte, 'm', 1 << 20);
    megabyte[1 << 20] = '\0';
    char head[64];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", count << 20);
    bool more = http_peer_send(fd, head);
    for (int i = 0; more && i < count; i++)
        more = http_peer_send(fd, megabyte);
    free(megabyte);
    return more;
}

static bool echo(int fd, struct span request)
{
    BUF_AUTO answer = BUF_INIT(BODY_MAX);
    buf_printf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nX-One: 1\r\nx-two:2 \r\n\r\n",
               request.len);
    return http_peer_send(fd, buf_text(&answer)) &&
           send(fd, request.data, request.len, MSG_NOSIGNAL) == (ssize_t)request.len;
}

// Answers when MANY have asked.
static bool gather(struct fetch_world *world, int fd)
{
    for (int i = 0; i < 2000 && http_peer_requests(world->peer) < MANY; i++)
        http_peer_pause(5);
    if (http_peer_requests(world->peer) < MANY)
        return false;
    return http_peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

// Ends the connection without a word, until so many requests have come.
static bool drop_until(struct fetch_world *world, int fd, unsigned count)
{
    return http_peer_requests(world->peer) >= count &&
           http_peer_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

// What is simply sent. `then` is what follows.
static const struct {
    const char *path, *text;
    enum { THEN_MORE, THEN_HOLD, THEN_CLOSE, THEN_RESET } then;
} answers[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", THEN_MORE},
    {"/empty", "HTTP/1.1 204 No Content\r\n\r\n", THEN_MORE},
    {"/idle-close", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", THEN_CLOSE},
    {"/until-close", "HTTP/1.1 200 OK\r\n\r\nhello", THEN_CLOSE},
    {"/hold", "", THEN_HOLD},
    {"/head-hold", OK_HEAD, THEN_HOLD},
    {"/body-hold", OK_HEAD "hello", THEN_HOLD},
    {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n", THEN_MORE},
    {"/early",
     "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Early: 2\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Late: 3\r\n\r\nhello",
     THEN_MORE},
    {"/cut-length", OK_HEAD "hello", THEN_CLOSE},
    {"/cut-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwor",
     THEN_CLOSE},
    {"/cut-between", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
     THEN_CLOSE},
    {"/cut-head", "HTTP/1.1 200 OK\r\nContent-Le", THEN_CLOSE},
    {"/reset", OK_HEAD "hello", THEN_RESET},
    {"/nothing", "", THEN_CLOSE},
    {"/read-reset", "", THEN_RESET},
    {"/garbage", "220 mail.example ESMTP ready\r\nThis is not what you wanted.\r\n", THEN_CLOSE},
    {"/bad-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", THEN_CLOSE},
};

static bool answer_simply(int fd, struct span path)
{
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if (!span_is(path, answers[i].path))
            continue;
        http_peer_send(fd, answers[i].text);
        if (answers[i].then == THEN_HOLD)
            http_peer_hold(fd);
        if (answers[i].then == THEN_RESET) {
            if (*answers[i].text)
                http_peer_pause(20); // or it could be lost with it
            http_peer_reset(fd);
        }
        return answers[i].then == THEN_MORE;
    }
    abort();
}

bool fetch_answer(void *context, int fd, struct span request)
{
    struct span rest = request;
    span_cut(&rest, ' ');
    struct span path = span_cut(&rest, ' ');
    ptrdiff_t host = span_find(path, SPAN_LITERAL("://")); // we are the proxy
    if (host >= 0) {
        rest = span_skip(path, (size_t)host + 3);
        path = span_skip(rest, (size_t)span_find(rest, SPAN_LITERAL("/")));
    }
    if (span_is(path, "/echo"))
        return echo(fd, request);
    if (span_is(path, "/gather"))
        return gather(context, fd);
    if (span_is(path, "/late-third"))
        http_peer_pause(LATE_MS);
    if (span_is(path, "/third") || span_is(path, "/late-third"))
        return drop_until(context, fd, 3);
    if (span_is(path, "/drip"))
        return send_in_pieces(fd, 20, 40);
    if (span_is(path, "/drip-forever"))
        return send_in_pieces(fd, 1000, 40);
    if (span_is(path, "/head-60"))
        return send_large_head(fd, 60);
    if (span_is(path, "/head-70"))
        return send_large_head(fd, 70);
    if (span_is(path, "/large"))
        return send_megabytes(fd, 8);
    return answer_simply(fd, path);
}
