/*
 * Streamable HTTP against a server that does what a test says: answers of both kinds, in pieces of
 * any size, refusals, sessions, and streams that end too early.
 */
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
#include "mcp/rpc.h"
#include "support/mcp_peer.h"
#include "support/mcp_record.h"

enum { A_WHILE_MS = 150 };

static void start(struct mcp_record *record, struct mcp_peer *world)
{
    static const char *const headers[] = {"Authorization: Bearer key", "X-Own: 1", NULL};
    const struct mcp_address address = {
        .url = mcp_peer_url(world, "/mcp?q=secret"), .headers = headers, .connect_ms = 5000};
    struct error err = ERROR_INIT;
    *record = mcp_record_of(world->loop);
    if (mcp_http_create(world->loop, world->client, &address, &mcp_record_events, record,
                        &record->transport, &err) != 0)
        fail_msg("%s", err.text);
}

static void send(struct mcp_record *record, const char *text, uint64_t request)
{
    struct error err = ERROR_INIT;
    unsigned before = record->events;
    if (mcp_record_send(record, text, request, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(record->events, before); // never from inside
}

static void destroy(struct mcp_record *record)
{
    mcp_transport_destroy(record->transport);
    record->transport = NULL;
}

// One request, what it is answered with, and what that is to the transport.
static void gives(struct mcp_peer *world, struct mcp_step step, bool modern, const char *log)
{
    MCP_RECORD_AUTO record;
    LAY(world, step);
    start(&record, world);
    mcp_transport_set_version(record.transport, modern ? "2026-07-28" : "2025-11-25", modern);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.events, 1);
    mcp_peer_pass(world, 20);
    if (strncmp(log, "...", 3) == 0)
        mcp_record_holds(&record, log + 3);
    else
        mcp_record_says(&record, log);
}

static bool holds(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void a_document(void **state)
{
    struct mcp_peer *world = *state;
    gives(world, (struct mcp_step){"POST", JSON_HEAD ANSWER("1")}, false,
          "message 1 " ANSWER("1") "\n");
    gives(world,
          (struct mcp_step){"POST",
                            "HTTP/1.1 200 OK\r\ncontent-type: Application/JSON\r\n"
                            "Content-Length: 3\r\n\r\n???",
                            THEN_KEEP, .bytewise = true},
          true, "message 1 ???\n"); // what it means is not for us to say
}

static void what_is_sent(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    static const char *const params[] = {"Mcp-Param-Region: eu", "Mcp-Param-Empty:", NULL};
    static const char *const token[] = {"Authorization: Bearer other", NULL};
    LAY(world, {"POST", JSON_HEAD ANSWER("1")}, {"POST", JSON_HEAD ANSWER("2")},
        {"POST", ACCEPTED, THEN_KEEP}, );
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.messages, 1);
    const char *first = mcp_peer_asked("POST", 0);
    assert_true(holds(first, "POST /mcp?q=secret HTTP/1.1\r\n"));
    assert_true(holds(first, "\r\nAccept: application/json, text/event-stream\r\n"));
    assert_true(holds(first, "\r\nContent-Type: application/json\r\n"));
    assert_true(holds(first, "\r\nAuthorization: Bearer key\r\nX-Own: 1\r\n"));
    assert_true(holds(first, "\r\n\r\n" ASK("1")));
    assert_false(holds(first, "MCP-Protocol-Version") || holds(first, "Mcp-"));

    mcp_transport_set_version(record.transport, "2026-07-28", true);
    const struct mcp_outgoing message = {.text = span_of(ASK("2")),
                                         .request = 2,
                                         .method = "tools/call",
                                         .name = "a tool",
                                         .headers = params};
    assert_int_equal(mcp_transport_send(record.transport, &message, NULL), 0);
    mcp_record_until(&record, &record.messages, 2);
    const char *second = mcp_peer_asked("POST", 1);
    assert_true(holds(second, "\r\nMCP-Protocol-Version: 2026-07-28\r\n"));
    assert_true(holds(second, "\r\nMcp-Method: tools/call\r\nMcp-Name: a tool\r\n"));
    assert_true(holds(second, "\r\nMcp-Param-Region: eu\r\nMcp-Param-Empty:\r\n"));

    mcp_transport_set_version(record.transport, "2025-11-25", false);
    mcp_transport_set_headers(record.transport, token);
    send(&record, NOTE, 0);
    mcp_peer_await(world, "POST", 2);
    const char *third = mcp_peer_asked("POST", 2);
    assert_true(holds(third, "\r\nMCP-Protocol-Version: 2025-11-25\r\n"));
    assert_true(holds(third, "\r\nAuthorization: Bearer other\r\n"));
    assert_false(holds(third, "Bearer key") || holds(third, "X-Own") || holds(third, "Mcp-"));
    destroy(&record);
    mcp_peer_pass(world, A_WHILE_MS);
    assert_string_equal(mcp_peer_asked("DELETE", 0), ""); // there was no session
}

static void what_cannot_be_sent(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    const char *many[MCP_HEADERS_MAX + 2] = {NULL};
    static const char *const split[] = {"X: a\r\nY: b", NULL};
    struct error err = ERROR_INIT;
    start(&record, world);
    mcp_transport_set_headers(record.transport, split);
    assert_int_equal(mcp_record_send(&record, ASK("1"), 1, &err), -EINVAL);
    for (int i = 0; i <= MCP_HEADERS_MAX; i++)
        many[i] = "X: y";
    mcp_transport_set_headers(record.transport, many);
    assert_int_equal(mcp_record_send(&record, ASK("1"), 1, &err), -E2BIG);
    assert_non_null(strstr(err.text, "more than 24 headers are set for 127.0.0.1:"));
    many[MCP_HEADERS_MAX] = NULL;
    mcp_transport_set_headers(record.transport, many);
    assert_int_equal(mcp_record_send(&record, NOTE, 0, &err), 0);
    mcp_peer_pass(world, 20);
    const struct mcp_address address = {.url = "ftp://x/"};
    struct mcp_transport *none;
    assert_int_equal(mcp_http_create(world->loop, world->client, &address, &mcp_record_events, NULL,
                                     &none, &err),
                     -EINVAL);
}

static void a_stream(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    static const char stream[] = SSE_HEAD
        "\xEF\xBB\xBF: hello\r\n\r\nid: 1\rdata: \r\rid:2\nevent: message\ndata:" NOTE "\n\n"
        ": still here\n\nevent: other\ndata: {}\n\n"
        "data: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":1,\r\n"
        "data: \"result\":{}}\r\n\r\ndata: " NOTE "\n\n";
    static const char log[] =
        "message 1 " NOTE "\nmessage 1 {\"jsonrpc\":\"2.0\",\n\"id\":1,\n\"result\":{}}\n"
        "message 1 " NOTE "\n";
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        LAY(world, {"POST", stream, .bytewise = bytewise});
        start(&record, world);
        send(&record, ASK("1"), 1);
        mcp_record_until(&record, &record.messages, 3);
        mcp_peer_pass(world, 20);
        mcp_record_says(&record, log);
        mcp_record_finish(&record);
    }
    // A last blank line that was forgotten, and an answer that lacks more than that.
    gives(world, (struct mcp_step){"POST", SSE_HEAD "data: " ANSWER("1")}, true,
          "message 1 " ANSWER("1") "\n");
    gives(world, (struct mcp_step){"POST", SSE_HEAD "data: {\"jsonrpc\":"}, true,
          "...ended the stream before its answer\n");
    start(&record, world);
}

