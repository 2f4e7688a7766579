#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "router/wire/failure.h"

/*
 * The circuit of one deployment. Closed: everybody may ask. Open: nobody, until an instant. Then
 * half-open: exactly one may ask, and what becomes of it closes or opens again, for twice as long.
 * See circuit.c for what opens it. Groups of one deployment are cooled too, unlike in LiteLLM.
 */
enum router_circuit_state { CIRCUIT_CLOSED, CIRCUIT_HALF_OPEN, CIRCUIT_OPEN };

enum {
    ROUTER_ALLOWED_FAILS = 3,        // in a row, that leave a circuit closed
    ROUTER_FAIL_WINDOW_MS = 60000,   // a failure longer ago than this is not in a row
    ROUTER_COOLDOWN_MAX_MS = 300000, // that doubling reaches
    ROUTER_PROBE_RETRY_MS = 1000,    // what the others wait while one asks
};

struct router_circuit_policy {
    bool disabled;                 // disable_cooldowns
    int64_t own_cooldown_ms;       // the deployment's; 0: never opens; -1: not said
    int64_t cooldown_ms;           // the router's; 0: opens only where a provider asks for a time
    int64_t allowed_fails;         // -1: ROUTER_ALLOWED_FAILS
    int64_t fails[ROUTER_CLASSES]; // allowed_fails_policy; -1: not said
};

// Zeroed is closed.
struct router_circuit {
    int64_t until_ms;        // of an open one
    int64_t last_fail_ms;    //
    uint32_t fails;          // in a row
    uint32_t trips;          // openings since the last success
    uint32_t generation;     // counts the openings
    bool tripped;            // open or half-open
    bool probing;            // the one of the half-open state is under way
    enum router_error error; // that opened it
    int status;              // of it, for the client
};

// Belongs to one attempt, from its begin to its end.
struct router_circuit_permit {
    uint32_t generation;
    bool probe;
};

enum router_circuit_state router_circuit_state(const struct router_circuit *circuit,
                                               int64_t now_ms);

// When one may ask: not after now: at once. -1: when the probe that is under way has ended.
int64_t router_circuit_next(const struct router_circuit *circuit, int64_t now_ms);

// Begins an attempt, which must end by one of the three below. False: nobody may ask now.
bool router_circuit_take(struct router_circuit *circuit, int64_t now_ms,
                         struct router_circuit_permit *ret_permit);

// It answers: say so at the first content of a stream, not at its end; may be said again.
void router_circuit_succeeded(struct router_circuit *circuit,
                              const struct router_circuit_permit *permit);

// True when this failure opened it (for the log and the metrics).
bool router_circuit_failed(struct router_circuit *circuit,
                           const struct router_circuit_policy *policy,
                           const struct router_failure *failure,
                           const struct router_circuit_permit *permit, int64_t now_ms);

// Nothing is known of it: its client left, or it never went out. A probe gives its turn back.
void router_circuit_cancelled(struct router_circuit *circuit,
                              const struct router_circuit_permit *permit);
