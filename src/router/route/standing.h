#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "router/route/circuit.h"

/*
 * The experience with a provider, by one key: its circuit, those of the models behind a wildcard
 * that have failed, and until when it wants to be left alone. It is shared by the pickers of all
 * plans that ask the provider alike, and lives as long as one of them.
 */
struct router_standing;

struct router_standing *router_standing_create(void);
struct router_standing *router_standing_ref(struct router_standing *standing);
void router_standing_unref(struct router_standing *standing); // accepts NULL

// Belongs to one attempt, from its begin to its end. `model` is a hash; 0: no wildcard.
struct router_standing_permit {
    uint64_t model;
    struct router_circuit_permit circuit, of_model;
};

// When circuits let one ask; as router_circuit_next().
int64_t router_standing_circuit_at(const struct router_standing *standing, uint64_t model,
                                   int64_t now_ms);

// When its provider wants to be asked again; may have passed.
int64_t router_standing_closed_until(const struct router_standing *standing, uint64_t model);

// Begins an attempt, which must end by one of the three below. False: nobody may ask now.
bool router_standing_take(struct router_standing *standing, uint64_t model, int64_t now_ms,
                          struct router_standing_permit *ret_permit);

// It answers: at the first content, and again at the end.
void router_standing_succeeded(struct router_standing *standing,
                               const struct router_standing_permit *permit);
// True: that opened a circuit.
bool router_standing_failed(struct router_standing *standing,
                            const struct router_circuit_policy *policy,
                            const struct router_standing_permit *permit,
                            const struct router_failure *failure, int64_t now_ms);
void router_standing_cancelled(struct router_standing *standing,
                               const struct router_standing_permit *permit);

// Its provider does not want to be asked before `until_ms`; the latest such instant counts.
void router_standing_close(struct router_standing *standing,
                           const struct router_standing_permit *permit, int64_t until_ms);

// Of the provider; those of single models are not seen here.
const struct router_circuit *router_standing_circuit(const struct router_standing *standing);
