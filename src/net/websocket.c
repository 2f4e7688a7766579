/*
 * From open to end. Whatever happens, an event, a timer, a call from outside that was put off,
 * leads to run(): it reads, writes, and then looks what there is to wait for. Calls from outside
 * only queue, so no callback comes from inside them; a callback may destroy the WebSocket, which is
 * then marked and goes when run() is done.
 *
 * The end is a state of its own, because a connection that is closed while something of the
 * server's is unread is reset by the kernel, and the server might never see our close frame. So the
 * server is left to end it (RFC 6455 §7.1.1), what it still sends is thrown away, and time is
 * limited. Only then on_close is called.
 */
#include "net/websocket.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "codec/utf8.h"
#include "net/http_transfer.h"
#include "net/websocket_internal.h"

static void run(struct websocket *ws);

/* How it ends */

// Below TLS as well: what comes is of no interest, but that it ends.
static void wait_for_fin(struct websocket *ws)
{
    char nowhere[WEBSOCKET_PIECE];
    for (unsigned i = 0; i < WEBSOCKET_TURN; i++) {
        ssize_t n = recv(dial_fd(ws->dial), nowhere, sizeof nowhere, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            ws->state = WEBSOCKET_OVER;
            return;
        }
    }
}

static void disconnect(struct websocket *ws)
{
    loop_unwatch(ws->loop, ws->watch);
    loop_cancel(ws->loop, ws->deferred);
    loop_cancel(ws->loop, ws->timer);
    ws->watch = ws->deferred = ws->timer = 0;
    dial_close(STEAL(ws->dial));
}

static void websocket_free(struct websocket *ws)
{
    struct list *link;
    disconnect(ws);
    while ((link = list_shift(&ws->queue)))
        free(list_entry(link, struct websocket_frame, link));
    curl_slist_free_all(ws->headers);
    buf_finish(&ws->head);
    buf_finish(&ws->message);
    free(ws->url);
    free(ws->host);
    free(ws->authority);
    free(ws->protocols);
    free(ws);
}

void websocket_destroy(struct websocket *websocket)
{
    if (!websocket)
        return;
    websocket->destroyed = true;
    if (!websocket->busy)
        websocket_free(websocket);
}

/* What it waits for */

static void on_deferred(void *context)
{
    struct websocket *ws = context;
    ws->deferred = 0;
    run(ws);
}

static void wake(struct websocket *ws)
{
    if (!ws->deferred)
        ws->deferred = loop_defer(ws->loop, on_deferred, ws);
}

// Until when something must come, or go where something waits to.
static int64_t idle_limit(const struct websocket *ws)
{
    bool stalls = !list_empty(&ws->queue) && ws->sent_ms < ws->heard_ms;
    if (ws->state != WEBSOCKET_OPENED || ws->idle_ms <= 0)
        return INT64_MAX;
    return ws->idle_ms + (stalls ? ws->sent_ms : ws->heard_ms);
}

static int64_t ping_due(const struct websocket *ws)
{
    if (ws->state != WEBSOCKET_OPENED || ws->idle_ms <= 0 || ws->pinged || ws->close_queued)
        return INT64_MAX;
    return ws->heard_ms + ws->idle_ms / 2;
}

static void on_timer(void *context)
{
    struct websocket *ws = context;
    int64_t now_ms = loop_now(ws->loop);
    ws->timer = 0;
    if (ws->deadline_ms <= now_ms) {
        websocket_lose(ws, HTTP_TIMED_OUT, -ETIMEDOUT, "%s: %s", ws->authority,
                       ws->state == WEBSOCKET_CONNECTING
                           ? "no WebSocket was opened in time"
                           : "the server did not answer the close frame in time");
    } else if (idle_limit(ws) <= now_ms) {
        websocket_lose(ws, HTTP_TIMED_OUT, -ETIMEDOUT,
                       "%s: the connection is silent (idle timeout)", ws->authority);
    } else if (ping_due(ws) <= now_ms) {
        ws->pinged = true;
        websocket_queue(ws, CURLWS_PING, SPAN_ABSENT);
    }
    run(ws);
}

// A timer that comes too early sets itself again.
static void set_timer(struct websocket *ws)
{
    int64_t idle = idle_limit(ws), ping = ping_due(ws);
    int64_t at_ms = idle < ping ? idle : ping;
    if (ws->deadline_ms < at_ms)
        at_ms = ws->deadline_ms;
    ws->timer = loop_timer_by(ws->loop, ws->timer, at_ms, on_timer, ws);
}

static void on_event(void *context, int fd, unsigned events)
{
    run(context);
}