static void notifications(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world, {"POST", ACCEPTED, THEN_KEEP},
        {"POST", "HTTP/1.1 204 No Content\r\n\r\n", THEN_KEEP},
        {"POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", THEN_KEEP},
        {"POST", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nOK",
         THEN_KEEP},
        {"POST", SSE_HEAD "data: " NOTE "\n\n"},
        {"POST", "HTTP/1.1 400 Bad\r\nContent-Length: 4\r\n\r\nwhy?", THEN_KEEP});
    start(&record, world);
    for (unsigned i = 0; i < 6; i++) {
        send(&record, NOTE, 0);
        mcp_peer_await(world, "POST", i);
        mcp_peer_pass(world, 20);
    }
    mcp_record_until(&record, &record.failures, 1);
    mcp_record_holds(&record, "message 0 " NOTE "\nfailure 0 refused 400 127.0.0.1:");
    assert_int_equal(record.taken, 5);
    mcp_record_holds(&record, " answered with status 400: why?\n");
}

static void refusals(void **state)
{
    struct mcp_peer *world = *state;
    gives(world, (struct mcp_step){"POST", ACCEPTED, THEN_KEEP}, false,
          "...accepted the request, and sent no answer\n");
    gives(world,
          (struct mcp_step){"POST", "HTTP/1.1 404 No\r\nContent-Type: application/json\r\n\r\n"
                                    "{\"jsonrpc\":\"2.0\"}"},
          true, "... answered with status 404: {\"jsonrpc\":\"2.0\"}\n");
    gives(world, (struct mcp_step){"POST", "HTTP/1.1 404 No\r\n\r\nsession not found\n"}, false,
          "...failure 1 refused 404 "); // there is none: it is the wrong URL
    gives(world,
          (struct mcp_step){"POST", "HTTP/1.1 400 No\r\nContent-Type: text/html\r\n\r\n"
                                    "<html><body>Log in</body></html>"},
          false, "... answered with status 400\n");
    gives(world,
          (struct mcp_step){"POST", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
                                    "<html><body>Log in</body></html>"},
          false, "... answered with neither JSON nor a stream of events; is the URL that of ");
    gives(world,
          (struct mcp_step){"POST", "HTTP/1.1 307 Go\r\nLocation: //other.example/x?key=1\r\n"
                                    "Content-Length: 0\r\n\r\n"},
          false, "... a redirect to http://other.example/x, which is not followed: ");
    gives(world, (struct mcp_step){"POST", "HTTP/1.1 302 Go\r\nContent-Length: 0\r\n\r\n"}, false,
          "... a redirect to another address, which is not followed: ");
    gives(world, (struct mcp_step){"POST", "HTTP/1.1 503 Oh\r\n\r\n\x1b[1mlater\r\n"}, false,
          "... answered with status 503: [1mlater\n");
}

