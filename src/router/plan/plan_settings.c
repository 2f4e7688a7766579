#include <string.h>

#include "base/mem.h"
#include "router/plan/plan_read.h"

/*
 * The scalars of LiteLLM's sections. Where two of them may say the same, router_settings is before
 * litellm_settings, as in LiteLLM.
 */
enum {
    DEFAULT_RETRIES = 2,                // LiteLLM's
    DEFAULT_FALLBACKS = 5,              //
    DEFAULT_TIMEOUT_MS = 600 * 1000,    //
    COUNT_MAX = 100,                    // retries, fallbacks
    FAILS_MAX = 1000000,                //
    TIME_MAX_MS = 7 * 24 * 3600 * 1000, // of one call, of a cooldown
    PARALLEL_MAX = 1000000,             //
    BODY_MAX_MB = 1024,
};

static const struct {
    const char *name;
    enum router_strategy strategy;
} strategies[] = {
    {"simple-shuffle", ROUTER_SIMPLE_SHUFFLE},       {"least-busy", ROUTER_LEAST_BUSY},
    {"usage-based-routing-v2", ROUTER_USAGE_BASED},  {"usage-based-routing", ROUTER_USAGE_BASED},
    {"latency-based-routing", ROUTER_LATENCY_BASED}, {"cost-based-routing", ROUTER_COST_BASED},
};

static void read_strategy(const struct plan_section *section)
{
    const char *name = "simple-shuffle";
    size_t i = 0;
    plan_read_text(section, "routing_strategy", &name);
    while (i < ARRAY_LEN(strategies) && strcmp(name, strategies[i].name) != 0)
        i++;
    if (i < ARRAY_LEN(strategies))
        section->maker->plan->strategy = strategies[i].strategy;
    else
        plan_pair_error(section, plan_find_pair(section, "routing_strategy"),
                        "\"%.60s\" is not one of simple-shuffle, least-busy, usage-based-routing, "
                        "usage-based-routing-v2, latency-based-routing, cost-based-routing",
                        name);
}

static void read_policies(const struct plan_section *section)
{
    static const char *const classes[ROUTER_CLASSES] = {
        "Authentication", "Timeout",  "RateLimit",      "ContentPolicyViolation",
        "BadRequest",     "NotFound", "InternalServer",
    };
    struct router_plan *plan = section->maker->plan;
    for (size_t i = 0; i < ROUTER_CLASSES; i++) {
        CLEANUP(mem_cleanup)
        char *retries = mem_printf("retry_policy.%sErrorRetries", classes[i]);
        CLEANUP(mem_cleanup)
        char *fails = mem_printf("allowed_fails_policy.%sErrorAllowedFails", classes[i]);
        plan->retries[i] = plan->fails[i] = -1;
        plan_read_number(section, retries, 0, 0, COUNT_MAX, &plan->retries[i]);
        plan_read_number(section, fails, 0, 0, FAILS_MAX, &plan->fails[i]);
    }
}

// What both sections may hold.
static void read_failure(const struct plan_section *section)
{
    struct router_plan *plan = section->maker->plan;
    plan_read_number(section, "num_retries", 0, 0, COUNT_MAX, &plan->num_retries);
    plan_read_number(section, "allowed_fails", 0, 0, FAILS_MAX, &plan->allowed_fails);
    plan_read_time(section, "cooldown_time", 0, TIME_MAX_MS, &plan->cooldown_ms);
}

static void read_router(const struct plan_section *section)
{
    struct router_plan *plan = section->maker->plan;
    read_failure(section);
    read_strategy(section);
    read_policies(section);
    plan_read_number(section, "max_fallbacks", 0, 0, COUNT_MAX, &plan->max_fallbacks);
    plan_read_time(section, "retry_after", 0, TIME_MAX_MS, &plan->retry_after_ms);
    plan_read_bool(section, "disable_cooldowns", &plan->disable_cooldowns);
    plan_read_bool(section, "enable_pre_call_checks", &plan->pre_call_checks);
    plan_read_time(section, "timeout", 1, TIME_MAX_MS, &plan->timeout_ms);
    plan_read_time(section, "stream_timeout", 1, TIME_MAX_MS, &plan->stream_timeout_ms);
    plan_read_number(section, "default_max_parallel_requests", 0, 1, PARALLEL_MAX,
                     &section->maker->default_parallel);
}

// A key in the file must be one that can stand in a header, and not be nothing.
static void read_master_key(const struct plan_section *section)
{
    struct plan_maker *maker = section->maker;
    const struct option_pair *pair = plan_find_pair(section, "master_key");
    const char *key = maker->source->router->master_key;
    plan_read_text(section, "master_key", &key);
    if (pair && !*pair->value)
        plan_pair_error(section, pair, "it is empty: remove it, or set the callers' key");
    struct span text = span_of(key);
    if (span_printable(text) < text.len || (key && strchr(key, ' ')))
        plan_error(maker, pair ? pair->line : 0,
                   "general_settings.master_key: it has a blank or a character that a header "
                   "cannot have");
    maker->plan->master_key = key && *key ? plan_copy(maker, key) : NULL;
}

