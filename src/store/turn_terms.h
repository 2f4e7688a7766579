#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

// How a turn is to be done, which a restart does not change. Messages set a part of it; parent,
// model, tools, the limits, priority and unattended are for turns that a schedule or another turn
// begins.
struct store_turn_terms {
    struct span origin; // what triggered it: "console", "telegram", ...
    struct span parent; // the turn that began it; absent: none
    struct span slot;   // the kind of work, by which a model is chosen; absent: "main"
    struct span model;  // instead of the session's and the configured one; absent: neither
    struct span tools;  // names of those that it may use, with blanks between them; absent: of all
    struct span reply_channel, reply_chat, reply_thread; // where the answer goes; absent: nowhere
    struct span asker; // who wrote what began it, by the server's id; absent: who is in the chat
    int64_t iterations_max, limit_ms; // calls to the model, wall time; 0: as configured
    int priority;                     // of its calls to the model, as the caller counts
    bool unattended;                  // nobody can be asked
    bool interactive; // somebody waits for the answer, and gets it from this process or not at all
};
