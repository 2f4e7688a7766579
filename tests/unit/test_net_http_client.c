// libraries: curl mbedtls mbedx509 mbedcrypto
//
// The client against a server that misbehaves at will (support/http_fetch.h), in real time: limits
// are a fraction of a second, and what must not be waited for is held for much longer.
#include <arpa/inet.h>
#include <errno.h>
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
#include "support/http_fetch.h"

enum {
    LIMIT_MS = 200,        // of what is to time out
    SOON_MS = 3500,        // by then something that was limited to LIMIT_MS is over
    LARGE_BODY = 2 << 20,  // bytes
    PIECE_MAX = 16 * 1024, // bytes that on_body gets at once
};

static void is_hello(struct fetch *fetch)
{
    fetch_await(fetch);
    assert_string_equal(fetch->err.text, "");
    assert_int_equal(fetch->failure, HTTP_OK);
    assert_int_equal(fetch->status, 200);
    assert_string_equal(buf_text(&fetch->body), "hello");
}

static void says_hello(struct fetch_world *world, const char *path)
{
    FETCH_AUTO fetch = fetch_of(world);
    fetch_begin(&fetch, fetch_get(path));
    is_hello(&fetch);
}

static void fails(struct fetch_world *world, struct http_request request, enum http_failure failure,
                  const char *sentence)
{
    FETCH_AUTO fetch = fetch_of(world);
    fetch_begin(&fetch, request);
    fetch_await(&fetch);
    if (fetch.failure != failure || !strstr(fetch.err.text, sentence) || fetch.err.code >= 0)
        fail_msg("%s: failure %d: %s", request.url, fetch.failure, fetch.err.text);
    if (failure == HTTP_UNREACHABLE || failure == HTTP_UNRESOLVED)
        assert_false(http_client_was_sent(world->client, fetch.id));
}

// --- what it sends and hears

static void request_and_answer(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    static const char *const headers[] = {"X-Mine: yes", "Content-Type: application/json", NULL};
    static const char body[] = "{\"a\":\0}";
    fetch_begin(&fetch, (struct http_request){.method = "POST",
                                              .url = "/echo",
                                              .headers = headers,
                                              .body = span_make(body, sizeof body - 1)});
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    assert_int_equal(fetch.err.code, 0);
    struct span sent = buf_span(&fetch.body);
    assert_true(span_starts_with(sent, "POST /echo HTTP/1.1\r\n"));
    assert_true(span_find(sent, span_of("\r\nX-Mine: yes\r\n")) > 0);
    assert_true(span_find(sent, span_of("\r\nContent-Type: application/json\r\n")) > 0);
    assert_true(span_find(sent, span_of("\r\nContent-Length: 7\r\n")) > 0);
    assert_true(span_equal(span_skip(sent, sent.len - 7), span_make(body, 7)));

    struct http_head head = {fetch.status, buf_span(&fetch.head)};
    assert_true(span_is(http_head_get(&head, "x-ONE"), "1"));
    assert_true(span_is(http_head_get(&head, "X-Two"), "2"));
    assert_null(http_head_get(&head, "X-O").data);
    assert_null(http_head_get(&head, "X-Three").data);
}

// Large enough for some clients to ask first ("Expect: 100-continue").
static void a_large_body_is_copied_and_sent_at_once(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    char *body = malloc(LARGE_BODY);
    memset(body, 'b', LARGE_BODY);
    struct span bytes = span_make(body, LARGE_BODY);
    fetch_begin(&fetch, (struct http_request){.method = "POST", .url = "/echo", .body = bytes});
    free(body);
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    assert_true(span_find(buf_span(&fetch.body), span_of("Expect")) < 0);
    assert_true(fetch.body.len > LARGE_BODY);
    for (size_t i = fetch.body.len - LARGE_BODY; i < fetch.body.len; i++)
        assert_int_equal(fetch.body.data[i], 'b');
}

static void answers_of_every_shape(void **state)
{
    says_hello(*state, "/until-close");
    says_hello(*state, "/early");
    FETCH_AUTO empty = fetch_of(*state);
    fetch_begin(&empty, fetch_get("/empty"));
    fetch_await(&empty);
    assert_int_equal(empty.failure, HTTP_OK);
    assert_int_equal(empty.heads, 1);
    assert_int_equal(empty.status, 204);
    assert_int_equal(empty.body.len, 0);
}

