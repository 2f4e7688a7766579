#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/plan/budget_period.h"
#include "router/plan/deployment.h"
#include "router/wire/failure.h"

// What happens beside the asking: who is next, how much may be spent, what a slot means. Parts of
// a plan (plan.h), which owns it all.

// What comes next: a group, or one deployment of it (named by its id).
struct router_target {
    const char *name; // as it was written: of a wildcard, the model that is meant
    size_t group;
    size_t deployment; // ROUTER_NONE: any of the group
};

enum router_chain_kind {
    ROUTER_CHAIN_GENERAL,
    ROUTER_CHAIN_CONTEXT_WINDOW,
    ROUTER_CHAIN_CONTENT_POLICY,
    ROUTER_CHAIN_KINDS,
};

struct router_chain {
    const char *name; // the group's, or "*": default_fallbacks
    const struct router_target *targets;
    size_t count;
};

enum { ROUTER_COOLDOWN_MS = 5000 }; // of a circuit, where nobody says otherwise

enum router_strategy {
    ROUTER_SIMPLE_SHUFFLE,
    ROUTER_LEAST_BUSY,
    ROUTER_USAGE_BASED, // usage-based-routing and its -v2
    ROUTER_LATENCY_BASED,
    ROUTER_COST_BASED,
};

enum router_scope {
    ROUTER_SCOPE_ROUTER, // everything together
    ROUTER_SCOPE_SLOT,
    ROUTER_SCOPE_SESSION,
    ROUTER_SCOPE_JOB,
    ROUTER_SCOPE_KEY,
    ROUTER_SCOPE_MODEL, // a group's name, or a model's that a wildcard matches
};

#define ROUTER_MASTER_KEY_NAME "master" // of the only key that callers can have

struct router_budget_rule {
    const char *name; // unique
    enum router_scope scope;
    const char *match; // a name, or "*": each has an account of its own; of the router "*"
    int64_t cap_pico;
    struct budget_period period;
};

struct router_slot {
    const char *name;  // "title"
    const char *model; // what a client would ask for
};

struct router_alias {
    const char *name, *target;
    bool hidden; // from the list of models
};
