#include <string.h>

#include "base/mem.h"
#include "codec/json.h"
#include "router/plan/plan_read.h"

/*
 * Aliases and fallbacks. Names of models hold dots and slashes, so these settings are read as JSON
 * and not by place. A fallback that leads nowhere is a mistake: it would be found out only in the
 * outage that it was written for.
 */

// The value as a document over its text; false: it is not there, or a mistake was noted.
static bool read_json(const struct plan_section *section, const struct option_pair *pair,
                      struct json *doc)
{
    struct error err = ERROR_INIT;
    if (!pair)
        return false;
    if (json_parse(doc, span_of(pair->value), &err) < 0) {
        plan_pair_error(section, pair, "%s", err.text);
        return false;
    }
    return true;
}

// A name as the plan owns it; NULL after a mistake was noted.
static const char *read_name(const struct plan_section *section, const struct option_pair *pair,
                             struct json_value value)
{
    CLEANUP(mem_cleanup) char *text = json_strdup(value, ROUTER_NAME_MAX);
    if (text && *text)
        return plan_copy(section->maker, text);
    plan_pair_error(section, pair, "%.*s is not the name of a model",
                    json_raw(value).len > 60 ? 60 : (int)json_raw(value).len, json_raw(value).data);
    return NULL;
}

void plan_read_aliases(struct plan_maker *maker)
{
    const struct plan_section *section = &maker->router;
    const struct option_pair *pair = plan_find_pair(section, "model_group_alias");
    JSON_AUTO doc = JSON_INIT;
    struct json_value key, value;
    if (!read_json(section, pair, &doc))
        return;
    size_t count = json_count(json_root(&doc));
    if (json_type(json_root(&doc)) != JSON_OBJECT || count > ROUTER_ALIASES_MAX) {
        plan_pair_error(section, pair, "it must be a mapping of at most %d names",
                        ROUTER_ALIASES_MAX);
        return;
    }
    struct router_alias *aliases = plan_alloc(maker, count * sizeof *aliases);
    struct json_iter it = json_iter_init(json_root(&doc));
    maker->plan->aliases = aliases;
    while (json_iter_next(&it, &key, &value)) { // "alias: name", or "alias: {model, hidden}"
        struct router_alias *alias = &aliases[maker->plan->alias_count];
        bool whole = json_type(value) == JSON_OBJECT;
        alias->name = read_name(section, pair, key);
        alias->target = read_name(section, pair, whole ? json_get(value, "model") : value);
        if (whole)
            json_bool(json_get(value, "hidden"), &alias->hidden);
        maker->plan->alias_count += alias->name && alias->target;
    }
}

void plan_check_aliases(struct plan_maker *maker)
{
    const struct plan_section *section = &maker->router;
    const struct option_pair *pair = plan_find_pair(section, "model_group_alias");
    struct router_match match;
    for (size_t i = 0; i < maker->plan->alias_count; i++) {
        const struct router_alias *alias = &maker->plan->aliases[i];
        if (router_plan_find_own(maker->plan, span_of(alias->name), &match))
            continue;
        bool is_alias = false;
        for (size_t j = 0; j < maker->plan->alias_count; j++)
            is_alias |= strcmp(maker->plan->aliases[j].name, alias->target) == 0;
        if (is_alias)
            plan_pair_error(section, pair,
                            "\"%.60s\" leads to \"%.60s\", which is an alias too; name a model of "
                            "model_list",
                            alias->name, alias->target);
        else
            plan_no_model(section, pair, span_of(alias->target));
    }
}

// A list of fallbacks on its way: the setting, and what it is for.
struct reading {
    const struct plan_section *section;
    const struct option_pair *pair;
    enum router_chain_kind kind;
    struct router_chain *chains; // of the kind, ROUTER_CHAINS_MAX
};

static bool read_target(const struct reading *reading, struct json_value value,
                        struct router_target *target)
{
    const struct router_plan *plan = reading->section->maker->plan;
    struct router_match match;
    target->name = read_name(reading->section, reading->pair, value);
    if (!target->name)
        return false;
    if (!router_plan_find_own(plan, span_of(target->name), &match) &&
        !router_plan_find_id(plan, span_of(target->name), &match)) {
        plan_no_model(reading->section, reading->pair, span_of(target->name));
        return false;
    }
    target->group = match.group;
    target->deployment = match.deployment;
    return true;
}

