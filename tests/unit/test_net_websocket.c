// libraries: curl mbedtls mbedx509 mbedcrypto
// environment: HERMES_SOURCE_ROOT, where the test is not run from within the tree
//
// A WebSocket against a real server, and one that misbehaves (support/websocket_servers.py).
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "net/ca_roots.h"
#include "net/websocket_internal.h"
#include "support/websocket_world.h"

#define THE_ANSWER "text:The answer is 42.\n"

enum {
    LIMIT_MS = 300, // of what is to time out
    SOON_MS = 3500, // by then it is over
    TICK_MS = 10,
};

static void send_text(struct session *session, const char *text)
{
    assert_int_equal(websocket_send(session->ws, true, span_of(text)), 0);
}

static void open_session(struct session *session, bool secure, const char *path)
{
    session_begin(session, socket_url(secure, path));
    session_until(session, &session->opens, 1);
}

static void fails(struct session *session, enum http_failure failure, uint16_t code,
                  const char *sentence)
{
    session_end(session);
    if (session->failure != failure || session->code != code ||
        !strstr(buf_text(&session->sentence), sentence))
        fail_msg("failure %d, code %u: %s", (int)session->failure, session->code,
                 buf_text(&session->sentence));
}

// --- a real server

static void echoes(struct socket_world *world, bool secure)
{
    SESSION_AUTO session = session_of(world);
    open_session(&session, secure, "/echo?v=10&encoding=json");
    send_text(&session, "hello");
    send_text(&session, "");
    send_text(&session, "5 \xe2\x82\xac");
    assert_int_equal(websocket_send(session.ws, false, SPAN_LITERAL("\0\xff")), 0);
    session_until(&session, &session.messages, 4);
    assert_string_equal(buf_text(&session.log),
                        "text:hello\ntext:\ntext:5 \xe2\x82\xac\nbinary:2 bytes\n");
    assert_true(span_equal(buf_span(&session.last), SPAN_LITERAL("\0\xff")));
    assert_int_equal(websocket_close(session.ws, 3000, SPAN_LITERAL("enough")), 0);
    assert_int_equal(websocket_send(session.ws, true, SPAN_LITERAL("late")), -ENOTCONN);
    session_end(&session);
    assert_int_equal(session.failure, HTTP_OK);
    assert_int_equal(session.code, 3000);
    assert_string_equal(buf_text(&session.reason), "enough");
    assert_int_equal(websocket_close(session.ws, 1000, SPAN_ABSENT), -ENOTCONN);
}

static void messages_come_back(void **state)
{
    echoes(*state, false);
}

static void messages_come_back_over_tls(void **state)
{
    echoes(*state, true);
}

// As many as there is room for, in both directions.
static void large_messages(void **state)
{
    struct socket_world *world = *state;
    size_t sizes[] = {125, 126, 65535, 65536, 1 << 20, WEBSOCKET_MESSAGE_MAX};
    char *data = malloc(WEBSOCKET_MESSAGE_MAX + 1);
    for (size_t i = 0; i <= WEBSOCKET_MESSAGE_MAX; i++)
        data[i] = (char)(i * 7 + i / 251);
    for (int secure = 0; secure < 2; secure++) {
        SESSION_AUTO session = session_of(world);
        open_session(&session, secure, "/echo");
        for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
            assert_int_equal(websocket_send(session.ws, false, span_make(data, sizes[i])), 0);
            session_until(&session, &session.messages, i + 1);
            assert_true(span_equal(buf_span(&session.last), span_make(data, sizes[i])));
        }
        assert_int_equal(websocket_send(session.ws, false, span_make(data, sizes[5] + 1)),
                         -EMSGSIZE);
    }
    free(data);
}

static void fragments_and_pings(void **state)
{
    SESSION_AUTO session = session_of(*state);
    open_session(&session, false, "/fragments");
    send_text(&session, "caf\xc3\xa9 and \xf0\x9f\x98\x80");
    session_until(&session, &session.messages, 1);
    assert_string_equal(buf_text(&session.log), "text:caf\xc3\xa9 and \xf0\x9f\x98\x80\n");
    SESSION_AUTO pinged = session_of(*state);
    open_session(&pinged, false, "/ping");
    send_text(&pinged, "the pong came");
    session_until(&pinged, &pinged.messages, 1);
    assert_string_equal(buf_text(&pinged.log), "text:the pong came\n");
}

