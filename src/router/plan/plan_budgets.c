#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/money.h"
#include "llm/model_list.h"
#include "router/plan/plan_read.h"

// What may be spent. A rule that could never apply is a mistake, because it would be believed in.

static const char *const scopes[] = {"router", "slot", "session", "job", "key", "model"};

const char *router_scope_name(enum router_scope scope)
{
    return scopes[scope];
}

// False after a mistake was noted.
static bool read_cap(const struct plan_section *section, const char *name, int64_t *ret_pico)
{
    const struct option_pair *pair = plan_find_pair(section, name);
    const char *text = NULL;
    plan_read_text(section, name, &text);
    if (!pair)
        plan_error(section->maker, section->pairs.count ? section->pairs.pairs[0].line : 0,
                   "%s: it has no amount: set %s to dollars", section->shown, name);
    else if (text && money_parse(span_of(text), ret_pico))
        return true;
    else if (text || !*pair->value)
        plan_pair_error(section, pair, "\"%.60s\" is not an amount in dollars", pair->value);
    return false;
}

static void read_period(const struct plan_section *section, const char *name,
                        struct budget_period *period)
{
    struct error err = ERROR_INIT;
    const char *text = "total";
    plan_read_text(section, name, &text);
    if (budget_period_parse(span_of(text), period, &err) < 0)
        plan_pair_error(section, plan_find_pair(section, name), "%s", err.text);
}

static void read_scope(const struct plan_section *section, struct router_budget_rule *rule)
{
    const char *text = "router";
    plan_read_text(section, "scope", &text);
    size_t scope = 0;
    while (scope < ARRAY_LEN(scopes) && strcmp(text, scopes[scope]) != 0)
        scope++;
    if (scope < ARRAY_LEN(scopes))
        rule->scope = (enum router_scope)scope;
    else
        plan_pair_error(section, plan_find_pair(section, "scope"),
                        "\"%.60s\" is not one of router, slot, session, job, key, model", text);
}

// Under the name that calls to it have, behind aliases. Of a wildcard's group that is any name that
// it matches, or the wildcard as it is written: no model's name holds a "*".
static void find_model(const struct plan_section *section, const struct option_pair *pair,
                       struct router_budget_rule *rule)
{
    struct plan_maker *maker = section->maker;
    struct span name = span_of(rule->match);
    struct router_match match;
    if (!router_plan_find_own(maker->plan, name, &match))
        plan_no_model(section, pair, name);
    else if (memchr(match.name.data, '*', match.name.len) &&
             !span_is(match.name, maker->plan->groups[match.group].name))
        plan_pair_error(section, pair,
                        "\"%.60s\" is no wildcard of model_list: name one as it is written there, "
                        "or a model",
                        rule->match);
    else
        rule->match = plan_text(maker, match.name);
}

static void read_match(const struct plan_section *section, struct router_budget_rule *rule)
{
    struct plan_maker *maker = section->maker;
    const struct option_pair *pair = plan_find_pair(section, "match");
    const char *text = "*";
    plan_read_text(section, "match", &text);
    rule->match = plan_copy(maker, text);
    if (!pair || span_is(span_of(text), "*"))
        return;
    if (rule->scope == ROUTER_SCOPE_ROUTER)
        plan_pair_error(section, pair,
                        "a budget of the whole router has nothing to match; set "
                        "scope to slot, session, job, key or model");
    if (rule->scope == ROUTER_SCOPE_KEY && !span_is(span_of(text), ROUTER_MASTER_KEY_NAME))
        plan_pair_error(section, pair,
                        "there is no key \"%.60s\": the only one is " ROUTER_MASTER_KEY_NAME
                        "; to tell callers apart, set scope to session, job or slot",
                        text);
}

// True when `each` has an account for every key, and one of them may be named as the other rule is.
static bool may_name(const struct router_budget_rule *each, const struct router_budget_rule *other)
{
    size_t len = strlen(each->name);
    return each->scope != ROUTER_SCOPE_ROUTER && strcmp(each->match, "*") == 0 &&
           strncmp(other->name, each->name, len) == 0 && other->name[len] == ':';
}

