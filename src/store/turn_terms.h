#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

// How a turn is to be done, which a restart does not change.
struct store_turn_terms {
    struct span slot;  // the kind of work, by which a model is chosen; absent: "main"
    struct span model; // instead of the session's and the configured one; absent: neither
    struct span reply_channel, reply_chat, reply_thread; // where the answer goes; absent: nowhere
    struct span
        asker; // the server's id of who wrote what began it; absent or "": who is in the chat
    int64_t iterations_max, limit_ms; // calls to the model, wall time; 0: as configured
    bool interactive; // somebody waits for the answer, and gets it from this process or not at all
};
