#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/span.h"
#include "codec/zone.h"
#include "router/plan/budget_period.h"
#include "store/attempt.h"

/*
 * Budgets are accounts that hold charges: what a call can cost is reserved in every budget that
 * applies to it before it is made, and settled afterwards. spent + reserved never exceeds a cap but
 * by an overshoot that is recorded and closes the account. Nobody is exempt. The rules on periods,
 * on a clock that jumps and on what is forgotten stand at the top of budget.c.
 */

enum {
    ROUTER_BUDGET_NAME_MAX = 128,   // bytes of an account's name, with the NUL
    ROUTER_BUDGETS_PER_CALL = 16,   // accounts that one reservation can hold
    ROUTER_BUDGET_ACCOUNTS = 16384, // a fair bound for router_budgets_create()
};

// What the configuration says of a budget. Copied into the accounts that are made by it; when it
// has changed, an account takes the new terms with the next claim and keeps what was spent.
struct router_budget_terms {
    const char *name; // unique among the budgets; shown to people
    int64_t cap_pico; // -1: no cap, what is spent is only counted; no configuration says so today
    struct budget_period period;
    struct zone zone;
};

// One budget that applies to a call; and where every slot, session, job or key has an account of
// its own ("*"), whose it is, else SPAN_ABSENT. The account's name is "NAME" or "NAME:KEY"; a key
// that does not fit, or could not be shown, is replaced by its SHA-256.
struct router_budget_claim {
    struct router_budget_terms terms;
    struct span key;
};

struct router_budgets;

// How long something took is measured by the clock, borrowed; the wall's time is passed to each
// function that needs it.
struct router_budgets *router_budgets_create(size_t max_accounts, const struct clock *clock);
void router_budgets_destroy(struct router_budgets *budgets); // accepts NULL

// What an account looks like at the moment.
struct router_budget_state {
    const char *account; // valid until the next call of any function here
    int64_t cap_pico;    // -1: none
    int64_t spent_pico, reserved_pico;
    int64_t left_pico;          // INT64_MAX without a cap; 0 when closed
    int64_t overshoot_pico;     // by which settlements exceeded their bounds in this period
    int64_t next_reset_wall_ms; // -1: never
    bool closed; // until the reset: by an overshoot, or with one of 0, because sums were lost
};

enum { ROUTER_BUDGET_REFUSED = 1, ROUTER_BUDGET_UNBOUNDED = -1 };

// What one call holds, in the memory of whoever makes it. Zeroed, or given back: nothing.
struct router_reservation {
    int64_t amount_pico; // in each of the accounts
    bool unbounded;
    size_t count;
    struct budget_account *accounts[ROUTER_BUDGETS_PER_CALL]; // stay as long as they are held
};

/*
 * Finds the accounts of 1 to ROUTER_BUDGETS_PER_CALL claims, or makes them, and holds nothing in
 * them yet. Two claims on one account count once. `ret_tightest` (may be NULL) is the one with the
 * least left, which is the most that can be reserved.
 *
 * 0; -ENOSPC: as many accounts as there may be, and none that can be forgotten; -EINVAL: a name is
 * too long; or what router_budget_store::recall() says.
 */
int router_budgets_claim(struct router_budgets *budgets, const struct router_budget_claim *claims,
                         size_t count, int64_t now_wall_ms,
                         struct router_reservation *ret_reservation,
                         struct router_budget_state *ret_tightest, struct error *err);

/*
 * Holds `amount_pico` in all of the accounts, or in none, at the moment of the claim. What costs 0
 * is never refused; ROUTER_BUDGET_UNBOUNDED, for a call of unknown cost that the owner lets pass,
 * holds nothing and is refused only where nothing is left.
 *
 * 0; ROUTER_BUDGET_REFUSED with a sentence in `err` and in *ret_least (may be NULL) the account
 * with the least left among those that do not bear it; -EOVERFLOW: more than can be counted, where
 * no cap bounds it. The accounts stay claimed all the same.
 */
int router_budgets_reserve(struct router_reservation *reservation, int64_t amount_pico,
                           struct router_budget_state *ret_least, struct error *err);

// What became of the accounts by a settlement: the amounts are what a store adds to the sums under
// the accounts' names and periods.
struct router_budget_charges {
    size_t count;
    int64_t overshoot_pico; // by which the charge exceeded what was reserved; 0 mostly
    struct store_charge items[ROUTER_BUDGETS_PER_CALL]; // names: until the next call of a function
    bool closed_now[ROUTER_BUDGETS_PER_CALL]; // by this settlement: somebody is to be told
};

// Ends the reservation and spends `actual_pico`; -1, not known, spends all that was held. More than
// was held closes every account of it that has a cap; of an unbounded call, those that it brings
// over theirs. `ret_charges` may be NULL.
void router_budgets_settle(struct router_budgets *budgets, struct router_reservation *reservation,
                           int64_t actual_pico, int64_t now_wall_ms,
                           struct router_budget_charges *ret_charges);

// Ends the reservation with nothing spent.
void router_budgets_release(struct router_reservation *reservation);

// What each account holds, for a store that keeps it in case of a crash. Returns how many.
size_t router_budgets_held(const struct router_reservation *reservation,
                           struct store_charge *ret_charges);

// "resets at 2026-11-22T00:00:00Z", "does not reset"; into ROUTER_BUDGET_WHEN_SIZE bytes.
enum { ROUTER_BUDGET_WHEN_SIZE = 64 };
const char *router_budget_when(int64_t next_reset_wall_ms, char *text);

// For metrics and people: accounts in no order, as they are now. False at the end; start with
// *cursor 0. Of one that was restored and not claimed yet the cap is not known.
bool router_budgets_next(struct router_budgets *budgets, size_t *cursor, int64_t now_wall_ms,
                         struct router_budget_state *ret_state);