static void add_chain(const struct reading *reading, const char *name, struct json_value list)
{
    struct plan_maker *maker = reading->section->maker;
    size_t *count = &maker->plan->chain_counts[reading->kind];
    struct json_value value;
    if (json_type(list) != JSON_ARRAY || json_count(list) > ROUTER_TARGETS_MAX) {
        plan_pair_error(reading->section, reading->pair,
                        "the fallbacks must be a list of at most %d names", ROUTER_TARGETS_MAX);
        return;
    }
    for (size_t i = 0; i < *count; i++)
        if (strcmp(reading->chains[i].name, name) == 0)
            plan_pair_error(reading->section, reading->pair, "\"%s\" is listed twice", name);
    if (*count == ROUTER_CHAINS_MAX) {
        plan_pair_error(reading->section, reading->pair, "it has too many entries");
        return;
    }
    struct router_target *targets = plan_alloc(maker, json_count(list) * sizeof *targets);
    struct router_chain *chain = &reading->chains[(*count)++];
    *chain = (struct router_chain){.name = name, .targets = targets};
    struct json_iter it = json_iter_init(list);
    while (json_iter_next(&it, NULL, &value))
        chain->count += read_target(reading, value, &targets[chain->count]);
}

// Does the name mean anything that could be asked, or with a provider before it?
static bool is_known(const struct router_plan *plan, struct span name)
{
    struct router_match match;
    if (span_is(name, "*") || router_plan_find_own(plan, name, &match))
        return true;
    for (size_t i = 0; i < plan->group_count; i++) {
        struct span model = span_of(plan->groups[i].name);
        span_cut(&model, '/');
        if (span_equal(model, name) || span_is(name, plan->groups[i].name))
            return true;
    }
    return false;
}

static void check_self(const struct reading *reading, const struct router_chain *chain)
{
    const struct router_plan *plan = reading->section->maker->plan;
    struct router_match match;
    size_t same = 0;
    if (!router_plan_find_own(plan, span_of(chain->name), &match))
        return;
    for (size_t i = 0; i < chain->count; i++) {
        struct router_match target = router_target_match(plan, &chain->targets[i]);
        same += target.deployment == ROUTER_NONE && target.group == match.group &&
                span_equal(target.name, match.name);
    }
    if (chain->count && same == chain->count)
        plan_pair_error(reading->section, reading->pair, "\"%s\" falls back to itself alone",
                        chain->name);
}

// {"free": ["free2", "cheap"]}
static void read_entry(const struct reading *reading, struct json_value entry)
{
    const struct router_plan *plan = reading->section->maker->plan;
    struct json_value key, list;
    struct router_match match;
    struct json_iter it = json_iter_init(entry);
    if (json_type(entry) != JSON_OBJECT) {
        plan_pair_error(reading->section, reading->pair,
                        "an entry must be a name and a list, as in {free: [free2, cheap]}");
        return;
    }
    while (json_iter_next(&it, &key, &list)) {
        const char *name = read_name(reading->section, reading->pair, key);
        size_t before = plan->chain_counts[reading->kind];
        if (!name)
            continue;
        if (!is_known(plan, span_of(name)))
            plan_no_model(reading->section, reading->pair, span_of(name));
        if (router_plan_find_own(plan, span_of(name), &match) && match.alias)
            name = plan_text(reading->section->maker, match.name);
        add_chain(reading, name, list);
        if (plan->chain_counts[reading->kind] > before)
            check_self(reading, &reading->chains[before]);
    }
}

static void read_list(const struct reading *reading)
{
    JSON_AUTO doc = JSON_INIT;
    struct json_value entry, root;
    if (!read_json(reading->section, reading->pair, &doc))
        return;
    root = json_root(&doc);
    struct json_iter it = json_iter_init(root);
    if (json_type(root) == JSON_OBJECT)
        read_entry(reading, root);
    else if (json_type(root) != JSON_ARRAY)
        plan_pair_error(reading->section, reading->pair,
                        "it must be a list, as in [{free: [free2, cheap]}]");
    else
        while (json_iter_next(&it, NULL, &entry))
            read_entry(reading, entry);
}

// The setting of that name: of router_settings, else of litellm_settings.
static bool find_setting(const struct plan_maker *maker, const char *name, struct reading *reading)
{
    reading->section = &maker->router;
    reading->pair = plan_find_pair(reading->section, name);
    if (reading->pair)
        return true;
    reading->section = &maker->litellm;
    reading->pair = plan_find_pair(reading->section, name);
    return reading->pair;
}

void plan_read_chains(struct plan_maker *maker)
{
    static const char *const names[ROUTER_CHAIN_KINDS] = {"fallbacks", "context_window_fallbacks",
                                                          "content_policy_fallbacks"};
    for (size_t kind = 0; kind < ROUTER_CHAIN_KINDS; kind++) {
        struct reading reading = {.kind = (enum router_chain_kind)kind};
        reading.chains = plan_alloc(maker, ROUTER_CHAINS_MAX * sizeof *reading.chains);
        maker->plan->chains[kind] = reading.chains;
        if (find_setting(maker, names[kind], &reading)) {
            maker->plan->chains_set[kind] = true;
            read_list(&reading);
        }
        JSON_AUTO doc = JSON_INIT;
        if (kind != ROUTER_CHAIN_GENERAL || !find_setting(maker, "default_fallbacks", &reading))
            continue;
        maker->plan->chains_set[kind] = true;
        if (read_json(reading.section, reading.pair, &doc))
            add_chain(&reading, "*", json_root(&doc));
    }
}
