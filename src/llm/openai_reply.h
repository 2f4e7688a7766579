#pragma once

#include "base/buf.h"
#include "codec/json.h"
#include "codec/sse.h"
#include "llm/chat.h"

/*
 * Puts a reply together from what a server sends, stream or not: bytes in, chat_sink deltas out,
 * one chat_reply at the end. It does no I/O and knows no time, so a recorded file drives it.
 */
struct openai_call { // a tool call in the making
    int64_t index;   // as the stream numbers it; -1 when it does not
    struct buf id, name, arguments, extra;
    int depth; // of objects in the arguments so far
    bool in_string, escaped;
};

struct openai_reply {
    const struct chat_sink *sink;
    void *context;
    enum { OPENAI_UNDECIDED, OPENAI_STREAM, OPENAI_WHOLE } shape;
    bool sniffed; // the first bytes were seen, and `shape` is final
    struct sse_parser sse;
    struct buf whole; // the body of an answer that is not a stream, or its first bytes
    struct json doc;  // of one chunk; its memory is reused for the next
    struct buf delta; // decoded text of one chunk
    struct buf text;
    struct buf reasoning;         // text of reasoning_content, which is sent back with calls
    struct buf reasoning_details; // elements of OpenRouter's array, likewise
    struct openai_call *calls;    // CHAT_CALLS_MAX at most
    size_t call_count;
    struct chat_usage usage;
    enum chat_finish finish;
    char *model;
    bool finished; // a finish_reason came
    bool done;     // "[DONE]" came: nothing after it counts
    bool reasoned; // reasoning came, so the model did answer something
    bool failed;
    struct chat_failure failure;
};

void openai_reply_init(struct openai_reply *reply, const struct chat_sink *sink, void *context);
void openai_reply_finish(struct openai_reply *reply);

// What Content-Type says. The first bytes of the body know better: some send an error as JSON under
// "text/event-stream", and others a stream under "application/json".
void openai_reply_set_type(struct openai_reply *reply, struct span content_type);

// Negative once the reply has failed; reply->failure then says how.
int openai_reply_feed(struct openai_reply *reply, struct span bytes);

// The body has ended well. 0 and *ret_reply (owned by the caller), or negative as above.
int openai_reply_end(struct openai_reply *reply, struct chat_reply *ret_reply);
