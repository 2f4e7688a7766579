// What the server does with requests that are wrong, early, or only half there.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "support/http_world.h"

// Each ends the connection, in good order: the client reads its answer and then end of file.
static void what_cannot_be_framed_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET /echo HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 "},
        {"GET /echo HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /echo HTTP/2.0\r\n", "HTTP/1.1 505 "},
        {"CONNECT x:1 HTTP/1.1\r\n", "HTTP/1.1 501 "},
        {"POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 "},
        {"POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
         "The request is not well-formed.\n"},
        {"POST /echo HTTP/1.1\r\n" HEAD "Expect: tea\r\nContent-Length: 3\r\n\r\n",
         "HTTP/1.1 417 "},
    };
    struct world *w = world_create((struct http_server_options){0});
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        FD_AUTO fd = client_open(w);
        client_text(w, fd, cases[i].request);
        client_text(w, fd, "GET /echo HTTP/1.1\r\n" HEAD "\r\n"); // smuggled: never seen
        assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
        if (!strstr(buf_text(&got), cases[i].answer))
            fail_msg("case %zu: %s", i, buf_text(&got));
        assert_non_null(strstr(buf_text(&got), "\r\nConnection: close\r\n"));
        assert_null(strstr(buf_text(&got), "\nHTTP/1.1 "));
    }
    until_idle(w);
    assert_int_equal(w->requests, 0);
    world_destroy(w);
}

static void a_long_target_is_414(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_header = 2000});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    char target[3000];
    memset(target, 'a', sizeof target - 1);
    target[sizeof target - 1] = '\0';
    client_text(w, fd, "GET /");
    client_text(w, fd, target);
    client_await(w, fd, &got, "HTTP/1.1 414 ", 1);
    world_destroy(w);
}

// A client that sends far more than it was asked for still gets its answer, and then a limit.
static void an_early_answer_survives_a_talkative_client(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_header = 2000});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    char *noise = mem_zalloc(3 << 20);
    client_send(w, fd, noise, 3 << 20);
    client_await(w, fd, &got, "HTTP/1.1 414 ", 1);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
    free(noise);
    fd_close(&fd);
    until_idle(w);
    world_destroy(w);
}

static void lingering_is_timed(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.idle_timeout_ms = 200});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    int64_t begin = now_ms();
    client_text(w, fd, "nonsense\r\n");
    client_await(w, fd, &got, "HTTP/1.1 400 ", 1);
    while (http_server_connections(w->server)) {
        send(fd, "x", 1, MSG_NOSIGNAL);
        pass_ms(w, 20);
        assert_true(now_ms() - begin < PATIENCE_MS);
    }
    world_destroy(w);
}

// What came with the request, and the end of file with it.
static void a_half_closed_client_is_answered(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /echo/1 HTTP/1.1\r\n" HEAD "\r\nGET /echo/2 HTTP/1.0\r\n" HEAD "\r\n");
    shutdown(fd, SHUT_WR);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
    assert_non_null(strstr(buf_text(&got), "/echo/1"));
    assert_non_null(strstr(buf_text(&got), "/echo/2"));
    world_destroy(w);
}

