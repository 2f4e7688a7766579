#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "loop/loop.h"
#include "net/http_server.h"

/*
 * An answer that is a stream of server-sent events. It remembers its exchange by id, so its owner
 * may keep it for as long as it likes: once the client has left, sending says so.
 */
struct sse_stream {
    struct loop *loop;
    struct http_server *server;
    uint64_t exchange; // id; 0 when the stream is over
    int64_t keep_alive_ms;
    int64_t last_sent_ms;
    loop_id timer;
    bool within_line; // what was sent ends in the middle of an event
};

/*
 * Begins the answer: 200, text/event-stream, no caching, no buffering by proxies. Headers added to
 * the exchange before are sent, too. When nothing was sent for keep_alive_ms (0: never), a comment
 * is, which keeps proxies from closing the connection and finds clients that vanished without a
 * word. `stream` is the caller's and must be ended or aborted before its memory goes.
 */
void sse_stream_begin(struct sse_stream *stream, struct loop *loop, struct http_server *server,
                      struct http_exchange *exchange, int64_t keep_alive_ms);

// One event; `type` may be absent. Returns the bytes that wait to be sent (see
// http_exchange_write), -EPIPE when the client has left or the stream is over, -ENOBUFS when the
// reader is too slow (nothing is taken), -EINVAL when `type` holds a line break.
ssize_t sse_stream_send(struct sse_stream *stream, struct span type, struct span data);

// Bytes that are already in the format, passed on unchanged.
ssize_t sse_stream_send_raw(struct sse_stream *stream, struct span bytes);

// A comment right now, for on_half_closed: it shows whether anybody is there.
void sse_stream_probe(struct sse_stream *stream);

void sse_stream_end(struct sse_stream *stream); // the answer is complete
// The client sees a broken connection, unless the stream was ended. Accepts one that is zeroed.
void sse_stream_abort(struct sse_stream *stream);