static void denials(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world,
        {"POST",
         "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\nX: y\r\n"
         "www-authenticate:  Bearer resource_metadata=\"http://x/\" \r\n"
         "Content-Length: 2\r\n\r\nno",
         THEN_KEEP},
        {"POST",
         "HTTP/1.1 403 No\r\nWWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n\r\n"},
        {"POST", "HTTP/1.1 403 No\r\n\r\nnot you"}, {"POST", "HTTP/1.1 401 No\r\n\r\n"});
    start(&record, world);
    static const char *const challenges[] = {
        "Basic realm=\"a\", Bearer resource_metadata=\"http://x/\"",
        "Bearer error=\"insufficient_scope\"", "", ""};
    static const char *const logs[] = {"failure 1 unauthorized 401 ", "failure 1 unauthorized 403 ",
                                       "failure 1 refused 403 ", "failure 1 unauthorized 401 "};
    for (unsigned i = 0; i < ARRAY_LEN(logs); i++) {
        buf_clear(&record.log);
        send(&record, ASK("1"), 1);
        mcp_record_until(&record, &record.failures, i + 1);
        mcp_record_holds(&record, logs[i]);
        assert_string_equal(buf_text(&record.challenge), challenges[i]);
    }
}

static void nobody_there(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    static const char *const urls[] = {"http://127.0.0.1:1/", "https://127.0.0.1:1/"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        const struct mcp_address address = {.url = urls[i], .connect_ms = 1000};
        record = mcp_record_of(world->loop);
        assert_int_equal(mcp_http_create(world->loop, world->client, &address, &mcp_record_events,
                                         &record, &record.transport, NULL),
                         0);
        send(&record, ASK("9"), 9);
        mcp_record_until(&record, &record.failures, 1);
        mcp_record_holds(&record, "failure 9 not-sent 0 ");
        mcp_record_finish(&record);
    }
    gives(world, (struct mcp_step){"POST", NULL}, false, "...failure 1 cut 0 ");
    gives(world, (struct mcp_step){"POST", "nonsense\r\n\r\n"}, false, "...failure 1 cut 0 ");
    start(&record, world);
}