static void read_general(const struct plan_section *section)
{
    struct plan_maker *maker = section->maker;
    struct router_plan *plan = maker->plan;
    const char *counted = "total";
    int64_t megabytes = -1, parallel = -1;
    read_master_key(section);
    plan_read_text(section, "litellm_key_header_name", &plan->key_header);
    plan_read_bool(section, "always_include_stream_usage", &plan->always_include_usage);
    plan_read_text(section, "token_rate_limit_type", &counted);
    if (!span_is(span_of(counted), "total"))
        plan_pair_error(section, plan_find_pair(section, "token_rate_limit_type"),
                        "only \"total\" is supported: input and output tokens");
    plan_read_number(section, "global_max_parallel_requests", 0, 1, PARALLEL_MAX,
                     &plan->max_parallel);
    plan_read_number(section, "max_parallel_requests", 0, 1, PARALLEL_MAX, &parallel);
    if (parallel >= 0 && (maker->default_parallel < 0 || parallel < maker->default_parallel))
        maker->default_parallel = parallel;
    plan_read_number(section, "max_request_size_mb", 3, 1, BODY_MAX_MB * 1000, &megabytes);
    if (megabytes >= 0 && megabytes * 1048576 / 1000 < plan->max_body)
        plan->max_body = megabytes * 1048576 / 1000;
}

static void read_own(struct plan_maker *maker)
{
    const struct router_config *config = maker->source->router;
    struct router_plan *plan = maker->plan;
    if (config->timezone && *config->timezone)
        plan->timezone = config->timezone;
    plan->refuse_unpriced = !config->unpriced || !span_is(span_of(config->unpriced), "allow");
    plan->refuse_oversized = config->oversized && span_is(span_of(config->oversized), "refuse");
    plan->buffers = config->buffers;
    const char **types = plan_alloc(maker, config->tool_types.count * sizeof *types);
    for (size_t i = 0; i < config->tool_types.count; i++)
        types[i] = plan_copy(maker, config->tool_types.items[i]);
    plan->terms = (struct request_terms){types, config->tool_types.count, config->strict_members};
    plan->connect_timeout_ms = maker->source->llm->connect_timeout_ms;
    plan->idle_timeout_ms = maker->source->llm->idle_timeout_ms;
    plan->queue_timeout_ms = config->queue_timeout_ms;
    plan->first_content_timeout_ms = config->first_content_timeout_ms;
    plan->keep_alive_ms = config->keep_alive_ms;
    plan->ledger_days = config->ledger_days;
}

void plan_read_settings(struct plan_maker *maker)
{
    const struct router_config *config = maker->source->router;
    struct router_plan *plan = maker->plan;
    struct error err = ERROR_INIT;
    bool metrics_key = true;
    const struct plan_section *litellm = &maker->litellm;
    plan->num_retries = DEFAULT_RETRIES;
    plan->max_fallbacks = DEFAULT_FALLBACKS;
    plan->cooldown_ms = ROUTER_COOLDOWN_MS;
    plan->timeout_ms = DEFAULT_TIMEOUT_MS;
    plan->allowed_fails = plan->stream_timeout_ms = plan->max_parallel = -1;
    plan->metrics_key = -1;
    plan->timezone = "UTC";
    plan->max_body = config->max_body;
    maker->default_parallel = -1;
    read_failure(litellm);
    plan_read_time(litellm, "request_timeout", 1, TIME_MAX_MS, &plan->timeout_ms);
    plan_read_text(litellm, "timezone", &plan->timezone);
    plan_read_bool(litellm, "require_auth_for_metrics_endpoint", &metrics_key);
    if (plan_find_pair(litellm, "require_auth_for_metrics_endpoint"))
        plan->metrics_key = metrics_key;
    read_router(&maker->router);
    read_general(&maker->general);
    read_own(maker);
    // Days and months of budgets begin by it, so a name that means nothing is no matter of taste.
    const struct option_pair *zone = plan_find_pair(litellm, "timezone");
    bool ours = !zone || plan->timezone != zone->value;
    if (zone_find(span_of(plan->timezone), &plan->zone, &err) < 0)
        plan_error(maker, ours ? 0 : zone->line, "%s.timezone: %s",
                   ours ? "router" : "litellm_settings", err.text);
    plan->timezone = plan_copy(maker, plan->timezone);
    plan->key_header = plan_copy(maker, plan->key_header);
}