static void a_burst_comes_in_order(void **state)
{
    SESSION_AUTO session = session_of(*state);
    open_session(&session, true, "/burst/1000");
    session_until(&session, &session.messages, 1000);
    const char *at = buf_text(&session.log);
    for (int i = 0; i < 1000; i++) {
        char line[32];
        int len = snprintf(line, sizeof line, "text:%d\n", i);
        assert_memory_equal(at, line, (size_t)len);
        at += len;
    }
    assert_string_equal(at, "");
}

static void headers_and_subprotocol(void **state)
{
    static const char *const headers[] = {"Authorization: Bot abc", "X-Mine: yes", NULL};
    SESSION_AUTO session = session_of(*state);
    assert_int_equal(
        session_try(&session, (struct websocket_request){.url = socket_url(false, "/head"),
                                                         .headers = headers,
                                                         .protocols = "other, hermes.test"}),
        0);
    session_until(&session, &session.messages, 1);
    const char *head = buf_text(&session.last);
    assert_non_null(strstr(head, "\"authorization\": \"Bot abc\""));
    assert_non_null(strstr(head, "\"x-mine\": \"yes\""));
    assert_non_null(strstr(head, "\"sec-websocket-version\": \"13\""));
    assert_null(strstr(head, "\"sec-websocket-extensions\""));
    assert_string_equal(buf_text(&session.protocol), "hermes.test");
}

static void the_server_closes(void **state)
{
    static const unsigned codes[] = {1000, 1001, 1011, 3000, 4004, 4999};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        SESSION_AUTO session = session_of(*state);
        char path[32];
        snprintf(path, sizeof path, "/close/%u", codes[i]);
        open_session(&session, i % 2, path);
        send_text(&session, "go");
        session_end(&session);
        assert_int_equal(session.failure, HTTP_OK);
        assert_int_equal(session.code, codes[i]);
        assert_string_equal(buf_text(&session.reason), "as you wish");
    }
    SESSION_AUTO left = session_of(*state);
    session_begin(&left, socket_url(false, "/leave"));
    session_end(&left);
    assert_int_equal(left.code, WEBSOCKET_GOING_AWAY);
    assert_string_equal(buf_text(&left.reason), "going away");
}

// --- one that misbehaves

struct fault {
    const char *path, *log;
    enum http_failure failure;
    unsigned code;
    const char *sentence; // a part of it
    const char *said;     // what the server says that the client did last; NULL: that depends
};

static void plays(struct socket_world *world, bool secure, const struct fault *fault)
{
    SESSION_AUTO session = session_of(world);
    session_begin(&session, socket_url(secure, fault->path));
    session_end(&session);
    if (session.failure != fault->failure || session.code != fault->code ||
        strcmp(buf_text(&session.log), fault->log) != 0 ||
        !strstr(buf_text(&session.sentence), fault->sentence))
        fail_msg("%s: failure %d, code %u, \"%s\": %s", fault->path, (int)session.failure,
                 session.code, buf_text(&session.log), buf_text(&session.sentence));
    if (secure || !fault->said)
        return;
    const char *said = socket_server_said(fault->path);
    if (strcmp(said, fault->said) != 0)
        fail_msg("%s: the client's last was \"%s\"", fault->path, said);
}

static void play_all(struct socket_world *world, const struct fault *faults, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int secure = 0; secure < 2; secure++)
            plays(world, secure, &faults[i]);
}

