#pragma once

#include <stdint.h>

#include "llm/chat.h"

struct agent;

enum { MODEL_HEALTH_NAME_MAX = 200 }; // bytes of a model's name; a longer one is cut

/*
 * How the calls to models went since the start, or since the last reload: for whoever asks why
 * nobody answers. A call that was cancelled tells nothing. Times are of the wall clock; 0 is never.
 */
struct model_health {
    int64_t answered_ms;      // the last reply
    int64_t failed_ms;        // the last failure
    int64_t failing_since_ms; // the first failure after the last reply; 0: the last call went well
    unsigned failures;        // since then
    struct chat_failure failure;                  // the last one
    char failed_model[MODEL_HEALTH_NAME_MAX + 1]; // that was asked
};

const struct model_health *agent_model_health(const struct agent *agent);

void model_health_answered(struct model_health *health, int64_t now_ms);
void model_health_failed(struct model_health *health, const char *model,
                         const struct chat_failure *failure, int64_t now_ms);
