/*
 * LiteLLM's families by their names, so that what was made to watch LiteLLM watches us.
 *
 * The labels are those that its documentation names, and model_group, model_id and api_provider
 * where newer versions have them: a deployment determines them, so they cost no series. Three that
 * newer versions have are left out: client_ip and user_agent are whatever a stranger sends (its own
 * memory was lost to such labels), and org_id is never known here. What it cannot know it tells as
 * "None", an unlisted model as "other"; so do we.
 *
 * Budgets and limits are levels; what happened is counted; times are in seconds.
 */
#include "router/observe/families.h"

#include "base/mem.h"

enum {
    LABELS_MAX = 13,        // of one family here
    MICRO = 6,              // decimals of a time
    PICO = 12,              // and of money
    HISTOGRAM_SERIES = 128, // forty lines each
};

// LiteLLM's, in microseconds.
static const int64_t latency_bounds[] = {
    5000,     6250,     12500,    25000,    50000,     100000,    500000,    1000000,   1500000,
    2000000,  2500000,  3000000,  3500000,  4000000,   4500000,   5000000,   5500000,   6000000,
    6500000,  7000000,  7500000,  8000000,  8500000,   9000000,   9500000,   10000000,  15000000,
    20000000, 25000000, 30000000, 60000000, 120000000, 180000000, 240000000, 300000000,
};

// The Prometheus client's own, which LiteLLM takes for the latency by token.
static const int64_t default_bounds[] = {
    5000,   10000,  25000,   50000,   75000,   100000,  250000,
    500000, 750000, 1000000, 2500000, 5000000, 7500000, 10000000,
};

static const char *const label_names[LABEL_COUNT] = {
#define X(label, name) [LABEL_##label] = name,
    ROUTER_LABELS(X)
#undef X
};

#define KEY LABEL_KEY_HASH, LABEL_KEY_ALIAS
#define TEAM LABEL_TEAM, LABEL_TEAM_ALIAS
#define CALLER LABEL_END_USER, KEY, TEAM, LABEL_USER
#define DEPLOYMENT LABEL_LITELLM_MODEL, LABEL_MODEL_ID, LABEL_API_BASE, LABEL_API_PROVIDER
#define FAILURE LABEL_EXCEPTION_STATUS, LABEL_EXCEPTION_CLASS
#define ANSWERED LABEL_REQUESTED_MODEL, LABEL_MODEL_ID, LABEL_API_PROVIDER
#define ATTEMPT CALLER, LABEL_USER_EMAIL, LABEL_MODEL, ANSWERED
#define LATENCY CALLER, LABEL_MODEL, LABEL_MODEL_GROUP, ANSWERED
#define MEMBER DEPLOYMENT, LABEL_MODEL_GROUP
#define RESPONSE MEMBER, LABEL_REQUESTED_MODEL, KEY, TEAM
#define FALLBACK LABEL_REQUESTED_MODEL, LABEL_FALLBACK_MODEL, KEY, TEAM, FAILURE
#define BUDGET LABEL_BUDGET, LABEL_SCOPE, LABEL_MATCH
#define LABELS(...) .labels = {__VA_ARGS__}, .label_count = sizeof((uint8_t[]){__VA_ARGS__})

