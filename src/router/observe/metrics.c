#include "router/observe/metrics.h"

#include <stdlib.h>

#include "base/mem.h"
#include "router/observe/series.h"

enum { PRIORITY_COUNT = 4 }; // enum chat_priority

struct router_metrics {
    struct metrics_family *families[FAMILY_COUNT];
    struct series_cache *cache;
    int64_t *levels[ROUTER_LEVEL_COUNT];
    struct metrics_histogram *queue_time, *waits[PRIORITY_COUNT];
};

static const char *const priority_names[PRIORITY_COUNT] = {"interactive", "api", "cron",
                                                           "background"};
static const struct router_caller nobody;

static void count_tokens(const struct router_event *event, const struct router_attempt_stats *stats)
{
    int64_t prompt = stats->prompt_tokens, completion = stats->completion_tokens;
    series_cache_add(event, FAMILY_INPUT_TOKENS, prompt);
    series_cache_add(event, FAMILY_OUTPUT_TOKENS, completion);
    if (prompt >= 0 || completion >= 0)
        series_cache_add(event, FAMILY_TOTAL_TOKENS,
                         (prompt > 0 ? prompt : 0) + (completion > 0 ? completion : 0));
    if (stats->cached_tokens > 0)
        series_cache_add(event, FAMILY_CACHED_TOKENS, stats->cached_tokens);
    series_cache_add(event, FAMILY_SPEND, stats->cost_pico);
}

static void count_answer(const struct router_event *event, const struct router_attempt_stats *stats)
{
    series_cache_add(event, FAMILY_REQUESTS, 1);
    series_cache_add(event, FAMILY_SUCCESS_RESPONSES, 1);
    series_cache_observe(event, FAMILY_API_LATENCY, stats->duration_us);
    series_cache_observe(event, FAMILY_FIRST_TOKEN, stats->first_token_us);
    if (stats->completion_tokens > 0 && stats->duration_us >= 0)
        series_cache_observe(event, FAMILY_TOKEN_LATENCY,
                             stats->duration_us / stats->completion_tokens);
}

void router_metrics_attempt(struct router_metrics *m, const struct router_attempt_stats *stats)
{
    struct router_event event = {
        .cache = m->cache,
        .caller = stats->caller ? stats->caller : &nobody,
        .requested_model = stats->requested_model,
        .deployment = stats->deployment,
        .status = stats->status,
        .exception_class = stats->exception_class,
    };
    series_cache_begin(&event);
    count_tokens(&event, stats);
    series_cache_set(&event, FAMILY_REMAINING_REQUESTS, stats->remaining_requests);
    series_cache_set(&event, FAMILY_REMAINING_TOKENS, stats->remaining_tokens);
    if (stats->cancelled) {
        series_cache_add(&event, FAMILY_CANCELLED, 1);
        return;
    }
    series_cache_add(&event, FAMILY_TOTAL_RESPONSES, 1);
    if (!stats->exception_class) {
        count_answer(&event, stats);
        return;
    }
    series_cache_add(&event, FAMILY_API_FAILED, 1);
    series_cache_add(&event, FAMILY_FAILURE_RESPONSES, 1);
}

void router_metrics_request(struct router_metrics *m, const struct router_request_stats *stats)
{
    struct router_event event = {
        .cache = m->cache,
        .caller = stats->caller ? stats->caller : &nobody,
        .requested_model = stats->requested_model,
        .route = stats->route,
        .deployment = stats->deployment,
        .status = stats->status,
        .exception_class = stats->exception_class,
    };
    series_cache_begin(&event);
    series_cache_add(&event, FAMILY_PROXY_TOTAL, 1);
    metrics_observe(m->queue_time, stats->queue_us);
    if (stats->priority >= 0 && stats->priority < PRIORITY_COUNT)
        metrics_observe(m->waits[stats->priority], stats->queue_us);
    bool chosen = series_cache_has(m->cache, stats->deployment);
    if (chosen)
        series_cache_observe(&event, FAMILY_HOLD, stats->hold_us);
    if (stats->cancelled)
        return;
    if (stats->exception_class)
        series_cache_add(&event, FAMILY_PROXY_FAILED, 1);
    else
        series_cache_observe(&event, FAMILY_TOTAL_LATENCY, stats->total_us);
    if (chosen)
        series_cache_observe(&event, FAMILY_OVERHEAD, stats->overhead_us);
}

