#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "codec/money.h"
#include "router/router.h"
#include "serve/control_internal.h"
#include "store/ledger.h"

/*
 * Budgets as an owner of a home tells them. A router knows them; where none runs the database knows
 * what was spent. Caps are the configuration's: of an account that has not been claimed since the
 * start as well. Without a configuration only those are told of that an overshoot has closed.
 */
enum {
    BUDGETS_SHOWN = 100,
};

static const struct router_plan *plan_of(const struct control_env *env)
{
    return env->router ? router_plan(env->router) : env->plan;
}

struct zone control_zone(const struct control_env *env, const char **ret_name)
{
    struct zone zone = ZONE_UTC;
    const struct router_plan *plan = plan_of(env);
    const char *name = plan ? plan->timezone : NULL;
    bool known = name && zone_find(span_of(name), &zone, NULL) == 0;
    if (ret_name)
        *ret_name = known ? name : "UTC";
    return zone;
}

const char *control_local_time(const struct zone *zone, int64_t wall_ms, char *text)
{
    clock_format_utc(zone_local(zone, wall_ms / 1000) * 1000, text);
    text[sizeof "2026-11-21T01:47" - 1] = '\0';
    text[sizeof "2026-11-21" - 1] = ' ';
    return text;
}

struct budget_list {
    struct node array;
    const struct router_plan *plan; // or NULL
    const struct zone *zone;
    int64_t now_ms;
    size_t count;
};

static void write_budget(struct budget_list *list, const struct router_budget_state *state)
{
    char when[CLOCK_TEXT_SIZE];
    int64_t reset_ms = state->next_reset_wall_ms;
    bool is_over = reset_ms >= 0 && reset_ms <= list->now_ms;
    if (is_over || list->count++ >= BUDGETS_SHOWN)
        return;
    struct node budget = node_add_object(list->array, NULL);
    node_add_text(budget, "account", state->account);
    node_add_fixed(budget, "cap_usd", state->cap_pico, MONEY_DIGITS);
    node_add_fixed(budget, "spent_usd", state->spent_pico, MONEY_DIGITS);
    node_add_fixed(budget, "reserved_usd", state->reserved_pico, MONEY_DIGITS);
    node_add_fixed(budget, "overshoot_usd", state->overshoot_pico, MONEY_DIGITS);
    node_add_bool(budget, "closed", state->closed);
    node_add_text(budget, "resets",
                  reset_ms < 0 ? NULL : control_local_time(list->zone, reset_ms, when));
}

// Of the many accounts of sessions and the like only those are worth a line of which nothing is
// left.
static void write_open(struct budget_list *list, struct router_budget_state *state)
{
    const struct router_plan *plan = list->plan;
    int64_t cap_pico = -1; // of a whole budget; else it is one session's or job's of many
    for (size_t i = 0; plan && cap_pico < 0 && i < plan->budget_count; i++)
        if (strcmp(plan->budgets[i].name, state->account) == 0)
            cap_pico = plan->budgets[i].cap_pico;
    if (state->closed || (cap_pico < 0 && (state->cap_pico < 0 || state->left_pico > 0)))
        return;
    if (state->cap_pico < 0)
        state->cap_pico = cap_pico;
    write_budget(list, state);
}

static void list_stored(void *context, const struct store_charge *spent)
{
    struct budget_list *list = context;
    char account[ROUTER_BUDGET_NAME_MAX];
    snprintf(account, sizeof account, "%.*s", (int)spent->account.len, spent->account.data);
    struct router_budget_state state = {
        .account = account,
        .cap_pico = spent->overshoot_pico > 0 ? spent->cap_pico : -1,
        .spent_pico = spent->amount_pico,
        .overshoot_pico = spent->overshoot_pico,
        .next_reset_wall_ms = spent->resets_ms,
        .closed = spent->overshoot_pico > 0,
    };
    if (state.closed && state.cap_pico > 0)
        write_budget(list, &state);
    else
        write_open(list, &state);
}

void control_write_budgets(struct node answer, const struct control_env *env)
{
    struct zone zone = control_zone(env, NULL);
    struct node array = node_add_array(answer, "budgets");
    struct budget_list list = {array, plan_of(env), &zone, loop_wall(env->loop), 0};
    struct router_budget_state state;
    // The closed ones first, so that none of them is cut off.
    for (size_t at = 0; env->router && router_next_budget(env->router, &at, &state);)
        if (state.closed)
            write_budget(&list, &state);
    for (size_t at = 0; env->router && router_next_budget(env->router, &at, &state);)
        write_open(&list, &state);
    if (!env->router)
        store_read_budgets(env->store, list_stored, &list, NULL);
    node_add_bool(answer, "budgets_cut", list.count > BUDGETS_SHOWN);
}
