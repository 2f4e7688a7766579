// Who gets no room, or makes it for others: bodies that nobody wants, connections that say nothing,
// heads that never end.
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

enum { BODIES = 150 * 1000, LARGE = 2 * 1000 * 1000 };

static bool wants_body(void *context, const struct http_exchange *exchange)
{
    (void)context;
    return span_is(http_exchange_path(exchange), "/echo/wanted");
}

static struct world *choosy_world(void)
{
    return world_create(
        (struct http_server_options){.max_bodies = BODIES, .wants_body = wants_body});
}

static void until_connections(struct world *w, unsigned count)
{
    for (int64_t until = now_ms() + PATIENCE_MS; http_server_connections(w->server) != count;) {
        loop_run_once(w->loop, 5);
        assert_true(now_ms() < until);
    }
}

static int client_accepted(struct world *w)
{
    unsigned before = http_server_connections(w->server);
    int fd = client_open(w);
    until_connections(w, before + 1);
    return fd;
}

static void expect(struct world *w, int fd, struct buf *got, const char *text)
{
    if (client_await(w, fd, got, text, 1) != 1)
        fail_msg("closed without %s: %s", text, buf_text(got));
}

static void expect_served(struct world *w, int fd)
{
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    client_text(w, fd, "GET /echo HTTP/1.1\r\n" HEAD "\r\n");
    expect(w, fd, &got, "GET /echo ");
}

static void expect_closed(struct world *w, int fd)
{
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
    assert_int_equal(got.len, 0);
}

static void post(struct world *w, int fd, const char *path, size_t length)
{
    char head[200];
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" HEAD "Content-Length: %zu\r\n\r\n", path,
             length);
    client_text(w, fd, head);
}

// More of it than all bodies may take, and of more than a body may have: it is no refusal.
static void an_unwanted_body_takes_no_room(void **state)
{
    (void)state;
    struct world *w = choosy_world();
    BUF_AUTO stranger_got = BUF_INIT(ANSWER_MAX), got = BUF_INIT(ANSWER_MAX);
    FD_AUTO stranger = client_open(w), fd = client_open(w);
    char *block = mem_zalloc(LARGE);
    post(w, stranger, "/echo/no", LARGE);
    client_send(w, stranger, block, LARGE - 1);
    post(w, fd, "/echo/wanted", BODIES);
    client_send(w, fd, block, BODIES);
    expect(w, fd, &got, "body=150000:");
    assert_int_equal(w->requests, 1);

    client_send(w, stranger, block, 1);
    expect(w, stranger, &stranger_got, "POST /echo/no ");
    assert_non_null(strstr(buf_text(&stranger_got), " body=0:."));
    expect_served(w, stranger);
    free(block);
    world_destroy(w);
}

static void an_unwanted_body_in_chunks(void **state)
{
    (void)state;
    struct world *w = choosy_world();
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO fd = client_open(w);
    client_text(w, fd,
                "POST /echo/no HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n0\r\n\r\nGET /echo/next HTTP/1.1\r\n" HEAD "\r\n");
    expect(w, fd, &got, "GET /echo/next ");
    assert_non_null(strstr(buf_text(&got), " body=0:."));
    world_destroy(w);
}

// Whoever waits for leave, sends without end, or makes us keep a large head meanwhile.
static void some_unwanted_bodies_are_not_waited_for(void **state)
{
    (void)state;
    struct world *w = choosy_world();
    char note[6000];
    memset(note, 'n', sizeof note - 1);
    note[sizeof note - 1] = '\0';
    const char *const more[] = {"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
                                "Content-Length: 99999999999\r\n\r\n", "Content-Length: 3\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        BUF_AUTO got = BUF_INIT(ANSWER_MAX);
        FD_AUTO fd = client_open(w);
        client_text(w, fd, "POST /echo/no HTTP/1.1\r\n" HEAD "X-Large: ");
        client_text(w, fd, i == 2 ? note : "");
        client_text(w, fd, "\r\n");
        client_text(w, fd, more[i]);
        assert_int_equal(client_await(w, fd, &got, NULL, 0), 0);
        assert_true(span_starts_with(buf_span(&got), "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(buf_text(&got), "\r\nConnection: close\r\n"));
    }
    world_destroy(w);
}

static void who_waits_longest_makes_room(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_connections = 3});
    FD_AUTO first = client_accepted(w);
    FD_AUTO second = client_accepted(w);
    FD_AUTO third = client_accepted(w);
    expect_served(w, first); // so it has waited least
    FD_AUTO fourth = client_open(w);
    expect_served(w, fourth);
    expect_closed(w, second);
    expect_served(w, third);
    expect_served(w, first);
    assert_int_equal(http_server_connections(w->server), 3);
    world_destroy(w);
}

static void who_is_within_a_head_makes_room_too(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_connections = 1});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO first = client_accepted(w);
    client_text(w, first, "GET /echo HTTP/1.1\r\nHos");
    pass_ms(w, 20); // those bytes would spare it
    FD_AUTO second = client_open(w);
    expect_served(w, second);
    expect(w, first, &got, "HTTP/1.1 408 ");
    world_destroy(w);
}

