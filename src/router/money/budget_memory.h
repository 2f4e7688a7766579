#pragma once

#include "router/money/budget.h"
#include "store/attempt.h"

// What a store has kept of the accounts of budgets, and what is told of them afterwards.

// What a store remembers of one account: an overshoot closed it under that cap, and a larger one
// opens it. Before anything else is asked; periods of an account in order, of which the latest
// stays. Where something was spent before its sum was known, that is added to it. -ENOSPC, -EINVAL
// (name, sums).
int router_budgets_restore(struct router_budgets *budgets, const struct store_charge *sum,
                           int64_t now_wall_ms, struct error *err);

// Where no store could take these: they are told again, with the accounts' next settlement.
void router_budgets_keep_untold(struct router_budgets *budgets,
                                const struct router_budget_charges *charges);

// A charge turned out to have been another, by a difference that the store knows already. It opens
// nothing that is closed, and closes what a settlement would; the cap is that of its time, for an
// account that nobody has claimed since a start. Does nothing to an account that is in another
// period by now. The account's name, when this has closed it, until the next call; else NULL.
const char *router_budgets_correct(struct router_budgets *budgets,
                                   const struct store_charge *difference);

// A part of what was spent until then is not known. So nothing more can be spent in the periods of
// that time, whatever their caps: accounts are closed, with an overshoot of 0.
void router_budgets_lose(struct router_budgets *budgets, int64_t lost_wall_ms);

/*
 * Where sums are read back from. With one, accounts that nobody uses leave the memory when others
 * need their place, and come back with their next claim; without, they stay while money is in them.
 */
struct router_budget_store {
    // router_budgets_restore() with each sum of the account that is stored. Negative: what it has
    // spent cannot be known now, so nothing can be spent of it.
    int (*recall)(void *context, struct span account, struct error *err);
    int64_t (*written)(void *context); // settlements that were written down so far, and
    int64_t (*kept)(void *context);    // how many of them recall() knows of
    void *context;
};
void router_budgets_keep_in(struct router_budgets *budgets,
                            const struct router_budget_store *store); // copied
