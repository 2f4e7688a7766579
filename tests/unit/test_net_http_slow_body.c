// Requests that come slowly: which are waited for, and what the others are told.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/http_server.h"
#include "support/fake_clock.h"

enum {
    PATIENCE_MS = 1000, // the server's
    PIECE = 256 * 1024, // bytes that earn it anew
    ROUNDS = 20000,     // of the loop, 1 ms each, before a test gives up
};

struct slow {
    struct fake_clock clock;
    struct loop *loop;
    struct http_server *server;
    unsigned requests;
    size_t body;
    int fd;
    struct buf got;
};

static void on_request(void *context, struct http_exchange *exchange)
{
    struct slow *slow = context;
    slow->requests++;
    slow->body = http_exchange_body(exchange).len;
    http_exchange_reply_text(exchange, 200, "whole");
}

static void begin(struct slow *slow)
{
    struct http_server_options options = {.address = "127.0.0.1",
                                          .idle_timeout_ms = PATIENCE_MS,
                                          .max_body = 8 * PIECE,
                                          .on_request = on_request,
                                          .ctx = slow};
    memset(slow, 0, sizeof *slow);
    buf_init(&slow->got, PIECE);
    assert_int_equal(loop_create(fake_clock_init(&slow->clock, 5000), &slow->loop, NULL), 0);
    assert_int_equal(http_server_create(slow->loop, &options, &slow->server, NULL), 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(slow->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    slow->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(slow->fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(slow->fd, F_SETFL, O_NONBLOCK);
}

static void end(struct slow *slow)
{
    http_server_destroy(slow->server);
    loop_destroy(slow->loop);
    fd_close(&slow->fd);
    buf_finish(&slow->got);
}

// All that was sent is read: the kernel has nothing left of it.
static void say(struct slow *slow, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(slow->fd, data, len, MSG_NOSIGNAL);
        assert_true(n > 0 || errno == EAGAIN);
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        loop_run_once(slow->loop, 0);
    }
    for (int i = 0; i < 50; i++)
        loop_run_once(slow->loop, 1);
}

static void say_text(struct slow *slow, const char *text)
{
    say(slow, text, strlen(text));
}

static void pass(struct slow *slow, int64_t ms)
{
    slow->clock.now_ms += ms;
    loop_run_once(slow->loop, 0);
    loop_run_once(slow->loop, 0);
}

// What came until the connection ended.
static const char *all(struct slow *slow)
{
    for (int i = 0; i < ROUNDS; i++) {
        char *room = buf_reserve(&slow->got, 1000);
        ssize_t n = recv(slow->fd, room, 1000, 0);
        if (n == 0)
            return buf_text(&slow->got);
        if (n > 0)
            buf_grow_by(&slow->got, (size_t)n);
        loop_run_once(slow->loop, 1);
    }
    fail_msg("the connection did not end: %s", buf_text(&slow->got));
    return NULL;
}

static void who_says_nothing_is_told_nothing(void **state)
{
    (void)state;
    struct slow slow;
    begin(&slow);
    say_text(&slow, "");
    pass(&slow, PATIENCE_MS + 1);
    assert_string_equal(all(&slow), "");
    end(&slow);
}

static void half_a_request_is_told_so(void **state)
{
    (void)state;
    static const char *const halves[] = {
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: ", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha"};
    for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
        struct slow slow;
        begin(&slow);
        say_text(&slow, halves[i]);
        pass(&slow, PATIENCE_MS + 1);
        const char *got = all(&slow);
        assert_memory_equal(got, "HTTP/1.1 408 Request Timeout\r\n", 30);
        assert_non_null(strstr(got, "Connection: close\r\n"));
        assert_int_equal(slow.requests, 0);
        end(&slow);
    }
}

// Each piece comes nearly too late; all of it would have.
static void a_body_that_goes_on_is_waited_for(void **state)
{
    (void)state;
    struct slow slow;
    char *piece = mem_zalloc(PIECE);
    begin(&slow);
    say_text(&slow,
             "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1048576\r\n\r\n");
    for (int i = 0; i < 4; i++) {
        pass(&slow, PATIENCE_MS - 100);
        say(&slow, piece, PIECE);
    }
    assert_non_null(strstr(all(&slow), "whole"));
    assert_int_equal(slow.body, 4 * PIECE);
    end(&slow);
    free(piece);
}

static void a_body_that_drips_is_not(void **state)
{
    (void)state;
    struct slow slow;
    begin(&slow);
    say_text(&slow, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    for (int i = 0; i < 11; i++) {
        pass(&slow, PATIENCE_MS / 10);
        send(slow.fd, "x", 1, MSG_NOSIGNAL);
    }
    assert_memory_equal(all(&slow), "HTTP/1.1 408 ", 13);
    end(&slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_says_nothing_is_told_nothing),
        cmocka_unit_test(half_a_request_is_told_so),
        cmocka_unit_test(a_body_that_goes_on_is_waited_for),
        cmocka_unit_test(a_body_that_drips_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
