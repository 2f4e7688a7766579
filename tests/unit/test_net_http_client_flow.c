// libraries: curl mbedtls mbedx509 mbedcrypto
//
// What a proxy needs of the client: bodies in parts that nobody copies, peers that are held back,
// and the truth about connections that had died before they were used again.
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
#include "support/http_fetch.h"

enum {
    LIMIT_MS = 200,
    A_WHILE_MS = 100,
    LARGE = 8 << 20, // bytes of /large
    PART = 700 * 1000,
};

static void is_whole(struct fetch *fetch)
{
    fetch_await(fetch);
    assert_string_equal(fetch->err.text, "");
    assert_int_equal(fetch->failure, HTTP_OK);
    assert_int_equal(fetch->status, 200);
}

// --- a body in parts

static void parts_arrive_as_one_body(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    const struct span parts[] = {
        SPAN_LITERAL("{\"a\":"), SPAN_LITERAL(""), {"\0", 1}, SPAN_ABSENT, SPAN_LITERAL("}")};
    struct http_request request = fetch_get("/echo");
    request.method = "POST";
    request.body = span_of("not looked at");
    request.body_parts = parts;
    request.body_part_count = 5;
    fetch_begin(&fetch, request);
    is_whole(&fetch);
    struct span sent = buf_span(&fetch.body);
    assert_true(span_starts_with(sent, "POST "));
    assert_true(span_find(sent, span_of("\r\nContent-Length: 7\r\n")) > 0);
    assert_true(span_equal(span_skip(sent, sent.len - 11), span_make("\r\n\r\n{\"a\":\0}", 11)));
}

static void large_parts(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    struct span parts[4];
    for (int i = 0; i < 4; i++) {
        char *bytes = malloc(PART);
        memset(bytes, 'a' + i, PART);
        parts[i] = span_make(bytes, PART);
    }
    struct http_request request = fetch_get("/echo");
    request.method = "POST";
    request.body_parts = parts;
    request.body_part_count = 4;
    fetch_begin(&fetch, request);
    is_whole(&fetch);
    struct span body = span_skip(buf_span(&fetch.body), fetch.body.len - 4 * (size_t)PART);
    for (int i = 0; i < 4; i++) {
        assert_memory_equal(body.data + (size_t)i * PART, parts[i].data, PART);
        free((void *)parts[i].data);
    }
}

static void a_file_among_parts(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    CLEANUP(mem_cleanup) char *bytes = mem_alloc(PART);
    char name[] = "/tmp/hermes-file-XXXXXX";
    FD_AUTO fd = mkostemp(name, O_CLOEXEC);
    const struct span parts[] = {SPAN_LITERAL("<before>"), SPAN_LITERAL("<after>")};
    struct http_file file = {.fd = fd, .len = PART, .after = 1};
    struct http_request request = fetch_get("/echo");
    unlink(name);
    for (size_t i = 0; i < PART; i++)
        bytes[i] = (char)(i * 31 + (i >> 8));
    assert_int_equal(fd_write_all(fd, bytes, PART), 0);
    request.method = "POST";
    request.body_parts = parts;
    request.body_part_count = 2;
    request.file = &file;
    fetch_begin(&fetch, request);
    is_whole(&fetch);
    struct span sent = buf_span(&fetch.body);
    assert_true(span_starts_with(sent, "POST "));
    sent = span_skip(sent, sent.len - PART - strlen("<before><after>"));
    assert_true(span_starts_with(sent, "<before>"));
    assert_memory_equal(sent.data + strlen("<before>"), bytes, PART);
    assert_true(span_ends_with(sent, "<after>"));
}

