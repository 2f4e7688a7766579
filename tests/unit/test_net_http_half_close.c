// Clients that send no more: those that left are gone at once, those that still read are answered.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "support/http_world.h"

#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static void on_half_closed(void *ctx, struct http_exchange *exchange)
{
    struct world *w = ctx;
    assert_int_equal(http_exchange_id(exchange), w->sse.exchange);
    sse_stream_probe(&w->sse);
}

static int open_and_ask(struct world *w, const char *request)
{
    unsigned before = w->requests;
    int fd = client_open(w);
    client_text(w, fd, request);
    until_count(w, &w->requests, before + 1);
    return fd;
}

static void who_still_reads_gets_the_answer(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = open_and_ask(w, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    shutdown(fd, SHUT_WR);
    client_await(w, fd, &got, CONTINUE, 1);
    pass_ms(w, 50);
    assert_int_equal(w->gone_count, 0);
    reply_held(w);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0); // an orderly end, no reset
    assert_true(span_ends_with(buf_span(&got), "\r\n\r\nlate"));
    assert_ptr_equal(strstr(buf_text(&got) + 1, CONTINUE), NULL); // asked once
    until_idle(w);
    world_destroy(w);
}

// Also when the request and the end of file come in one piece.
static void who_asks_and_half_closes_in_one_breath(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /later HTTP/1.1\r\n" HEAD "\r\nGET /echo HTTP/1.1\r\n" HEAD "\r\n");
    shutdown(fd, SHUT_WR);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
    assert_non_null(strstr(buf_text(&got), "late"));
    assert_non_null(strstr(buf_text(&got), "GET /echo"));
    assert_int_equal(w->gone_count, 0);
    world_destroy(w);
}

static void who_left_is_gone(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    int fd = open_and_ask(w, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    fd_close(&fd);
    until_count(w, &w->gone_count, 1);
    assert_int_equal(w->gone[0], w->held);
    until_idle(w);
    world_destroy(w);
}

static void who_left_after_a_half_close_is_gone(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    int fd = open_and_ask(w, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    shutdown(fd, SHUT_WR);
    client_await(w, fd, &got, CONTINUE, 1);
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_close(&fd);
    until_count(w, &w->gone_count, 1);
    world_destroy(w);
}

// HTTP/1.0 knows no interim response: nothing can be asked, and money must not run on.
static void of_old_clients_it_is_not_found_out(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = open_and_ask(w, "GET /hold HTTP/1.0\r\n\r\n");
    shutdown(fd, SHUT_WR);
    until_count(w, &w->gone_count, 1);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0); // and no reset
    assert_int_equal(got.len, 0);
    world_destroy(w);
}

static void a_stream_goes_on_for_who_reads(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.on_half_closed = on_half_closed});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = open_and_ask(w, "GET /sse HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "\r\n\r\n", 1);
    shutdown(fd, SHUT_WR);
    client_await(w, fd, &got, ":\n\n", 1);
    sse_stream_send(&w->sse, SPAN_ABSENT, SPAN_LITERAL("last"));
    sse_stream_end(&w->sse);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
    assert_non_null(strstr(buf_text(&got), "data: last\n\n"));
    assert_true(span_ends_with(buf_span(&got), "\r\n0\r\n\r\n"));
    assert_int_equal(w->gone_count, 0);
    world_destroy(w);
}

static void a_stream_ends_for_who_left(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.on_half_closed = on_half_closed});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    int fd = open_and_ask(w, "GET /sse HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "\r\n\r\n", 1);
    client_read(fd, &got, 1000); // with unread bytes closing would be a reset by itself
    fd_close(&fd);
    until_count(w, &w->gone_count, 1);
    assert_int_equal(sse_stream_send(&w->sse, SPAN_ABSENT, SPAN_LITERAL("x")), -EPIPE);
    world_destroy(w);
}

// A comment within an event would be a part of it.
static void a_probe_does_not_tear_an_event(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.on_half_closed = on_half_closed});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = open_and_ask(w, "GET /sse HTTP/1.1\r\n" HEAD "\r\n");
    sse_stream_send_raw(&w->sse, SPAN_LITERAL("data: ha"));
    client_await(w, fd, &got, "data: ha", 1);
    shutdown(fd, SHUT_WR);
    pass_ms(w, 100); // a keep-alive would be due as well
    sse_stream_send_raw(&w->sse, SPAN_LITERAL("lf\n\n"));
    client_await(w, fd, &got, "lf\n\n", 1);
    assert_ptr_equal(strstr(buf_text(&got), ":\n\n"), NULL);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_still_reads_gets_the_answer),
        cmocka_unit_test(who_asks_and_half_closes_in_one_breath),
        cmocka_unit_test(who_left_is_gone),
        cmocka_unit_test(who_left_after_a_half_close_is_gone),
        cmocka_unit_test(of_old_clients_it_is_not_found_out),
        cmocka_unit_test(a_stream_goes_on_for_who_reads),
        cmocka_unit_test(a_stream_ends_for_who_left),
        cmocka_unit_test(a_probe_does_not_tear_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
