// Streamed answers, clients that leave, and the end of the server.
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

static void departure_is_noticed(void **state)
{
    (void)state;
    static const char *const paths[] = {"/hold", "/stream"};
    struct world *w = world_create((struct http_server_options){0});
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        char request[100];
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HEAD "\r\n", paths[i]);
        int fd = client_open(w);
        client_text(w, fd, request);
        until_count(w, &w->requests, i + 1);
        uint64_t id = w->held;
        if (i == 1) {
            struct http_exchange *exchange = http_server_find(w->server, id);
            assert_int_equal(http_exchange_write(exchange, SPAN_LITERAL("begun")), 5);
            client_await(w, fd, &got, "begun", 1);
        }
        close(fd);
        until_count(w, &w->gone_count, i + 1);
        assert_int_equal(w->gone[i], id);
        assert_null(http_server_find(w->server, id));
    }
    until_idle(w);
    world_destroy(w);
}

// A client that never reads, then leaves, while the server's writes are stuck.
static void departure_of_a_stuck_reader(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    int fd = client_open(w);
    client_text(w, fd, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    char block[16 * 1024] = {0};
    for (int64_t stuck_since = now_ms(); now_ms() - stuck_since < 100; loop_run_once(w->loop, 1)) {
        struct http_exchange *exchange = http_server_find(w->server, w->held);
        if (http_exchange_write(exchange, (struct span){block, sizeof block}) >= 0)
            stuck_since = now_ms();
    }
    shutdown(fd, SHUT_WR); // bytes are unread on either side
    until_count(w, &w->gone_count, 1);
    until_idle(w);
    close(fd);
    world_destroy(w);
}

static void stuck_reader_times_out(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.idle_timeout_ms = 1000});
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    char block[16 * 1024] = {0};
    while (!w->gone_count) {
        struct http_exchange *exchange = http_server_find(w->server, w->held);
        http_exchange_write(exchange, (struct span){block, sizeof block});
        loop_run_once(w->loop, 1);
    }
    world_destroy(w);
}

// Streams "abc" and "def" to the client; returns how long the first was under way.
static int64_t stream_once(struct world *w, int fd)
{
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    client_text(w, fd, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "\r\n\r\n", 1);
    struct http_exchange *exchange = http_server_find(w->server, w->held);
    assert_int_equal(http_exchange_write(exchange, SPAN_LITERAL("abc")), 3);
    int64_t begin = now_ms();
    client_await(w, fd, &got, "3\r\nabc\r\n", 1);
    int64_t took_ms = now_ms() - begin;
    assert_int_equal(http_exchange_write(exchange, SPAN_LITERAL("def")), 3);
    http_exchange_end(exchange);
    assert_null(http_server_find(w->server, w->held));
    client_await(w, fd, &got, "3\r\ndef\r\n0\r\n\r\n", 1);
    return took_ms;
}

// Where the kernel is allowed to collect, a small write waits for the other side's acknowledgement,
// each time for 40 ms and more.
static void stream_goes_out_at_once(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    FD_AUTO fd = client_open(w); // the connection lives on
    int64_t best_ms = INT64_MAX;
    for (int i = 0; i < 10; i++) {
        int64_t took_ms = stream_once(w, fd);
        best_ms = took_ms < best_ms ? took_ms : best_ms;
    }
    assert_true(best_ms < 30);
    assert_int_equal(w->gone_count, 0);
    world_destroy(w);
}

static void slow_reader_of_1000_events(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_pending = 64 * 1024});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_text(w, fd, "GET /sse HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    pump_events(w);
    int64_t until = now_ms() + 30 * 1000;
    while (!strstr(buf_text(&got) + (got.len > 10 ? got.len - 10 : 0), "\r\n0\r\n\r\n")) {
        loop_run_once(w->loop, 1);
        client_read(fd, &got, 3000);
        assert_true(now_ms() < until);
    }
    assert_int_equal(w->events_sent, EVENTS);
    assert_true(w->drains > 3);
    assert_true(w->most_pending <= 64 * 1024);
    assert_non_null(strstr(buf_text(&got), "Content-Type: text/event-stream; charset=utf-8\r\n"));
    assert_non_null(strstr(buf_text(&got), "999 y"));
    assert_int_equal(w->gone_count, 0);
    world_destroy(w);
}

static void pending_is_bounded(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_pending = 1000});
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    char block[600] = {0};
    struct http_exchange *exchange = http_server_find(w->server, w->held);
    assert_int_equal(http_exchange_write(exchange, (struct span){block, sizeof block}), 600);
    assert_int_equal(http_exchange_write(exchange, (struct span){block, sizeof block}), -ENOBUFS);
    assert_int_equal(http_exchange_write(exchange, (struct span){block, 400}), 1000);
    assert_int_equal(http_exchange_pending(exchange), 1000);
    world_destroy(w);
    assert_true(true);
}