static void too_many_parts(void **state)
{
    struct fetch_world *world = *state;
    struct fetch fetch = fetch_of(world);
    struct span parts[HTTP_BODY_PARTS_MAX + 1] = {0};
    struct error err = ERROR_INIT;
    http_id id = 0;
    struct http_request request = fetch_get("http://127.0.0.1:1/");
    request.body_parts = parts;
    request.body_part_count = HTTP_BODY_PARTS_MAX + 1;
    assert_int_equal(http_client_start(world->client, &request, &fetch_handler, &fetch, &id, &err),
                     -E2BIG);
    const struct http_file file = {.fd = 0, .len = 1, .after = 1};
    request.file = &file;
    request.body_part_count = HTTP_BODY_PARTS_MAX; // and the file
    assert_int_equal(http_client_start(world->client, &request, &fetch_handler, &fetch, &id, &err),
                     -E2BIG);
    request.body_part_count = 0; // it comes after one that is not there
    assert_int_equal(http_client_start(world->client, &request, &fetch_handler, &fetch, &id, &err),
                     -EINVAL);
    assert_true(id == 0);
}

// --- pausing

static void a_paused_transfer_hands_over_nothing(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    fetch.pause_after = 3;
    fetch_begin(&fetch, fetch_get("/large"));
    fetch_until(&fetch, &fetch.pieces, 3);
    fetch_pass_ms(world, A_WHILE_MS);
    assert_int_equal(fetch.pieces, 3);
    assert_int_equal(fetch.dones, 0);
    fetch.pause_after = 9;
    fetch_pause(&fetch, false);
    fetch_until(&fetch, &fetch.pieces, 9);
    fetch_pass_ms(world, A_WHILE_MS);
    assert_int_equal(fetch.pieces, 9);
    fetch_pause(&fetch, false);
    is_whole(&fetch);
    assert_int_equal(fetch.body.len, LARGE);
    for (size_t i = 0; i < fetch.body.len; i++)
        assert_int_equal(fetch.body.data[i], 'm');
}

// The whole answer is here already when it is resumed: nothing more will wake anybody.
static void resuming_a_small_answer(void **state)
{
    static const char *const paths[] = {"/hello", "/until-close", "/early"};
    struct fetch_world *world = *state;
    for (size_t i = 0; i < 3; i++) {
        FETCH_AUTO fetch = fetch_of(world);
        fetch_begin(&fetch, fetch_get(paths[i]));
        fetch_pause(&fetch, true); // before it has even connected
        fetch_pass_ms(world, A_WHILE_MS);
        assert_int_equal(fetch.pieces + fetch.dones, 0);
        fetch_pause(&fetch, false);
        fetch_pause(&fetch, true);
        fetch_pass_ms(world, A_WHILE_MS);
        assert_int_equal(fetch.pieces + fetch.dones, 0);
        fetch_pause(&fetch, false);
        is_whole(&fetch);
        assert_string_equal(buf_text(&fetch.body), "hello");
    }
    http_client_pause(world->client, 0, true);
    http_client_pause(world->client, UINT64_MAX, false);
}

static void a_pause_is_no_stall(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    struct http_request request = fetch_get("/body-hold");
    request.timeouts = (struct http_timeouts){.first_byte = LIMIT_MS, .idle = LIMIT_MS};
    fetch.pause_after = 1;
    fetch_begin(&fetch, request);
    fetch_until(&fetch, &fetch.pieces, 1);
    fetch_pass_ms(world, 2 * LIMIT_MS);
    assert_int_equal(fetch.dones, 0);
    int64_t start = fetch_clock_ms();
    fetch_pause(&fetch, false);
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_TIMED_OUT);
    assert_non_null(strstr(fetch.err.text, "idle timeout"));
    assert_true(fetch_clock_ms() - start >= LIMIT_MS - 2);
}

static void the_total_counts_in_a_pause(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    struct http_request request = fetch_get("/large");
    request.timeouts.total = LIMIT_MS;
    fetch.pause_after = 1;
    fetch_begin(&fetch, request);
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_TIMED_OUT);
    assert_int_equal(fetch.pieces, 1);
}

