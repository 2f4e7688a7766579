#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/json.h"
#include "llm/chat.h"
#include "router/wire/failure.h"
#include "router/wire/pieces.h"

/*
 * Watches the reply of an upstream go by. It is fed the head, the body in pieces of any size and
 * the end, and says whether the client may see it yet, what of it, and what went wrong. Until the
 * first content the reply is held, so that the next deployment can answer instead; one that has
 * none within the limits fails. From then on whole events pass, byte for byte. A reply that is not
 * a stream is held to its end, and where one was asked for it becomes one.
 */
enum {
    REPLY_EVENT_MAX = 256 * 1024,       // bytes of an event that is not whole yet, kept back
    REPLY_HELD_MAX = 4 * 1024 * 1024,   // bytes of a stream's events before its first content
    REPLY_FIRST_MAX = 16 * 1024 * 1024, // bytes of one of these, which may be a whole picture
    REPLY_WHOLE_MAX = 16 * 1024 * 1024, // bytes of a reply that is not a stream, held
    REPLY_ERROR_MAX = 64 * 1024,        // bytes of a failed response that are read
    REPLY_ID_MAX = 256,                 // bytes of an id and of a model's name, with the NUL
    REPLY_CHOICES_MAX = 128,            // that are told apart; what is above counts as the last
};

enum reply_state {
    REPLY_HELD,   // nothing may be passed on yet
    REPLY_PASS,   // pass on what `pieces` holds; it cannot be taken back any more
    REPLY_FAILED, // see `failure`; `passed` says whether the client has seen something
};

enum reply_kind {
    REPLY_CHAT,  // chat completions and completions: an answer has content
    REPLY_OTHER, // embeddings and the rest: any JSON that is no error is an answer
};

enum reply_finish {
    REPLY_FINISH_NONE, // it has not said
    REPLY_FINISH_LENGTH,
    REPLY_FINISH_CONTENT_FILTER,
    REPLY_FINISH_OTHER, // it stopped, wants tools, ...
};

struct reply_watch {
    enum reply_kind kind;
    bool drop_usage;   // leave the usage-only chunk out of `pieces`
    bool wants_stream; // set it before the head: an answer in one piece becomes a stream
    int64_t answers;   // set it before the head: choices that were asked for (n)
    enum reply_state state;
    enum { REPLY_UNDECIDED, REPLY_STREAM, REPLY_WHOLE, REPLY_ERROR_BODY } shape;
    int status;

    // After each feed and the end: what to pass on now. Valid until the next call.
    struct pieces pieces;

    // What is known so far.
    bool passed;      // some of it was handed out in `pieces`
    bool content;     // content, reasoning, a tool call, a refusal, ... came
    bool done;        // [DONE] came: the upstream may be left alone
    bool error_shown; // the failure is in `pieces` as the upstream wrote it, in a shape that
                      // clients know: no further in-band error is needed
    bool torn;        // half an event was passed on
    enum reply_finish finish;
    struct chat_usage usage;
    bool usage_whole; // it is of the whole answer; some tell in each chunk what it was up to there
    char id[REPLY_ID_MAX], model[REPLY_ID_MAX]; // "" where it did not say, or too long
    uint64_t bytes, events;                     // of the body so far
    uint64_t said;                              // events that were more than comments, or parts
    struct chat_failure failure;
    struct router_error_words words;

    // Its own.
    struct buf held;      // a stream before its content, a whole reply, an error's body
    struct buf carry;     // an event whose end came with the last call
    struct buf tail;      // an event whose end has not come
    struct buf joined;    // data of an event in several lines
    struct json doc;      // for errors
    bool expect_stream;   // Content-Type said so
    bool line_begun;      // the line that is being read has bytes
    unsigned event_lines; // of the event that is being read, so far
    unsigned lines;       // of the event that was read last
    bool after_cr;        // an LF right now belongs to the line before
    int last_fate;        // of the event before
    bool skipped_event;   // its beginning was passed on, so it is not looked at
    bool unwatched;       // a whole reply that was too large to hold
    uint64_t choices_begun[REPLY_CHOICES_MAX / 64]; // bits by index; where several were asked for
    uint64_t choices_ended[REPLY_CHOICES_MAX / 64];
};

// A status behind which an answer is expected; a reply with any other one is a failure.
static inline bool reply_is_answer(int status)
{
    return status >= 200 && status <= 299;
}

void reply_watch_init(struct reply_watch *watch, enum reply_kind kind, bool drop_usage);
void reply_watch_finish(struct reply_watch *watch); // accepts NULL and zeroed

// HTTP's status, and what Content-Type says (may be absent; the first bytes know better).
void reply_watch_head(struct reply_watch *watch, int status, struct span content_type);

// The next bytes; returns the state. Once it has failed nothing more is read.
enum reply_state reply_watch_feed(struct reply_watch *watch, struct span chunk);

/*
 * The body has ended; `cut`: not well (the connection broke, a limit was reached, ...; the caller
 * knows better what happened and may replace `failure`). REPLY_PASS: all is well, with the last
 * pieces; a stream that says that it is finished is whole however it ends. REPLY_FAILED otherwise:
 * a stream that was cut, an answer with nothing in it, JSON that is not whole.
 */
enum reply_state reply_watch_end(struct reply_watch *watch, bool cut);

// Bytes of memory that it holds; and of what it read those that cannot be passed on yet.
size_t reply_watch_bytes(const struct reply_watch *watch);
size_t reply_watch_waiting(const struct reply_watch *watch);

// What the upstream said in its own words: the body of an error, or what was held. Lives as the
// watch does.
struct span reply_watch_held(const struct reply_watch *watch);