static void bodies_without_end(void **state)
{
    struct mcp_peer *world = *state;
    static char often[65536]; // the server's threads go on for a while
    memset(often, 'x', sizeof often - 1);
    gives(world, (struct mcp_step){"POST", JSON_HEAD, .often = often}, false,
          "... answered with more than 16 MiB\n");
    gives(world, (struct mcp_step){"POST", SSE_HEAD "data: ", .often = often}, false,
          "...failure 1 cut 200 the stream sent an event of more than 16777216 bytes\n");
    MCP_RECORD_AUTO record;
    LAY(world, {"POST", "HTTP/1.1 500 Oh\r\n\r\n", .often = often});
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.failures, 1);
    mcp_record_holds(&record, "failure 1 refused 500 ");
    assert_int_equal(record.body.len, MCP_REFUSAL_MAX);
}

static void a_session(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world,
        {"POST",
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nmcp-session-id: a~!1\r\n"
         "Content-Length: 36\r\n\r\n" ANSWER("1"),
         THEN_KEEP},
        {"POST", ACCEPTED, THEN_KEEP},
        {"GET", "HTTP/1.1 405 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
        {"POST",
         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: b b\r\n\r\n" ANSWER(
             "2")},
        {"POST", "HTTP/1.1 500 Oh\r\nMcp-Session-Id: c\r\n\r\n"},
        {"DELETE", "HTTP/1.1 204 OK\r\n\r\n", THEN_KEEP});
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.messages, 1);
    assert_false(holds(mcp_peer_asked("POST", 0), "Mcp-Session-Id"));
    mcp_transport_set_version(record.transport, "2025-11-25", false);
    send(&record, NOTE, 0);
    mcp_peer_await(world, "POST", 1);
    mcp_transport_listen(record.transport);
    mcp_peer_await(world, "GET", 0);
    send(&record, ASK("2"), 2); // whose answer names one that cannot be one, and the next fails
    mcp_record_until(&record, &record.messages, 2);
    send(&record, ASK("3"), 3);
    mcp_record_until(&record, &record.failures, 1);
    destroy(&record);
    mcp_peer_await(world, "DELETE", 0);
    const char *all[] = {mcp_peer_asked("POST", 1), mcp_peer_asked("GET", 0),
                         mcp_peer_asked("POST", 3), mcp_peer_asked("DELETE", 0)};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (!holds(all[i], "\r\nMcp-Session-Id: a~!1\r\n") ||
            !holds(all[i], "\r\nMCP-Protocol-Version: 2025-11-25\r\n") ||
            !holds(all[i], "\r\nAuthorization: Bearer key\r\n"))
            fail_msg("%zu: %s", i, all[i]);
    assert_true(holds(mcp_peer_asked("GET", 0), "\r\nAccept: text/event-stream\r\n"));
}