static void cancelled_while_paused(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    FETCH_AUTO resumed = fetch_of(world);
    fetch.pause_after = resumed.pause_after = 1;
    fetch_begin(&fetch, fetch_get("/large"));
    fetch_begin(&resumed, fetch_get("/large"));
    fetch_until(&fetch, &fetch.pieces, 1);
    fetch_until(&resumed, &resumed.pieces, 1);
    fetch_pause(&resumed, false);
    http_client_cancel(world->client, fetch.id);
    http_client_cancel(world->client, resumed.id);
    fetch.over = resumed.over = true;
    fetch_until_closed(world);
    assert_int_equal(fetch.dones + resumed.dones, 0);
}

static void keep_a_connection(struct fetch_world *world)
{
    FETCH_AUTO fetch = fetch_of(world);
    fetch_begin(&fetch, fetch_get("/hello"));
    is_whole(&fetch);
}

// --- requests that are begun inside a callback

static void begun_with_the_first_piece(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO first = fetch_of(world);
    FETCH_AUTO second = fetch_of(world);
    keep_a_connection(world);
    first.next = &second;
    first.next_path = "/hello";
    first.next_early = true;
    fetch_begin(&first, fetch_get("/large"));
    is_whole(&first);
    is_whole(&second);
    assert_int_equal(first.body.len, LARGE);
    assert_string_equal(buf_text(&second.body), "hello");
}

// However much goes on beside it, a long poll is asked again over the connection that it had.
static void a_long_poll_keeps_its_connection(void **state)
{
    struct fetch_world *world = *state;
    struct http_request poll = fetch_get("/hello");
    poll.long_poll = true;
    for (int i = 0; i < 3; i++) {
        FETCH_AUTO polling = fetch_of(world);
        fetch_begin(&polling, poll);
        is_whole(&polling);
        FETCH_AUTO one = fetch_of(world), other = fetch_of(world);
        fetch_begin(&one, fetch_get("/hello"));
        fetch_begin(&other, fetch_get("/hello"));
        is_whole(&one);
        is_whole(&other);
        assert_int_equal(http_peer_connections(world->peer), 3);
    }
}

// --- connections that died while they were kept

static struct http_request post(const char *path)
{
    static const struct span parts[] = {{"one", 3}, {"two", 3}};
    struct http_request request = fetch_get(path);
    request.method = "POST";
    request.body_parts = parts;
    request.body_part_count = 2;
    return request;
}

// The peer has read it, and nobody knows what it did.
static void what_may_be_done_twice_is_repeated(void **state)
{
    struct fetch_world *world = *state;
    int64_t repeats = 0;
    FETCH_AUTO fetch = fetch_of(world);
    http_client_count_repeats(world->client, &repeats);
    keep_a_connection(world);
    fetch_begin(&fetch, fetch_get("/third"));
    is_whole(&fetch);
    assert_string_equal(buf_text(&fetch.body), "hello");
    assert_int_equal(http_peer_requests(world->peer), 3);
    assert_int_equal(http_peer_connections(world->peer), 2);
    assert_int_equal(repeats, 1);
}

// However old the request is by then, its new connection has the whole limit for itself.
static void a_repeated_request_may_connect(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    keep_a_connection(*state);
    struct http_request request = fetch_get("/late-third");
    request.timeouts.connect = LATE_MS - 10;
    fetch_begin(&fetch, request);
    is_whole(&fetch);
    assert_string_equal(buf_text(&fetch.body), "hello");
}

static void a_post_that_was_read_is_not_repeated(void **state)
{
    struct fetch_world *world = *state;
    int64_t repeats = 0;
    FETCH_AUTO fetch = fetch_of(world);
    http_client_count_repeats(world->client, &repeats);
    keep_a_connection(world);
    fetch_begin(&fetch, post("/third"));
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_CUT);
    assert_int_equal(fetch.err.code, -ECONNRESET);
    fetch_pass_ms(world, A_WHILE_MS);
    assert_int_equal(http_peer_requests(world->peer), 2);
    assert_int_equal(repeats, 0);
}

