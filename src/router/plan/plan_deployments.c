#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "codec/sha256.h"
#include "codec/url.h"
#include "config/substitute.h"
#include "llm/model_list.h"
#include "llm/upstream.h"
#include "router/plan/plan_read.h"
#include "router/wire/unbounded_cost.h"

/*
 * model_list becomes deployments and groups. What a person mistyped is a mistake and nothing
 * starts; what only lacks something (a key that is not set, a protocol that is not spoken) is a
 * deployment that cannot be asked, because another of its group or chain can. Without a model_list
 * there is one wildcard, which is whatever the other settings lead to, so that every call goes
 * through the same door.
 */
enum {
    EXTRA_DEPLOYMENTS = 2, // the offline model, and a model.default beside the list
    ID_MAX = 128,          // bytes
};

static const struct router_deployment defaults = {
    .format = &wire_openai_chat,
    .provider = "",
    .base_url = "",
    .api_key = "",
    .params = "{}",
    .order = 1,
    .weight_micro = 1000000,
    .rpm = -1,
    .tpm = -1,
    .max_parallel = -1,
    .timeout_ms = -1,
    .stream_timeout_ms = -1,
    .stream_total_ms = -1,
    .first_byte_ms = -1,
    .cooldown_ms = -1,
    .num_retries = -1,
    .max_tokens = -1,
    .max_input_tokens = -1,
    .price = ROUTER_PRICE_UNKNOWN,
};

static size_t count_stars(const char *text)
{
    size_t count = 0;
    for (; text && *text; text++)
        count += *text == '*';
    return count;
}

// What the upstream's end of it needs beyond what endpoint.h looks at.
static int check_endpoint(const struct endpoint *endpoint, struct error *err)
{
    struct url url;
    if (!endpoint->format)
        return 0;
    CLEANUP(mem_cleanup) char *text = endpoint_url(endpoint);
    if (url_parse(span_of(text), &url, err) < 0)
        return error_wrap(err, "model_list: the address of \"%s\"", endpoint->name);
    if (!plan_is_header_text(endpoint->api_key))
        return error_set(err, -EINVAL,
                         "model_list: the key of \"%s\" has a character that a header cannot have",
                         endpoint->name);
    return 0;
}

static int find_endpoint(const struct llm_config *llm, const struct deployment *entry,
                         struct endpoint *endpoint, struct error *err)
{
    int r = endpoint_of_deployment(llm, entry, endpoint, err);
    if (r < 0)
        return r;
    if (count_stars(endpoint->model) > count_stars(entry->name))
        return error_set(err, -EINVAL,
                         "model_list: \"%s\" is %.128s, but its name has no * to take the model "
                         "from",
                         entry->name, entry->model);
    if (strcmp(entry->model, "*") == 0 && !entry->api_base && !entry->provider)
        return error_set(err, -EINVAL,
                         "model_list: \"%s\" is any model of any provider; say which provider, as "
                         "in openrouter/*, or set litellm_params.api_base",
                         entry->name);
    return check_endpoint(endpoint, err);
}

// Where it could not be found out: what stands there, for people and labels.
static void set_endpoint(struct plan_maker *maker, const struct endpoint *endpoint,
                         const struct deployment *entry, const struct error *err,
                         struct router_deployment *d)
{
    struct span rest = span_of(entry->model ? entry->model : ""), prefix = SPAN_LITERAL("");
    if (err->code == 0) {
        d->format = endpoint->format;
        d->provider = plan_copy(maker, endpoint->provider);
        d->model = plan_copy(maker, endpoint->model);
        d->base_url = plan_own(maker, endpoint_url(endpoint));
        d->api_key = plan_copy(maker, endpoint->api_key);
        return;
    }
    if (memchr(rest.data, '/', rest.len))
        prefix = span_cut(&rest, '/');
    d->trouble = plan_copy(maker, err->text);
    d->provider = entry->provider ? plan_copy(maker, entry->provider) : plan_text(maker, prefix);
    d->model = plan_text(maker, rest);
    d->base_url = plan_copy(maker, entry->api_base ? entry->api_base : "");
}

