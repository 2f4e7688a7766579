#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Callers that repeat a refused call are answered ever later, so that no storm of retries costs
 * anything: at once, then after 0.25 s, 0.5 s, 1 s ... Quiet brings them back step by step. A
 * caller is a hash of what it is known by (its key, else its address); the table is bounded, and
 * who was quiet longest is forgotten first.
 */
enum {
    ROUTER_REFUSAL_CALLERS_MAX = 1024,
    ROUTER_REFUSAL_FIRST_MS = 250,
    ROUTER_REFUSAL_MAX_MS = 8000,
    ROUTER_REFUSAL_DECAY_MS = 30000, // of quiet, for each step back
};

struct router;
struct router_refusals;

struct router_refusals *router_refusals_create(void);
void router_refusals_destroy(struct router_refusals *refusals); // accepts NULL

// Notes one refusal; returns after how many milliseconds it is to be answered.
int64_t router_refusals_note(struct router_refusals *refusals, uint64_t caller, int64_t now_ms);

// How many callers are remembered; for tests of that bound.
size_t router_refusals_count(const struct router_refusals *refusals);

// Counts a request that never became a call; `why` is a reason of hermes_router_refused_total. The
// log has a line every ten seconds at most, with how many there were since. In report.c.
void router_refused(struct router *router, const char *why, struct span peer);