static void an_unwanted_body_makes_room(void **state)
{
    (void)state;
    struct world *w =
        world_create((struct http_server_options){.max_connections = 1, .wants_body = wants_body});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    FD_AUTO first = client_accepted(w);
    post(w, first, "/echo/no", 3);
    pass_ms(w, 20);
    FD_AUTO second = client_open(w);
    expect_served(w, second);
    expect(w, first, &got, "HTTP/1.1 408 ");
    world_destroy(w);
}

// Of a page that is no call; as long as it is thought about its client stays.
static void an_answer_that_is_not_read_makes_room(void **state)
{
    (void)state;
    struct world *w =
        world_create((struct http_server_options){.max_connections = 1, .wants_body = wants_body});
    BUF_AUTO body = BUF_INIT(ANSWER_MAX);
    FD_AUTO first = client_accepted(w);
    client_text(w, first, "GET /hold HTTP/1.1\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    FD_AUTO second = client_open(w);
    pass_ms(w, 200);
    assert_int_equal(w->gone_count, 0);
    buf_reserve(&body, ANSWER_MAX);
    memset(body.data, 'z', ANSWER_MAX);
    buf_grow_by(&body, ANSWER_MAX);
    http_exchange_reply_take(http_server_find(w->server, w->held), 200, NULL, &body);
    expect_served(w, second);
    world_destroy(w);
}

// Neither a request that is being answered nor a body that is coming in is cut for anybody.
static void requests_under_way_are_not_cut(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_connections = 2});
    BUF_AUTO held_got = BUF_INIT(ANSWER_MAX), sent_got = BUF_INIT(ANSWER_MAX),
             late_got = BUF_INIT(ANSWER_MAX);
    FD_AUTO held = client_accepted(w);
    client_text(w, held, "GET /hold HTTP/1.1\r\nConnection: close\r\n" HEAD "\r\n");
    until_count(w, &w->requests, 1);
    FD_AUTO sent = client_accepted(w);
    post(w, sent, "/echo", 3);
    FD_AUTO late = client_open(w);
    client_text(w, late, "GET /echo/late HTTP/1.1\r\n" HEAD "\r\n");
    pass_ms(w, 300);
    assert_int_equal(w->requests, 1);
    assert_int_equal(w->gone_count, 0);
    client_text(w, sent, "abc");
    expect(w, sent, &sent_got, "body=3:abc.");
    expect(w, late, &late_got, "/echo/late "); // the idle one made room
    reply_held(w);
    expect(w, held, &held_got, "late");
    world_destroy(w);
}

// What has come of a request and was not read yet makes its connection no idle one.
static void a_request_that_is_on_its_way_is_served(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){.max_connections = 1});
    BUF_AUTO first_got = BUF_INIT(ANSWER_MAX), second_got = BUF_INIT(ANSWER_MAX);
    FD_AUTO first = client_accepted(w);
    FD_AUTO second = client_open(w); // in the same pass of the loop
    client_text(w, second, "GET /echo/2 HTTP/1.1\r\n" HEAD "\r\n");
    client_text(w, first, "GET /echo/1 HTTP/1.1\r\n" HEAD "\r\n");
    expect(w, first, &first_got, "/echo/1 ");
    expect(w, second, &second_got, "/echo/2 ");
    world_destroy(w);
}

static void heads_without_end_make_room_for_each_other(void **state)
{
    (void)state;
    enum { CLIENTS = 12, PART = 15000 };
    struct world *w = world_create((struct http_server_options){.max_heads = 100 * 1000});
    BUF_AUTO got = BUF_INIT(ANSWER_MAX);
    int fds[CLIENTS];
    char *part = mem_zalloc(PART + 1);
    memset(part, 'x', PART);
    FD_AUTO idle = client_accepted(w);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_accepted(w);
        client_text(w, fds[i], "GET /echo HTTP/1.1\r\n" HEAD "X-Long: ");
        client_text(w, fds[i], part);
        pass_ms(w, 10);
    }
    assert_in_range(http_server_connections(w->server), 3, 8);
    expect(w, fds[0], &got, "HTTP/1.1 408 ");
    client_text(w, fds[CLIENTS - 1], "\r\n\r\n");
    buf_clear(&got);
    expect(w, fds[CLIENTS - 1], &got, "GET /echo ");
    expect_served(w, idle); // it takes no memory for a head
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    free(part);
    world_destroy(w);
}

static void a_descriptor_is_had_from_an_idle_client(void **state)
{
    (void)state;
    struct world *w = world_create((struct http_server_options){0});
    FD_AUTO first = client_accepted(w);
    FD_AUTO second = client_open(w);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    int next = dup(second);
    close(next);
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    expect_closed(w, first);
    pass_ms(w, 20);
    expect_served(w, second); // though it said nothing at first
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unwanted_body_takes_no_room),
        cmocka_unit_test(an_unwanted_body_in_chunks),
        cmocka_unit_test(some_unwanted_bodies_are_not_waited_for),
        cmocka_unit_test(who_waits_longest_makes_room),
        cmocka_unit_test(who_is_within_a_head_makes_room_too),
        cmocka_unit_test(an_unwanted_body_makes_room),
        cmocka_unit_test(an_answer_that_is_not_read_makes_room),
        cmocka_unit_test(requests_under_way_are_not_cut),
        cmocka_unit_test(a_request_that_is_on_its_way_is_served),
        cmocka_unit_test(heads_without_end_make_room_for_each_other),
        cmocka_unit_test(a_descriptor_is_had_from_an_idle_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
