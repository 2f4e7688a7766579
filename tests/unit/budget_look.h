#pragma once

#include "router/money/budget_account.h"

// An account as it stands, without beginning a period that is due. False when there is none.
static inline bool budget_look(const struct router_budgets *budgets, struct span name,
                               struct router_budget_state *ret_state)
{
    const struct budget_account *account =
        budget_accounts_find((struct router_budgets *)budgets, name);
    if (account)
        *ret_state = budget_account_state(account);
    return account;
}

// Claims and reserves, or neither.
static inline int budget_reserve(struct router_budgets *budgets,
                                 const struct router_budget_claim *claims, size_t count,
                                 int64_t amount_pico, int64_t now_wall_ms,
                                 struct router_reservation *ret_reservation,
                                 struct router_budget_state *ret_least, struct error *err)
{
    struct router_reservation reservation;
    int r = router_budgets_claim(budgets, claims, count, now_wall_ms, &reservation, NULL, err);
    if (r < 0)
        return r;
    r = router_budgets_reserve(&reservation, amount_pico, ret_least, err);
    if (r == 0)
        *ret_reservation = reservation;
    else
        router_budgets_release(&reservation);
    return r;
}

// What could be reserved; 0 as well where nothing can be claimed.
static inline int64_t budget_left(struct router_budgets *budgets,
                                  const struct router_budget_claim *claims, size_t count,
                                  int64_t now_wall_ms)
{
    struct router_reservation reservation;
    struct router_budget_state tightest;
    if (router_budgets_claim(budgets, claims, count, now_wall_ms, &reservation, &tightest, NULL) <
        0)
        return 0;
    router_budgets_release(&reservation);
    return tightest.left_pico;
}