static void keep_alive_comments(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /sse HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "3\r\n:\n\n\r\n", 3);
    assert_true(sse_stream_send(&w->sse, SPAN_LITERAL("note"), SPAN_LITERAL("a\nb")) > 0);
    client_await(w, fd, &got, "event: note\ndata: a\ndata: b\n\n", 1);
    assert_int_equal(sse_stream_send(&w->sse, SPAN_LITERAL("a\nb"), SPAN_LITERAL("x")), -EINVAL);
    fd_close(&fd);
    until_count(w, &w->gone_count, 1);
    assert_int_equal(sse_stream_send(&w->sse, SPAN_ABSENT, SPAN_LITERAL("x")), -EPIPE);
    pass_ms(w, 60);
    world_destroy(w);
}

static void cut_streams_look_cut(void **state)
{
    (void)state;
    static const char *const versions[] = {"1.1", "1.0"};
    struct world *w = world_create((struct http_server_options){0});
    for (unsigned i = 0; i < ARRAY_LEN(versions); i++) {
        char request[100];
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        FD_AUTO fd = client_open(w);
        snprintf(request, sizeof request, "GET /stream HTTP/%s\r\n" HEAD "\r\n", versions[i]);
        client_text(w, fd, request);
        until_count(w, &w->requests, i + 1);
        struct http_exchange *exchange = http_server_find(w->server, w->held);
        http_exchange_write(exchange, SPAN_LITERAL("half"));
        client_await(w, fd, &got, "half", 1);
        http_exchange_abort(exchange);
        assert_null(http_server_find(w->server, w->held));
        assert_int_equal(client_await(w, fd, &got, NULL, 0), -ECONNRESET);
        assert_null(strstr(buf_text(&got), "\r\n0\r\n"));
    }
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /abort HTTP/1.1\r\n" HEAD "\r\n");
    assert_int_equal(client_await(w, fd, &got, NULL, 0), -ECONNRESET);
    assert_int_equal(got.len, 0);
    assert_int_equal(w->gone_count, 0);
    assert_int_equal(http_server_connections(w->server), 0);
    world_destroy(w);
}

static void old_clients_get_a_stream_too(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /stream HTTP/1.0\r\n\r\n");
    until_count(w, &w->requests, 1);
    struct http_exchange *exchange = http_server_find(w->server, w->held);
    http_exchange_write(exchange, SPAN_LITERAL("whole"));
    http_exchange_end(exchange);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
    assert_non_null(strstr(buf_text(&got), "\r\n\r\nwhole"));
    world_destroy(w);
}

static void destroy_with_open_exchanges(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    FD_AUTO a = client_open(w), b = client_open(w), c = client_open(w), d = client_open(w);
    uint64_t ids[2];
    client_text(w, a, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    ids[0] = w->held;
    client_text(w, b, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 2);
    ids[1] = w->held;
    client_text(w, c, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 3);
    client_text(w, d, "POST /hold HTTP/1.1\r\n" HEAD "Content-Length: 10\r\n\r\nhalf");
    pass_ms(w, 10);
    reply_held(w); // ended, not yet sent
    http_server_stop_accepting(w->server);
    assert_int_equal(http_server_open_exchanges(w->server), 2);
    http_server_destroy(w->server);
    w->server = NULL;
    assert_int_equal(w->gone_count, 2);
    assert_int_equal(w->gone[0], ids[0]);
    assert_int_equal(w->gone[1], ids[1]);
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    client_await(w, c, &got, "late", 1);
    assert_true(client_await(w, a, &got, NULL, 0) <= 0);
    world_destroy(w);
}

// Nothing to do is no work: an idle keep-alive connection and an idle stream wake nobody.
static void idle_is_idle(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO a = client_open(w), b = client_open(w);
    client_text(w, a, "GET /echo HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, a, &got, "GET /echo", 1);
    client_text(w, b, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, b, &got, "chunked\r\n\r\n", 1);
    pass_ms(w, 10);
    int passes = 0;
    for (int64_t until = now_ms() + 300; now_ms() < until; passes++)
        loop_run_once(w->loop, until - now_ms());
    assert_true(passes <= 3);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(departure_is_noticed),
        cmocka_unit_test(departure_of_a_stuck_reader),
        cmocka_unit_test(stuck_reader_times_out),
        cmocka_unit_test(stream_goes_out_at_once),
        cmocka_unit_test(slow_reader_of_1000_events),
        cmocka_unit_test(pending_is_bounded),
        cmocka_unit_test(keep_alive_comments),
        cmocka_unit_test(cut_streams_look_cut),
        cmocka_unit_test(old_clients_get_a_stream_too),
        cmocka_unit_test(destroy_with_open_exchanges),
        cmocka_unit_test(idle_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
