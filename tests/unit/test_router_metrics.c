//
// What a dashboard made for LiteLLM finds on the page, and that nothing on it grows without end.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/metrics.h"
#include "router/observe/metrics.h"

enum { PAGE_MAX = 16 * 1024 * 1024 };

static const struct router_caller master = {
    .key_hash = SPAN_LITERAL("litellm_proxy_master_key"),
};

static const struct router_metrics_deployment two[] = {
    {SPAN_LITERAL("x-ai/grok-4"), SPAN_LITERAL("id-1"), SPAN_LITERAL("https://a/v1"),
     SPAN_LITERAL("openrouter"), SPAN_LITERAL("cheap"), 60, 30000},
    {SPAN_LITERAL("gpt"), SPAN_LITERAL("id-2"), SPAN_LITERAL("https://b/v1"),
     SPAN_LITERAL("openai"), SPAN_LITERAL("strong"), -1, -1},
};

struct fixture {
    struct metrics *metrics;
    struct router_metrics *m;
    struct buf page;
};

static void begin(struct fixture *f)
{
    f->metrics = metrics_create();
    f->m = router_metrics_create(f->metrics);
    router_metrics_deployments(f->m, two, 2);
    buf_init(&f->page, PAGE_MAX);
}

static void finish(struct fixture *f)
{
    buf_finish(&f->page);
    router_metrics_destroy(f->m);
    metrics_destroy(f->metrics);
}

static const char *render(struct fixture *f)
{
    buf_clear(&f->page);
    assert_true(metrics_render(f->metrics, &f->page));
    return buf_text(&f->page);
}

static void has(struct fixture *f, const char *line)
{
    char whole[1024];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (!strstr(render(f), whole)) {
        print_message("%s\n", buf_text(&f->page));
        fail_msg("missing: %s", line);
    }
}

static void lacks(struct fixture *f, const char *part)
{
    if (strstr(render(f), part))
        fail_msg("present: %s", part);
}

static size_t count(struct fixture *f, const char *part)
{
    size_t n = 0;
    for (const char *at = render(f); (at = strstr(at, part)); at++)
        n++;
    return n;
}

static struct router_attempt_stats answered(void)
{
    return (struct router_attempt_stats){
        .deployment = 0,
        .caller = &master,
        .requested_model = SPAN_LITERAL("cheap"),
        .status = 200,
        .duration_us = 1500000,
        .first_token_us = -1,
        .prompt_tokens = 100,
        .completion_tokens = 10,
        .cached_tokens = 30,
        .cost_pico = INT64_C(140000000),
        .remaining_requests = 12,
        .remaining_tokens = -1,
    };
}

static struct router_request_stats asked(void)
{
    return (struct router_request_stats){
        .caller = &master,
        .requested_model = SPAN_LITERAL("cheap"),
        .route = SPAN_LITERAL("/v1/chat/completions"),
        .deployment = 0,
        .status = 200,
        .priority = 1,
        .total_us = 1502000,
        .overhead_us = 300,
        .queue_us = 0,
        .hold_us = -1,
    };
}

#define CALLER                                                                     \
    "end_user=\"None\",hashed_api_key=\"litellm_proxy_master_key\",api_key_alias=" \
    "\"None\",team=\"None\",team_alias=\"None\",user=\"None\""
#define ANSWERED "requested_model=\"cheap\",model_id=\"id-1\",api_provider=\"openrouter\""
#define DEPLOYMENT                                                                    \
    "litellm_model_name=\"x-ai/grok-4\",model_id=\"id-1\",api_base=\"https://a/v1\"," \
    "api_provider=\"openrouter\""

// The four families of LiteLLM's own dashboard.
static void the_dashboard_is_served(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct router_attempt_stats attempt = answered();
    struct router_request_stats request = asked();
    router_metrics_attempt(f.m, &attempt);
    router_metrics_request(f.m, &request);
    router_metrics_request(f.m, &request);
    request.status = 429;
    request.exception_class = "RateLimitError";
    router_metrics_request(f.m, &request);
    has(&f, "litellm_proxy_total_requests_metric_total{" CALLER ",user_email=\"None\","
            "status_code=\"200\",route=\"/v1/chat/completions\"," ANSWERED "} 2");
    has(&f, "litellm_proxy_total_requests_metric_total{" CALLER ",user_email=\"None\","
            "status_code=\"429\",route=\"/v1/chat/completions\"," ANSWERED "} 1");
    has(&f, "litellm_proxy_failed_requests_metric_total{" CALLER ",user_email=\"None\","
            "exception_status=\"429\",exception_class=\"RateLimitError\","
            "route=\"/v1/chat/completions\"," ANSWERED "} 1");
    has(&f, "litellm_request_total_latency_metric_count{" CALLER ",model=\"x-ai/grok-4\","
            "model_group=\"cheap\"," ANSWERED "} 2");
    has(&f, "litellm_request_total_latency_metric_bucket{" CALLER ",model=\"x-ai/grok-4\","
            "model_group=\"cheap\"," ANSWERED ",le=\"2.0\"} 2");
    has(&f, "litellm_remaining_requests_metric{" DEPLOYMENT ",model_group=\"cheap\","
            "hashed_api_key=\"litellm_proxy_master_key\",api_key_alias=\"None\"} 12");
    lacks(&f, "litellm_remaining_tokens_metric{");
    finish(&f);
}