static const struct {
    const char *name, *help;
    enum metrics_type type;
    unsigned decimals;
    uint8_t labels[LABELS_MAX]; // enum router_label
    uint8_t label_count;
} families[FAMILY_COUNT] = {
    [FAMILY_PROXY_TOTAL] = {"litellm_proxy_total_requests_metric_total", "Requests from clients.",
                            METRICS_COUNTER, 0,
                            LABELS(CALLER, LABEL_USER_EMAIL, LABEL_STATUS_CODE, LABEL_ROUTE,
                                   ANSWERED)},
    [FAMILY_PROXY_FAILED] = {"litellm_proxy_failed_requests_metric_total",
                             "Requests that were answered with an error.", METRICS_COUNTER, 0,
                             LABELS(CALLER, LABEL_USER_EMAIL, FAILURE, LABEL_ROUTE, ANSWERED)},
    [FAMILY_REQUESTS] = {"litellm_requests_metric_total",
                         "Attempts that answered. Deprecated by LiteLLM.", METRICS_COUNTER, 0,
                         LABELS(ATTEMPT)},
    [FAMILY_API_FAILED] = {"litellm_llm_api_failed_requests_metric_total",
                           "Attempts that failed. Deprecated by LiteLLM.", METRICS_COUNTER, 0,
                           LABELS(CALLER, LABEL_USER_EMAIL, LABEL_MODEL, LABEL_MODEL_ID)},
    [FAMILY_SPEND] = {"litellm_spend_metric_total", "Dollars spent.", METRICS_COUNTER, PICO,
                      LABELS(CALLER, LABEL_MODEL, ANSWERED)},
    [FAMILY_TOTAL_TOKENS] = {"litellm_total_tokens_metric_total", "Input and output tokens.",
                             METRICS_COUNTER, 0, LABELS(ATTEMPT)},
    [FAMILY_INPUT_TOKENS] = {"litellm_input_tokens_metric_total", "Input tokens.", METRICS_COUNTER,
                             0, LABELS(ATTEMPT)},
    [FAMILY_OUTPUT_TOKENS] = {"litellm_output_tokens_metric_total", "Output tokens.",
                              METRICS_COUNTER, 0, LABELS(ATTEMPT)},
    [FAMILY_CACHED_TOKENS] = {"litellm_input_cached_tokens_metric_total",
                              "Input tokens that the provider had in its cache.", METRICS_COUNTER,
                              0, LABELS(ATTEMPT)},
    [FAMILY_TOTAL_LATENCY] = {"litellm_request_total_latency_metric",
                              "Seconds from request to end of answer, of answered requests.",
                              METRICS_HISTOGRAM, MICRO, LABELS(LATENCY)},
    [FAMILY_API_LATENCY] = {"litellm_llm_api_latency_metric",
                            "Seconds of the attempts that answered.", METRICS_HISTOGRAM, MICRO,
                            LABELS(LATENCY)},
    [FAMILY_FIRST_TOKEN] = {"litellm_llm_api_time_to_first_token_metric",
                            "Seconds to the first content of a stream.", METRICS_HISTOGRAM, MICRO,
                            LABELS(LATENCY)},
    [FAMILY_OVERHEAD] = {"litellm_overhead_latency_metric",
                         "Seconds that were neither the upstream's nor spent in a queue.",
                         METRICS_HISTOGRAM, MICRO, LABELS(MEMBER, KEY)},
    [FAMILY_QUEUE_TIME] = {"litellm_request_queue_time_seconds",
                           "Seconds that a request waited for its turn.", METRICS_HISTOGRAM, MICRO},
    [FAMILY_TOKEN_LATENCY] = {"litellm_deployment_latency_per_output_token",
                              "Seconds for each output token.", METRICS_HISTOGRAM, MICRO,
                              LABELS(MEMBER, KEY, TEAM)},
    [FAMILY_SUCCESS_RESPONSES] = {"litellm_deployment_success_responses_total",
                                  "Attempts of a deployment that answered.", METRICS_COUNTER, 0,
                                  LABELS(RESPONSE)},
    [FAMILY_TOTAL_RESPONSES] = {"litellm_deployment_total_requests_total",
                                "Attempts of a deployment that answered or failed.",
                                METRICS_COUNTER, 0, LABELS(RESPONSE)},
    [FAMILY_FAILURE_RESPONSES] = {"litellm_deployment_failure_responses_total",
                                  "Attempts of a deployment that failed.", METRICS_COUNTER, 0,
                                  LABELS(RESPONSE, FAILURE)},
    [FAMILY_STATE] = {"litellm_deployment_state", "0 healthy, 1 partial outage, 2 complete outage.",
                      METRICS_GAUGE, 0, LABELS(DEPLOYMENT)},
    [FAMILY_COOLED_DOWN] = {"litellm_deployment_cooled_down_total",
                            "How often a deployment was paused.", METRICS_COUNTER, 0,
                            LABELS(DEPLOYMENT, LABEL_EXCEPTION_STATUS)},
    [FAMILY_FALLBACKS] = {"litellm_deployment_successful_fallbacks_total",
                          "Requests that another group answered.", METRICS_COUNTER, 0,
                          LABELS(FALLBACK)},
    [FAMILY_FAILED_FALLBACKS] = {"litellm_deployment_failed_fallbacks_total",
                                 "Requests that another group did not answer either.",
                                 METRICS_COUNTER, 0, LABELS(FALLBACK)},
    [FAMILY_TPM_LIMIT] = {"litellm_deployment_tpm_limit", "Configured tokens per minute.",
                          METRICS_GAUGE, 0, LABELS(MEMBER)},
    [FAMILY_RPM_LIMIT] = {"litellm_deployment_rpm_limit", "Configured requests per minute.",
                          METRICS_GAUGE, 0, LABELS(MEMBER)},
    [FAMILY_REMAINING_REQUESTS] = {"litellm_remaining_requests_metric",
                                   "Requests that the provider says are left.", METRICS_GAUGE, 0,
                                   LABELS(MEMBER, KEY)},
    [FAMILY_REMAINING_TOKENS] = {"litellm_remaining_tokens_metric",
                                 "Tokens that the provider says are left.", METRICS_GAUGE, 0,
                                 LABELS(MEMBER, KEY)},
    [FAMILY_IN_FLIGHT] = {"litellm_in_flight_requests", "Requests being answered.", METRICS_GAUGE},
    [FAMILY_CIRCUIT] = {"hermes_router_circuit_state",
                        "0 closed, 1 half open, 2 open: no attempt is made.", METRICS_GAUGE, 0,
                        LABELS(LABEL_MODEL_GROUP, LABEL_MODEL_ID)},
    [FAMILY_CANCELLED] = {"hermes_router_cancelled_total",
                          "Attempts that were cancelled because their client left.",
                          METRICS_COUNTER, 0, LABELS(LABEL_MODEL_GROUP, LABEL_MODEL_ID)},
    [FAMILY_HOLD] = {"hermes_router_hold_seconds",
                     "Seconds that a stream was held back until its first content.",
                     METRICS_HISTOGRAM, MICRO, LABELS(LABEL_MODEL_GROUP)},
    [FAMILY_WAIT] = {"hermes_router_queue_wait_seconds",
                     "Seconds that a request waited for its turn.", METRICS_HISTOGRAM, MICRO,
                     LABELS(LABEL_PRIORITY)},
    [FAMILY_QUEUED] = {"hermes_router_queue_depth", "Requests waiting for their turn.",
                       METRICS_GAUGE, 0, LABELS(LABEL_PRIORITY)},
    [FAMILY_REFUSED] = {"hermes_router_refused_total", "Requests refused before an attempt.",
                        METRICS_COUNTER, 0, LABELS(LABEL_REASON)},
    [FAMILY_BUDGET_CAP] = {"hermes_router_budget_cap_dollars", "Dollars a budget allows.",
                           METRICS_GAUGE, PICO, LABELS(BUDGET)},
    [FAMILY_BUDGET_SPENT] = {"hermes_router_budget_spent_dollars",
                             "Dollars of it spent in this period.", METRICS_GAUGE, PICO,
                             LABELS(BUDGET)},
    [FAMILY_BUDGET_RESERVED] = {"hermes_router_budget_reserved_dollars",
                                "Dollars of it held for calls in flight.", METRICS_GAUGE, PICO,
                                LABELS(BUDGET)},
    [FAMILY_BUDGET_RESET] = {"hermes_router_budget_reset_seconds", "Seconds until the period ends.",
                             METRICS_GAUGE, 3, LABELS(BUDGET)},
    [FAMILY_UPSTREAM] = {"hermes_router_upstream_attempts", "Attempts in flight.", METRICS_GAUGE},
    [FAMILY_HELD_BYTES] = {"hermes_router_held_bytes", "Bytes of bodies and answers in memory.",
                           METRICS_GAUGE},
    [FAMILY_LEDGER_LAG] = {"hermes_router_ledger_lag_rows",
                           "Rows in the journal that are not in the database yet.", METRICS_GAUGE},
};