static void run(struct websocket *ws)
{
    ws->busy = true;
    if (ws->state == WEBSOCKET_OPENED && websocket_receive(ws))
        wake(ws);
    if ((ws->state == WEBSOCKET_OPENED || ws->state == WEBSOCKET_ENDING) && !ws->destroyed)
        websocket_flush(ws);
    if (ws->state == WEBSOCKET_ENDING && !ws->destroyed)
        wait_for_fin(ws);
    if (ws->state == WEBSOCKET_OPENED && ws->wants_room && list_empty(&ws->queue)) {
        ws->wants_room = false;
        if (ws->handler.on_room && !ws->destroyed)
            ws->handler.on_room(ws->context);
    }
    ws->busy = false;
    if (ws->destroyed) {
        websocket_free(ws);
    } else if (ws->state == WEBSOCKET_OVER) {
        disconnect(ws);
        ws->handler.on_close(ws->context, &ws->end);
    } else {
        unsigned events = LOOP_READ | (list_empty(&ws->queue) ? 0u : LOOP_WRITE);
        if (ws->state >= WEBSOCKET_OPENED && ws->watched != events)
            ws->watch =
                loop_watch_for(ws->loop, ws->watch, dial_fd(ws->dial), events, on_event, ws);
        ws->watched = ws->watch ? events : 0;
        set_timer(ws);
    }
}

/* What is sent */

int websocket_send(struct websocket *websocket, bool is_text, struct span message)
{
    struct websocket *ws = websocket;
    if (ws->state != WEBSOCKET_OPENED || ws->close_queued || ws->destroyed)
        return -ENOTCONN;
    if (message.len > WEBSOCKET_MESSAGE_MAX)
        return -EMSGSIZE;
    if (is_text && !utf8_valid(message))
        return -EILSEQ;
    if (ws->queued + message.len > WEBSOCKET_QUEUE_MAX ||
        ws->queued_frames >= WEBSOCKET_QUEUE_FRAMES_MAX) {
        ws->wants_room = true;
        return -EAGAIN;
    }
    websocket_queue(ws, is_text ? CURLWS_TEXT : CURLWS_BINARY, message);
    wake(ws);
    return 0;
}

int websocket_close(struct websocket *websocket, uint16_t code, struct span reason)
{
    struct websocket *ws = websocket;
    if (ws->state != WEBSOCKET_OPENED || ws->close_queued || ws->destroyed)
        return -ENOTCONN;
    if (!websocket_code_is_valid(code) || reason.len > WEBSOCKET_REASON_MAX || !utf8_valid(reason))
        return -EINVAL;
    websocket_queue_close(ws, code, reason);
    wake(ws);
    return 0;
}

/* How it begins */

static void on_opened(struct websocket *ws)
{
    struct http_head head = websocket_head(ws);
    ws->state = WEBSOCKET_OPENED;
    ws->deadline_ms = INT64_MAX;
    ws->heard_ms = loop_now(ws->loop);
    ws->busy = true;
    if (ws->handler.on_open)
        ws->handler.on_open(ws->context, &head);
    buf_finish(&ws->head);
}

static void on_dialed(void *context, enum http_failure failure, const struct error *err)
{
    struct websocket *ws = context;
    if (failure != HTTP_OK && ws->asked)
        websocket_refused(ws);
    else if (failure != HTTP_OK)
        websocket_lose(ws, failure, err->code, "%s", err->text);
    else if (websocket_judge(ws))
        on_opened(ws);
    run(ws);
}

int websocket_open(struct http_client *client, const struct websocket_request *request,
                   const struct websocket_handler *handler, void *context,
                   struct websocket **ret_websocket, struct error *err)
{
    struct websocket *ws = mem_new(struct websocket);
    struct dial_target target;
    ws->loop = client->loop;
    ws->handler = *handler;
    ws->context = context;
    ws->idle_ms = request->idle_ms;
    list_init(&ws->queue);
    buf_init(&ws->head, HTTP_HEAD_MAX);
    buf_init(&ws->message, WEBSOCKET_MESSAGE_MAX);
    int r = websocket_prepare(ws, request, &target, err);
    if (r == 0) {
        target.proxy = http_proxies_find(&client->proxies, target.secure, target.host);
        r = http_proxy_check(target.proxy, target.authority, err);
    }
    if (r < 0) {
        websocket_free(ws);
        return r;
    }
    target.timeout_ms = request->open_ms > 0 ? request->open_ms : WEBSOCKET_OPEN_MS;
    ws->deadline_ms = clock_monotonic_ms(loop_clock(ws->loop)) + target.timeout_ms;
    ws->dial = dialer_dial(client->dialer, &target, on_dialed, ws);
    set_timer(ws);
    *ret_websocket = ws;
    return 0;
}
