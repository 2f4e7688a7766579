#include "support/http_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/clock.h"

void reply_held(void *ctx)
{
    struct world *w = ctx;
    struct http_exchange *exchange = http_server_find(w->server, w->held);
    if (exchange)
        http_exchange_reply(exchange, 200, "text/plain", SPAN_LITERAL("late"));
}

void pump_events(struct world *w)
{
    char text[1100];
    while (w->events_sent < EVENTS) {
        memset(text, 'x', sizeof text);
        int n = snprintf(text, sizeof text, "%u ", w->events_sent);
        text[n] = 'y';
        ssize_t pending = sse_stream_send(&w->sse, SPAN_ABSENT, (struct span){text, sizeof text});
        if (pending < 0)
            return;
        w->events_sent++;
        if ((size_t)pending > w->most_pending)
            w->most_pending = (size_t)pending;
        if (pending > 40 * 1024)
            return;
    }
    sse_stream_end(&w->sse);
}

static void on_drain(void *ctx, struct http_exchange *exchange)
{
    struct world *w = ctx;
    assert_true(http_exchange_pending(exchange) < 16 * 1024);
    w->drains++;
    pump_events(w);
}

static void echo(struct http_exchange *exchange)
{
    BUF_AUTO text = BUF_INIT(ANSWER_MAX);
    struct span q = http_exchange_query(exchange, "q"),
                h = http_exchange_header(exchange, "x-NOTE");
    struct span method = http_exchange_method(exchange), path = http_exchange_path(exchange);
    struct span peer = http_exchange_peer(exchange), body = http_exchange_body(exchange);
    buf_printf(&text, "%.*s %.*s q=%.*s note=%.*s peer=%.*s body=%zu:", (int)method.len,
               method.data, (int)path.len, path.data, (int)q.len, q.data ? q.data : "", (int)h.len,
               h.data ? h.data : "", (int)peer.len, peer.data, body.len);
    buf_append_span(&text, body.len < 64 ? body : (struct span){body.data, 64});
    buf_append_text(&text, ".");
    assert_int_equal(http_exchange_add_header(exchange, "X-One", "1"), 0);
    assert_int_equal(http_exchange_add_header(exchange, "X-Two", "a\r\nb"), -EINVAL);
    assert_int_equal(http_exchange_add_header(exchange, "X Three", "a"), -EINVAL);
    http_exchange_reply_take(exchange, 200, "text/plain", &text);
}

static void on_request(void *ctx, struct http_exchange *exchange)
{
    struct world *w = ctx;
    struct span path = http_exchange_path(exchange);
    w->requests++;
    assert_ptr_equal(http_server_find(w->server, http_exchange_id(exchange)), exchange);
    if (span_starts_with(path, "/echo")) {
        echo(exchange);
    } else if (span_is(path, "/later")) {
        w->held = http_exchange_id(exchange);
        loop_timer_after(w->loop, 30, reply_held, w);
    } else if (span_is(path, "/hold")) {
        w->held = http_exchange_id(exchange);
    } else if (span_is(path, "/stream")) {
        w->held = http_exchange_id(exchange);
        http_exchange_begin(exchange, 200, "text/plain");
    } else if (span_is(path, "/sse")) {
        sse_stream_begin(&w->sse, w->loop, w->server, exchange, 40);
    } else if (span_is(path, "/abort")) {
        http_exchange_abort(exchange);
    } else {
        http_exchange_reply_text(exchange, 404, "There is no %.*s here.", (int)path.len, path.data);
    }
}

static void on_gone(void *ctx, uint64_t id)
{
    struct world *w = ctx;
    assert_null(http_server_find(w->server, id));
    assert_true(w->gone_count < GONE_MAX);
    w->gone[w->gone_count++] = id;
}

struct world *world_create(struct http_server_options options)
{
    struct world *w = mem_new(struct world);
    struct error err = ERROR_INIT;
    options.address = options.address ? options.address : "127.0.0.1";
    options.on_request = on_request;
    options.on_gone = on_gone;
    options.on_drain = on_drain;
    options.ctx = w;
    assert_int_equal(loop_create(&clock_system, &w->loop, &err), 0);
    assert_int_equal(http_server_create(w->loop, &options, &w->server, &err), 0);
    assert_int_not_equal(http_server_port(w->server), 0);
    return w;
}

void world_destroy(struct world *w)
{
    sse_stream_abort(&w->sse);
    http_server_destroy(w->server);
    loop_destroy(w->loop);
    free(w);
}

int64_t now_ms(void)
{
    return clock_monotonic_ms(&clock_system);
}

int client_open(struct world *w)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(w->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

void client_send(struct world *w, int fd, const char *data, size_t len)
{
    int64_t until = now_ms() + PATIENCE_MS;
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; // the server has had enough; the answer tells
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        if (n < 0)
            loop_run_once(w->loop, 1);
        assert_true(now_ms() < until);
    }
}

void client_text(struct world *w, int fd, const char *text)
{
    client_send(w, fd, text, strlen(text));
}

int client_read(int fd, struct buf *into, size_t most)
{
    char chunk[16 * 1024];
    ssize_t n = recv(fd, chunk, most < sizeof chunk ? most : sizeof chunk, 0);
    if (n > 0)
        assert_true(buf_append(into, chunk, (size_t)n));
    return n > 0 || (n < 0 && errno == EAGAIN) ? 1 : n == 0 ? 0 : -errno;
}

int client_await(struct world *w, int fd, struct buf *into, const char *text, int times)
{
    int64_t until = now_ms() + PATIENCE_MS;
    int r = 1;
    while (r == 1) {
        int found = 0;
        const char *at = buf_text(into);
        while (text && (at = strstr(at, text))) {
            at++;
            found++;
        }
        if (text && found >= times)
            return 1;
        loop_run_once(w->loop, 1);
        r = client_read(fd, into, SIZE_MAX);
        if (now_ms() > until)
            fail_msg("waited too long; got: %.2000s", buf_text(into));
    }
    return r;
}

void pass_ms(struct world *w, int64_t ms)
{
    for (int64_t until = now_ms() + ms; now_ms() < until;)
        loop_run_once(w->loop, until - now_ms());
}

void until_count(struct world *w, const unsigned *count, unsigned value)
{
    for (int64_t until = now_ms() + PATIENCE_MS; *count < value; loop_run_once(w->loop, 5))
        assert_true(now_ms() < until);
}

void until_idle(struct world *w)
{
    int64_t until = now_ms() + PATIENCE_MS;
    for (; http_server_connections(w->server); loop_run_once(w->loop, 5))
        assert_true(now_ms() < until);
}