void router_metrics_fallback(struct router_metrics *m, const struct router_fallback_stats *stats)
{
    struct router_event event = {
        .cache = m->cache,
        .caller = stats->caller ? stats->caller : &nobody,
        .requested_model = stats->requested_model,
        .fallback_model = stats->fallback_model,
        .deployment = ROUTER_METRICS_NONE,
        .status = stats->status,
        .exception_class = stats->exception_class,
    };
    series_cache_begin(&event);
    series_cache_add(&event, stats->answered ? FAMILY_FALLBACKS : FAMILY_FAILED_FALLBACKS, 1);
}

void router_metrics_circuit(struct router_metrics *m, size_t deployment,
                            enum router_circuit_level level, int status)
{
    struct router_event event = {
        .cache = m->cache, .caller = &nobody, .deployment = deployment, .status = status};
    if (!series_cache_has(m->cache, deployment))
        return;
    series_cache_begin(&event);
    if (series_cache_turn(&event, (int64_t)level) && level == ROUTER_CIRCUIT_OPEN)
        series_cache_add(&event, FAMILY_COOLED_DOWN, 1);
}

void router_metrics_refused(struct router_metrics *m, const char *reason)
{
    const struct router_labels labels = {.of = {[LABEL_REASON] = span_of(reason)}};
    int64_t *series = router_series(m->families, FAMILY_REFUSED, &labels);
    ++*series;
}

void router_metrics_budget(struct router_metrics *m, const struct router_budget_stats *stats)
{
    const struct router_labels labels = {.of = {
                                             [LABEL_BUDGET] = stats->budget,
                                             [LABEL_SCOPE] = stats->scope,
                                             [LABEL_MATCH] = stats->match,
                                         }};
    const int64_t values[] = {stats->cap_pico, stats->spent_pico, stats->reserved_pico,
                              stats->reset_in_ms};
    size_t count = ARRAY_LEN(values) - (stats->reset_in_ms < 0);
    for (size_t i = 0; i < count; i++) {
        int64_t *series = router_series(m->families, FAMILY_BUDGET_CAP + i, &labels);
        *series = values[i];
    }
}

void router_metrics_forget_budgets(struct router_metrics *m)
{
    for (enum router_family which = FAMILY_BUDGET_CAP; which <= FAMILY_BUDGET_RESET; which++)
        metrics_forget_all(m->families[which]);
}

void router_metrics_level(struct router_metrics *m, enum router_level level, int64_t value)
{
    if ((size_t)level < ROUTER_LEVEL_COUNT)
        *m->levels[level] = value;
}

struct router_metrics *router_metrics_create(struct metrics *metrics)
{
    static const enum router_family single[] = {
        [ROUTER_LEVEL_IN_FLIGHT] = FAMILY_IN_FLIGHT,
        [ROUTER_LEVEL_UPSTREAM] = FAMILY_UPSTREAM,
        [ROUTER_LEVEL_HELD_BYTES] = FAMILY_HELD_BYTES,
        [ROUTER_LEVEL_LEDGER_LAG] = FAMILY_LEDGER_LAG,
    };
    struct router_metrics *m = mem_new(struct router_metrics);
    struct router_labels labels = {0};
    router_families_init(metrics, m->families);
    m->cache = series_cache_create(m->families);
    for (size_t i = 0; i < ARRAY_LEN(single); i++)
        m->levels[i] = router_series(m->families, single[i], &labels);
    m->queue_time = router_series(m->families, FAMILY_QUEUE_TIME, &labels);
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        labels.of[LABEL_PRIORITY] = span_of(priority_names[i]);
        m->levels[ROUTER_LEVEL_QUEUED + i] = router_series(m->families, FAMILY_QUEUED, &labels);
        m->waits[i] = router_series(m->families, FAMILY_WAIT, &labels);
    }
    return m;
}

void router_metrics_destroy(struct router_metrics *m)
{
    if (!m)
        return;
    series_cache_destroy(m->cache);
    free(m);
}

void router_metrics_deployments(struct router_metrics *m,
                                const struct router_metrics_deployment *deployments, size_t count)
{
    series_cache_deployments(m->cache, deployments, count);
}
