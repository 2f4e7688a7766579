#pragma once

#include "base/span.h"

/*
 * Commands about what the agent has never seen, /mcp and /reload-mcp: somebody else carries them
 * out, and the conversation waits for the answer. Only people type commands, never a model.
 */
typedef void outside_reply_fn(void *context, struct span text);

struct outside {
    // `fn` follows once, from the loop or from inside this call, or never after forget().
    void (*ask)(void *owner, struct span command, struct span rest, outside_reply_fn *fn,
                void *context);
    void (*forget)(void *owner, const void *context);
    void *owner;
};
