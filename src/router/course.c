#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/router_internal.h"

static struct router_circuit_policy circuit_policy_of(const struct router_plan *plan)
{
    struct router_circuit_policy policy = {
        .disabled = plan->disable_cooldowns,
        .own_cooldown_ms = -1,
        .cooldown_ms = plan->cooldown_ms,
        .allowed_fails = plan->allowed_fails,
    };
    memcpy(policy.fails, plan->fails, sizeof policy.fails);
    return policy;
}

static struct router_walk_plan walk_plan_of(const struct router_plan *plan)
{
    struct router_walk_plan walk = {
        .plan = plan,
        .groups = plan->groups,
        .deployments = plan->deployments,
        .chain = router_plan_chain,
        .num_retries = plan->num_retries,
        .retry_after_ms = plan->retry_after_ms,
        .max_fallbacks = plan->max_fallbacks,
        .strategy = plan->strategy,
        .pre_call_checks = plan->pre_call_checks,
    };
    memcpy(walk.chains_set, plan->chains_set, sizeof walk.chains_set);
    memcpy(walk.retries, plan->retries, sizeof walk.retries);
    return walk;
}

static struct router_budget_terms *terms_of(const struct router_plan *plan)
{
    struct router_budget_terms *terms = mem_zalloc((plan->budget_count + 1) * sizeof *terms);
    for (size_t i = 0; i < plan->budget_count; i++)
        terms[i] = (struct router_budget_terms){
            .name = plan->budgets[i].name,
            .cap_pico = plan->budgets[i].cap_pico,
            .period = plan->budgets[i].period,
            .zone = plan->zone,
        };
    return terms;
}

// What was learnt of a deployment stays known when the configuration is read again.
static void inherit(struct router_course *course, const struct router_course *before)
{
    for (size_t i = 0; i < course->plan->deployment_count; i++)
        for (size_t j = 0; j < before->plan->deployment_count; j++)
            if (strcmp(course->plan->deployments[i].id, before->plan->deployments[j].id) == 0)
                router_picker_inherit(course->picker, i, before->picker, j);
}

struct router_course *router_course_create(struct router *router, const struct router_plan *plan,
                                           const struct router_course *before)
{
    struct router_course *course = mem_new(struct router_course);
    struct router_circuit_policy policy = circuit_policy_of(plan);
    course->references = 1;
    course->plan = router_plan_ref(plan);
    course->picker =
        router_picker_create(plan->deployments, plan->deployment_count, &policy, ++router->seed);
    course->walk = walk_plan_of(course->plan);
    course->upstreams = mem_zalloc((plan->deployment_count + 1) * sizeof(struct upstream *));
    course->terms = terms_of(plan);
    if (before)
        inherit(course, before);
    return course;
}

struct router_course *router_course_ref(struct router_course *course)
{
    course->references++;
    return course;
}

void router_course_unref(struct router_course *course)
{
    if (!course || --course->references > 0)
        return;
    for (size_t i = 0; i < course->plan->deployment_count; i++)
        upstream_destroy(course->upstreams[i]);
    free(course->upstreams);
    free(course->terms);
    router_picker_destroy(course->picker);
    router_plan_unref(course->plan);
    free(course);
}

int router_course_upstream(struct router_course *course, struct http_client *http,
                           size_t deployment, const struct upstream **ret_upstream,
                           struct error *err)
{
    const struct router_deployment *asked = &course->plan->deployments[deployment];
    int r = 0;
    if (!course->upstreams[deployment]) {
        struct upstream_options options = {
            .base_url = asked->base_url,
            .api_key = asked->api_key,
            .extra_headers = asked->headers,
            .provider = asked->provider,
        };
        r = upstream_create(http, &options, &course->upstreams[deployment], err);
    }
    if (r == 0)
        *ret_upstream = course->upstreams[deployment];
    return r;
}
