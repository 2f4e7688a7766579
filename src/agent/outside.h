#pragma once

#include "base/span.h"

struct store_address;

/*
 * Commands about what the agent has never seen, /mcp, /reload-mcp and /cron: somebody else carries
 * them out, and the conversation waits for the answer. Only people type commands, never a model.
 */
// `buttons` as in struct store_reply.
typedef void outside_reply_fn(void *context, struct span text, struct span buttons);

struct outside {
    // `fn` follows once, from the loop or from inside this call, or never after forget().
    // `from`: the chat that replies go to; NULL: somebody waits themselves.
    void (*ask)(void *owner, struct span command, struct span rest,
                const struct store_address *from, outside_reply_fn *fn, void *context);
    void (*forget)(void *owner, const void *context);
    // What the person has not been told yet and /mcp shows: goes out with the next answer. On the
    // heap; NULL: nothing. Once it is on the disk, told() follows.
    char *(*news)(void *owner);
    void (*told)(void *owner);
    void *owner;
};