static void only_the_final_head_is_told(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    fetch_begin(&fetch, fetch_get("/early"));
    is_hello(&fetch);
    assert_int_equal(fetch.heads, 1);
    assert_null(strstr(buf_text(&fetch.head), "X-Early"));
    assert_non_null(strstr(buf_text(&fetch.head), "X-Late: 3\r\n"));
}

static void redirects_are_not_followed(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    fetch_begin(&fetch, fetch_get("/redirect"));
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    assert_int_equal(fetch.status, 302);
    fetch_pass_ms(world, 50);
    assert_int_equal(http_peer_requests(world->peer), 1);
}

static void large_bodies_come_in_pieces(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    fetch_begin(&fetch, fetch_get("/large"));
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    assert_int_equal(fetch.body.len, 8 << 20);
    assert_true(fetch.largest <= PIECE_MAX);
    for (size_t i = 0; i < fetch.body.len; i++)
        assert_int_equal(fetch.body.data[i], 'm');
}

static void large_heads_are_refused(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    fetch_begin(&fetch, fetch_get("/head-60"));
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    assert_int_equal(fetch.heads, 1);
    assert_string_equal(buf_text(&fetch.body), "ok");
    fails(*state, fetch_get("/head-70"), HTTP_CUT, "header is larger than 64 KiB");
}

static void what_cannot_be_sent(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    static const char *const split[] = {"X-A: 1", "X-B: 2\r\nX-C: 3", NULL};
    static const char *const feed[] = {"X-B: 2\nX-C: 3", NULL};
    const char *many[HTTP_REQUEST_HEADERS_MAX + 2] = {NULL};
    struct http_request request = fetch_get("http://127.0.0.1:1/");
    struct error err = ERROR_INIT;
    http_id id = 0;
    request.headers = split;
    assert_int_equal(http_client_start(world->client, &request, &fetch_handler, &fetch, &id, &err),
                     -EINVAL);
    assert_string_equal(err.text, "a request header holds a control character");
    request.headers = feed;
    assert_int_equal(http_client_start(world->client, &request, &fetch_handler, &fetch, &id, &err),
                     -EINVAL);
    for (int i = 0; i <= HTTP_REQUEST_HEADERS_MAX; i++)
        many[i] = "X-Many: 1";
    request.headers = many;
    assert_int_equal(http_client_start(world->client, &request, &fetch_handler, &fetch, &id, &err),
                     -E2BIG);
    assert_true(id == 0);
    fetch_pass_ms(world, 50);
    assert_int_equal(fetch.dones, 0);
    many[HTTP_REQUEST_HEADERS_MAX] = NULL;
    request.url = "/hello";
    fetch_begin(&fetch, request);
    is_hello(&fetch);
}

static void urls_that_are_none(void **state)
{
    static const char *const urls[] = {"ftp://127.0.0.1/x", "file:///etc/hostname", "http://",
                                       "http://a b/", "http://127.0.0.1:99999/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
        fails(*state, fetch_get(urls[i]), HTTP_MISUSED, "cannot ask ");
}

// --- connections

static void connections_are_used_again(void **state)
{
    struct fetch_world *world = *state;
    for (int i = 0; i < 5; i++)
        says_hello(world, "/hello");
    assert_int_equal(http_peer_requests(world->peer), 5);
    assert_int_equal(http_peer_connections(world->peer), 1);
}

static void a_connection_that_died_idle_harms_nobody(void **state)
{
    struct fetch_world *world = *state;
    for (int i = 0; i < 3; i++) {
        says_hello(world, "/idle-close");
        http_peer_pause(30);
    }
    says_hello(world, "/hello");
}

static void many_at_once(void **state)
{
    struct fetch_world *world = *state;
    struct fetch *fetches = calloc(MANY, sizeof *fetches);
    for (int i = 0; i < MANY; i++) {
        fetches[i] = fetch_of(world);
        fetch_begin(&fetches[i], fetch_get("/gather"));
        for (int j = 0; j < i; j++)
            assert_true(fetches[i].id != fetches[j].id);
    }
    for (int i = 0; i < MANY; i++) {
        is_hello(&fetches[i]);
        fetch_finish(&fetches[i]);
    }
    free(fetches);
    assert_int_equal(http_peer_connections(world->peer), MANY);
    for (int i = 0; i < 200 && http_peer_open(world->peer) > 8; i++)
        fetch_pass_ms(world, 10);
    assert_true(http_peer_open(world->peer) <= 8); // few are kept
}

// --- failures

static void answers_that_end_too_early(void **state)
{
    static const char *const paths[] = {"/cut-length", "/cut-chunk", "/cut-between", "/cut-head",
                                        "/reset",      "/nothing",   "/garbage",     "/bad-chunk"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        fails(*state, fetch_get(paths[i]), HTTP_CUT, "the connection to 127.0.0.1:");
    FETCH_AUTO fetch = fetch_of(*state);
    fetch_begin(&fetch, fetch_get("/cut-length"));
    fetch_await(&fetch);
    assert_string_equal(buf_text(&fetch.body), "hello"); // what came is not withheld
}

static unsigned port_of_nobody(void)
{
    struct http_peer *gone = http_peer_create(fetch_answer, NULL);
    unsigned port = http_peer_port(gone);
    http_peer_destroy(gone);
    return port;
}

static void nobody_listens(void **state)
{
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port_of_nobody());
    fails(*state, fetch_get(url), HTTP_UNREACHABLE, "cannot connect to 127.0.0.1:");
}

static void nobody_of_that_name(void **state)
{
    fails(*state, fetch_get("http://nonexistent.invalid/"), HTTP_UNRESOLVED,
          "cannot resolve the name of nonexistent.invalid");
}

// Sentences are shown and stored; what stands before the host is nobody's business.
static void sentences_keep_secrets(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    fetch_begin(&fetch, fetch_get("http://user:hunter2@nonexistent.invalid/a?key=hunter2"));
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_MISUSED);
    assert_true(span_starts_with(span_of(fetch.err.text), "cannot ask this URL: "));
    assert_null(strstr(fetch.err.text, "hunter2"));
    FETCH_AUTO unknown = fetch_of(*state);
    fetch_begin(&unknown, fetch_get("http://nonexistent.invalid/a?key=hunter2"));
    fetch_await(&unknown);
    assert_string_equal(unknown.err.text, "cannot resolve the name of nonexistent.invalid");
}

