#include "router/plan/options.h"

#include "base/mem.h"

#define FIELD(name) offsetof(struct router_config, name)

enum { DAY_MS = 24 * 3600 * 1000 };

// What is read of LiteLLM's sections. A key with a safety meaning that is not here is an error.
static const char router_places[] =
    "routing_strategy, fallbacks{}, context_window_fallbacks{}, content_policy_fallbacks{}, "
    "default_fallbacks{}, max_fallbacks, num_retries, retry_after, allowed_fails, cooldown_time, "
    "disable_cooldowns, enable_pre_call_checks, model_group_alias{}, timeout, stream_timeout, "
    "default_max_parallel_requests, "
    "retry_policy.AuthenticationErrorRetries, retry_policy.TimeoutErrorRetries, "
    "retry_policy.RateLimitErrorRetries, retry_policy.ContentPolicyViolationErrorRetries, "
    "retry_policy.BadRequestErrorRetries, retry_policy.NotFoundErrorRetries, "
    "retry_policy.InternalServerErrorRetries, "
    "allowed_fails_policy.AuthenticationErrorAllowedFails, "
    "allowed_fails_policy.TimeoutErrorAllowedFails, "
    "allowed_fails_policy.RateLimitErrorAllowedFails, "
    "allowed_fails_policy.ContentPolicyViolationErrorAllowedFails, "
    "allowed_fails_policy.BadRequestErrorAllowedFails, "
    "allowed_fails_policy.InternalServerErrorAllowedFails";

static const char litellm_places[] =
    "num_retries, request_timeout, fallbacks{}, context_window_fallbacks{}, "
    "content_policy_fallbacks{}, default_fallbacks{}, allowed_fails, cooldown_time, max_budget, "
    "budget_duration, timezone, require_auth_for_metrics_endpoint";

static const char general_places[] =
    "master_key, litellm_key_header_name, always_include_stream_usage, token_rate_limit_type, "
    "global_max_parallel_requests, max_parallel_requests, max_request_size_mb";

// Of hermes-agent's sections; what stands for "model" is a slot's where its provider is ours too.
static const char auxiliary_places[] =
    "vision.model, vision.provider, vision.base_url, web_extract.model, web_extract.provider, "
    "web_extract.base_url, compression.model, compression.provider, compression.base_url, "
    "session_search.model, session_search.provider, session_search.base_url, "
    "title_generation.model, title_generation.provider, title_generation.base_url, "
    "title_generation.enabled, approval.model, approval.provider, approval.base_url";

const struct option router_options[] = {
    {.key = "router_settings",
     .type = OPTION_TREE,
     .offset = FIELD(router_settings),
     .choices = router_places,
     .flags = OPTION_STRICT,
     .help = "what to do when a model does not answer, as in LiteLLM's proxy"},
    {.key = "litellm_settings",
     .type = OPTION_TREE,
     .offset = FIELD(litellm_settings),
     .choices = litellm_places,
     .flags = OPTION_STRICT,
     .help = "the same, and the budget of the whole router"},
    {.key = "general_settings",
     .type = OPTION_TREE,
     .offset = FIELD(general_settings),
     .choices = general_places,
     .flags = OPTION_STRICT,
     .help = "the callers' key, and how much runs at once"},
    {.key = "router.host",
     .type = OPTION_STRING,
     .offset = FIELD(host),
     .env = "HERMES_ROUTER_HOST",
     .fallback = "127.0.0.1",
     .help = "the address on which the router listens"},
    {.key = "router.port",
     .type = OPTION_INT,
     .offset = FIELD(port),
     .fallback = "4000",
     .max = 65535,
     .help = "its port; 0 takes any free one"},
    {.key = "router.master_key",
     .type = OPTION_STRING,
     .offset = FIELD(master_key),
     .env = "LITELLM_MASTER_KEY",
     .flags = OPTION_SECRET,
     .help = "the callers' key, if general_settings.master_key is not set"},
    {.key = "router.slots",
     .type = OPTION_MAP,
     .offset = FIELD(slots),
     .help = "which model does what: main, compression, title, vision, session_search, approval, "
             "web_extract, cron, or a name of your own"},
    {.key = "auxiliary",
     .type = OPTION_TREE,
     .offset = FIELD(auxiliary),
     .choices = auxiliary_places,
     .help = "hermes-agent's models for some of the slots; router.slots wins"},
    {.key = "router.budgets",
     .type = OPTION_TREE,
     .offset = FIELD(budgets),
     .choices = "*.name, *.scope, *.match, *.max, *.period",
     .flags = OPTION_STRICT | OPTION_OWN,
     .help = "the most dollars that may be spent in a period, by slot, session, job, key or model"},
    {.key = "router.timezone",
     .type = OPTION_STRING,
     .offset = FIELD(timezone),
     .help = "where days and months of budgets begin; else litellm_settings.timezone, else UTC"},
    {.key = "router.unpriced",
     .type = OPTION_STRING,
     .offset = FIELD(unpriced),
     .choices = "refuse,allow",
     .fallback = "refuse",
     .help = "a call without a known price, where a budget applies"},
    {.key = "router.tool_types",
     .type = OPTION_LIST,
     .offset = FIELD(tool_types),
     .help = "types of tools that a budget lets pass besides functions; they may cost more than "
             "tokens"},
    {.key = "router.strict_members",
     .type = OPTION_BOOL,
     .offset = FIELD(strict_members),
     .fallback = "false",
     .help = "under a budget, refuse requests with members whose cost is not known"},
    {.key = "router.oversized",
     .type = OPTION_STRING,
     .offset = FIELD(oversized),
     .choices = "alone,refuse",
     .fallback = "alone",
     .help = "a call larger than all tokens of a minute: alone in it, or not at all"},
    {.key = "router.max_body",
     .type = OPTION_BYTES,
     .offset = FIELD(max_body),
     .fallback = "32Mi",
     .min = 1024,
     .max = 1LL << 30,
     .help = "the largest request"},
    {.key = "router.buffers",
     .type = OPTION_BYTES,
     .offset = FIELD(buffers),
     .fallback = "32Mi",
     .min = 1024,
     .max = 1LL << 32,
     .help = "all bytes of requests and answers that are kept at once"},
    {.key = "router.queue_timeout",
     .type = OPTION_DURATION,
     .offset = FIELD(queue_timeout_ms),
     .fallback = "60",
     .max = DAY_MS,
     .help = "the longest wait for tokens of the minute, or for room"},
    {.key = "router.first_content_timeout",
     .type = OPTION_DURATION,
     .offset = FIELD(first_content_timeout_ms),
     .fallback = "90",
     .min = 1,
     .max = DAY_MS,
     .help = "time to the first content of an answer; stream_timeout wins"},
    {.key = "router.keep_alive",
     .type = OPTION_DURATION,
     .offset = FIELD(keep_alive_ms),
     .fallback = "15",
     .max = DAY_MS,
     .help = "after so much silence a stream's client gets a comment, so that no proxy closes the "
             "connection; 0: never"},
    {.key = "router.ledger_days",
     .type = OPTION_INT,
     .offset = FIELD(ledger_days),
     .fallback = "90",
     .min = 1,
     .max = 3650,
     .help = "how long single calls are kept; their daily sums stay"},
};

const size_t router_option_count = ARRAY_LEN(router_options);
