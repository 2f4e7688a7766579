#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "llm/chat.h"
#include "router/wire/reply_watch.h"

/*
 * The two halves of reply_watch: reply_stream.c cuts a stream into events and decides which of them
 * pass, reply_watch.c knows of shapes and ends; below both, reply_says.c reads.
 */

#define REPLY_BOM "\xEF\xBB\xBF" // a byte order mark, which may stand before all

/*
 * What one JSON object of a reply says: a chunk of a stream or a whole answer, which differ only in
 * "delta" and "message". Part of reply_watch.
 */
struct reply_look {
    bool content;   // text, reasoning, a tool call, a refusal, sound, an image
    bool error;     // perhaps: openai_find_error() is worth asking
    bool error_top; // as the member "error" of the object itself
    bool choices;   // there are some
    bool usage;     // it is counted in `used`
    bool failed;    // finish_reason "error"
    enum reply_finish finish;
    struct chat_usage used;
    struct span id, model; // raw strings with their quotes, or absent
    enum json_type type;
};

// As member_scan_run(). `usage` is what was told so far, to which the text may add.
int reply_look_at(struct span text, const struct chat_usage *usage, struct reply_look *ret_look);

// Could this event of a stream that flows say anything but a little more text? In doubt it could.
bool reply_look_needed(struct span data);

void reply_stream_feed(struct reply_watch *watch, struct span chunk);
void reply_stream_take(struct reply_watch *watch, struct span text); // that begins with an event
void reply_stream_end(struct reply_watch *watch, bool cut);

void reply_fail(struct reply_watch *watch, enum chat_failure_kind kind, const char *sentence);
void reply_fail_empty(struct reply_watch *watch);     // the answer ended, and nothing was in it
void reply_fail_with_body(struct reply_watch *watch); // what is held is that of an error
void reply_begin_to_pass(struct reply_watch *watch);

// Takes over what `text` said; false when it was a failure.
bool reply_note(struct reply_watch *watch, struct span text, const struct reply_look *look);

enum { REPLY_CONVERT_MAX = 4 * 1024 * 1024 }; // bytes of a whole answer that is made a stream

/*
 * A whole answer (chat or text completion) as the stream that was asked for: events, the usage in
 * one of its own when `usage`, and [DONE], appended to `out`. Values keep the bytes that the
 * upstream wrote. -EBADMSG: it is no such answer; -EMSGSIZE: it does not fit; `out` is then of no
 * use.
 */
int reply_convert(struct span whole, bool usage, struct buf *out);