static void the_reader_stops(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    fetch.stop_after = 2;
    fetch_begin(&fetch, fetch_get("/drip-forever"));
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_STOPPED);
    assert_true(fetch.err.code < 0);
    assert_int_equal(fetch.pieces, 2);
    fetch_until_closed(world); // the rest is not awaited
    assert_int_equal(fetch.dones, 1);
}

// --- limits

static void times_out(struct fetch_world *world, const char *path, struct http_timeouts timeouts,
                      const char *sentence)
{
    FETCH_AUTO fetch = fetch_of(world);
    struct http_request request = fetch_get(path);
    request.timeouts = timeouts;
    fetch_begin(&fetch, request);
    fetch_await(&fetch);
    if (fetch.failure != HTTP_TIMED_OUT || !strstr(fetch.err.text, sentence))
        fail_msg("%s: failure %d: %s", path, fetch.failure, fetch.err.text);
    if (fetch.took_ms < LIMIT_MS - 2 || fetch.took_ms > SOON_MS)
        fail_msg("%s: %s after %d ms", path, sentence, (int)fetch.took_ms);
    // Who never had a whole request cannot have acted on it.
    assert_int_equal(http_client_was_sent(world->client, fetch.id), *path == '/');
    fetch_until_closed(world);
}

static void no_first_byte(void **state)
{
    struct http_timeouts limits = {.first_byte = LIMIT_MS, .idle = 4000, .total = 9000};
    times_out(*state, "/hold", limits, "first-byte timeout");
    times_out(*state, "/head-hold", limits, "first-byte timeout"); // the head alone is none
    limits.idle = 0;
    times_out(*state, "/hold", limits, "first-byte timeout");
    limits.idle = LIMIT_MS / 4; // does not count yet
    times_out(*state, "/hold", limits, "first-byte timeout");
}

static void the_body_stalls(void **state)
{
    struct http_timeouts limits = {.first_byte = LIMIT_MS, .idle = LIMIT_MS, .total = 9000};
    times_out(*state, "/body-hold", limits, "idle timeout");
    limits.first_byte = 0;
    times_out(*state, "/body-hold", limits, "idle timeout");
    limits.first_byte = 6000; // the longer limit must not hide the shorter one
    times_out(*state, "/body-hold", limits, "idle timeout");
}

static void it_takes_too_long_in_all(void **state)
{
    struct http_timeouts limits = {.total = LIMIT_MS};
    times_out(*state, "/drip-forever", limits, "127.0.0.1");
    times_out(*state, "/hold", limits, "127.0.0.1");
}

