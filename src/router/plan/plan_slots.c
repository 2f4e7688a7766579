#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "router/plan/plan_read.h"

/*
 * Slots: which model does which work. What an owner writes beneath router.slots must lead
 * somewhere. A hermes-agent's `auxiliary` section says the same of some of them and is taken where
 * it can be: it names providers of its own, and one that does not lead where it says is told of and
 * left out, since its work must not go to somebody else unasked.
 */
enum { PLACE_MAX = 4096 }; // bytes

// The kinds of work that have a name, and hermes-agent's for them.
static const struct work {
    const char *slot, *auxiliary; // NULL: it has none there
    bool done;                    // by this version
} works[] = {
    {"main", NULL, true},
    {"compression", "compression", true},
    {"title", "title_generation", true},
    {"vision", "vision", true},
    {"session_search", "session_search", false},
    {"approval", "approval", true},
    {"web_extract", "web_extract", false},
    {"cron", NULL, true},
};

static void add_slot(struct plan_maker *maker, const char *name, const char *model)
{
    maker->slots[maker->plan->slot_count++] =
        (struct router_slot){plan_copy(maker, name), plan_copy(maker, model)};
}

static void read_own(struct plan_maker *maker)
{
    const struct option_map *map = &maker->source->router->slots;
    const struct plan_section section = {maker, "router.slots", *map, 0};
    struct router_match match;
    if (map->count > ROUTER_SLOTS_MAX)
        plan_error(maker, 0, "router.slots: it has more than %d entries", ROUTER_SLOTS_MAX);
    for (size_t i = 0; i < map->count && i < ROUTER_SLOTS_MAX; i++) {
        const struct option_pair *pair = &map->pairs[i];
        add_slot(maker, pair->name, pair->value);
        if (!router_plan_find_own(maker->plan, span_of(pair->value), &match)) {
            plan_no_model(&section, pair, span_of(pair->value));
            continue;
        }
        for (size_t j = 0; j < ARRAY_LEN(works); j++) // an owner who pays for it should know
            if (strcmp(works[j].slot, pair->name) == 0 && !works[j].done)
                plan_note(maker, pair->line,
                          "router.slots.%s: this version does no such work; the model is for "
                          "programs that send x-hermes-slot: %s and no model",
                          pair->name, pair->name);
    }
}

static const char *text_at(const struct plan_section *section, const char *work, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s.%s", work, name);
    const struct option_pair *pair = plan_find_pair(section, key);
    return pair && *pair->value ? pair->value : NULL;
}

// NULL: it leads where it says; else what is the matter.
static const char *astray(const struct plan_maker *maker, const char *model, const char *provider,
                          const char *base_url)
{
    struct router_match match;
    if (!router_plan_find_own(maker->plan, span_of(model), &match))
        return "there is no such model in model_list";
    const struct router_group *group = &maker->plan->groups[match.group];
    const struct router_deployment *d = &maker->plan->deployments[group->members[0]];
    bool any = !provider || strcmp(provider, "auto") == 0 || strcmp(provider, "main") == 0;
    if ((!any && strcmp(provider, d->provider) != 0) ||
        (base_url && strcmp(base_url, d->base_url) != 0))
        return "that name is another provider's model here";
    return NULL;
}

static void read_auxiliary(struct plan_maker *maker, const struct work *work)
{
    const struct plan_section section = {maker, "auxiliary", maker->source->router->auxiliary, 0};
    const char *model = text_at(&section, work->auxiliary, "model");
    char key[64];
    bool enabled = true;
    snprintf(key, sizeof key, "%s.enabled", work->auxiliary); // only of title_generation
    plan_read_bool(&section, key, &enabled);
    if (!model || !enabled || router_plan_own_slot(maker->plan, span_of(work->slot)))
        return;
    const char *trouble = astray(maker, model, text_at(&section, work->auxiliary, "provider"),
                                 text_at(&section, work->auxiliary, "base_url"));
    if (!trouble)
        add_slot(maker, work->slot, model);
    else
        plan_note(maker, 0, "auxiliary.%s: not used: %s; name it in model_list and router.slots.%s",
                  work->auxiliary, trouble, work->slot);
}

void plan_read_slots(struct plan_maker *maker)
{
    maker->slots = plan_alloc(maker, (ROUTER_SLOTS_MAX + ARRAY_LEN(works)) * sizeof *maker->slots);
    maker->plan->slots = maker->slots;
    read_own(maker);
    for (size_t i = 0; i < ARRAY_LEN(works); i++)
        if (works[i].auxiliary)
            read_auxiliary(maker, &works[i]);
}

bool router_plan_knows_slot(const struct router_plan *plan, struct span slot)
{
    for (size_t i = 0; i < ARRAY_LEN(works); i++)
        if (span_is(slot, works[i].slot))
            return true;
    for (size_t i = 0; i < plan->budget_count; i++)
        if (plan->budgets[i].scope == ROUTER_SCOPE_SLOT && span_is(slot, plan->budgets[i].match))
            return true;
    return router_plan_own_slot(plan, slot) != NULL;
}

void plan_note(struct plan_maker *maker, unsigned line, const char *fmt, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    BUF_AUTO place = BUF_INIT(PLACE_MAX);
    if (line && maker->source->path)
        buf_printf(&place, "%s:%u: ", maker->source->path, line);
    maker->plan->notes =
        plan_printf(maker, "%snote: %s%s\n", maker->plan->notes, buf_text(&place), sentence);
}
