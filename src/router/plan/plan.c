#include "router/plan/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "router/plan/plan_read.h"

/*
 * A plan is one allocation with the plan in front, and a list of everything else that it owns: it
 * is made once and let go as a whole.
 */

static void wipe(const char *text)
{
    if (text)
        explicit_bzero((char *)text, strlen(text));
}

// Of what was never a secret ("", a literal) nothing is written: it may be read-only.
static void memory_destroy(struct plan_memory *memory)
{
    const struct router_plan *plan = &memory->plan;
    wipe(plan->master_key);
    for (size_t i = 0; i < plan->deployment_count; i++) {
        const struct router_deployment *d = &plan->deployments[i];
        if (*d->api_key)
            wipe(d->api_key);
        for (size_t j = 0; d->headers && d->headers[j]; j++)
            wipe(d->headers[j]);
    }
    for (size_t i = 0; i < memory->block_count; i++)
        free(memory->blocks[i]);
    free(memory->blocks);
    free(memory);
}

struct router_plan *router_plan_ref(const struct router_plan *plan)
{
    plan_memory_of(plan)->references++;
    return (struct router_plan *)plan;
}

void router_plan_unref(struct router_plan *plan)
{
    if (plan && --plan_memory_of(plan)->references == 0)
        memory_destroy(plan_memory_of(plan));
}

int router_plan_create(const struct router_plan_source *source, struct router_plan **ret_plan,
                       struct buf *ret_errors, struct error *err)
{
    struct plan_memory *memory = mem_new(struct plan_memory);
    struct plan_maker maker = {.memory = memory,
                               .plan = &memory->plan,
                               .source = source,
                               .lines = ret_errors,
                               .first = ERROR_INIT};
    const struct router_config *config = source->router;
    maker.router = (struct plan_section){&maker, "router_settings", config->router_settings, 0};
    maker.litellm = (struct plan_section){&maker, "litellm_settings", config->litellm_settings, 0};
    maker.general = (struct plan_section){&maker, "general_settings", config->general_settings, 0};
    memory->references = 1;
    memory->plan.notes = "";
    memory->model = plan_copy(&maker, source->llm->model);
    plan_read_settings(&maker);
    plan_read_deployments(&maker);
    plan_read_aliases(&maker);
    plan_add_own(&maker);
    plan_check_aliases(&maker);
    plan_read_chains(&maker);
    plan_read_slots(&maker);
    plan_read_budgets(&maker);
    if (maker.errors) {
        memory_destroy(memory);
        if (maker.errors == 1)
            return error_set(err, -EINVAL, "%s", maker.first.text);
        return error_set(err, -EINVAL, "%s (and %zu more; `hermes config check` lists them)",
                         maker.first.text, maker.errors - 1);
    }
    *ret_plan = maker.plan;
    return 0;
}
