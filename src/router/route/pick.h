#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/plan/deployment.h"
#include "router/plan/policy.h"
#include "router/route/rate_limits.h"
#include "router/route/standing.h"

/*
 * Which deployment of a group is asked. The picker knows how every deployment of a plan is doing:
 * its circuit, what is under way, requests and tokens of the last 60 s, how fast it was, what its
 * provider's headers said. It borrows the plan's deployments and must not outlive them.
 */
struct router_picker;

struct router_picker *router_picker_create(const struct router_deployment *deployments,
                                           size_t count, const struct router_circuit_policy *policy,
                                           uint64_t seed); // policy.own_cooldown_ms: ignored
void router_picker_destroy(struct router_picker *picker);  // accepts NULL

// After a reload: deployment `index` is the one that `old` knows as `old_index`. From now on both
// count together, and the limits of `picker` hold for both; either may be destroyed first. They
// share the circuits as well, if both would ask the same in the same way, key included.
void router_picker_inherit(struct router_picker *picker, size_t index,
                           const struct router_picker *old, size_t old_index);

struct router_pick_query {
    const size_t *members; // of the group
    size_t count;
    size_t only;           // one that is meant by its id; ROUTER_NONE: any
    const uint32_t *tried; // indices that are left out
    size_t tried_count;    //
    uint64_t model;        // of a wildcard, a hash of the model that is meant; else 0
    int64_t tokens;        // what it will count against tpm; -1: not known, as 0
    int64_t prompt_tokens; // at most so many; -1: not known
    bool pre_call_checks;  // leave out a context that is too small
    enum router_strategy strategy;
};

enum router_pick_reason {
    PICK_FOUND,
    PICK_BUSY,     // limits: it may go at `at_ms`, or (-1) when something under way ends
    PICK_OPEN,     // circuits: the same
    PICK_TOO_LONG, // none has a context large enough
    PICK_NONE,     // nothing (left) in the group that could be asked
};

struct router_pick {
    enum router_pick_reason reason; // why none; of several the one with most hope
    size_t deployment;              // ROUTER_NONE
    int64_t at_ms;                  // the earliest instant; -1: not known, or never
};

// The lowest `order` that has anything usable, within it by the strategy. Changes nothing but the
// random generator.
struct router_pick router_picker_pick(struct router_picker *picker,
                                      const struct router_pick_query *query, int64_t now_ms);

// When one of them has room within its rpm and tpm: who waits for these need not ask before. Now,
// where anything else keeps it busy; -1: no circuit is closed, so there is nothing to wait for.
int64_t router_picker_room_at(struct router_picker *picker, const struct router_pick_query *query,
                              int64_t now_ms);

// One attempt, from take to end.
struct router_lease {
    size_t deployment;
    int64_t taken_ms;
    int64_t tokens; // counted against tpm
    struct router_standing_permit standing;
};

// Begins an attempt: circuits, parallel requests, rpm, tpm. False: it may not go now. `model` as in
// the query.
bool router_picker_take(struct router_picker *picker, size_t deployment, uint64_t model,
                        int64_t tokens, int64_t now_ms, struct router_lease *ret_lease);

// The first content came: closes the circuit and measures how fast. At most once for an attempt.
void router_picker_alive(struct router_picker *picker, const struct router_lease *lease,
                         int64_t now_ms);

// The end of an attempt, exactly one of three. `tokens`: what it really used; -1: not known.
void router_picker_answered(struct router_picker *picker, const struct router_lease *lease,
                            int64_t tokens, int64_t now_ms);
bool router_picker_failed(struct router_picker *picker, const struct router_lease *lease,
                          const struct router_failure *failure, int64_t tokens,
                          int64_t now_ms); // true: that opened a circuit
void router_picker_cancelled(struct router_picker *picker, const struct router_lease *lease,
                             int64_t tokens, int64_t now_ms);

// Instead of the three: it never went out, and counts as no request.
void router_picker_returned(struct router_picker *picker, const struct router_lease *lease,
                            int64_t now_ms);

// What the headers of an answer said, of any status.
void router_picker_rate(struct router_picker *picker, const struct router_lease *lease,
                        const struct router_rate_limits *limits);

struct router_pick_view { // for metrics, /health and tests
    enum router_circuit_state state;
    int64_t until_ms; // of an open circuit
    int status;       // of the failure that opened it
    int64_t in_flight;
    int64_t requests, tokens; // of the last 60 s; only counted where there is a limit
    int64_t latency_ms;       // to the first content, smoothed; -1: never answered
};
struct router_pick_view router_picker_view(struct router_picker *picker, size_t deployment,
                                           int64_t now_ms);
