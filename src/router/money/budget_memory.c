#include "router/money/budget_memory.h"

#include <errno.h>
#include <string.h>

#include "codec/money.h"
#include "router/money/budget_account.h"

// A sum may be told again, where reading them was cut short. That of an earlier period which has
// not ended goes along, and is reported with the next settlement.
static void merge(struct budget_account *account, const struct store_charge *sum,
                  int64_t now_wall_ms)
{
    bool is_earlier = sum->period_ms < account->start_ms;
    if (is_earlier && sum->resets_ms >= 0 && sum->resets_ms <= now_wall_ms)
        return;
    int64_t more_pico = sum->amount_pico - account->merged_pico;
    account->merged_pico = sum->amount_pico;
    account->spent_pico = money_add(account->spent_pico, more_pico);
    account->reported_pico = money_add(account->reported_pico, is_earlier ? 0 : more_pico);
    account->closed |=
        sum->overshoot_pico > 0 && account->cap_pico >= 0 && account->cap_pico <= sum->cap_pico;
    if (sum->period_ms > account->start_ms) { // the clock is behind
        account->start_ms = sum->period_ms;
        account->end_ms = sum->resets_ms;
    }
}

int router_budgets_restore(struct router_budgets *budgets, const struct store_charge *sum,
                           int64_t now_wall_ms, struct error *err)
{
    struct span name = sum->account;
    if (name.len == 0 || name.len >= ROUTER_BUDGET_NAME_MAX || memchr(name.data, 0, name.len) ||
        sum->amount_pico < 0 || sum->overshoot_pico < 0 || sum->cap_pico < 0)
        return error_set(err, -EINVAL, "a stored sum of a budget has no name or is negative");
    struct budget_account *account = budget_accounts_get(budgets, name, true, now_wall_ms);
    if (!account)
        return error_set(err, -ENOSPC, "there are %zu accounts of budgets already", budgets->count);
    account->unread = false;
    if (account->claimed)
        merge(account, sum, now_wall_ms);
    else if (sum->period_ms >= account->start_ms) {
        account->start_ms = sum->period_ms;
        account->end_ms = sum->resets_ms;
        account->spent_pico = account->reported_pico = sum->amount_pico;
        account->overshoot_pico = account->reported_overshoot_pico = sum->overshoot_pico;
        account->closed = sum->overshoot_pico > 0;
        account->cap_pico = account->closed ? sum->cap_pico : -1;
    }
    return 0;
}

void router_budgets_keep_untold(struct router_budgets *budgets,
                                const struct router_budget_charges *charges)
{
    for (size_t i = 0; i < charges->count; i++) {
        const struct store_charge *charge = &charges->items[i];
        struct budget_account *account = budget_accounts_find(budgets, charge->account);
        account->reported_pico -= charge->amount_pico; // it was settled just now, so it is there
        account->reported_overshoot_pico -= charge->overshoot_pico;
        account->record = INT64_MAX;
    }
}

const char *router_budgets_correct(struct router_budgets *budgets,
                                   const struct store_charge *difference)
{
    struct budget_account *account = budget_accounts_find(budgets, difference->account);
    if (!account || account->start_ms != difference->period_ms)
        return NULL;
    int64_t unreported = account->spent_pico - account->reported_pico;
    int64_t untold = account->overshoot_pico - account->reported_overshoot_pico;
    int64_t excess = budget_account_excess(account, difference->amount_pico);
    if (difference->overshoot_pico > 0)
        excess = difference->overshoot_pico;
    if (difference->overshoot_pico > 0 && !account->claimed && !account->closed)
        account->cap_pico = difference->cap_pico;
    bool closed_now = budget_account_spend(account, difference->amount_pico, excess);
    account->spent_pico = account->spent_pico < 0 ? 0 : account->spent_pico;
    account->reported_pico = account->spent_pico - unreported;
    if (difference->overshoot_pico > 0)
        account->reported_overshoot_pico = account->overshoot_pico - untold;
    return closed_now ? account->name : NULL;
}

void router_budgets_lose(struct router_budgets *budgets, int64_t lost_wall_ms)
{
    budgets->lost_ms = lost_wall_ms;
    for (size_t i = 0; i < budgets->count; i++)
        budget_account_note_loss(budgets->items[i], lost_wall_ms);
}

void router_budgets_keep_in(struct router_budgets *budgets, const struct router_budget_store *store)
{
    budgets->store = *store;
}
