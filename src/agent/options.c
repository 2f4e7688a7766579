#include "agent/agent.h"
#include "base/mem.h"

const struct option agent_options[] = {
    {.key = "agent.max_turns",
     .type = OPTION_INT,
     .offset = offsetof(struct agent_config, max_turns),
     .env = "HERMES_MAX_ITERATIONS",
     .flags = OPTION_ENV_WINS,
     .fallback = "60",
     .min = 1,
     .max = 10000,
     .help = "most calls to the model in one turn"},
    {.key = "agent.gateway_timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct agent_config, turn_limit_ms),
     .env = "HERMES_AGENT_TIMEOUT",
     .flags = OPTION_ENV_WINS,
     .fallback = "1800",
     .min = 0,
     .max = 7LL * 24 * 3600 * 1000,
     .help = "wall time of one turn; 0: no limit"},
    {.key = "approvals.timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct agent_config, approval_ms),
     .fallback = "24h",
     .min = 1000,
     .max = 30LL * 24 * 3600 * 1000,
     .help = "how long a question whether a tool may run stays open"},
    {.key = "agent.system_prompt",
     .type = OPTION_STRING,
     .offset = offsetof(struct agent_config, system_prompt),
     .help = "identity of the assistant, instead of SOUL.md"},
};

const size_t agent_option_count = ARRAY_LEN(agent_options);
