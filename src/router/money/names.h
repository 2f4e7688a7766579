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

struct router_names;

struct router_names *router_names_create(size_t max);
void router_names_destroy(struct router_names *names); // accepts NULL

// The name itself, or, where it is one too many, what all of those are called.
struct span router_names_take(struct router_names *names, struct span name, int64_t day,
                              struct span others);
