#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "router/money/budget.h"
#include "router/money/budget_memory.h"

// Now, by the wall's clock, which jumps, and by one that does not.
struct budget_now {
    int64_t wall_ms, boot_ms;
    int64_t lost_ms; // when spending was lost, wall; -1: never
};

// One account of a budget, and the table of them: for budget.c and budget_memory.c alone.

struct budget_account {
    char name[ROUTER_BUDGET_NAME_MAX];
    struct budget_account *next; // of the same bucket
    uint32_t references;         // reservations that name it
    bool claimed;                // else it was restored, and what follows is not known yet
    bool closed;                 // by an overshoot
    bool lost;                   // not all that was spent in this period is known
    bool used;                   // since the search for one that can be forgotten came by
    bool unread;      // a store may know more of it, which is to be read before it is claimed
    int64_t cap_pico; // -1: none
    struct budget_period period;
    struct zone zone;

    int64_t spent_pico, reserved_pico, overshoot_pico;
    // Of spent_pico and of overshoot_pico, what a store was told under this period.
    int64_t reported_pico, reported_overshoot_pico;
    int64_t merged_pico;      // of a stored sum, that came after it had been spent of
    int64_t start_ms, end_ms; // of the period, wall; end -1: never
    int64_t record;           // of the store, the last that speaks of it; INT64_MAX: none does
    int64_t behind_ms;        // boot time since which the wall's clock is behind start; else -1
};

enum { BUDGET_BUCKETS = 4096 }; // of accounts, by the hashes of their names

struct router_budgets {
    struct budget_account **items; // owned, like each of them; they never move
    struct budget_account *buckets[BUDGET_BUCKETS];
    size_t count, capacity, max;
    size_t hand;                      // where the search for one that can be forgotten goes on
    struct router_budget_store store; // zeroed: there is none
    bool partial;                     // some that have spent are in the store alone
    const struct clock *clock;        // borrowed
    int64_t lost_ms;                  // wall; -1: never
};

// NULL when there is none.
struct budget_account *budget_accounts_find(struct router_budgets *budgets, struct span name);

// Or else a new one, unclaimed; in the place of a forgotten one when there are as many as may be:
// of those with a key fewer than of all, so that no key keeps the whole router's from having one.
// NULL when none can be forgotten. The name fits.
struct budget_account *budget_accounts_get(struct router_budgets *budgets, struct span name,
                                           bool has_key, int64_t now_ms);

// By the terms of a claim, in its period of now.
void budget_account_claim(struct budget_account *account, const struct router_budget_terms *terms,
                          struct budget_now now);

// Begins a new period when it is time. Does nothing to an unclaimed one.
void budget_account_roll(struct budget_account *account, struct budget_now now);

// Spending was lost at that time; -1: never. Does nothing to an unclaimed account, and to one of
// another period.
void budget_account_note_loss(struct budget_account *account, int64_t lost_wall_ms);

int64_t budget_account_left(const struct budget_account *account); // INT64_MAX without a cap

// Notes an amount as spent; `excess_pico` of it, where that is more than 0, should not have been
// and closes an account with a cap. True when it was open before.
bool budget_account_spend(struct budget_account *account, int64_t amount_pico, int64_t excess_pico);

// What an amount that was not held would bring it over its cap.
int64_t budget_account_excess(const struct budget_account *account, int64_t amount_pico);

// As a store keeps it: an amount, and an overshoot, in the present period.
struct store_charge budget_account_charge(const struct budget_account *account, int64_t amount_pico,
                                          int64_t overshoot_pico);

struct router_budget_state budget_account_state(const struct budget_account *account);