// A large body, whose end of file comes while much of it is unread.
static void a_body_is_read_to_its_end(void **state)
{
    (void)state;
    enum { LARGE = 900 * 1000 };
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    char *block = mem_zalloc(LARGE);
    client_text(w, fd, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 900000\r\n\r\n");
    client_send(w, fd, block, LARGE);
    shutdown(fd, SHUT_WR);
    client_await(w, fd, &got, "body=900000:", 1);
    free(block);
    world_destroy(w);
}

static void old_clients_may_stay(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "GET /echo/1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    client_await(w, fd, &got, "Connection: keep-alive\r\n", 1);
    client_text(w, fd, "GET /echo/2 HTTP/1.0\r\n\r\n");
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
    assert_non_null(strstr(buf_text(&got), "/echo/2"));
    assert_non_null(strstr(buf_text(&got), "\r\nDate: "));
    world_destroy(w);
}

static void head_has_no_body(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd, "HEAD /stream HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    struct http_exchange *exchange = http_server_find(w->server, w->held);
    assert_int_equal(http_exchange_write(exchange, SPAN_LITERAL("none of this")), 0);
    http_exchange_end(exchange);
    client_text(w, fd, "GET /echo HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "GET /echo", 1);
    assert_null(strstr(buf_text(&got), "none of this"));
    assert_non_null(strstr(buf_text(&got), "chunked\r\n\r\nHTTP/1.1 200 OK\r\n"));
    world_destroy(w);
}

// Many requests at once, answered late: those that wait do so in the kernel, and all are served.
static void a_flood_of_requests_waits(void **state)
{
    (void)state;
    enum { MANY = 4000 };
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX), flood = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    buf_append_text(&flood, "GET /later HTTP/1.1\r\n" HEAD "\r\n");
    for (int i = 1; i < MANY; i++)
        buf_printf(&flood, "GET /echo/%d HTTP/1.1\r\n" HEAD "\r\n", i);
    size_t sent = 0;
    int64_t until = now_ms() + PATIENCE_MS;
    while (!strstr(buf_text(&got) + (got.len > 400 ? got.len - 400 : 0), "/echo/3999 ")) {
        ssize_t n = send(fd, flood.data + sent, flood.len - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        loop_run_once(w->loop, 1);
        client_read(fd, &got, SIZE_MAX);
        assert_true(now_ms() < until);
    }
    assert_int_equal(w->requests, MANY);
    world_destroy(w);
}

// No descriptor is to be had for a while: nobody is lost, and the loop does not spin.
static void without_descriptors_clients_wait(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int passes = 0;
    for (int64_t until = now_ms() + 300; now_ms() < until; passes++)
        loop_run_once(w->loop, until - now_ms());
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(passes < 12);
    client_text(w, fd, "GET /echo HTTP/1.1\r\n" HEAD "\r\n");
    client_await(w, fd, &got, "GET /echo", 1);
    world_destroy(w);
}

// A whole answer that does not fit into the socket, copied and taken over; also cut off in time.
static void a_slow_reader_of_a_whole_answer(void **state)
{
    (void)state;
    enum { LARGE = 6 << 20 };
    struct world *w = world_create((struct http_server_options){0});
    for (int taken = 0; taken < 2; taken++) {
        BUF_AUTO got = BUF_INIT(ANSWER_MAX), body = BUF_INIT(LARGE);
        FD_AUTO fd = client_open(w);
        memset(buf_reserve(&body, LARGE), 'z', LARGE);
        buf_grow_by(&body, LARGE);
        client_text(w, fd, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
        until_count(w, &w->requests, (unsigned)taken + 1);
        struct http_exchange *exchange = http_server_find(w->server, w->held);
        if (taken)
            http_exchange_reply_take(exchange, 200, NULL, &body);
        else
            http_exchange_reply(exchange, 200, NULL, buf_span(&body));
        buf_clear(&body); // it must not be needed any more
        pass_ms(w, 5);
        shutdown(fd, SHUT_WR); // and reads on
        while (got.len < LARGE) {
            loop_run_once(w->loop, 1);
            assert_int_equal(client_read(fd, &got, SIZE_MAX), 1);
        }
        client_await(w, fd, &got, NULL, 0);
        struct span text = buf_span(&got);
        ptrdiff_t at = span_find(text, SPAN_LITERAL("\r\n\r\n"));
        assert_int_equal(text.len - (size_t)at - 4, LARGE);
        for (size_t i = (size_t)at + 4; i < text.len; i++)
            if (text.data[i] != 'z')
                fail_msg("byte %zu differs", i);
    }
    world_destroy(w);
}

// The stream's chunks must be whole wherever the socket stopped in between.
static void chunks_stay_whole(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_pending = 50000});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX), wanted = BUF_INIT(ANSWER_MAX),
             clear = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    int small = 64 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_text(w, fd, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    uint64_t id = w->held;
    for (unsigned i = 0; wanted.len < 4000000; i = i * 1103515245 + 12345) {
        char piece[8192];
        struct http_exchange *exchange = http_server_find(w->server, id);
        size_t len = i / 65536 % sizeof piece;
        memset(piece, 'a' + (int)(i / 7 % 26), len);
        if (http_exchange_write(exchange, span_make(piece, len)) >= 0)
            buf_append(&wanted, piece, len);
        loop_run_once(w->loop, 0);
        if (i / 1024 % 3 == 0)
            client_read(fd, &got, i / 65536 % 5000 + 1);
    }
    http_exchange_end(http_server_find(w->server, id));
    while (!span_ends_with(buf_span(&got), "\r\n0\r\n\r\n")) {
        loop_run_once(w->loop, 1);
        assert_int_equal(client_read(fd, &got, SIZE_MAX), 1);
    }
    const char *at = strstr(buf_text(&got), "\r\n\r\n") + 4;
    for (unsigned size; sscanf(at, "%x\r\n", &size) == 1 && size;) {
        at = strchr(at, '\n') + 1;
        buf_append(&clear, at, size);
        at += size;
        assert_memory_equal(at, "\r\n", 2);
        at += 2;
    }
    assert_string_equal(at, "0\r\n\r\n");
    assert_true(span_equal(buf_span(&clear), buf_span(&wanted)));
    world_destroy(w);
}

// What was written while the socket was full, and the end with it.
static void the_rest_follows_a_blocked_chunk(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_pending = 1 << 20});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    char block[16 * 1024];
    size_t written = 0;
    memset(block, 'z', sizeof block);
    client_text(w, fd, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    for (int stuck = 0; stuck < 3; loop_run_once(w->loop, 1)) {
        struct http_exchange *exchange = http_server_find(w->server, w->held);
        stuck = http_exchange_pending(exchange) > sizeof block ? stuck + 1 : 0;
        if (http_exchange_write(exchange, span_make(block, sizeof block)) > 0)
            written += sizeof block;
    }
    http_exchange_end(http_server_find(w->server, w->held));
    int64_t until = now_ms() + PATIENCE_MS;
    while (!span_ends_with(buf_span(&got), "\r\n0\r\n\r\n")) {
        loop_run_once(w->loop, 1);
        assert_int_equal(client_read(fd, &got, SIZE_MAX), 1);
        assert_true(now_ms() < until);
    }
    size_t count = 0;
    for (const char *at = strstr(buf_text(&got), "\r\n\r\n"); *at; at++)
        count += *at == 'z';
    assert_int_equal(count, written);
    world_destroy(w);
}

