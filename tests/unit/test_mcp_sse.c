// HTTP+SSE: everything comes over one stream, and what is posted is only acknowledged.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/mcp_peer.h"
#include "support/mcp_record.h"

#define ENDPOINT(url) "event: endpoint\ndata: " url "\n\n"
#define MESSAGE(text) "event: message\ndata: " text "\n\n"

static void start(struct mcp_record *record, struct mcp_peer *world)
{
    static const char *const headers[] = {"Authorization: Bearer key", NULL};
    const struct mcp_address address = {
        .url = mcp_peer_url(world, "/api/sse"), .headers = headers, .connect_ms = 5000};
    struct error err = ERROR_INIT;
    *record = mcp_record_of(world->loop);
    if (mcp_sse_create(world->loop, world->client, &address, &mcp_record_events, record,
                       &record->transport, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(record->events, 0);
}

static void send(struct mcp_record *record, const char *text, uint64_t request)
{
    struct error err = ERROR_INIT;
    if (mcp_record_send(record, text, request, &err) != 0)
        fail_msg("%s", err.text);
}

// What becomes of a request that waits for the endpoint, and of another one.
static void gives(struct mcp_peer *world, struct mcp_step step, const char *log)
{
    MCP_RECORD_AUTO record;
    struct error err = ERROR_INIT;
    LAY(world, step);
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.closes, 1);
    mcp_record_holds(&record, log);
    assert_int_equal(record.failures, 1);
    assert_int_equal(mcp_record_send(&record, ASK("2"), 2, &err), -EPIPE);
    assert_string_equal(mcp_peer_asked("POST", 0), "");
}

static void a_talk(void **state)
{
    struct mcp_peer *world = *state;
    static const struct {
        const char *endpoint, *asked;
    } cases[] = {
        {ENDPOINT("/message?sessionId=1"), "POST /message?sessionId=1 HTTP/1.1\r\n"},
        {ENDPOINT("?sessionid=2"), "POST /api/sse?sessionid=2 HTTP/1.1\r\n"},
        {"event:endpoint\rdata: message \r\r", "POST /api/message HTTP/1.1\r\n"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        MCP_RECORD_AUTO record;
        BUF_AUTO stream = BUF_INIT(4096);
        buf_printf(&stream, SSE_HEAD ": hi\n\n%s" MESSAGE(NOTE) MESSAGE(ANSWER("1")),
                   cases[i].endpoint);
        LAY(world, {"GET", buf_text(&stream), THEN_HOLD, .bytewise = true}, //
            {"POST", ACCEPTED, THEN_KEEP}, {"POST", ACCEPTED, THEN_KEEP});
        start(&record, world);
        mcp_transport_set_version(record.transport, "2024-11-05", false);
        send(&record, ASK("1"), 1); // which waits
        mcp_record_until(&record, &record.messages, 2);
        send(&record, NOTE, 0);
        mcp_peer_await(world, "POST", 2 * i + 1);
        mcp_peer_pass(world, 20);
        mcp_record_says(&record, "message 0 " NOTE "\nmessage 0 " ANSWER("1") "\n");
        assert_int_equal(record.taken, 1);
        const char *get = mcp_peer_asked("GET", i), *post = mcp_peer_asked("POST", 2 * i);
        assert_non_null(strstr(get, "\r\nAccept: text/event-stream\r\nAuthorization: Bearer key"));
        assert_non_null(strstr(post, "\r\nMCP-Protocol-Version: 2024-11-05\r\n"));
        assert_non_null(strstr(post, "\r\nAuthorization: Bearer key\r\n"));
        assert_non_null(strstr(post, "\r\n\r\n" ASK("1")));
        if (strncmp(post, cases[i].asked, strlen(cases[i].asked)) != 0)
            fail_msg("%s", post);
        mcp_record_finish(&record);
        for (int pass = 0; pass < 200 && http_peer_open(world->peer); pass++)
            mcp_peer_pass(world, 5); // its stream; the other connection is kept
    }
}

static void an_endpoint_elsewhere(void **state)
{
    static const char refused[] =
        " wants its messages sent to another server, or to what is no URL";
    struct mcp_peer *world = *state;
    static const char *const streams[] = {
        SSE_HEAD ENDPOINT("http://other.example/x"), SSE_HEAD ENDPOINT("//127.0.0.1:1/x"),
        SSE_HEAD ENDPOINT("https://127.0.0.1/x"), SSE_HEAD ENDPOINT("javascript:alert(1)"),
        SSE_HEAD ENDPOINT("http://user:pw@127.0.0.1/")};
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        gives(world, (struct mcp_step){"GET", streams[i], THEN_HOLD}, refused);
    static char secure[256]; // of the same host and port
    snprintf(secure, sizeof secure, SSE_HEAD ENDPOINT("https://%s"),
             mcp_peer_url(world, "/m") + strlen("http://"));
    gives(world, (struct mcp_step){"GET", secure, THEN_HOLD}, refused);
}

static void no_stream(void **state)
{
    struct mcp_peer *world = *state;
    gives(world, (struct mcp_step){"GET", "HTTP/1.1 404 No\r\n\r\nno page"},
          "failure 1 refused 404 127.0.0.1:");
    gives(world, (struct mcp_step){"GET", "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\n\r\n"},
          "failure 1 unauthorized 401 127.0.0.1:");
    gives(world, (struct mcp_step){"GET", "HTTP/1.1 200 OK\r\n\r\n<html>"},
          " answered with no stream of events; is the URL that of its HTTP+SSE?\n");
    gives(world, (struct mcp_step){"GET", SSE_HEAD ": hi\n\n"},
          " ended its stream of events\nclosed ");
    gives(world, (struct mcp_step){"GET", NULL}, "failure 1 not-sent 0 ");
    gives(world, (struct mcp_step){"GET", CUT_SSE_HEAD}, "failure 1 not-sent 200 ");
}

static void the_stream_ends(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world, {"GET", SSE_HEAD ENDPOINT("/m"), .often = ": on\n", .wait_ms = 50},
        {"POST", ACCEPTED, THEN_KEEP}, {"POST", "HTTP/1.1 404 No\r\n\r\nsession not found"},
        {"POST", ACCEPTED, THEN_KEEP});
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_peer_await(world, "POST", 0);
    mcp_peer_pass(world, 20);
    send(&record, ASK("2"), 2);
    mcp_record_until(&record, &record.failures, 1);
    mcp_record_holds(&record, "failure 2 refused 404 ");
    send(&record, ASK("3"), 3);
    mcp_peer_await(world, "POST", 2);
    mcp_transport_abandon(record.transport, 3);
    mcp_record_finish(&record);

    LAY(world, {"GET", SSE_HEAD ENDPOINT("/m") MESSAGE(NOTE)}, {"POST", NULL, THEN_HOLD});
    start(&record, world);
    send(&record, ASK("4"), 4);
    mcp_record_until(&record, &record.closes, 1);
    mcp_record_holds(&record, "message 0 " NOTE "\nfailure 4 cut 0 127.0.0.1:");
}

static void too_much_waits(void **state)
{
    enum { HALF = MCP_WAITING_MAX / 2 };
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    CLEANUP(mem_cleanup) char *text = mem_zalloc(HALF + 1);
    struct error err = ERROR_INIT;
    memset(text, ' ', HALF);
    LAY(world, {"GET", SSE_HEAD, THEN_HOLD});
    start(&record, world);
    send(&record, text, 1);
    send(&record, text, 2);
    assert_int_equal(mcp_record_send(&record, "x", 3, &err), -EAGAIN);
    assert_non_null(strstr(err.text, " has not said yet where messages go, and more than 8 MiB"));
    mcp_transport_abandon(record.transport, 1);
    send(&record, "x", 3);
}

static void an_answer_before_its_acknowledgement(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world, {"GET", SSE_HEAD ENDPOINT("/m") MESSAGE(ANSWER("1")), THEN_HOLD},
        {"POST", "HTTP/1.1 400 late\r\n\r\n", .wait_ms = 100});
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.messages, 1);
    mcp_peer_pass(world, 200);
    mcp_record_says(&record, "message 0 " ANSWER("1") "\n");
}

