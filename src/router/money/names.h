#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * The sums of days are kept for ever, by slot and by model. A slot is what a client's header says,
 * and behind a wildcard so is a model, where the provider takes any name and says it back. So of
 * names that nobody has configured only some are taken as they are, each day anew.
 */
enum {
    ROUTER_SLOT_NAMES_MAX = 64, // of a day
    ROUTER_MODEL_NAMES_MAX = 256,
};

// Zeroed: none yet.
struct router_names {
    int64_t day;
    size_t count, capacity;
    char **names; // owned
};

void router_names_finish(struct router_names *names);

// The name itself, or, where there are as many as may be, what all others are called.
struct span router_names_take(struct router_names *names, size_t max, struct span name,
                              int64_t wall_ms, struct span others);
