#include "net/sse_stream.h"

#include <errno.h>

#include "base/buf.h"
#include "codec/sse.h"

enum { EVENT_MAX = 64 * 1024 * 1024 }; // bytes; what a stream may hold is stricter

static struct http_exchange *find(const struct sse_stream *stream)
{
    return stream->exchange ? http_server_find(stream->server, stream->exchange) : NULL;
}

// The timer is not moved by every event; it looks, when it fires, whether one was sent meanwhile.
static void keep_alive(void *ctx)
{
    struct sse_stream *stream = ctx;
    stream->timer = 0;
    if (!find(stream))
        return;
    if (loop_now(stream->loop) - stream->last_sent_ms >= stream->keep_alive_ms) {
        stream->last_sent_ms = loop_now(stream->loop);
        sse_stream_probe(stream);
    }
    stream->timer = loop_timer_at(stream->loop, stream->last_sent_ms + stream->keep_alive_ms,
                                  keep_alive, stream);
}

void sse_stream_begin(struct sse_stream *stream, struct loop *loop, struct http_server *server,
                      struct http_exchange *exchange, int64_t keep_alive_ms)
{
    *stream = (struct sse_stream){
        .loop = loop,
        .server = server,
        .exchange = http_exchange_id(exchange),
        .keep_alive_ms = keep_alive_ms,
        .last_sent_ms = loop_now(loop),
    };
    http_exchange_add_header(exchange, "Cache-Control", "no-cache");
    http_exchange_add_header(exchange, "X-Accel-Buffering", "no"); // nginx in front of us
    http_exchange_begin(exchange, 200, "text/event-stream; charset=utf-8");
    if (keep_alive_ms > 0)
        stream->timer = loop_timer_after(loop, keep_alive_ms, keep_alive, stream);
}

ssize_t sse_stream_send_raw(struct sse_stream *stream, struct span bytes)
{
    struct http_exchange *exchange = find(stream);
    if (!exchange)
        return -EPIPE;
    stream->last_sent_ms = loop_now(stream->loop);
    if (bytes.len)
        stream->within_line = bytes.data[bytes.len - 1] != '\n';
    return http_exchange_write(exchange, bytes);
}

void sse_stream_probe(struct sse_stream *stream)
{
    struct http_exchange *exchange = find(stream);
    // Not in the middle of an event, of which a comment would be a part; and a reader that lags has
    // no need of it.
    if (exchange && !stream->within_line && http_exchange_pending(exchange) == 0)
        http_exchange_write(exchange, SPAN_LITERAL(":\n\n"));
}

ssize_t sse_stream_send(struct sse_stream *stream, struct span type, struct span data)
{
    BUF_AUTO event = BUF_INIT(EVENT_MAX);
    if (!find(stream))
        return -EPIPE;
    if (!sse_write_event(&event, type, data))
        return buf_is_full(&event) ? -ENOBUFS : -EINVAL;
    return sse_stream_send_raw(stream, buf_span(&event));
}

static void finish(struct sse_stream *stream, void (*how)(struct http_exchange *exchange))
{
    struct http_exchange *exchange = find(stream);
    if (exchange)
        how(exchange);
    stream->exchange = 0;
    if (stream->timer)
        loop_cancel(stream->loop, stream->timer);
    stream->timer = 0;
}

void sse_stream_end(struct sse_stream *stream)
{
    finish(stream, http_exchange_end);
}

void sse_stream_abort(struct sse_stream *stream)
{
    finish(stream, http_exchange_abort);
}