// The same entry has the same id in every process and after every restart; a second one like it
// gets another. Keys are not part of it: they change, and ids are shown.
static const char *make_id(struct plan_maker *maker, const struct router_deployment *d,
                           const char *group)
{
    char text[SHA256_HEX_SIZE], number[32];
    const char *const parts[] = {number, group, d->litellm_name, d->base_url, d->params};
    size_t again = 0;
    bool taken = true;
    while (taken) {
        struct sha256 hash;
        sha256_init(&hash);
        snprintf(number, sizeof number, "%zu", again++);
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            sha256_add(&hash, span_make(parts[i], strlen(parts[i]) + 1));
        sha256_end_hex(&hash, text);
        taken = false;
        for (size_t i = 0; i < maker->plan->deployment_count; i++)
            taken |= strcmp(maker->deployments[i].id, text) == 0;
    }
    return plan_copy(maker, text);
}

static void read_id(const struct plan_section *section, struct router_deployment *d)
{
    struct plan_maker *maker = section->maker;
    const struct option_pair *pair = plan_find_pair(section, "model_info.id");
    const char *id = NULL;
    plan_read_text(section, "model_info.id", &id);
    if (!id)
        return;
    if (strlen(id) > ID_MAX || !plan_is_header_text(id))
        plan_pair_error(section, pair, "it is longer than %d bytes, or a header cannot have it",
                        ID_MAX);
    for (size_t i = 0; i < maker->plan->deployment_count; i++)
        if (strcmp(maker->deployments[i].id, id) == 0)
            plan_pair_error(section, pair, "another deployment has the id \"%.60s\"", id);
    d->id = plan_copy(maker, id);
}

// Takes the filled deployment over, into the group of that name.
static struct router_group *add_deployment(struct plan_maker *maker, const char *group,
                                           struct router_deployment *d)
{
    struct router_plan *plan = maker->plan;
    struct router_group *into = maker->groups;
    while (into < maker->groups + plan->group_count && strcmp(into->name, group) != 0)
        into++;
    if (into == maker->groups + plan->group_count) {
        plan->group_count++;
        into->name = plan_copy(maker, group);
        into->wildcard = strchr(group, '*');
    }
    d->index = plan->deployment_count;
    d->group = (size_t)(into - maker->groups);
    if (!d->id)
        d->id = make_id(maker, d, group);
    into->count++;
    into->usable |= !d->trouble;
    maker->deployments[plan->deployment_count++] = *d;
    return into;
}

// 0, or a mistake was noted.
static int check_name(const struct plan_section *section, const struct deployment *entry)
{
    const struct option_pair *pair = plan_find_pair(section, "model_name");
    unsigned line = section->pairs.count ? section->pairs.pairs[0].line : 0;
    char unset[SUBSTITUTE_NAME_MAX + 1];
    if (!entry->name || !*entry->name)
        plan_error(section->maker, line, "%s: it has no model_name", section->shown);
    else if (config_unset_variable(entry->name, unset))
        plan_pair_error(section, pair, "its value is in the variable %s, which is not set", unset);
    else if (strlen(entry->name) > ROUTER_NAME_MAX)
        plan_pair_error(section, pair, "it is longer than %d bytes", ROUTER_NAME_MAX);
    else if (!plan_is_header_text(entry->name))
        plan_pair_error(section, pair, "it holds a control character");
    else if (count_stars(entry->name) > 1)
        plan_pair_error(section, pair, "only one * is supported; write an entry for each");
    else
        return 0;
    return -1;
}

// A free model need not be given prices to be let through under a budget. One that names others to
// be taken in its place may cost what those do.
static void add_known_price(struct router_deployment *d)
{
    if (d->price.input_pico >= 0 || d->price.output_pico >= 0 || strstr(d->params, "\"models\""))
        return;
    if (endpoint_is_free(d->provider, d->model))
        d->price.input_pico = d->price.output_pico = 0;
}

static void read_deployment(struct plan_maker *maker, size_t index)
{
    const struct option_map *list = &maker->source->llm->model_list;
    char shown[64];
    snprintf(shown, sizeof shown, "model_list[%zu]", index);
    struct plan_section section = {.maker = maker, .shown = shown};
    section.pairs = model_list_pairs(list, index, &section.skip);
    struct deployment entry = model_list_at(list, index);
    struct router_deployment d = defaults;
    struct endpoint endpoint = {.provider = "", .base_url = "", .listed = true};
    struct error err = ERROR_INIT;
    if (check_name(&section, &entry) < 0)
        return;
    d.litellm_name = plan_copy(maker, entry.model ? entry.model : "");
    find_endpoint(maker->source->llm, &entry, &endpoint, &err);
    set_endpoint(maker, &endpoint, &entry, &err, &d);
    plan_read_headers(&section, &endpoint, &d);
    plan_read_entry(&section, &d);
    add_known_price(&d);
    read_id(&section, &d);
    add_deployment(maker, entry.name, &d);
}

