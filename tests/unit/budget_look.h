#pragma once

#include "router/money/budget_account.h"

// An account as it stands, without beginning a period that is due. False when there is none.
static inline bool budget_look(const struct router_budgets *budgets, struct span name,
                               struct router_budget_state *ret_state)
{
    const struct budget_accounts *accounts =
        router_budgets_accounts((struct router_budgets *)budgets);
    uint32_t index = budget_accounts_find(accounts, name);
    if (index != BUDGET_NO_ACCOUNT)
        *ret_state = budget_account_state(&accounts->items[index]);
    return index != BUDGET_NO_ACCOUNT;
}