// Its machine acknowledges late on a connection that has been in use, and a reset acknowledges
// nothing: so what it has read looks like what it never had.
static void a_post_that_was_read_and_reset_is_not_repeated(void **state)
{
    struct fetch_world *world = *state;
    int64_t repeats = 0;
    http_client_count_repeats(world->client, &repeats);
    for (int once = 0; once < 2; once++) {
        FETCH_AUTO fetch = fetch_of(world);
        for (int i = 0; i < 4; i++)
            keep_a_connection(world);
        struct http_request request = post("/read-reset");
        request.once = once;
        fetch_begin(&fetch, request);
        fetch_await(&fetch);
        assert_int_equal(fetch.failure, HTTP_CUT);
        assert_int_equal(fetch.err.code, -ECONNRESET);
    }
    fetch_pass_ms(world, A_WHILE_MS);
    assert_int_equal(http_peer_requests(world->peer), 10);
    assert_int_equal(repeats, 0);
}

// The peer has left the kept connection, and here nobody has looked since.
static void a_post_that_never_arrived_is_repeated(void **state)
{
    struct fetch_world *world = *state;
    int64_t repeats = 0;
    FETCH_AUTO first = fetch_of(world);
    FETCH_AUTO fetch = fetch_of(world);
    http_client_count_repeats(world->client, &repeats);
    fetch_begin(&first, fetch_get("/idle-close"));
    is_whole(&first);
    while (http_peer_open(world->peer))
        http_peer_pause(1);
    fetch_begin(&fetch, post("/hello"));
    is_whole(&fetch);
    assert_string_equal(buf_text(&fetch.body), "hello");
    assert_int_equal(http_peer_requests(world->peer), 2);
    assert_int_equal(http_peer_connections(world->peer), 2);
    assert_int_equal(repeats, 1);
}

static void nothing_is_repeated_that_may_be_sent_once(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    keep_a_connection(world);
    struct http_request request = fetch_get("/third");
    request.once = true;
    fetch_begin(&fetch, request);
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_CUT);
    assert_int_equal(fetch.err.code, -ECONNRESET);
    fetch_pass_ms(world, A_WHILE_MS);
    assert_int_equal(http_peer_requests(world->peer), 2);
}

static void a_new_connection_is_never_stale(void **state)
{
    static const char *const paths[] = {"/nothing", "/cut-head", "/cut-length"};
    for (size_t i = 0; i < 3; i++) {
        FETCH_AUTO fetch = fetch_of(*state);
        struct http_request request = fetch_get(paths[i]);
        request.once = true;
        fetch_begin(&fetch, request);
        fetch_await(&fetch);
        assert_int_equal(fetch.failure, HTTP_CUT);
        assert_int_equal(fetch.err.code, -ECONNRESET);
    }
}

// Nor is an answer that had begun.
static void a_kept_connection_that_breaks_in_an_answer(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    keep_a_connection(world);
    fetch_begin(&fetch, fetch_get("/cut-head"));
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_CUT);
    assert_int_equal(fetch.err.code, -ECONNRESET);
    assert_int_equal(http_peer_requests(world->peer), 2);
    assert_int_equal(http_peer_connections(world->peer), 1);
}

static void a_proxy_is_asked(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    fetch_begin(&fetch, fetch_get("http://nonexistent.invalid/echo"));
    is_whole(&fetch);
    assert_true(span_starts_with(buf_span(&fetch.body), "GET http://nonexistent.invalid/echo "));
}

// --- servers with several addresses

static void ask_of_two_addresses(struct fetch_world *world, struct http_timeouts timeouts)
{
    char url[64];
    FETCH_AUTO fetch = fetch_of(world);
    snprintf(url, sizeof url, "http://twice.invalid:%u/hello", http_peer_port(world->peer));
    struct http_request request = fetch_get(url);
    request.timeouts = timeouts;
    fetch_begin(&fetch, request);
    is_whole(&fetch);
}

static void an_address_where_nobody_listens_is_passed_over(void **state)
{
    ask_of_two_addresses(*state, (struct http_timeouts){0});
}

