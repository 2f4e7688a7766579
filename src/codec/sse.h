#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/*
 * Server-sent events both ways (WHATWG HTML, section "Server-sent events"). The parser is fed the
 * stream in pieces of any size and calls back for each finished event.
 */
struct sse_event {
    struct span type; // "message" when the stream names none
    struct span data; // the data lines joined by LF
    bool unfinished;  // only from sse_end(): the blank line that finishes it never came
};

// Spans in the event live until the callback returns. Nonzero stops the parser and is returned.
typedef int (*sse_event_fn)(void *ctx, const struct sse_event *event);

struct sse_parser {
    size_t max_event_bytes; // of one line, and of one event's data
    struct buf line;        // a line whose end has not arrived yet
    struct buf data;        // data of the event being gathered, unless `view` holds it
    struct buf type;
    struct span view; // data of one line inside the chunk being fed: saves the copy
    unsigned bom;     // bytes of a leading byte order mark seen; past it: SSE_BOM_DONE
    bool has_data;    // a data field came, be it empty
    bool after_cr;    // an LF right now belongs to the line before
    // For whoever takes a stream up again in its middle: these two outlive sse_reset().
    struct buf id;      // that the last event left behind, handed out or without data; "": none
    int64_t retry_ms;   // that the stream asks to wait before; -1: it does not say
    struct buf next_id; // of the event being gathered, if it has one:
    bool has_id;
};

void sse_init(struct sse_parser *p, size_t max_event_bytes);
void sse_finish(struct sse_parser *p); // accepts NULL and zeroed
#define SSE_AUTO CLEANUP(sse_finish) struct sse_parser

// Forgets what was fed: another stream begins.
void sse_reset(struct sse_parser *p);

// 0; -EMSGSIZE when a line, an event or a type is longer than its maximum; or what `fn` returned.
// After anything but 0 the rest of the chunk is unread, and only sse_reset and sse_finish make
// sense.
int sse_feed(struct sse_parser *p, struct span chunk, sse_event_fn fn, void *ctx,
             struct error *err);

// The stream is over. The specification throws away an event without its blank line; many servers
// forget it, so it is handed out marked `unfinished` and the caller decides.
int sse_end(struct sse_parser *p, sse_event_fn fn, void *ctx, struct error *err);

// Writes one event; `type` may be absent (then "message" is meant); data may hold line breaks.
// False when it does not fit or when the type holds a line break; nothing is appended then.
bool sse_write_event(struct buf *out, struct span type, struct span data);