static void an_answer_is_counted_whole(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct router_attempt_stats attempt = answered();
    router_metrics_attempt(f.m, &attempt);
    attempt.first_token_us = 500000;
    router_metrics_attempt(f.m, &attempt);
    const char *const models = CALLER ",user_email=\"None\",model=\"x-ai/grok-4\"," ANSWERED;
    static const struct {
        const char *name, *value;
    } wanted[] = {
        {"litellm_input_tokens_metric_total", "200"},
        {"litellm_output_tokens_metric_total", "20"},
        {"litellm_total_tokens_metric_total", "220"},
        {"litellm_input_cached_tokens_metric_total", "60"},
        {"litellm_requests_metric_total", "2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        char line[1024];
        snprintf(line, sizeof(line), "%s{%s} %s", wanted[i].name, models, wanted[i].value);
        has(&f, line);
    }
    has(&f, "litellm_spend_metric_total{" CALLER ",model=\"x-ai/grok-4\"," ANSWERED "} 0.00028");
    has(&f, "litellm_deployment_success_responses_total{" DEPLOYMENT ",model_group=\"cheap\","
            "requested_model=\"cheap\",hashed_api_key=\"litellm_proxy_master_key\","
            "api_key_alias=\"None\",team=\"None\",team_alias=\"None\"} 2");
    has(&f, "litellm_deployment_latency_per_output_token_sum{" DEPLOYMENT ",model_group="
            "\"cheap\",hashed_api_key=\"litellm_proxy_master_key\",api_key_alias=\"None\","
            "team=\"None\",team_alias=\"None\"} 0.3");
    has(&f, "litellm_llm_api_time_to_first_token_metric_count{" CALLER ",model=\"x-ai/grok-4\","
            "model_group=\"cheap\"," ANSWERED "} 1");
    finish(&f);
}

static void a_failure_is_no_answer(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct router_attempt_stats attempt = answered();
    attempt.exception_class = "InternalServerError";
    attempt.status = 500;
    attempt.prompt_tokens = attempt.completion_tokens = attempt.cached_tokens = -1;
    attempt.cost_pico = attempt.remaining_requests = -1;
    router_metrics_attempt(f.m, &attempt);
    has(&f, "litellm_deployment_failure_responses_total{" DEPLOYMENT ",model_group=\"cheap\","
            "requested_model=\"cheap\",hashed_api_key=\"litellm_proxy_master_key\","
            "api_key_alias=\"None\",team=\"None\",team_alias=\"None\","
            "exception_status=\"500\",exception_class=\"InternalServerError\"} 1");
    assert_int_equal(count(&f, "litellm_deployment_total_requests_total{"), 1);
    assert_int_equal(count(&f, "litellm_deployment_success_responses_total{"), 0);
    assert_int_equal(count(&f, "litellm_spend_metric_total{"), 0);
    assert_int_equal(count(&f, "litellm_llm_api_latency_metric_count{"), 0);
    finish(&f);
}

static void a_client_that_left(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct router_attempt_stats attempt = answered();
    struct router_request_stats request = asked();
    attempt.cancelled = request.cancelled = true;
    request.status = 499;
    router_metrics_attempt(f.m, &attempt);
    router_metrics_request(f.m, &request);
    has(&f, "hermes_router_cancelled_total{model_group=\"cheap\",model_id=\"id-1\"} 1");
    assert_int_equal(count(&f, "litellm_spend_metric_total{"), 1); // what it cost it cost
    assert_int_equal(count(&f, "status_code=\"499\""), 1);
    assert_int_equal(count(&f, "litellm_deployment_total_requests_total{"), 0);
    assert_int_equal(count(&f, "litellm_proxy_failed_requests_metric_total{"), 0);
    assert_int_equal(count(&f, "litellm_request_total_latency_metric_count{"), 0);
    finish(&f);
}

static void unlisted_models_are_other(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct router_request_stats request = asked();
    request.requested_model = SPAN_ABSENT;
    request.deployment = ROUTER_METRICS_NONE;
    request.caller = NULL;
    request.status = 400;
    request.exception_class = "ProxyModelNotFoundError";
    router_metrics_request(f.m, &request);
    router_metrics_refused(f.m, "model");
    has(&f, "litellm_proxy_total_requests_metric_total{end_user=\"None\",hashed_api_key="
            "\"None\",api_key_alias=\"None\",team=\"None\",team_alias=\"None\",user=\"None\","
            "user_email=\"None\",status_code=\"400\",route=\"/v1/chat/completions\","
            "requested_model=\"other\",model_id=\"None\",api_provider=\"None\"} 1");
    has(&f, "hermes_router_refused_total{reason=\"model\"} 1");
    finish(&f);
}

static void circuits(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    has(&f, "litellm_deployment_state{" DEPLOYMENT "} 0");
    router_metrics_circuit(f.m, 0, ROUTER_CIRCUIT_OPEN, 429);
    router_metrics_circuit(f.m, 7, ROUTER_CIRCUIT_OPEN, 429);
    router_metrics_circuit(f.m, 0, ROUTER_CIRCUIT_OPEN, 429); // an attempt that was under way
    has(&f, "litellm_deployment_state{" DEPLOYMENT "} 2");
    has(&f, "hermes_router_circuit_state{model_group=\"cheap\",model_id=\"id-1\"} 2");
    has(&f, "litellm_deployment_cooled_down_total{" DEPLOYMENT ",exception_status=\"429\"} 1");
    router_metrics_circuit(f.m, 0, ROUTER_CIRCUIT_HALF_OPEN, 0);
    has(&f, "litellm_deployment_state{" DEPLOYMENT "} 1");
    router_metrics_circuit(f.m, 0, ROUTER_CIRCUIT_OPEN, 0);
    has(&f, "litellm_deployment_cooled_down_total{" DEPLOYMENT ",exception_status=\"None\"} 1");
    finish(&f);
}

static void fallbacks_budgets_and_levels(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct router_fallback_stats fallback = {
        .caller = &master,
        .requested_model = SPAN_LITERAL("cheap"),
        .fallback_model = SPAN_LITERAL("strong"),
        .exception_class = "Timeout",
        .status = 408,
        .answered = true,
    };
    router_metrics_fallback(f.m, &fallback);
    has(&f, "litellm_deployment_successful_fallbacks_total{requested_model=\"cheap\","
            "fallback_model=\"strong\",hashed_api_key=\"litellm_proxy_master_key\","
            "api_key_alias=\"None\",team=\"None\",team_alias=\"None\","
            "exception_status=\"408\",exception_class=\"Timeout\"} 1");
    fallback.answered = false;
    router_metrics_fallback(f.m, &fallback);
    assert_int_equal(count(&f, "litellm_deployment_failed_fallbacks_total{"), 1);
    const struct router_budget_stats budget = {
        .budget = SPAN_LITERAL("day"),
        .scope = SPAN_LITERAL("slot"),
        .match = SPAN_LITERAL("cron"),
        .cap_pico = INT64_C(5000000000000),
        .spent_pico = 1,
        .reserved_pico = INT64_C(1500000000),
        .reset_in_ms = 1500,
    };
    router_metrics_budget(f.m, &budget);
#define BUDGET "{budget=\"day\",scope=\"slot\",match=\"cron\"} "
    has(&f, "hermes_router_budget_cap_dollars" BUDGET "5");
    has(&f, "hermes_router_budget_spent_dollars" BUDGET "0.000000000001");
    has(&f, "hermes_router_budget_reserved_dollars" BUDGET "0.0015");
    has(&f, "hermes_router_budget_reset_seconds" BUDGET "1.5");
    router_metrics_forget_budgets(f.m);
    lacks(&f, "budget=\"day\"");
    router_metrics_level(f.m, ROUTER_LEVEL_IN_FLIGHT, 3);
    router_metrics_level(f.m, ROUTER_LEVEL_HELD_BYTES, 4096);
    router_metrics_level(f.m, ROUTER_LEVEL_QUEUED + 2, 5);
    router_metrics_level(f.m, ROUTER_LEVEL_COUNT, 5);
    has(&f, "litellm_in_flight_requests 3");
    has(&f, "hermes_router_held_bytes 4096");
    has(&f, "hermes_router_queue_depth{priority=\"cron\"} 5");
    finish(&f);
}

// A reload: what is gone is told no more, what stayed goes on counting, and an index that now
// means another deployment counts for that one.
static void a_reload(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct router_attempt_stats attempt = answered();
    router_metrics_attempt(f.m, &attempt);
    attempt.deployment = 1;
    router_metrics_attempt(f.m, &attempt);
    router_metrics_circuit(f.m, 1, ROUTER_CIRCUIT_OPEN, 500);
    router_metrics_deployments(f.m, &two[1], 1);
    assert_int_equal(count(&f, "id-1"), 0);
    router_metrics_circuit(f.m, 0, ROUTER_CIRCUIT_OPEN, 500); // it was open before
    assert_int_equal(count(&f, "litellm_deployment_cooled_down_total{"), 1);
    has(&f, "litellm_deployment_cooled_down_total{litellm_model_name=\"gpt\",model_id=\"id-2\","
            "api_base=\"https://b/v1\",api_provider=\"openai\",exception_status=\"500\"} 1");
    attempt.deployment = 0;
    router_metrics_attempt(f.m, &attempt);
    has(&f, "hermes_router_circuit_state{model_group=\"strong\",model_id=\"id-2\"} 2");
    has(&f, "litellm_spend_metric_total{" CALLER ",model=\"gpt\",requested_model=\"cheap\","
            "model_id=\"id-2\",api_provider=\"openai\"} 0.00028");
    router_metrics_deployments(f.m, NULL, 0);
    assert_int_equal(count(&f, "id-2"), 0);
    finish(&f);
}

// More callers than are kept, each with its own name: bounded, and no slot is mixed up.
static void many_callers(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 2000; i++) {
            char name[16];
            snprintf(name, sizeof(name), "key-%d", i);
            const struct router_caller caller = {.key_hash = span_of(name)};
            struct router_attempt_stats attempt = answered();
            struct router_request_stats request = asked();
            attempt.caller = request.caller = &caller;
            router_metrics_attempt(f.m, &attempt);
            router_metrics_request(f.m, &request);
        }
    has(&f, "litellm_input_tokens_metric_total{end_user=\"None\",hashed_api_key=\"key-7\","
            "api_key_alias=\"None\",team=\"None\",team_alias=\"None\",user=\"None\","
            "user_email=\"None\",model=\"x-ai/grok-4\"," ANSWERED "} 300");
    assert_int_equal(count(&f, "\nlitellm_input_tokens_metric_total{"), METRICS_SERIES_MAX + 1);
    assert_int_equal(count(&f, "\nlitellm_llm_api_latency_metric_count{"), 129);
    assert_true(f.page.len < PAGE_MAX);
    print_message("a full page: %zu bytes\n", f.page.len);
    finish(&f);
}

