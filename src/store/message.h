#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

struct store_message {
    int64_t id; // given by the store; the order of a conversation is the order of these
    struct span session;
    struct span turn;  // absent: outside any turn
    struct span model; // of that turn; only read
    struct span role;  // "system", "user", "assistant", "tool", "summary"
    struct span content;
    struct span reasoning;    // absent: none
    struct span tool_calls;   // the model's own JSON bytes; absent: none
    struct span tool_call_id; // of a tool's result; absent: none
    struct span name;         // of the tool; absent: none
    struct span parts;        // JSON: which images and sound belong to it (part.h); absent: none
    bool tainted;             // came of text that nobody vouches for (design of the agent)
    int64_t created_ms;       // shown, never used to order
    // Of a summary that is written: how many of the last messages it does not stand for, and how
    // many of them keep their results of tools.
    int64_t keeps, keeps_results;
    bool emptied; // of a tool's result that a model is not shown any more; only read
};

// Receives one row; its spans live during the call. False stops the reading (which then is 0).
typedef bool store_message_fn(void *context, const struct store_message *message);

/*
 * Synchronous: the last `limit` messages of a session (at most STORE_READ_ROWS_MAX), oldest first,
 * without those that were taken out of the conversation.
 * 0 (also when there are none), -EAGAIN while the store is not ready, or another failure.
 */
int store_read_messages(struct store_view *view, struct span session, int limit,
                        store_message_fn *row, void *context, struct error *err);

// Synchronous: as a model is shown them. The last summary, then the last `limit` messages of those
// that it does not stand for.
int store_read_history(struct store_view *view, struct span session, int limit,
                       store_message_fn *row, void *context, struct error *err);

// Synchronous: the number of messages behind the summary.
int store_read_history_count(struct store_view *view, struct span session, int64_t *ret_count,
                             struct error *err);