static void add_rule(struct plan_maker *maker, struct router_budget_rule *rules,
                     const struct plan_section *section, const struct router_budget_rule *rule)
{
    size_t count = maker->plan->budget_count;
    for (size_t i = 0; i < count; i++) {
        unsigned line = section->pairs.pairs[0].line;
        if (strcmp(rules[i].name, rule->name) == 0)
            plan_error(maker, line, "%s: another budget is named \"%s\"; give it a name of its own",
                       section->shown, rule->name);
        else if (may_name(&rules[i], rule) || may_name(rule, &rules[i]))
            plan_error(maker, line,
                       "%s: the budgets \"%s\" and \"%s\" would share an account; give one of "
                       "them a name of its own",
                       section->shown, rules[i].name, rule->name);
    }
    rules[count] = *rule;
    maker->plan->budget_count++;
}

static void read_rule(struct plan_maker *maker, struct router_budget_rule *rules, size_t index)
{
    char shown[64];
    snprintf(shown, sizeof shown, "router.budgets[%zu]", index);
    struct plan_section section = {.maker = maker, .shown = shown};
    struct router_budget_rule rule = {.cap_pico = 0};
    section.pairs = model_list_pairs(&maker->source->router->budgets, index, &section.skip);
    if (!read_cap(&section, "max", &rule.cap_pico))
        return;
    read_period(&section, "period", &rule.period);
    read_scope(&section, &rule);
    read_match(&section, &rule);
    if (rule.scope == ROUTER_SCOPE_KEY && !maker->plan->master_key) // the agent's own carry none
        plan_pair_error(&section, plan_find_pair(&section, "scope"),
                        "no call has a key, so this budget never applies: set LITELLM_MASTER_KEY "
                        "(or general_settings.master_key), or another scope");
    bool any = strcmp(rule.match, "*") == 0;
    plan_read_text(&section, "name", &rule.name);
    if (rule.name)
        rule.name = plan_copy(maker, rule.name);
    else // "slot:title", "session", "router": unless two are alike, that is all that it must say
        rule.name =
            plan_printf(maker, "%s%s%s", scopes[rule.scope], any ? "" : ":", any ? "" : rule.match);
    if (rule.scope == ROUTER_SCOPE_MODEL && !any)
        find_model(&section, plan_find_pair(&section, "match"), &rule);
    add_rule(maker, rules, &section, &rule);
}

// Of a budget that applies to every call; a free model without a price would be passed over, and a
// dearer one asked in its place.
static void tell_unpriced(struct plan_maker *maker)
{
    const struct router_plan *plan = maker->plan;
    const struct router_budget_rule *rule = NULL;
    for (size_t i = 0; i < plan->budget_count && !rule; i++)
        rule = plan->budgets[i].scope == ROUTER_SCOPE_ROUTER ? &plan->budgets[i] : NULL;
    if (!rule || !plan->refuse_unpriced || !plan->listed)
        return;
    for (size_t i = 0; i < plan->deployment_count; i++) {
        const struct router_deployment *d = &plan->deployments[i];
        const struct router_group *group = &plan->groups[d->group];
        if (!router_price_known(&d->price) && !d->trouble && !group->internal && d->format &&
            !router_deployment_price_is_listed(d))
            plan_note(maker, 0,
                      "%s (%s): its price is unknown, so budget \"%s\" skips it; set "
                      "input_cost_per_token and output_cost_per_token (0 where it is free), or "
                      "router.unpriced: allow",
                      group->name, d->litellm_name, rule->name);
    }
}

void plan_read_budgets(struct plan_maker *maker)
{
    const struct router_config *config = maker->source->router;
    struct router_budget_rule whole = {.name = "max_budget", .match = "*"}; // LiteLLM's own
    size_t count = model_list_length(&config->budgets);
    struct router_budget_rule *rules = plan_alloc(maker, (ROUTER_BUDGETS_MAX + 1) * sizeof *rules);
    maker->plan->budgets = rules;
    if (count > ROUTER_BUDGETS_MAX) {
        plan_error(maker, 0, "router.budgets: it has more than %d entries", ROUTER_BUDGETS_MAX);
        return;
    }
    if (plan_find_pair(&maker->litellm, "max_budget")) {
        read_period(&maker->litellm, "budget_duration", &whole.period);
        if (read_cap(&maker->litellm, "max_budget", &whole.cap_pico))
            add_rule(maker, rules, &maker->litellm, &whole);
    }
    for (size_t i = 0; i < count; i++)
        read_rule(maker, rules, i);
    tell_unpriced(maker);
}