// A listener whose queue is full: the kernel drops what else wants to connect.
static void it_never_connects(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    FD_AUTO listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int fillers[4];
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address, size);
    }
    http_peer_pause(20);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    times_out(*state, url, (struct http_timeouts){.connect = LIMIT_MS, .total = 9000}, "127.0.0.1");
    for (int i = 0; i < 4; i++)
        fd_close(&fillers[i]);
}

static void limits_that_are_kept(void **state)
{
    FETCH_AUTO fetch = fetch_of(*state);
    struct http_request request = fetch_get("/drip"); // 800 ms in pieces of 40
    request.timeouts = (struct http_timeouts){LIMIT_MS * 2, LIMIT_MS * 2, LIMIT_MS * 2, 9000};
    fetch_begin(&fetch, request);
    fetch_await(&fetch);
    assert_int_equal(fetch.failure, HTTP_OK);
    assert_int_equal(fetch.body.len, 60);
    assert_true(fetch.took_ms > LIMIT_MS * 2);
}

// --- cancelling

static void cancelled_in(struct fetch_world *world, enum place place, const char *path)
{
    FETCH_AUTO fetch = fetch_of(world);
    fetch.cancel_in = place;
    fetch_begin(&fetch, fetch_get(path));
    if (place == IN_DONE)
        fetch_await(&fetch); // to cancel what is over does nothing
    else
        fetch_until(&fetch, place == IN_HEAD ? &fetch.heads : &fetch.pieces, 1);
    fetch_pass_ms(world, 100);
    assert_int_equal(fetch.heads, 1);
    assert_int_equal(fetch.dones, place == IN_DONE);
    assert_int_equal(fetch.pieces, place == IN_HEAD ? 0 : 1);
}

static void cancelled_inside_callbacks(void **state)
{
    struct fetch_world *world = *state;
    static const char *const paths[] = {"/hello", "/drip-forever", "/body-hold"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        cancelled_in(world, IN_HEAD, paths[i]);
        cancelled_in(world, IN_BODY, paths[i]);
    }
    cancelled_in(world, IN_HEAD, "/head-hold");
    cancelled_in(world, IN_DONE, "/hello");
    FETCH_AUTO empty = fetch_of(world);
    empty.cancel_in = IN_HEAD;
    fetch_begin(&empty, fetch_get("/empty"));
    fetch_until(&empty, &empty.heads, 1);
    fetch_pass_ms(world, 50);
    assert_int_equal(empty.dones, 0); // though it was complete
    says_hello(world, "/hello");
}

static void cancelled_from_outside(void **state)
{
    struct fetch_world *world = *state;
    static const char *const paths[] = {"/hold", "/head-hold", "/body-hold", "/drip-forever"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        FETCH_AUTO fetch = fetch_of(world);
        fetch_begin(&fetch, fetch_get(paths[i]));
        fetch_pass_ms(world, 100);
        fetch.over = true;
        http_client_cancel(world->client, fetch.id);
        http_client_cancel(world->client, fetch.id);
        fetch_until_closed(world);
        assert_int_equal(fetch.dones, 0);
    }
    http_client_cancel(world->client, 0);
    http_client_cancel(world->client, UINT64_MAX);
}

static void cancelled_before_it_connects(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO fetch = fetch_of(world);
    FETCH_AUTO other = fetch_of(world);
    fetch_begin(&fetch, fetch_get("/hello"));
    fetch_begin(&other, fetch_get("/hello"));
    fetch.over = true;
    http_client_cancel(world->client, fetch.id);
    is_hello(&other);
    fetch_pass_ms(world, 50);
    assert_int_equal(fetch.dones, 0);
}

static void one_cancels_another(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO victim = fetch_of(world);
    FETCH_AUTO canceller = fetch_of(world);
    fetch_begin(&victim, fetch_get("/drip-forever"));
    fetch_until(&victim, &victim.pieces, 1);
    canceller.cancel_in = IN_BODY;
    canceller.victim = &victim;
    fetch_begin(&canceller, fetch_get("/hello"));
    is_hello(&canceller);
    fetch_pass_ms(world, 100);
    assert_int_equal(victim.dones, 0);
}

static void the_next_is_begun_when_one_is_done(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO first = fetch_of(world);
    FETCH_AUTO second = fetch_of(world);
    first.next = &second;
    first.next_path = "/hello";
    fetch_begin(&first, fetch_get("/hello"));
    is_hello(&first);
    is_hello(&second);
    assert_int_equal(http_peer_connections(world->peer), 1);
}

// --- side by side