static void queries(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    static const char *const cases[][2] = {
        {"?q=a+b%2b", "q=a b+ "},
        {"?x&q", "q= "},
        {"?xq=1&%71=2&q=3", "q=2 "},
        {"?q=1=2", "q=1=2 "},
        {"?Q=up", "q=up "},
        {"?q=%zz", "q=%zz "},
        {"", "q= "},
        {"?&&q=5&", "q=5 "},
    };
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char request[200];
        buf_clear(&got);
        snprintf(request, sizeof request, "GET /echo%s HTTP/1.1\r\n" HEAD "\r\n", cases[i][0]);
        client_text(w, fd, request);
        client_await(w, fd, &got, "body=0:.", 1);
        if (!strstr(buf_text(&got), cases[i][1]))
            fail_msg("case %zu: %s", i, buf_text(&got));
    }
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_framed_ends_the_connection),
        cmocka_unit_test(a_long_target_is_414),
        cmocka_unit_test(an_early_answer_survives_a_talkative_client),
        cmocka_unit_test(lingering_is_timed),
        cmocka_unit_test(a_half_closed_client_is_answered),
        cmocka_unit_test(a_body_is_read_to_its_end),
        cmocka_unit_test(old_clients_may_stay),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(a_flood_of_requests_waits),
        cmocka_unit_test(without_descriptors_clients_wait),
        cmocka_unit_test(a_slow_reader_of_a_whole_answer),
        cmocka_unit_test(chunks_stay_whole),
        cmocka_unit_test(the_rest_follows_a_blocked_chunk),
        cmocka_unit_test(queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
