#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "router/plan/deployment.h"

struct router;
struct router_call;
struct router_prices;

/*
 * What a model costs: by the configuration, and what that does not say by the list that its
 * provider publishes, where it publishes one. Whoever wants a price that is not known or is a day
 * old begins the asking for the list; what is known until then counts.
 */
struct router_prices *router_prices_create(struct router *router);
void router_prices_destroy(struct router_prices *prices); // accepts NULL

// Another plan is in force: it may want what was not kept of the lists, and other lists.
void router_prices_changed(struct router_prices *prices);

// What the provider's `model` costs as far as it is known now; the deployment may be of any plan.
// *ret_listed (may be NULL): not all of it is configured, the rest is of the list.
struct router_price router_price_of(struct router *router,
                                    const struct router_deployment *deployment, struct span model,
                                    bool *ret_listed);

/*
 * Asks for the list, where the price of what the call's attempt asks is not known or old. With
 * `waits` the call cannot go on without it. True: it waits for the list, some seconds; then
 * charge_events->again() follows, unless it leaves. False: nothing will be known of the price soon
 * that is not known now.
 */
bool router_prices_want(struct router_prices *prices, struct router_call *call, bool waits);
void router_prices_leave(struct router_call *call); // also one that does not wait