static void is_destroyed_in_every_event(void **state)
{
    struct mcp_peer *world = *state;
    static const struct {
        struct mcp_step step;
        enum mcp_place place;
    } cases[] = {
        {{"GET", SSE_HEAD ENDPOINT("/m") MESSAGE(NOTE) MESSAGE(NOTE)}, MCP_IN_MESSAGE},
        {{"GET", SSE_HEAD ENDPOINT("/m")}, MCP_IN_FAILURE},
        {{"GET", SSE_HEAD ENDPOINT("/m")}, MCP_IN_CLOSED},
        {{"GET", SSE_HEAD ENDPOINT("//x/")}, MCP_IN_FAILURE},
        {{"GET", SSE_HEAD ENDPOINT("//x/")}, MCP_IN_CLOSED},
        {{"GET", SSE_HEAD}, MCP_IN_FAILURE},
        {{"GET", SSE_HEAD ENDPOINT("/m"), THEN_HOLD}, MCP_IN_TAKEN},
        {{"GET", "HTTP/1.1 404 No\r\n\r\n"}, MCP_IN_CLOSED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        MCP_RECORD_AUTO record;
        start(&record, world);
        record.destroy_in = cases[i].place;
        LAY(world, cases[i].step, {"POST", ACCEPTED, THEN_KEEP});
        if (cases[i].place == MCP_IN_TAKEN)
            send(&record, NOTE, 0);
        send(&record, ASK("1"), 1);
        send(&record, ASK("2"), 2);
        for (int pass = 0; pass < 400 && record.transport; pass++)
            mcp_peer_pass(world, 5);
        assert_null(record.transport);
        mcp_peer_pass(world, 20);
        assert_int_equal(record.messages, record.destroy_in == MCP_IN_MESSAGE);
        assert_int_equal(record.closes, record.destroy_in == MCP_IN_CLOSED);
    }
}

// A header that cannot be sent is found when what waits goes out.
static void what_waits_cannot_be_sent(void **state)
{
    struct mcp_peer *world = *state;
    static const char *const split[] = {"X: a\nY: b", NULL};
    for (int destroys = 0; destroys < 2; destroys++) {
        MCP_RECORD_AUTO record;
        LAY(world, {"GET", SSE_HEAD ENDPOINT("/m"), THEN_HOLD});
        start(&record, world);
        record.destroy_in = destroys ? MCP_IN_FAILURE : MCP_NOWHERE;
        send(&record, ASK("1"), 1);
        send(&record, ASK("2"), 2);
        mcp_transport_set_headers(record.transport, split);
        mcp_record_until(&record, &record.failures, destroys ? 1 : 2);
        mcp_record_holds(&record, "failure 1 not-sent 0 a request header holds");
        mcp_peer_pass(world, 20);
        assert_int_equal(record.failures, destroys ? 1 : 2);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, mcp_peer_set_up, mcp_peer_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_talk),
        T(an_endpoint_elsewhere),
        T(no_stream),
        T(the_stream_ends),
        T(too_much_waits),
        T(an_answer_before_its_acknowledgement),
        T(is_destroyed_in_every_event),
        T(what_waits_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