static void handshakes_that_are_none(void **state)
{
    static const struct fault faults[] = {
        {"/refuse/403", "", HTTP_CUT, 1006, "it answers HTTP 403", NULL},
        {"/refuse/302", "", HTTP_CUT, 1006, "HTTP 302, and redirects are not followed", NULL},
        {"/refuse/200", "", HTTP_CUT, 1006, "it answers HTTP 200", NULL},
        {"/wrong-accept", "", HTTP_CUT, 1006, "(Sec-WebSocket-Accept)", "fin"},
        {"/no-accept", "", HTTP_CUT, 1006, "(Sec-WebSocket-Accept)", "fin"},
        {"/no-upgrade", "", HTTP_CUT, 1006, "(Upgrade)", "fin"},
        {"/other-upgrade", "", HTTP_CUT, 1006, "(Upgrade)", "fin"},
        {"/no-connection", "", HTTP_CUT, 1006, "(Connection)", "fin"},
        {"/extension", "", HTTP_CUT, 1006, "extension", "fin"},
        {"/subprotocol", "", HTTP_CUT, 1006, "subprotocol", "fin"},
        {"/head-endless", "", HTTP_CUT, 1006, "a head of more than", NULL},
        {"/head-frames", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
        {"/any-case", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
    };
    play_all(*state, faults, ARRAY_LEN(faults));
}

static void frames_that_are_forbidden(void **state)
{
    static const struct fault faults[] = {
        {"/masked", "", HTTP_CUT, 1002, "masked", "close 1002"},
        {"/reserved-bit", "", HTTP_CUT, 1002, "reserved bits", "close 1002"},
        {"/reserved-opcode", "", HTTP_CUT, 1002, "opcode", "close 1002"},
        {"/reserved-control", "", HTTP_CUT, 1002, "opcode", "close 1002"},
        {"/length-sign", "", HTTP_CUT, 1002, "length", "close 1002"},
        {"/ping-large", "", HTTP_CUT, 1002, "PING", "close 1002"},
        {"/ping-fragment", "", HTTP_CUT, 1002, "PING", "close 1002"},
        {"/continuation", "", HTTP_CUT, 1002, "fragment", "close 1002"},
        {"/interleaved", "", HTTP_CUT, 1002, "fragment", "close 1002"},
        {"/endless-empty", "", HTTP_CUT, 1002, "fragment", NULL},
        {"/utf8", "", HTTP_CUT, 1007, "UTF-8", "close 1007"},
        {"/utf8-cut", "", HTTP_CUT, 1007, "UTF-8", "close 1007"},
        {"/utf8-surrogate", "", HTTP_CUT, 1007, "UTF-8", "close 1007"},
        {"/utf8-fragment", "", HTTP_CUT, 1007, "UTF-8", NULL},
        {"/huge/5000000", "", HTTP_CUT, 1009, "more than 4194304 bytes", NULL},
        {"/endless-message", "", HTTP_CUT, 1009, "more than 4194304 bytes", NULL},
        {"/close-byte", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-utf8", "", HTTP_CUT, 1007, "UTF-8", "close 1007"},
        {"/close-code/0", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-code/999", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-code/1004", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-code/1005", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-code/1006", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-code/1015", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-code/2999", "", HTTP_CUT, 1002, "close frame", "close 1002"},
        {"/close-code/5000", "", HTTP_CUT, 1002, "close frame", "close 1002"},
    };
    play_all(*state, faults, ARRAY_LEN(faults));
}

static void frames_that_are_rare(void **state)
{
    static const struct fault faults[] = {
        {"/control-between", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
        {"/utf8-split", "text:5 \xe2\x82\xac\n", HTTP_OK, 1000, "", "close 1000"},
        {"/empty-fragments", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
        {"/empty", "text:\n", HTTP_OK, 1000, "", "close 1000"},
        {"/length-125", "text:125 bytes\n", HTTP_OK, 1000, "", "close 1000"},
        {"/length-126", "text:126 bytes\n", HTTP_OK, 1000, "", "close 1000"},
        {"/length-65535", "text:65535 bytes\n", HTTP_OK, 1000, "", "close 1000"},
        {"/length-65536", "text:65536 bytes\n", HTTP_OK, 1000, "", "close 1000"},
        {"/pings/100", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
        {"/pong", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
        {"/bytewise", "text:first\ntext:second\nbinary:200 bytes\n", HTTP_OK, 1000, "",
         "close 1000"},
        {"/bye", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
        {"/close-code/1003", "", HTTP_OK, 1003, "", "close 1003"},
        {"/close-code/1012", "", HTTP_OK, 1012, "", "close 1012"},
        {"/close-code/4014", "", HTTP_OK, 4014, "", "close 4014"},
        {"/close-empty", "", HTTP_OK, 1005, "", "close 1005"},
        {"/close-long", "", HTTP_OK, 1000, "", "close 1000"},
        {"/close-then-data", THE_ANSWER, HTTP_OK, 1000, "", "close 1000"},
    };
    play_all(*state, faults, ARRAY_LEN(faults));
}

// After every byte of three messages, by FIN and by RST.
static void connections_that_end(void **state)
{
    static const struct fault some[] = {
        {"/cut/0", "", HTTP_CUT, 1006, "without a close frame", "fin"},
        {"/cut/1", "", HTTP_CUT, 1006, "without a close frame", "fin"},
        {"/cut/2", "", HTTP_CUT, 1006, "without a close frame", "fin"},
        {"/cut/5", "", HTTP_CUT, 1006, "without a close frame", "fin"},
        {"/cut/10", "text:first\n", HTTP_CUT, 1006, "without a close frame", "fin"},
        {"/cut/14", "text:first\n", HTTP_CUT, 1006, "without a close frame", "fin"},
        {"/cut/24", "text:first\ntext:second\n", HTTP_CUT, 1006, "without a close frame", "fin"},
        {"/cut/100", "text:first\ntext:second\n", HTTP_CUT, 1006, "without a close frame", "fin"},
    };
    play_all(*state, some, ARRAY_LEN(some));
    for (int at = 0; at < 30; at += 3) {
        SESSION_AUTO session = session_of(*state);
        char path[32];
        snprintf(path, sizeof path, "/reset/%d", at);
        session_begin(&session, socket_url(false, path));
        fails(&session, HTTP_CUT, 1006, "");
    }
}

// --- time, and others on the loop

static void on_tick(void *context)
{
    ++*(unsigned *)context;
}

// So many one after the other: with a flood that owns the loop not even the first would come.
static void tick(struct socket_world *world, unsigned count)
{
    unsigned ticks = 0;
    int64_t end = socket_clock_ms() + SOCKET_PATIENCE_MS;
    for (unsigned before = 0; before < count; before = ticks) {
        loop_timer_after(world->loop, TICK_MS, on_tick, &ticks);
        while (ticks == before)
            loop_run_once(world->loop, 100);
        if (socket_clock_ms() > end)
            fail_msg("only %u others had their turn", ticks);
    }
}

static void floods_do_not_own_the_loop(void **state)
{
    static const char *const paths[] = {"/endless-pings", "/endless-message"};
    struct socket_world *world = *state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(paths); i++) {
        SESSION_AUTO session = session_of(world);
        open_session(&session, i / 2, paths[i % 2]);
        tick(world, 20);
        assert_int_equal(session.messages, 0);
        assert_true(session.ws->queued_frames <= 3);
        websocket_destroy(STEAL(session.ws));
    }
}

static void limits_of_time(void **state)
{
    SESSION_AUTO unopened = session_of(*state), idle = session_of(*state),
                 deaf = session_of(*state), huge = session_of(*state);
    int64_t before = socket_clock_ms();
    session_try(&unopened, (struct websocket_request){.url = socket_url(false, "/head-silent"),
                                                      .open_ms = LIMIT_MS});
    fails(&unopened, HTTP_TIMED_OUT, 1006, "no WebSocket was opened in time");
    session_try(&idle, (struct websocket_request){.url = socket_url(false, "/silence"),
                                                  .idle_ms = LIMIT_MS});
    fails(&idle, HTTP_TIMED_OUT, 1006, "silent");
    session_try(&huge, (struct websocket_request){.url = socket_url(false, "/length-max"),
                                                  .idle_ms = LIMIT_MS});
    fails(&huge, HTTP_TIMED_OUT, 1006, "silent"); // no byte of it ever comes
    assert_true(socket_clock_ms() - before < SOON_MS);
    open_session(&deaf, false, "/deaf");
    session_until(&deaf, &deaf.messages, 1);
    assert_int_equal(websocket_close(deaf.ws, 1000, SPAN_ABSENT), 0);
    fails(&deaf, HTTP_TIMED_OUT, 1006, "did not answer the close frame");
}

// A ping after half of the limit keeps a server in the conversation that has nothing to say.
static void pings_keep_it_open(void **state)
{
    SESSION_AUTO session = session_of(*state);
    session_try(&session,
                (struct websocket_request){.url = socket_url(false, "/echo"), .idle_ms = LIMIT_MS});
    socket_pass_ms(*state, 5 * LIMIT_MS);
    assert_int_equal(session.opens, 1);
    assert_int_equal(session.closes, 0);
}

// --- our side

static void the_queue_is_bounded(void **state)
{
    struct socket_world *world = *state;
    SESSION_AUTO session = session_of(world);
    char *data = calloc(1, WEBSOCKET_QUEUE_MAX);
    session_begin(&session, socket_url(false, "/echo"));
    assert_int_equal(websocket_send(session.ws, true, SPAN_LITERAL("early")), -ENOTCONN);
    assert_int_equal(websocket_close(session.ws, 1000, SPAN_ABSENT), -ENOTCONN);
    session_until(&session, &session.opens, 1);
    assert_int_equal(websocket_send(session.ws, true, SPAN_LITERAL("\xc3\x28")), -EILSEQ);
    assert_int_equal(websocket_send(session.ws, false, span_make(data, WEBSOCKET_QUEUE_MAX - 1)),
                     0);
    send_text(&session, "1");
    assert_int_equal(websocket_send(session.ws, true, SPAN_LITERAL("2")), -EAGAIN);
    session_until(&session, &session.rooms, 1);
    send_text(&session, "2");
    session_until(&session, &session.messages, 3);
    assert_string_equal(buf_text(&session.log), "binary:4194303 bytes\ntext:1\ntext:2\n");
    for (int i = 0; i < WEBSOCKET_QUEUE_FRAMES_MAX; i++)
        send_text(&session, "");
    assert_int_equal(websocket_send(session.ws, true, SPAN_ABSENT), -EAGAIN);
    session_until(&session, &session.messages, 3 + WEBSOCKET_QUEUE_FRAMES_MAX);
    char reason[WEBSOCKET_REASON_MAX + 1] = {0};
    assert_int_equal(websocket_close(session.ws, 1005, SPAN_ABSENT), -EINVAL);
    assert_int_equal(websocket_close(session.ws, 1000, span_make(reason, sizeof reason)), -EINVAL);
    assert_int_equal(websocket_close(session.ws, 1000, SPAN_LITERAL("\xff")), -EINVAL);
    assert_int_equal(session.closes, 0);
    free(data);
}

// The server answers a close frame as soon as it sees one, and then echoes no more.
static void what_is_queued_goes_before_the_close(void **state)
{
    SESSION_AUTO session = session_of(*state);
    char *data = calloc(1, 1 << 20);
    open_session(&session, true, "/echo");
    for (int i = 0; i < 3; i++)
        assert_int_equal(websocket_send(session.ws, false, span_make(data, 1 << 20)), 0);
    assert_int_equal(websocket_close(session.ws, 1000, SPAN_ABSENT), 0);
    const struct websocket_frame *last =
        list_entry(session.ws->queue.prev, struct websocket_frame, link);
    assert_int_equal(session.ws->queued_frames, 4);
    assert_memory_equal(last->data, "\x03\xe8", last->len);
    session_end(&session);
    assert_int_equal(session.failure, HTTP_OK);
    assert_int_equal(session.code, 1000);
    assert_int_equal(session.ws->queued_frames, 0);
    free(data);
}

static void it_is_destroyed_anywhere(void **state)
{
    struct socket_world *world = *state;
    static const struct {
        enum socket_place place;
        const char *path;
    } places[] = {
        {AT_OPEN, "/big/100000"},
        {AT_MESSAGE, "/burst/100"},
        {AT_CLOSE, "/leave"},
        {AT_CLOSE, "/refuse/403"},
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(places); i++) {
        SESSION_AUTO session = session_of(world);
        session.destroy_at = places[i / 2].place;
        session_begin(&session, socket_url(i % 2, places[i / 2].path));
        int64_t deadline = socket_clock_ms() + SOCKET_PATIENCE_MS;
        while (!session.gone && socket_clock_ms() < deadline)
            loop_run_once(world->loop, 100);
        assert_true(session.gone);
        socket_pass_ms(world, 20);
    }
    for (int ms = 0; ms < 40; ms += 2) { // while it connects, shakes hands, and amid a message
        SESSION_AUTO session = session_of(world);
        session_begin(&session, socket_url(ms % 4 == 0, "/big/4000000"));
        socket_pass_ms(world, ms);
        websocket_destroy(STEAL(session.ws));
        session.gone = true;
        socket_pass_ms(world, 5);
    }
}

static void requests_that_cannot_be_made(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1/",
                                       "ws:/x",
                                       "ws://",
                                       "ws://127.0.0.1/#a",
                                       "wss://me:secret@127.0.0.1/",
                                       "ws://127.0.0.1/a b",
                                       "ws://127.0.0.1/a\r\nX: y",
                                       "",
                                       "websocket"};
    static const char *const headers[] = {
        "Host: x", "sec-websocket-key: x", "Upgrade: x",        "Connection: x", "None",
        "Empty:",  "X: a\r\nY: b",         "Content-Length: 3", "Bad name: x"};
    struct socket_world *world = *state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        SESSION_AUTO session = session_of(world);
        assert_int_equal(session_try(&session, (struct websocket_request){.url = urls[i]}),
                         -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        const char *const lines[] = {headers[i], NULL};
        SESSION_AUTO session = session_of(world);
        if (session_try(&session, (struct websocket_request){.url = "ws://127.0.0.1/",
                                                             .headers = lines}) != -EINVAL)
            fail_msg("%s", headers[i]);
    }
    SESSION_AUTO session = session_of(world);
    assert_int_equal(session_try(&session, (struct websocket_request){.url = "ws://127.0.0.1/",
                                                                      .protocols = "a\r\nb"}),
                     -EINVAL);
}

static void servers_that_are_none(void **state)
{
    SESSION_AUTO refused = session_of(*state), secure = session_of(*state);
    session_begin(&refused, "ws://127.0.0.1:1/");
    fails(&refused, HTTP_UNREACHABLE, 1006, "127.0.0.1:1: ");
    char url[64];
    snprintf(url, sizeof url, "ws%s", socket_url(true, "/echo") + 3); // what it answers is an alert
    session_begin(&secure, url);
    fails(&secure, HTTP_CUT, 1006, "it did not answer in HTTP");
}

// The authority of the machine did not sign the server.
static void a_stranger_is_not_trusted(void **state)
{
    struct socket_world world = *(struct socket_world *)*state;
    assert_int_equal(trust_create(NULL, &world.trust, NULL), 0);
    assert_int_equal(http_client_create(world.loop, world.trust, &world.client, NULL), 0);
    {
        SESSION_AUTO session = session_of(&world);
        session_begin(&session, socket_url(true, "/echo"));
        fails(&session, HTTP_UNTRUSTED, 1006, "no trusted TLS connection");
    }
    http_client_destroy(world.client);
    trust_destroy(world.trust);
}

static void proxies_tunnel(void **state)
{
    struct socket_world *world = *state;
    for (int i = 0; i < 4; i++) {
        bool secure = i % 2, secure_proxy = i / 2;
        socket_use_proxy(world, secure ? "https_proxy" : "http_proxy", secure_proxy);
        echoes(world, secure);
        SESSION_AUTO session = session_of(world);
        open_session(&session, secure, "/burst/300");
        session_until(&session, &session.messages, 300);
        websocket_destroy(STEAL(session.ws));
        SESSION_AUTO refused = session_of(world);
        session_begin(&refused, socket_url(secure, "/refuse/403"));
        fails(&refused, HTTP_CUT, 1006, "it answers HTTP 403");
        assert_int_equal(refused.status, 403);
    }
    const char *heads = socket_proxy_heads();
    unsigned tunnels = 0;
    for (const char *at = heads; (at = strstr(at, "CONNECT 127.0.0.1:")); at++)
        tunnels++;
    assert_int_equal(tunnels, 12);
    assert_null(strstr(heads, "GET "));
    socket_use_proxy(world, NULL, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back),
        cmocka_unit_test(messages_come_back_over_tls),
        cmocka_unit_test(large_messages),
        cmocka_unit_test(fragments_and_pings),
        cmocka_unit_test(a_burst_comes_in_order),
        cmocka_unit_test(headers_and_subprotocol),
        cmocka_unit_test(the_server_closes),
        cmocka_unit_test(handshakes_that_are_none),
        cmocka_unit_test(frames_that_are_forbidden),
        cmocka_unit_test(frames_that_are_rare),
        cmocka_unit_test(connections_that_end),
        cmocka_unit_test(floods_do_not_own_the_loop),
        cmocka_unit_test(limits_of_time),
        cmocka_unit_test(pings_keep_it_open),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(what_is_queued_goes_before_the_close),
        cmocka_unit_test(it_is_destroyed_anywhere),
        cmocka_unit_test(requests_that_cannot_be_made),
        cmocka_unit_test(servers_that_are_none),
        cmocka_unit_test(a_stranger_is_not_trusted),
        cmocka_unit_test(proxies_tunnel),
    };
    return cmocka_run_group_tests(tests, socket_set_up, socket_tear_down);
}