// Status, route and class differ within what is kept together.
static void the_kept_total_is_the_right_one(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    static const char *const routes[] = {"/v1/chat/completions", "/v1/embeddings", "",
                                         "/a/route/that/is/longer/than/what/is/kept/for/one"};
    struct router_request_stats request = asked();
    for (int i = 0; i < 60; i++) {
        request.status = i % 3 ? 200 : 503;
        request.exception_class = i % 3 ? NULL : "ServiceUnavailableError";
        request.route = span_of(routes[i % 4]);
        router_metrics_request(f.m, &request);
    }
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        for (int ok = 0; ok < 2; ok++) {
            char line[1024];
            snprintf(line, sizeof(line),
                     "litellm_proxy_total_requests_metric_total{" CALLER ",user_email=\"None\","
                     "status_code=\"%d\",route=\"%s\"," ANSWERED "} %d",
                     ok ? 200 : 503, routes[i], ok ? 10 : 5);
            has(&f, line);
        }
    finish(&f);
}

static void without_metrics_nothing_is_counted(void **state)
{
    (void)state;
    struct router_metrics *m = router_metrics_create(NULL);
    router_metrics_deployments(m, two, 2);
    struct router_attempt_stats attempt = answered();
    struct router_request_stats request = asked();
    router_metrics_attempt(m, &attempt);
    router_metrics_request(m, &request);
    router_metrics_circuit(m, 0, ROUTER_CIRCUIT_OPEN, 429);
    router_metrics_refused(m, "budget");
    router_metrics_level(m, ROUTER_LEVEL_IN_FLIGHT, 1);
    router_metrics_destroy(m);
    router_metrics_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dashboard_is_served),
        cmocka_unit_test(an_answer_is_counted_whole),
        cmocka_unit_test(a_failure_is_no_answer),
        cmocka_unit_test(a_client_that_left),
        cmocka_unit_test(unlisted_models_are_other),
        cmocka_unit_test(circuits),
        cmocka_unit_test(fallbacks_budgets_and_levels),
        cmocka_unit_test(a_reload),
        cmocka_unit_test(many_callers),
        cmocka_unit_test(the_kept_total_is_the_right_one),
        cmocka_unit_test(without_metrics_nothing_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
