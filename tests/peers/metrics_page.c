// Prints a page with every family of the router on it, for the parsers of others.
#include <stdio.h>

#include "base/buf.h"
#include "router/observe/metrics.h"

enum { PAGE_MAX = 1024 * 1024 };

// What would end a label if it were not escaped, and what is no UTF-8.
#define HOSTILE "a\"b\\c\nd{},= \xC3\xBC\xFF # {x=\"y\"} 1"

static const struct router_metrics_deployment deployment = {SPAN_LITERAL("echo"),
                                                            SPAN_LITERAL("dep-1"),
                                                            SPAN_LITERAL("http://127.0.0.1/v1"),
                                                            SPAN_LITERAL("openai"),
                                                            SPAN_LITERAL("cheap"),
                                                            1000,
                                                            100000};

static const struct router_caller master = {
    .key_hash = SPAN_LITERAL("litellm_proxy_master_key"),
    .key_alias = SPAN_LITERAL(HOSTILE),
};

static void attempts(struct router_metrics *m)
{
    struct router_attempt_stats stats = {
        .caller = &master,
        .requested_model = SPAN_LITERAL("cheap"),
        .status = 200,
        .duration_us = 1500000,
        .first_token_us = 40000,
        .prompt_tokens = 100,
        .completion_tokens = 10,
        .cached_tokens = 3,
        .cost_pico = 154000000,
        .remaining_requests = 997,
        .remaining_tokens = 99985,
    };
    router_metrics_attempt(m, &stats);
    stats.exception_class = "InternalServerError";
    stats.status = 500;
    router_metrics_attempt(m, &stats);
    stats.cancelled = true;
    router_metrics_attempt(m, &stats);
}

static void requests(struct router_metrics *m)
{
    struct router_request_stats stats = {
        .caller = &master,
        .requested_model = SPAN_LITERAL("cheap"),
        .route = SPAN_LITERAL("/v1/chat/completions"),
        .status = 200,
        .priority = 0,
        .total_us = 1502000,
        .overhead_us = 300,
        .queue_us = 20000,
        .hold_us = 40000,
    };
    router_metrics_request(m, &stats);
    stats.exception_class = "RateLimitError";
    stats.status = 429;
    router_metrics_request(m, &stats);
    struct router_fallback_stats fallback = {
        .caller = &master,
        .requested_model = SPAN_LITERAL("cheap"),
        .fallback_model = SPAN_LITERAL("strong"),
        .exception_class = "RateLimitError",
        .status = 429,
    };
    router_metrics_fallback(m, &fallback);
    fallback.answered = true;
    router_metrics_fallback(m, &fallback);
}

int main(void)
{
    struct metrics *metrics = metrics_create();
    struct router_metrics *m = router_metrics_create(metrics);
    router_metrics_deployments(m, &deployment, 1);
    attempts(m);
    requests(m);
    router_metrics_circuit(m, 0, ROUTER_CIRCUIT_OPEN, 500);
    router_metrics_refused(m, "budget");
    const struct router_budget_stats budget = {
        SPAN_LITERAL("day"), SPAN_LITERAL("slot"), SPAN_LITERAL("cron"), 5000000000000, 1, 2, 1500};
    router_metrics_budget(m, &budget);
    router_metrics_level(m, ROUTER_LEVEL_HELD_BYTES, 4096);
    BUF_AUTO page = BUF_INIT(PAGE_MAX);
    int rc = metrics_render(metrics, &page) && fwrite(page.data, 1, page.len, stdout) == page.len;
    router_metrics_destroy(m);
    metrics_destroy(metrics);
    return rc ? 0 : 1;
}
