#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "llm/chat.h"
#include "router/wire/reply_watch.h"

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
