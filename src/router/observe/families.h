#pragma once

#include "base/metrics.h"

/*
 * The families that the router tells, and which of the things that are known of an event are their
 * labels. Adding one is a line in the table of families.c.
 */
enum router_label {
    LABEL_KEY_HASH,
    LABEL_KEY_ALIAS,
    LABEL_REQUESTED_MODEL,
    LABEL_MODEL,         // "model", the upstream's name of it
    LABEL_LITELLM_MODEL, // "litellm_model_name", the same
    LABEL_MODEL_GROUP,
    LABEL_MODEL_ID,
    LABEL_API_BASE,
    LABEL_API_PROVIDER,
    LABEL_STATUS_CODE,
    LABEL_EXCEPTION_STATUS,
    LABEL_EXCEPTION_CLASS,
    LABEL_ROUTE,
    LABEL_FALLBACK_MODEL,
    LABEL_USER, // there are no users, teams and e-mail addresses: these are always absent
    LABEL_USER_EMAIL,
    LABEL_END_USER,
    LABEL_TEAM,
    LABEL_TEAM_ALIAS,
    LABEL_REASON,
    LABEL_PRIORITY,
    LABEL_BUDGET,
    LABEL_SCOPE,
    LABEL_MATCH,
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

// The family's series for that event, see metrics_series() and metrics_histogram().
int64_t *router_series(struct metrics_family *const families[], enum router_family which,
                       const struct router_labels *labels);
struct metrics_histogram *router_histogram(struct metrics_family *const families[],
                                           enum router_family which,
                                           const struct router_labels *labels);

// Every series of the deployment with that id.
void router_families_forget(struct metrics_family *const families[], struct span model_id);