static void a_stuck_transfer_delays_nobody(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO stuck = fetch_of(world);
    FETCH_AUTO half = fetch_of(world);
    fetch_begin(&stuck, fetch_get("/hold"));
    fetch_begin(&half, fetch_get("/body-hold"));
    fetch_until(&half, &half.pieces, 1);
    int64_t start = fetch_clock_ms();
    for (int i = 0; i < 20; i++)
        says_hello(world, "/hello");
    assert_true(fetch_clock_ms() - start < SOON_MS);
    assert_int_equal(stuck.dones + half.dones, 0);
}

static void a_dead_name_server_delays_nobody(void **state)
{
    struct fetch_world *world = *state;
    FETCH_AUTO stuck = fetch_of(world);
    FETCH_AUTO limited = fetch_of(world);
    struct http_request request = fetch_get("http://stuck.invalid/");
    fetch_begin(&stuck, request);
    request.timeouts.connect = LIMIT_MS;
    fetch_begin(&limited, request);
    int64_t start = fetch_clock_ms();
    for (int i = 0; i < 10; i++)
        says_hello(world, "/hello");
    assert_true(fetch_clock_ms() - start < SOON_MS);
    fetch_await(&limited);
    assert_int_equal(limited.failure, HTTP_TIMED_OUT);
    assert_in_range(limited.took_ms, LIMIT_MS - 2, SOON_MS);

    start = fetch_clock_ms();
    stuck.over = true;
    http_client_cancel(world->client, stuck.id); // nor its own cancellation
    fetch_pass_ms(world, 50);
    assert_true(fetch_clock_ms() - start < SOON_MS);
    fetch_release_resolver();
}

static void destroyed_while_they_run(void **state)
{
    struct fetch_world *world = *state;
    static const char *const urls[] = {"/hold", "/body-hold", "/drip-forever", "/hello",
                                       "http://stuck.invalid/"};
    struct fetch fetches[5];
    for (int i = 0; i < 5; i++) {
        fetches[i] = fetch_of(world);
        fetch_begin(&fetches[i], fetch_get(urls[i]));
    }
    fetch_pass_ms(world, 100);
    FETCH_AUTO fresh = fetch_of(world);
    FETCH_AUTO cancelled = fetch_of(world);
    fetch_begin(&fresh, fetch_get("/hello"));
    fetch_begin(&cancelled, fetch_get("/hello"));
    http_client_cancel(world->client, cancelled.id);
    unsigned dones = fetches[3].dones;
    int64_t start = fetch_clock_ms();
    http_client_destroy(world->client);
    assert_true(fetch_clock_ms() - start < SOON_MS);
    world->client = NULL;
    fetch_pass_ms(world, 100);
    assert_int_equal(fresh.dones + cancelled.dones, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fetches[i].dones, i == 3 ? dones : 0);
        fetch_finish(&fetches[i]);
    }
    fetch_until_closed(world);
    fetch_release_resolver();
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, fetch_set_up, fetch_tear_down)

int main(void)
{
    static char *no_environment[] = {NULL}; // a proxy would be asked
    environ = no_environment;
    const struct CMUnitTest tests[] = {
        WORLD(request_and_answer),
        WORLD(a_large_body_is_copied_and_sent_at_once),
        WORLD(answers_of_every_shape),
        WORLD(only_the_final_head_is_told),
        WORLD(redirects_are_not_followed),
        WORLD(large_bodies_come_in_pieces),
        WORLD(large_heads_are_refused),
        WORLD(what_cannot_be_sent),
        WORLD(urls_that_are_none),
        WORLD(connections_are_used_again),
        WORLD(a_connection_that_died_idle_harms_nobody),
        WORLD(many_at_once),
        WORLD(answers_that_end_too_early),
        WORLD(nobody_listens),
        WORLD(nobody_of_that_name),
        WORLD(sentences_keep_secrets),
        WORLD(the_reader_stops),
        WORLD(no_first_byte),
        WORLD(the_body_stalls),
        WORLD(it_takes_too_long_in_all),
        WORLD(it_never_connects),
        WORLD(limits_that_are_kept),
        WORLD(cancelled_inside_callbacks),
        WORLD(cancelled_from_outside),
        WORLD(cancelled_before_it_connects),
        WORLD(one_cancels_another),
        WORLD(the_next_is_begun_when_one_is_done),
        WORLD(a_stuck_transfer_delays_nobody),
        WORLD(a_dead_name_server_delays_nobody),
        WORLD(destroyed_while_they_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
