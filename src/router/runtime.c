#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/router_internal.h"

struct router_runtime *router_runtime_create(struct router *router, const struct router_plan *plan,
                                             const struct router_runtime *before)
{
    struct router_runtime *runtime = mem_new(struct router_runtime);
    struct router_circuit_policy policy = {
        .disabled = plan->disable_cooldowns,
        .own_cooldown_ms = -1,
        .cooldown_ms = plan->cooldown_ms,
        .allowed_fails = plan->allowed_fails,
    };
    memcpy(policy.fails, plan->fails, sizeof policy.fails);
    runtime->references = 1;
    runtime->plan = router_plan_ref(plan);
    runtime->picker =
        router_picker_create(plan->deployments, plan->deployment_count, &policy, ++router->seed);
    runtime->upstreams = mem_zalloc((plan->deployment_count + 1) * sizeof(struct upstream *));
    // What was learnt of a deployment stays known when the configuration is read again.
    for (size_t i = 0; before && i < plan->deployment_count; i++) {
        struct router_match match;
        if (router_plan_find_id(before->plan, span_of(plan->deployments[i].id), &match))
            router_picker_inherit(runtime->picker, i, before->picker, match.deployment);
    }
    return runtime;
}

struct router_runtime *router_runtime_ref(struct router_runtime *runtime)
{
    runtime->references++;
    return runtime;
}

void router_runtime_unref(struct router_runtime *runtime)
{
    if (!runtime || --runtime->references > 0)
        return;
    for (size_t i = 0; i < runtime->plan->deployment_count; i++)
        upstream_destroy(runtime->upstreams[i]);
    free(runtime->upstreams);
    router_picker_destroy(runtime->picker);
    router_plan_unref(runtime->plan);
    free(runtime);
}

int router_runtime_upstream(struct router_runtime *runtime, struct http_client *http,
                            size_t deployment, const struct upstream **ret_upstream,
                            struct error *err)
{
    const struct router_deployment *asked = &runtime->plan->deployments[deployment];
    int r = 0;
    if (!runtime->upstreams[deployment]) {
        struct upstream_options options = {
            .format = asked->format,
            .base_url = asked->base_url,
            .api_key = asked->api_key,
            .extra_headers = asked->headers,
            .provider = asked->provider,
        };
        r = upstream_create(http, &options, &runtime->upstreams[deployment], err);
    }
    if (r == 0)
        *ret_upstream = runtime->upstreams[deployment];
    return r;
}