static void a_session_that_is_lost(void **state)
{
    struct mcp_peer *world = *state;
    static const char with_session[] =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s\r\n\r\n" ANSWER(
            "1");
    static const struct {
        const char *answer, *log;
    } cases[] = {
        {"HTTP/1.1 404 No\r\n\r\nsession not found", "failure 2 session-gone 404 "},
        {"HTTP/1.1 400 No\r\n\r\n{\"error\":\"No valid Session ID\"}",
         "failure 2 session-gone 400 "},
        {"HTTP/1.1 400 No\r\n\r\nbad", "failure 2 refused 400 "},
        {"HTTP/1.1 401 No\r\n\r\nsession", "failure 2 unauthorized 401 "},
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        MCP_RECORD_AUTO record;
        LAY(world, {"POST", with_session}, {"POST", cases[i].answer}, {"POST", ACCEPTED},
            {"DELETE", "HTTP/1.1 405 No\r\n\r\n"});
        start(&record, world);
        send(&record, ASK("1"), 1);
        mcp_record_until(&record, &record.messages, 1);
        send(&record, ASK("2"), 2);
        mcp_record_until(&record, &record.failures, 1);
        mcp_record_holds(&record, cases[i].log);
        send(&record, NOTE, 0);
        mcp_peer_await(world, "POST", 3 * i + 2);
        bool gone = strstr(cases[i].log, "gone") != NULL;
        assert_int_equal(holds(mcp_peer_asked("POST", 3 * i + 2), "Mcp-Session-Id"), !gone);
        mcp_peer_pass(world, 20);
    }
    // The modern era has none.
    MCP_RECORD_AUTO record;
    LAY(world, {"POST", with_session}, {"POST", "HTTP/1.1 404 No\r\n\r\n"});
    start(&record, world);
    mcp_transport_set_version(record.transport, "2026-07-28", true);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.messages, 1);
    send(&record, ASK("2"), 2);
    mcp_record_until(&record, &record.failures, 1);
    mcp_record_holds(&record, "failure 2 refused 404 ");
    assert_false(holds(mcp_peer_asked("POST", 3 * ARRAY_LEN(cases) + 1), "Mcp-Session-Id"));
}

static void a_stream_is_taken_up_again(void **state)
{
    struct mcp_peer *world = *state;
    for (int cut = 0; cut < 2; cut++) {
        MCP_RECORD_AUTO record;
        LAY(world,
            {"POST", cut ? CUT_SSE_HEAD "id: x 1\nretry: 500\ndata: \n\nid: 2\ndata: {"
                         : SSE_HEAD "id: x 1\nretry: 500\ndata: \n\n"},
            {"GET", SSE_HEAD "id: 3\nretry: 100\ndata: " NOTE "\n\n"},
            {"GET", SSE_HEAD "id: 4\ndata: " ANSWER("1") "\n\n"});
        start(&record, world);
        int64_t begun = clock_monotonic_ms(&clock_system);
        send(&record, ASK("1"), 1);
        mcp_record_until(&record, &record.messages, 2);
        mcp_peer_pass(world, A_WHILE_MS);
        mcp_record_says(&record, "message 1 " NOTE "\nmessage 1 " ANSWER("1") "\n");
        int64_t took = mcp_peer_asked_ms("GET", 2u * (unsigned)cut) - begun;
        if (took < 490 || took > 1500)
            fail_msg("it took %lld ms", (long long)took);
        assert_true(holds(mcp_peer_asked("GET", 2u * (unsigned)cut), "\r\nLast-Event-ID: x 1\r\n"));
        assert_true(
            holds(mcp_peer_asked("GET", 2u * (unsigned)cut + 1), "\r\nLast-Event-ID: 3\r\n"));
    }
    assert_string_equal(mcp_peer_asked("GET", 4), "");
}

