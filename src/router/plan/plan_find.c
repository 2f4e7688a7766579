/*
 * What a name means. Names of groups and aliases stand in one sorted array, because each request
 * looks one up; wildcards are few and tried one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/plan/plan_read.h"

static int compare_spans(struct span a, struct span b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

// An alias stands before a group of its name, and is the one that counts.
static int compare_names(const void *a, const void *b)
{
    const struct plan_name *left = a, *right = b;
    int order = compare_spans(left->name, right->name);
    return order ? order : !left->alias - !right->alias;
}

void plan_index(struct plan_maker *maker)
{
    const struct router_plan *plan = maker->plan;
    size_t count = 0;
    struct plan_name *names =
        plan_alloc(maker, (plan->group_count + plan->alias_count) * sizeof *names);
    for (size_t i = 0; i < plan->alias_count; i++)
        names[count++] =
            (struct plan_name){span_of(plan->aliases[i].name), ROUTER_NONE, &plan->aliases[i]};
    for (size_t i = 0; i < plan->group_count; i++)
        if (!plan->groups[i].wildcard)
            names[count++] = (struct plan_name){span_of(plan->groups[i].name), i, NULL};
    if (count)
        qsort(names, count, sizeof *names, compare_names);
    maker->memory->names = names;
    maker->memory->name_count = count;
}

// The first of that name.
static const struct plan_name *look_up(const struct plan_memory *memory, struct span name)
{
    size_t low = 0, high = memory->name_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_spans(memory->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < memory->name_count && span_equal(memory->names[low].name, name);
    return found ? &memory->names[low] : NULL;
}

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
    bool found = false;
    for (size_t i = 0; i < plan->group_count; i++) {
        const struct router_group *group = &plan->groups[i];
        struct span star = group->wildcard ? match_star(group->name, name) : SPAN_ABSENT;
        if (!star.data || (found && star.len >= match->star.len))
            continue;
        match->group = i;
        match->star = star;
        found = true;
    }
    return found;
}

static bool find(const struct router_plan *plan, struct span asked, bool own,
                 struct router_match *ret_match)
{
    const struct plan_memory *memory = plan_memory_of(plan);
    struct router_match match = {ROUTER_NONE, ROUTER_NONE, asked, SPAN_ABSENT, false};
    if (asked.len == 0)
        return false;
    const struct plan_name *name = look_up(memory, asked);
    if (name && name->alias) {
        match.alias = true;
        match.name = span_of(name->alias->target);
        name = look_up(memory, match.name);
        while (name && name->alias) // an alias that hides the group it is named like
            name = name + 1 < memory->names + memory->name_count &&
                           span_equal(name[1].name, match.name)
                       ? name + 1
                       : NULL;
    }
    if (name)
        match.group = name->group;
    else if (!find_wildcard(plan, match.name, &match))
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

// The first mistake and how many more there are, as a configuration that fails to load says it.
