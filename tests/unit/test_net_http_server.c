// Requests: what gets through, what is refused, what is cut off, and in which order.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "support/http_world.h"

static void keep_alive_and_accessors(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /echo/a%20b%2Fc?q=1%262&r=3 HTTP/1.1\r\n" HEAD "X-Note: hi\r\n\r\n");
    client_await(w, fd, &got, ":.", 1);
    assert_non_null(
        strstr(buf_text(&got), "GET /echo/a b/c q=1&2 note=hi peer=127.0.0.1 body=0:."));
    assert_non_null(strstr(buf_text(&got), "X-One: 1\r\n"));
    assert_null(strstr(buf_text(&got), "X-Two"));
    buf_clear(&got);
    client_text(w, fd, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n\r\nhe");
    pass_ms(w, 20);
    client_text(w, fd, "llo");
    client_await(w, fd, &got, "body=5:hello.", 1);
    buf_clear(&got);
    client_text(w, fd, "GET http://some.where/echo?q=z HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "GET /echo q=z", 1);
    buf_clear(&got);
    client_text(w, fd, "GET /echo/%00x HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "The path is not well-formed.\n", 1);
    assert_true(span_starts_with(buf_span(&got), "HTTP/1.1 400 "));
    buf_clear(&got);
    client_text(w, fd, "HEAD /echo HTTP/1.1\r\n" HEAD "\r\nGET /nowhere HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "There is no /nowhere here.\n", 1);
    assert_int_equal(http_server_connections(w->server), 1);
    assert_int_equal(http_server_open_exchanges(w->server), 0);
    world_destroy(w);
}

static void pipelining_keeps_order(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd,
                "GET /later HTTP/1.1\r\n" HEAD "\r\nGET /echo/1 HTTP/1.1\r\n" HEAD
                "\r\nGET /echo/2 HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "/echo/2", 1);
    const char *late = strstr(buf_text(&got), "late");
    const char *one = strstr(buf_text(&got), "/echo/1");
    assert_true(late && one && late < one && one < strstr(buf_text(&got), "/echo/2"));
    world_destroy(w);
}

static void chunked_upload_and_continue(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd,
                "POST /echo HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\n"
                "Transfer-Encoding: chunked\r\n\r\n");
    client_await(w, fd, &got, "HTTP/1.1 100 Continue\r\n\r\n", 1);
    client_text(w, fd, "3\r\nabc\r\n");
    pass_ms(w, 10);
    client_text(w, fd, "4\r\ndefg\r\n0\r\n\r\n");
    client_await(w, fd, &got, "body=7:abcdefg.", 1);
    world_destroy(w);
}

static void send_body(struct world *w, int fd, size_t len, bool chunked)
{
    char *block = mem_alloc(len);
    char head[200];
    memset(block, 'b', len);
    if (chunked)
        snprintf(head, sizeof head,
                 "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", len);
    else
        snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: %zu\r\n\r\n",
                 len);
    client_text(w, fd, head);
    client_send(w, fd, block, len);
    client_text(w, fd, chunked ? "\r\n0\r\n\r\n" : "");
    free(block);
}

static void oversize_body_is_413(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_body = 100000});
    for (int chunked = 0; chunked < 2; chunked++) {
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        FD_AUTO fd = client_open(w);
        send_body(w, fd, 100000, chunked);
        client_await(w, fd, &got, "body=100000:", 1);
        buf_clear(&got);
        send_body(w, fd, 100001, chunked);
        client_await(w, fd, &got, "The body is larger than 100000 bytes.\n", 1);
        assert_true(span_starts_with(buf_span(&got), "HTTP/1.1 413 "));
        buf_clear(&got);
        send_body(w, fd, 5 * 1000 * 1000, chunked); // the connection lives on
        client_await(w, fd, &got, "The body is larger than 100000 bytes.\n", 1);
    }
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd,
                "POST /echo HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\n"
                "Content-Length: 100001\r\n\r\n");
    client_await(w, fd, &got, "HTTP/1.1 413 ", 1);
    assert_int_equal(w->requests, 2);
    world_destroy(w);
}