// A deployment that is not of the list: what endpoint.h chooses for a name.
static struct router_group *add_chosen(struct plan_maker *maker, const char *group,
                                       const char *model)
{
    const struct llm_config *llm = maker->source->llm;
    struct router_deployment d = defaults;
    struct endpoint endpoint = {.provider = "", .base_url = ""};
    struct error err = ERROR_INIT;
    struct llm_config without = *llm;
    without.model = model;
    without.model_list = (struct option_map){NULL, 0};
    int r = endpoint_choose(&without, &endpoint, &err);
    without.model = "*"; // where none is chosen, whoever asks says which
    if (r < 0 && !(model && *model) && endpoint_choose(&without, &endpoint, NULL) == 0)
        err.code = 0;
    if (err.code == 0)
        check_endpoint(&endpoint, &err);
    set_endpoint(maker, &endpoint, &(struct deployment){.model = model}, &err, &d);
    if (strchr(group, '*') && d.format)
        d.model = "*";
    d.litellm_name = d.model;
    d.timeout_ms = llm->total_timeout_ms > 0 ? llm->total_timeout_ms : maker->plan->timeout_ms;
    d.stream_total_ms = d.timeout_ms; // model.timeout is that of every answer
    d.first_byte_ms = llm->first_byte_timeout_ms;
    d.cooldown_ms = 0; // whoever talks with one model would only be refused by their own router
    d.max_parallel = maker->default_parallel;
    plan_read_headers(&(struct plan_section){.maker = maker}, &endpoint, &d);
    add_known_price(&d);
    return add_deployment(maker, group, &d);
}

void plan_read_deployments(struct plan_maker *maker)
{
    const struct llm_config *llm = maker->source->llm;
    size_t count = model_list_count(&llm->model_list), room = count + 1 + EXTRA_DEPLOYMENTS;
    if (model_list_length(&llm->model_list) > MODEL_LIST_MAX)
        plan_error(maker, 0, "model_list: it has more than %d entries", MODEL_LIST_MAX);
    maker->plan->listed = llm->model_list.count > 0;
    maker->deployments = plan_alloc(maker, room * sizeof *maker->deployments);
    maker->groups = plan_alloc(maker, room * sizeof *maker->groups);
    maker->plan->deployments = maker->deployments;
    maker->plan->groups = maker->groups;
    for (size_t i = 0; i < count; i++)
        read_deployment(maker, i);
    if (!maker->plan->listed)
        add_chosen(maker, "*", llm->model);
}

/*
 * What the agent may ask and no client can: the offline model; and model.default, where the list
 * does not know it and the other settings say who does.
 */
void plan_add_own(struct plan_maker *maker)
{
    const struct llm_config *llm = maker->source->llm;
    struct span model = span_of(llm->model), offline = SPAN_LITERAL("offline");
    struct router_match match;
    struct endpoint endpoint;
    if (model.len && !span_equal(model, offline) &&
        !router_plan_find_own(maker->plan, model, &match) &&
        endpoint_choose(llm, &endpoint, NULL) == 0)
        add_chosen(maker, llm->model, llm->model)->internal = true;
    if (!router_plan_find_own(maker->plan, offline, &match) ||
        maker->plan->groups[match.group].wildcard)
        add_chosen(maker, "offline", "offline")->internal = true;
    for (size_t i = 0; i < maker->plan->group_count; i++) {
        struct router_group *group = &maker->groups[i];
        size_t *members = plan_alloc(maker, group->count * sizeof *members), count = 0;
        for (size_t j = 0; j < maker->plan->deployment_count; j++)
            if (maker->deployments[j].group == i)
                members[count++] = j;
        group->members = members;
    }
}

bool router_deployment_price_is_listed(const struct router_deployment *d)
{
    struct upstream_options options = {.base_url = d->base_url, .provider = d->provider};
    struct request_scan scan;
    const struct request_terms terms = {.strict_members = false};
    if (router_price_known(&d->price) || !d->format || d->trouble ||
        !upstream_lists_prices(&options))
        return false;
    // What the configuration adds to each request may make it dearer than the model's own price.
    return request_scan_run(&scan, span_of(d->params), NULL) == 0 &&
           !request_has_unbounded_cost(&scan, &terms, NULL);
}