static void a_stream_that_is_not_taken_up(void **state)
{
    struct mcp_peer *world = *state;
    static const char ends[] = SSE_HEAD "id: 1\nretry: 100\ndata: \n\n";
    gives(world, (struct mcp_step){"POST", ends}, true, "...ended the stream before its answer\n");
    gives(world, (struct mcp_step){"POST", SSE_HEAD ": ok\n\n"}, false,
          "...ended the stream before its answer\n"); // there is no event to begin behind
    gives(world, (struct mcp_step){"POST", SSE_HEAD "id: \x7f\ndata: \n\n"}, false,
          "...ended the stream before its answer\n"); // or none that a header can hold
    gives(world, (struct mcp_step){"POST", CUT_SSE_HEAD "data: {"}, false,
          "...it was closed before the answer ended\n");
    LAY(world, {"GET", "HTTP/1.1 405 No\r\nAllow: POST\r\n\r\n"});
    gives(world, (struct mcp_step){"POST", ends}, false, "...failure 1 cut 405 ");
    LAY(world, {"GET", "HTTP/1.1 404 No\r\n\r\n"});
    gives(world, (struct mcp_step){"POST", ends}, false,
          "... ended the stream before its answer, which cannot be taken up: 127.0.0.1:");
    LAY(world, {"GET", NULL}, {"GET", SSE_HEAD}, {"GET", SSE_HEAD ": ok\n\n"}, {"GET", SSE_HEAD},
        {"GET", SSE_HEAD});
    gives(world, (struct mcp_step){"POST", ends}, false, "...failure 1 cut 200 ");
    mcp_peer_await(world, "GET", 6);
    assert_string_equal(mcp_peer_asked("GET", 7), "");

    // One that is silent: whoever waits gives up.
    MCP_RECORD_AUTO record;
    LAY(world, {"GET", SSE_HEAD, THEN_HOLD}, {"POST", ends});
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_peer_await(world, "GET", 7);
    mcp_peer_pass(world, A_WHILE_MS);
    mcp_transport_abandon(record.transport, 1);
    for (int i = 0; i < 200 && http_peer_open(world->peer); i++)
        mcp_peer_pass(world, 10);
    assert_int_equal(http_peer_open(world->peer), 0);
    assert_int_equal(record.events, 0);
}

static void an_answer_elsewhere(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world, {"POST", SSE_HEAD "id: 1\nretry: 60000\ndata: \n\n"},
        {"GET", SSE_HEAD "data: " ANSWER("1") "\n\n", THEN_HOLD, .wait_ms = 200});
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_peer_await(world, "POST", 0);
    mcp_transport_listen(record.transport);
    mcp_record_until(&record, &record.messages, 1);
    mcp_peer_pass(world, 1200);
    mcp_record_says(&record, "message 0 " ANSWER("1") "\n");
}

static void what_is_said_unasked(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world, {"GET", "HTTP/1.1 400 No\r\n\r\nsession already exists"},
        {"GET", "HTTP/1.1 409 No\r\n\r\n"}, {"GET", NULL},
        {"GET", SSE_HEAD "id: 6\ndata: " NOTE "\n\n"},
        {"GET", SSE_HEAD "id: 7\n\nid: \x01\ndata: \n\n"}, {"GET", SSE_HEAD "id: 7\n\n"},
        {"GET", "HTTP/1.1 405 No\r\n\r\n"}, {"GET", SSE_HEAD "data: " NOTE "\n\n", THEN_HOLD});
    start(&record, world);
    mcp_transport_listen(record.transport);
    mcp_transport_listen(record.transport);
    mcp_peer_await(world, "GET", 6);
    mcp_peer_pass(world, 300);
    mcp_record_says(&record, "message 0 " NOTE "\n");
    assert_true(holds(mcp_peer_asked("GET", 4), "\r\nLast-Event-ID: 6\r\n"));
    assert_false(holds(mcp_peer_asked("GET", 5), "\r\nLast-Event-ID"));
    assert_true(holds(mcp_peer_asked("GET", 6), "\r\nLast-Event-ID: 7\r\n"));
    assert_string_equal(mcp_peer_asked("GET", 7), ""); // it does not offer one
    mcp_transport_listen(record.transport);
    mcp_record_until(&record, &record.messages, 2);
    mcp_transport_set_version(record.transport, "2026-07-28", true); // where there is none
    mcp_transport_listen(record.transport);
    for (int i = 0; i < 200 && http_peer_open(world->peer); i++)
        mcp_peer_pass(world, 10);
    assert_int_equal(http_peer_open(world->peer), 0);
    assert_string_equal(mcp_peer_asked("GET", 8), "");
}

