#include "daemon/main_model.h"

#include <string.h>

#include "base/mem.h"
#include "llm/upstream.h"
#include "router/plan/plan.h"

void main_model_choose(const struct config *config, struct settings_values *values)
{
    const struct config_setting *chosen = config_setting(config, "model.default");
    const struct option_map *slots = &values->router.slots;
    if (chosen->origin != CONFIG_FROM_FILE && chosen->origin != CONFIG_FROM_DEFAULT)
        return;
    for (size_t i = 0; i < slots->count; i++)
        if (strcmp(slots->pairs[i].name, "main") == 0)
            values->llm.model = slots->pairs[i].value;
}

int main_model_plan(const struct settings *settings, struct router_plan **ret_plan,
                    struct buf *ret_errors, struct error *err)
{
    const struct router_plan_source source = {settings->path, &settings->values.llm,
                                              &settings->values.router};
    return router_plan_create(&source, ret_plan, ret_errors, err);
}

int main_model_endpoint(const struct llm_config *llm, const struct router_plan *plan,
                        struct endpoint *ret_endpoint, struct error *err)
{
    struct router_match match;
    struct endpoint found;
    int r = endpoint_choose(llm, &found, err);
    if (r < 0 && plan->listed && llm->model &&
        router_plan_find(plan, span_of(llm->model), &match)) {
        // Deployments of a list stand in a plan at the same places.
        size_t first = plan->groups[match.group].members[0];
        if (first >= model_list_count(&llm->model_list))
            return r;
        struct deployment deployment = model_list_at(&llm->model_list, first);
        r = endpoint_of_deployment(llm, &deployment, &found, err);
        if (r == 0)
            found.name = llm->model;
        if (r == 0 && strcmp(found.model, "*") == 0 && match.star.data)
            found.model = match.star.data; // the end of a name, as in "openrouter/*"
    }
    if (r == 0)
        *ret_endpoint = found;
    return r;
}

// Puts the place of the setting before a complaint about what the endpoint is.
static int name_place(const struct settings *settings, const struct endpoint *endpoint,
                      struct error *err)
{
    static const char *const keys[] = {"model.base_url", "providers.openai.base_url",
                                       "providers.openrouter.base_url"};
    if (endpoint->listed)
        return error_wrap(err, "model_list: \"%s\"", endpoint->name);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct config_setting *setting = config_setting(settings->config, keys[i]);
        if (setting && setting->text && strcmp(setting->text, endpoint->base_url) == 0)
            return error_wrap(err, "%s: %s", setting->where, keys[i]);
    }
    return err->code;
}

int main_model_check(const struct settings *settings, const struct endpoint *endpoint,
                     bool with_key, struct error *err)
{
    CLEANUP(mem_cleanup) char *base_url = endpoint_url(endpoint);
    struct upstream_options options = {
        .format = endpoint->format,
        .base_url = base_url,
        .api_key = with_key ? endpoint->api_key : NULL,
    };
    struct upstream *upstream = NULL;
    if (!endpoint->format)
        return 0;
    int r = upstream_create(NULL, &options, &upstream, err);
    upstream_destroy(upstream);
    return r < 0 ? name_place(settings, endpoint, err) : 0;
}
