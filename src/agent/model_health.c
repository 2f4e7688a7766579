#include "agent/model_health.h"

#include <stdio.h>

#include "agent/turn.h"

const struct model_health *agent_model_health(const struct agent *agent)
{
    return &agent->health;
}

void model_health_answered(struct model_health *health, int64_t now_ms)
{
    health->answered_ms = now_ms;
    health->failing_since_ms = 0;
    health->failures = 0;
}

void model_health_failed(struct model_health *health, const char *model,
                         const struct chat_failure *failure, int64_t now_ms)
{
    if (health->failures++ == 0)
        health->failing_since_ms = now_ms;
    health->failed_ms = now_ms;
    health->failure = *failure;
    snprintf(health->failed_model, sizeof health->failed_model, "%s", model);
}
