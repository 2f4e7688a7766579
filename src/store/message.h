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
    struct span role;  // "system", "user", "assistant", "tool"
    struct span content;
    struct span reasoning;    // absent: none
    struct span tool_calls;   // the model's own JSON bytes; absent: none
    struct span tool_call_id; // of a tool's result; absent: none
    struct span name;         // of the tool; absent: none
    bool tainted;             // came of text that nobody vouches for (design of the agent)
    int64_t created_ms;       // shown, never used to order
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

// Synchronous: the number of messages that store_read_messages() would return without a limit.
int store_read_message_count(struct store_view *view, struct span session, int64_t *ret_count,
                             struct error *err);