static void too_many_bodies_are_503(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_bodies = 150000});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO first = client_open(w), second = client_open(w);
    client_text(w, first, "POST /hold HTTP/1.1\r\n" HEAD "Content-Length: 100000\r\n\r\n");
    char *block = mem_zalloc(100000);
    client_send(w, first, block, 100000);
    free(block);
    until_count(w, &w->requests, 1);
    send_body(w, second, 100000, false);
    client_await(w, second, &got, "Too many bytes", 1);
    assert_non_null(strstr(buf_text(&got), "HTTP/1.1 503 "));
    assert_non_null(strstr(buf_text(&got), "Retry-After: 1\r\n"));

    struct buf body = BUF_INIT(0);
    http_exchange_take_body(http_server_find(w->server, w->held), &body);
    assert_int_equal(body.len, 100000);
    buf_finish(&body);
    buf_clear(&got);
    send_body(w, second, 100000, false);
    client_await(w, second, &got, "body=100000:", 1);
    world_destroy(w);
}

static void oversize_head_is_431(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_header = 2000});
    static const size_t sizes[] = {3000, 200000}; // beyond the limit, and beyond all
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        FD_AUTO fd = client_open(w);
        char *long_value = mem_zalloc(sizes[i] + 1);
        memset(long_value, 'v', sizes[i]);
        client_text(w, fd, "GET /echo HTTP/1.1\r\n" HEAD "X-Note: ");
        client_text(w, fd, long_value);
        client_text(w, fd, "\r\n\r\n");
        client_await(w, fd, &got, "HTTP/1.1 431 ", 1); // not lost to a reset
        free(long_value);
    }
    assert_int_equal(w->requests, 0);
    world_destroy(w);
}

static void dripping_is_bounded(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "GET /ech", "GET /echo HTTP/1.1\r\nHost: ",
        "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 9999\r\n\r\n", ""};
    struct world *w = world_create((struct http_server_options){.idle_timeout_ms = 200});
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        FD_AUTO fd = client_open(w);
        int64_t begin = now_ms();
        client_text(w, fd, heads[i]);
        while (client_read(fd, &got, 100) == 1) {
            if (i < 3)
                send(fd, "x", 1, MSG_NOSIGNAL);
            pass_ms(w, 20);
            assert_true(now_ms() - begin < PATIENCE_MS);
        }
        if (now_ms() - begin < 190)
            fail_msg("case %zu ended after %d ms: %s", i, (int)(now_ms() - begin), buf_text(&got));
    }
    assert_int_equal(w->requests, 0);
    until_idle(w);
    world_destroy(w);
}

static void thinking_is_not_timed(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.idle_timeout_ms = 100});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    pass_ms(w, 1500);
    reply_held(w);
    assert_null(http_server_find(w->server, w->held));
    client_await(w, fd, &got, "late", 1);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0); // then the idle connection is closed
    assert_int_equal(w->gone_count, 0);
    world_destroy(w);
}

static void many_clients_beyond_the_limit(void **state)
{
    (void)state;
    enum { CLIENTS = 40 };
    struct world *w = world_create((struct http_server_options){.max_connections = 8});
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(w);
        client_text(w, fds[i], "GET /echo HTTP/1.1\r\nConnection: close\r\n" HEAD "\r\n");
    }
    for (int i = 0; i < CLIENTS; i++) {
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        assert_int_equal(client_await(w, fds[i], &got, NULL, 0), 0);
        assert_non_null(strstr(buf_text(&got), "GET /echo"));
        close(fds[i]);
    }
    assert_int_equal(w->requests, CLIENTS);
    world_destroy(w);
}

static void addresses(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world *w = world_create((struct http_server_options){.address = "::"});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w); // over IPv4
    client_text(w, fd, "GET /echo HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "peer=127.0.0.1 ", 1);

    struct http_server *second = NULL;
    struct http_server_options taken = {.address = "::", .port = http_server_port(w->server)};
    assert_int_equal(http_server_create(w->loop, &taken, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "another program listens there"));
    taken.address = "localhost";
    assert_int_equal(http_server_create(w->loop, &taken, &second, &err), -EINVAL);
    assert_null(second);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_alive_and_accessors),      cmocka_unit_test(pipelining_keeps_order),
        cmocka_unit_test(chunked_upload_and_continue),   cmocka_unit_test(oversize_body_is_413),
        cmocka_unit_test(too_many_bodies_are_503),       cmocka_unit_test(oversize_head_is_431),
        cmocka_unit_test(dripping_is_bounded),           cmocka_unit_test(thinking_is_not_timed),
        cmocka_unit_test(many_clients_beyond_the_limit), cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