static void close_the_kept_connection(struct fetch_world *world)
{
    char url[64];
    FETCH_AUTO closing = fetch_of(world);
    snprintf(url, sizeof url, "http://twice.invalid:%u/until-close", http_peer_port(world->peer));
    fetch_begin(&closing, fetch_get(url));
    is_whole(&closing);
}

static void addresses_are_kept(void **state)
{
    struct fetch_world *world = *state;
    unsigned before = fetch_lookups();
    for (int i = 0; i < 3; i++) {
        close_the_kept_connection(world);
        ask_of_two_addresses(world, (struct http_timeouts){0});
    }
    assert_int_equal(fetch_lookups() - before, 1);
}

// A listener whose queue is full: the kernel drops what else wants to connect.
static void an_address_that_leads_nowhere_is_not_waited_for(void **state)
{
    struct fetch_world *world = *state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_peer_port(world->peer)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    int fds[5];
    for (int i = 0; i < 5; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (i ? SOCK_NONBLOCK : 0), 0);
    assert_int_equal(bind(fds[0], (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fds[0], 0), 0);
    for (int i = 1; i < 5; i++)
        (void)!connect(fds[i], (struct sockaddr *)&address, sizeof address);
    http_peer_pause(20);
    ask_of_two_addresses(world, (struct http_timeouts){.connect = 4000});
    for (int i = 0; i < 5; i++)
        close(fds[i]);
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, fetch_set_up, fetch_tear_down)
#define PROXIED(name) cmocka_unit_test_setup_teardown(name, fetch_set_up_proxied, fetch_tear_down)

int main(void)
{
    static char *no_environment[] = {NULL}; // a proxy would be asked
    environ = no_environment;
    const struct CMUnitTest tests[] = {
        WORLD(parts_arrive_as_one_body),
        WORLD(large_parts),
        WORLD(a_file_among_parts),
        WORLD(too_many_parts),
        WORLD(a_paused_transfer_hands_over_nothing),
        WORLD(resuming_a_small_answer),
        WORLD(a_pause_is_no_stall),
        WORLD(the_total_counts_in_a_pause),
        WORLD(cancelled_while_paused),
        WORLD(what_may_be_done_twice_is_repeated),
        WORLD(a_post_that_was_read_is_not_repeated),
        WORLD(a_post_that_was_read_and_reset_is_not_repeated),
        WORLD(a_post_that_never_arrived_is_repeated),
        WORLD(nothing_is_repeated_that_may_be_sent_once),
        WORLD(a_new_connection_is_never_stale),
        WORLD(a_long_poll_keeps_its_connection),
        WORLD(a_kept_connection_that_breaks_in_an_answer),
        WORLD(begun_with_the_first_piece),
        PROXIED(begun_with_the_first_piece),
        PROXIED(parts_arrive_as_one_body),
        PROXIED(large_parts),
        PROXIED(a_file_among_parts),
        PROXIED(too_many_parts),
        PROXIED(a_paused_transfer_hands_over_nothing),
        PROXIED(resuming_a_small_answer),
        PROXIED(a_pause_is_no_stall),
        PROXIED(the_total_counts_in_a_pause),
        PROXIED(cancelled_while_paused),
        PROXIED(what_may_be_done_twice_is_repeated),
        PROXIED(a_post_that_was_read_is_not_repeated),
        PROXIED(a_post_that_was_read_and_reset_is_not_repeated),
        PROXIED(a_post_that_never_arrived_is_repeated),
        PROXIED(nothing_is_repeated_that_may_be_sent_once),
        PROXIED(a_new_connection_is_never_stale),
        PROXIED(a_kept_connection_that_breaks_in_an_answer),
        PROXIED(a_proxy_is_asked),
        WORLD(a_repeated_request_may_connect),
        WORLD(addresses_are_kept),
        WORLD(an_address_where_nobody_listens_is_passed_over),
        WORLD(an_address_that_leads_nowhere_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
