#pragma once

#include "base/metrics.h"

/*
 * The families that the router tells, and which of the things that are known of an event are their
 * labels. Adding one is a line in the table of families.c. LABEL_MODEL is the upstream's name of
 * it, as is LABEL_LITELLM_MODEL; there are no users, teams and e-mail addresses, so that these are
 * always absent.
 */
#define ROUTER_LABELS(X)                    \
    X(KEY_HASH, "hashed_api_key")           \
    X(KEY_ALIAS, "api_key_alias")           \
    X(REQUESTED_MODEL, "requested_model")   \
    X(MODEL, "model")                       \
    X(LITELLM_MODEL, "litellm_model_name")  \
    X(MODEL_GROUP, "model_group")           \
    X(MODEL_ID, "model_id")                 \
    X(API_BASE, "api_base")                 \
    X(API_PROVIDER, "api_provider")         \
    X(STATUS_CODE, "status_code")           \
    X(EXCEPTION_STATUS, "exception_status") \
    X(EXCEPTION_CLASS, "exception_class")   \
    X(ROUTE, "route")                       \
    X(FALLBACK_MODEL, "fallback_model")     \
    X(USER, "user")                         \
    X(USER_EMAIL, "user_email")             \
    X(END_USER, "end_user")                 \
    X(TEAM, "team")                         \
    X(TEAM_ALIAS, "team_alias")             \
    X(REASON, "reason")                     \
    X(PRIORITY, "priority")                 \
    X(BUDGET, "budget")                     \
    X(SCOPE, "scope")                       \
    X(MATCH, "match")

enum router_label {
#define X(label, name) LABEL_##label,
    ROUTER_LABELS(X)
#undef X
        LABEL_COUNT,
};

enum router_family {
    // LiteLLM's
    FAMILY_PROXY_TOTAL,
    FAMILY_PROXY_FAILED,
    FAMILY_REQUESTS,
    FAMILY_API_FAILED,
    FAMILY_SPEND,
    FAMILY_TOTAL_TOKENS,
    FAMILY_INPUT_TOKENS,
    FAMILY_OUTPUT_TOKENS,
    FAMILY_CACHED_TOKENS,
    FAMILY_TOTAL_LATENCY,
    FAMILY_API_LATENCY,
    FAMILY_FIRST_TOKEN,
    FAMILY_OVERHEAD,
    FAMILY_QUEUE_TIME,
    FAMILY_TOKEN_LATENCY,
    FAMILY_SUCCESS_RESPONSES,
    FAMILY_TOTAL_RESPONSES,
    FAMILY_FAILURE_RESPONSES,
    FAMILY_STATE,
    FAMILY_COOLED_DOWN,
    FAMILY_FALLBACKS,
    FAMILY_FAILED_FALLBACKS,
    FAMILY_TPM_LIMIT,
    FAMILY_RPM_LIMIT,
    FAMILY_REMAINING_REQUESTS,
    FAMILY_REMAINING_TOKENS,
    FAMILY_IN_FLIGHT,
    // ours
    FAMILY_CIRCUIT,
    FAMILY_CANCELLED,
    FAMILY_HOLD,
    FAMILY_WAIT,
    FAMILY_QUEUED,
    FAMILY_REFUSED,
    FAMILY_BUDGET_CAP,
    FAMILY_BUDGET_SPENT,
    FAMILY_BUDGET_RESERVED,
    FAMILY_BUDGET_RESET,
    FAMILY_UPSTREAM,
    FAMILY_HELD_BYTES,
    FAMILY_LEDGER_LAG,
    FAMILY_COUNT,
};

// What is known of an event, by label; absent is not known.
struct router_labels {
    struct span of[LABEL_COUNT];
};

void router_families_init(struct metrics *metrics, struct metrics_family *ret_families[]);

// The family's series for that event: int64_t of metrics_series(), or struct metrics_histogram.
void *router_series(struct metrics_family *const families[], enum router_family which,
                    const struct router_labels *labels);

// Every series of the deployment with that id.
void router_families_forget(struct metrics_family *const families[], struct span model_id);