static void a_stream_that_stays_open(void **state)
{
    struct mcp_peer *world = *state;
    MCP_RECORD_AUTO record;
    LAY(world, {"POST", SSE_HEAD "data: " ANSWER("1") "\n\n", THEN_HOLD},
        {"POST", SSE_HEAD "data: " NOTE "\n\n", THEN_HOLD});
    start(&record, world);
    send(&record, ASK("1"), 1);
    mcp_record_until(&record, &record.messages, 1);
    assert_int_equal(http_peer_open(world->peer), 1);
    for (int i = 0; i < 200 && http_peer_open(world->peer); i++)
        mcp_peer_pass(world, 10);
    assert_int_equal(http_peer_open(world->peer), 0);
    send(&record, ASK("2"), 2);
    mcp_record_until(&record, &record.messages, 2);
    mcp_transport_abandon(record.transport, 2);
    mcp_transport_abandon(record.transport, 2);
    mcp_transport_abandon(record.transport, 0);
    for (int i = 0; i < 200 && http_peer_open(world->peer); i++)
        mcp_peer_pass(world, 10);
    assert_int_equal(http_peer_open(world->peer), 0);
    mcp_record_says(&record, "message 1 " ANSWER("1") "\nmessage 2 " NOTE "\n");
}

static void is_destroyed_in_every_event(void **state)
{
    struct mcp_peer *world = *state;
    static const struct {
        struct mcp_step step;
        enum mcp_place place;
    } cases[] = {
        {{"POST", JSON_HEAD ANSWER("1")}, MCP_IN_MESSAGE},
        {{"POST", SSE_HEAD "data: " ANSWER("1") "\n\ndata: " NOTE "\n\n"}, MCP_IN_MESSAGE},
        {{"POST", SSE_HEAD "data: " NOTE}, MCP_IN_MESSAGE},
        {{"POST", SSE_HEAD}, MCP_IN_FAILURE},
        {{"POST", "HTTP/1.1 404 No\r\n\r\nno"}, MCP_IN_FAILURE},
        {{"POST", NULL}, MCP_IN_FAILURE},
        {{"POST", ACCEPTED}, MCP_IN_TAKEN},
        {{"POST", SSE_HEAD "data: " NOTE "\n\n"}, MCP_IN_TAKEN},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        MCP_RECORD_AUTO record;
        start(&record, world);
        record.destroy_in = cases[i].place;
        LAY(world, {"POST", SSE_HEAD, THEN_HOLD}, cases[i].step, {"GET", SSE_HEAD, THEN_HOLD});
        send(&record, ASK("2"), 2);
        mcp_peer_await(world, "POST", 2 * (unsigned)i);
        mcp_transport_listen(record.transport);
        send(&record, ASK("1"), cases[i].place != MCP_IN_TAKEN);
        for (int pass = 0; pass < 200 && record.transport; pass++)
            mcp_peer_pass(world, 5);
        assert_null(record.transport);
        assert_int_equal(record.events, 1);
        for (int pass = 0; pass < 200 && http_peer_open(world->peer); pass++)
            mcp_peer_pass(world, 5);
        assert_int_equal(http_peer_open(world->peer), 0);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, mcp_peer_set_up, mcp_peer_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_document),
        T(what_is_sent),
        T(what_cannot_be_sent),
        T(a_stream),
        T(notifications),
        T(refusals),
        T(denials),
        T(nobody_there),
        T(bodies_without_end),
        T(a_session),
        T(a_session_that_is_lost),
        T(a_stream_is_taken_up_again),
        T(a_stream_that_is_not_taken_up),
        T(an_answer_elsewhere),
        T(what_is_said_unasked),
        T(a_stream_that_stays_open),
        T(is_destroyed_in_every_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