static struct metrics_family *make_family(struct metrics *metrics, enum router_family which)
{
    const char *names[LABELS_MAX];
    for (size_t i = 0; i < families[which].label_count; i++)
        names[i] = label_names[families[which].labels[i]];
    struct metrics_family_spec spec = {
        .name = families[which].name,
        .help = families[which].help,
        .type = families[which].type,
        .decimals = families[which].decimals,
        .labels = names,
        .label_count = families[which].label_count,
    };
    if (spec.type == METRICS_HISTOGRAM) {
        bool by_token = which == FAMILY_TOKEN_LATENCY;
        spec.bounds = by_token ? default_bounds : latency_bounds;
        spec.bound_count = by_token ? ARRAY_LEN(default_bounds) : ARRAY_LEN(latency_bounds);
        spec.series_max = HISTOGRAM_SERIES;
    }
    return metrics_family(metrics, &spec);
}

void router_families_init(struct metrics *metrics, struct metrics_family *ret_families[])
{
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        ret_families[i] = make_family(metrics, (enum router_family)i);
}

void *router_series(struct metrics_family *const made[], enum router_family which,
                    const struct router_labels *labels)
{
    struct span values[LABELS_MAX];
    for (size_t i = 0; i < families[which].label_count; i++) {
        enum router_label label = families[which].labels[i];
        values[i] = labels->of[label];
        if (!values[i].data)
            values[i] =
                label == LABEL_REQUESTED_MODEL ? SPAN_LITERAL("other") : SPAN_LITERAL("None");
    }
    if (families[which].type == METRICS_HISTOGRAM)
        return metrics_histogram(made[which], values);
    return metrics_series(made[which], values);
}

void router_families_forget(struct metrics_family *const made[], struct span model_id)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        for (size_t k = 0; k < families[i].label_count; k++)
            if (families[i].labels[k] == LABEL_MODEL_ID)
                metrics_forget(made[i], k, model_id);
}
