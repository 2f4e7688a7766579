#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"
#include "base/span.h"

/*
 * What the router tells Prometheus: LiteLLM's families by their names, labels and buckets, so that
 * a dashboard made for LiteLLM shows ours, and beside them our own (hermes_router_...).
 *
 * One call for each event, with everything that is known of it; -1 and absent spans are not known.
 * The texts are only read during the call. `metrics` may be NULL, then nothing is counted.
 *
 * No label is a stranger's word. A model name that is not in the plan is given as absent and told
 * as LiteLLM tells it: "other". Whatever else is absent is told as Python tells it: "None".
 */
struct router_metrics;

struct router_metrics *router_metrics_create(struct metrics *metrics); // borrowed
void router_metrics_destroy(struct router_metrics *m); // accepts NULL; the families stay

// A deployment as the labels name it. Limits are per minute.
struct router_metrics_deployment {
    struct span model;    // without its provider: "x-ai/grok-4" of "openrouter/x-ai/grok-4"
    struct span id;       // model_id
    struct span api_base; // without its query
    struct span provider; // "openrouter"
    struct span group;    // its model_name
    int64_t rpm, tpm;
};

/*
 * The deployments of the plan that is in force from now on, copied; events name them by their
 * index here. The series of a deployment that is no longer there, or no longer the same, are told
 * no more, so that years of reloads do not fill the page.
 */
void router_metrics_deployments(struct router_metrics *m,
                                const struct router_metrics_deployment *deployments, size_t count);

// The caller, by the key that it showed.
struct router_caller {
    struct span key_hash;  // hex of the key's SHA-256; never the key
    struct span key_alias; // the key's name
};

#define ROUTER_METRICS_NONE SIZE_MAX // no deployment

// An attempt that ended, whatever its end. Spend and tokens are the attempt's, so that what a
// failed one cost stands by its own deployment.
struct router_attempt_stats {
    size_t deployment;
    const struct router_caller *caller; // NULL: not known
    struct span requested_model;        // the group or alias that the client asked for
    const char *exception_class;        // NULL: it answered; else a literal, "RateLimitError"
    int status;                         // of the failure, as LiteLLM tells it; 0: none came
    bool cancelled;                     // by its client: neither an answer nor a failure
    int64_t duration_us;                // sent to last byte
    int64_t first_token_us;             // sent to first content; -1 unless streamed
    int64_t prompt_tokens, completion_tokens, cached_tokens;
    int64_t cost_pico;
    int64_t remaining_requests, remaining_tokens; // the provider's x-ratelimit-remaining-*
};
void router_metrics_attempt(struct router_metrics *m, const struct router_attempt_stats *stats);

// A request that ended: exactly once for each that came in, refused ones included.
struct router_request_stats {
    const struct router_caller *caller;
    struct span requested_model;
    struct span route;           // "/v1/chat/completions", of a route that we have
    size_t deployment;           // that answered or failed last, or ROUTER_METRICS_NONE
    int status;                  // that the client got; 499 when it left before
    const char *exception_class; // NULL: answered
    bool cancelled;
    int priority;        // enum chat_priority
    int64_t total_us;    // last byte of the request in to last byte of the answer out
    int64_t overhead_us; // of it, neither upstream nor queue
    int64_t queue_us;    // waiting for its turn; 0: it did not have to
    int64_t hold_us;     // how long a stream was held back until its first content
};
void router_metrics_request(struct router_metrics *m, const struct router_request_stats *stats);

// One group could not answer and another was asked instead.
struct router_fallback_stats {
    const struct router_caller *caller;
    struct span requested_model, fallback_model; // groups' names
    const char *exception_class;                 // of the failure that caused it
    int status;
    bool answered; // did the fallback answer?
};
void router_metrics_fallback(struct router_metrics *m, const struct router_fallback_stats *stats);

// In LiteLLM's numbers: 0 healthy, 1 partial outage, 2 complete outage.
enum router_circuit_level {
    ROUTER_CIRCUIT_CLOSED = 0,
    ROUTER_CIRCUIT_HALF_OPEN = 1,
    ROUTER_CIRCUIT_OPEN = 2,
};
// May be told again and again: only a change counts. `status`: of the failure that opened it, 0
// without one; LiteLLM counts the opening by it.
void router_metrics_circuit(struct router_metrics *m, size_t deployment,
                            enum router_circuit_level level, int status);

// A request that was not let in: `reason` is a literal ("model", "budget", "key", "tokens",
// "memory", "queue", ...). Counted beside router_metrics_request().
void router_metrics_refused(struct router_metrics *m, const char *reason);

// An account of a budget. They come and go and change with every call, so it is best to forget all
// and tell each again before a scrape (metrics_on_render()).
struct router_budget_stats {
    struct span budget; // its name in the file
    struct span scope;  // "slot", "session", ...
    struct span match;  // which of them; of sessions and jobs absent, they are too many
    int64_t cap_pico, spent_pico, reserved_pico;
    int64_t reset_in_ms; // -1: never
};
void router_metrics_budget(struct router_metrics *m, const struct router_budget_stats *stats);
void router_metrics_forget_budgets(struct router_metrics *m);

// Levels that are set as they change.
enum router_level {
    ROUTER_LEVEL_IN_FLIGHT,  // requests
    ROUTER_LEVEL_UPSTREAM,   // attempts
    ROUTER_LEVEL_HELD_BYTES, // of bodies and answers, in memory
    ROUTER_LEVEL_LEDGER_LAG, // rows in the journal that are not in the database yet
    ROUTER_LEVEL_QUEUED,     // requests waiting, by priority: + enum chat_priority
    ROUTER_LEVEL_QUEUED_LAST = ROUTER_LEVEL_QUEUED + 3,
    ROUTER_LEVEL_COUNT,
};
void router_metrics_level(struct router_metrics *m, enum router_level level, int64_t value);
