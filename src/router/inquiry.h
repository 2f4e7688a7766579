#pragma once

#include <stdint.h>

#include "base/span.h"

struct router;
struct router_inquiries;

/*
 * What an attempt did cost, asked of its provider afterwards: for one that was cut off, cancelled
 * or orphaned before anybody said so, and that is charged at its bound until then. The answer
 * corrects the ledger and the budgets, in the periods that paid.
 */
struct router_inquiries *router_inquiries_create(struct router *router);
void router_inquiries_destroy(struct router_inquiries *inquiries); // accepts NULL

// The ledger is ready: what earlier processes left open may be asked for.
void router_inquiries_begin(struct router_inquiries *inquiries);

// By the deployment's id; `reply` is the provider's name of the answer. Nothing happens where the
// deployment's provider cannot be asked.
void router_inquiries_add(struct router_inquiries *inquiries, struct span deployment,
                          struct span call, int64_t attempt, struct span reply);
