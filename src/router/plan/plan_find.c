// What a name means. Models, aliases and chains are some dozens, so that all are looked through.
#include <string.h>

#include "router/plan/plan_read.h"

// What the "*" of `pattern` stands for in `name`; absent: it does not match.
static struct span match_star(const char *pattern, struct span name)
{
    const char *star = strchr(pattern, '*');
    size_t before = (size_t)(star - pattern), after = strlen(star + 1);
    if (name.len <= before + after || memcmp(name.data, pattern, before) != 0 ||
        memcmp(name.data + name.len - after, star + 1, after) != 0)
        return SPAN_ABSENT;
    return span_make(name.data + before, name.len - before - after);
}

// The wildcard that leaves the least to its "*"; the first among equals.
static bool find_wildcard(const struct router_plan *plan, struct span name,
                          struct router_match *match)
{
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct router_group *group = &plan->groups[i];
        struct span star = group->wildcard ? match_star(group->name, name) : SPAN_ABSENT;
        if (!star.data || (match->star.data && star.len >= match->star.len))
            continue;
        match->group = i;
        match->star = star;
    }
    return match->star.data != NULL;
}

static bool find(const struct router_plan *plan, struct span asked, bool own,
                 struct router_match *ret_match)
{
    struct router_match match = {ROUTER_NONE, ROUTER_NONE, asked, SPAN_ABSENT, false};
    if (asked.len == 0)
        return false;
    for (size_t i = 0; !match.alias && i < plan->alias_count; i++)
        if (span_is(asked, plan->aliases[i].name)) {
            match.alias = true; // before a group of its name
            match.name = span_of(plan->aliases[i].target);
        }
    for (size_t i = 0; match.group == ROUTER_NONE && i < plan->group_count; i++)
        if (!plan->groups[i].wildcard && span_is(match.name, plan->groups[i].name))
            match.group = i;
    if (match.group == ROUTER_NONE && !find_wildcard(plan, match.name, &match))
        return false;
    if (plan->groups[match.group].internal && !own)
        return false;
    *ret_match = match;
    return true;
}

bool router_plan_find(const struct router_plan *plan, struct span asked,
                      struct router_match *ret_match)
{
    return find(plan, asked, false, ret_match);
}

bool router_plan_find_own(const struct router_plan *plan, struct span asked,
                          struct router_match *ret_match)
{
    return find(plan, asked, true, ret_match);
}

bool router_plan_find_id(const struct router_plan *plan, struct span id,
                         struct router_match *ret_match)
{
    for (size_t i = 0; i < plan->deployment_count; i++) {
        if (!span_is(id, plan->deployments[i].id))
            continue;
        size_t group = plan->deployments[i].group;
        *ret_match =
            (struct router_match){group, i, span_of(plan->groups[group].name), SPAN_ABSENT, false};
        return true;
    }
    return false;
}

struct router_match router_target_match(const struct router_plan *plan,
                                        const struct router_target *target)
{
    struct router_match match = {target->group, target->deployment, span_of(target->name),
                                 SPAN_ABSENT, false};
    if (target->deployment != ROUTER_NONE)
        match.name = span_of(plan->groups[target->group].name);
    else
        find(plan, span_of(target->name), true, &match);
    return match;
}

struct span router_plan_model(const struct router_deployment *deployment,
                              const struct router_match *match, struct buf *scratch)
{
    const char *star = strchr(deployment->model, '*');
    if (!star || !match->star.data)
        return span_of(deployment->model);
    buf_clear(scratch);
    buf_append(scratch, deployment->model, (size_t)(star - deployment->model));
    buf_append_span(scratch, match->star);
    buf_append_text(scratch, star + 1);
    return buf_span(scratch);
}

static const struct router_chain *chain_named(const struct router_plan *plan,
                                              enum router_chain_kind kind, struct span name)
{
    for (size_t i = 0; name.data && i < plan->chain_counts[kind]; i++)
        if (span_is(name, plan->chains[kind][i].name))
            return &plan->chains[kind][i];
    return NULL;
}

const struct router_chain *router_plan_chain(const struct router_plan *plan, struct span name,
                                             enum router_chain_kind kind)
{
    struct router_match match;
    struct span model = name;
    if (!plan->chains_set[kind])
        kind = ROUTER_CHAIN_GENERAL;
    span_cut(&model, '/');
    const struct router_chain *chain = chain_named(plan, kind, name);
    if (!chain && model.len)
        chain = chain_named(plan, kind, model);
    if (!chain && find(plan, name, true, &match)) // of what an alias or a wildcard means
        chain = chain_named(plan, kind, span_of(plan->groups[match.group].name));
    return chain ? chain : chain_named(plan, kind, SPAN_LITERAL("*"));
}

const char *router_plan_own_slot(const struct router_plan *plan, struct span slot)
{
    const char *chosen = plan_memory_of(plan)->model;
    if (span_is(slot, "main") && chosen && *chosen)
        return chosen;
    for (size_t i = 0; slot.len && i < plan->slot_count; i++)
        if (span_is(slot, plan->slots[i].name))
            return plan->slots[i].model;
    return NULL;
}

const char *router_plan_slot(const struct router_plan *plan, struct span slot)
{
    const char *model = router_plan_own_slot(plan, slot);
    return model ? model : router_plan_own_slot(plan, SPAN_LITERAL("main"));
}
