// What is told of calls and attempts: to the log, one line each, and to the metrics.
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "router/call.h"
#include "router/queue.h"
#include "router/router_internal.h"

enum {
    REFUSED_EVERY_MS = 10000, // between two lines about strangers
    PEER_MAX = 64,            // bytes of an address
};

static struct span model_of(const struct router_call *call)
{
    return call->admitted ? span_of(call->runtime->plan->groups[call->match.group].name)
                          : SPAN_ABSENT;
}

static struct router_caller caller_of(const struct router_call *call)
{
    return (struct router_caller){
        .key_hash = call->origin.key_hash,
        .key_alias = call->origin.key_name,
    };
}

// Metrics know the deployments of the plan in force.
static size_t place_of(const struct router_call *call, const struct router_deployment *deployment)
{
    return deployment && call->runtime == call->router->runtime ? deployment->index
                                                                : ROUTER_METRICS_NONE;
}

void router_report_attempt(const struct router_call *call, const struct router_failure *failure,
                           bool cancelled)
{
    const struct router_attempt *attempt = &call->attempt;
    int64_t now_ms = loop_now(loop_of(call));
    const struct reply_watch *watch = &attempt->watch;
    struct router_caller caller = caller_of(call);
    size_t place = place_of(call, attempt->deployment);
    struct router_attempt_stats stats = {
        .deployment = place,
        .caller = &caller,
        .requested_model = model_of(call),
        .exception_class = failure && !cancelled ? router_failure_class(failure) : NULL,
        .status = failure ? failure->status : attempt->status,
        .cancelled = cancelled,
        .duration_us = (now_ms - attempt->begun_ms) * 1000,
        .first_token_us = call->body.stream && attempt->first_ms >= 0
                              ? (attempt->first_ms - attempt->begun_ms) * 1000
                              : -1,
        .prompt_tokens = watch->usage.prompt_tokens,
        .completion_tokens = watch->usage.completion_tokens,
        .cached_tokens = watch->usage.cached_tokens,
        .cost_pico = call->cost_pico,
        .remaining_requests = attempt->rate_limits.remaining_requests,
        .remaining_tokens = attempt->rate_limits.remaining_tokens,
    };
    if (place != ROUTER_METRICS_NONE)
        router_metrics_attempt(call->router->metrics, &stats);
    LOG_OFTEN(failure && !cancelled ? LOG_WARNING : LOG_INFO, "router.attempt", call->id,
              LOG_NUMBER("attempt", attempt->number),
              LOG_OWN("deployment", attempt->deployment->id),
              LOG_OWN("model", attempt->deployment->litellm_name),
              LOG_COUNT("status", attempt->status ? attempt->status : -1),
              LOG_NUMBER("ms", now_ms - attempt->begun_ms),
              LOG_COUNT("prompt_tokens", watch->usage.prompt_tokens),
              LOG_COUNT("completion_tokens", watch->usage.completion_tokens),
              LOG_COUNT("cost_pico", call->cost_pico),
              LOG_OWN(failure ? "failed" : NULL, failure ? router_failure_class(failure) : ""),
              LOG_DETAIL("error", failure ? failure->text : ""));
}

void router_report_passed_over(const struct router_call *call, const struct router_failure *failure)
{
    const struct router_deployment *deployment = call->attempt.deployment;
    LOG_OFTEN(LOG_INFO, "router.passed_over", call->id, LOG_OWN("deployment", deployment->id),
              LOG_OWN("model", deployment->litellm_name),
              LOG_OWN("failed", router_failure_class(failure)), LOG_DETAIL("error", failure->text));
}

void router_report_fallback(const struct router_call *call, size_t group, bool answered)
{
    struct router_caller caller = caller_of(call);
    const struct router_failure *first = router_fallback_failure(&call->iter);
    struct router_fallback_stats stats = {
        .caller = &caller,
        .requested_model = model_of(call),
        .fallback_model = span_of(call->runtime->plan->groups[group].name),
        .exception_class = router_failure_class(first),
        .status = first->status,
        .answered = answered,
    };
    router_metrics_fallback(call->router->metrics, &stats);
}

void router_report_circuit(struct router *router, size_t deployment, int status)
{
    static const enum router_circuit_level levels[] = {
        [CIRCUIT_CLOSED] = ROUTER_CIRCUIT_CLOSED,
        [CIRCUIT_HALF_OPEN] = ROUTER_CIRCUIT_HALF_OPEN,
        [CIRCUIT_OPEN] = ROUTER_CIRCUIT_OPEN,
    };
    struct router_pick_view view =
        router_picker_view(router->runtime->picker, deployment, loop_now(router->env.loop));
    router_metrics_circuit(router->metrics, deployment, levels[view.state], status);
}

void router_refused(struct router *router, const char *why, struct span peer)
{
    int64_t now_ms = loop_now(router->env.loop);
    char from[PEER_MAX];
    router_metrics_refused(router->metrics, why);
    router->refused++;
    if (now_ms < router->refused_again_ms)
        return;
    snprintf(from, sizeof from, "%.*s", (int)peer.len, peer.len ? peer.data : "");
    LOG_EVENT(LOG_WARNING, "router.refused", "", LOG_OWN("why", why), LOG_DETAIL("peer", from),
              LOG_NUMBER("count", router->refused));
    router->refused = 0;
    router->refused_again_ms = now_ms + REFUSED_EVERY_MS;
}

void router_report_end(const struct router_call *call, const struct router_failure *failure,
                       int status)
{
    struct router_caller caller = caller_of(call);
    const struct router_attempt *attempt = &call->attempt;
    int64_t now_ms = loop_now(loop_of(call));
    int64_t total_ms = now_ms - call->came_ms;
    int64_t upstream_ms = attempt->sent ? now_ms - attempt->begun_ms : 0;
    bool cancelled = failure && failure->error == ROUTER_CANCELLED;
    struct router_request_stats stats = {
        .caller = &caller,
        .requested_model = model_of(call),
        .route = span_of(call->route),
        .deployment = place_of(call, attempt->deployment),
        .status = status,
        .exception_class = failure && !cancelled ? router_failure_class(failure) : NULL,
        .cancelled = cancelled,
        .priority = (int)call->origin.priority,
        .total_us = total_ms * 1000,
        .overhead_us = (total_ms - upstream_ms - call->waited_ms) * 1000,
        .queue_us = call->waited_ms * 1000,
        .hold_us = attempt->first_ms >= 0 ? (attempt->first_ms - attempt->begun_ms) * 1000 : -1,
    };
    router_metrics_request(call->router->metrics, &stats);
    LOG_OFTEN(LOG_INFO, "router.request", call->id, LOG_OWN("route", call->route),
              LOG_DETAIL("model", buf_text(&call->body.model)), LOG_NUMBER("status", status),
              LOG_NUMBER("ms", total_ms), LOG_NUMBER("attempts", call->asked),
              LOG_COUNT("queue_ms", call->waited_ms ? call->waited_ms : -1),
              LOG_COUNT("cost_pico", call->cost_pico),
              LOG_OWN(failure ? "failed" : NULL, failure ? router_failure_class(failure) : ""));
}

// --- levels --------------------------------------------------------------------------------------

// The rule that an account was made by: its name, or its name and whose it is.
static const struct router_budget_rule *rule_of(const struct router_plan *plan, struct span account,
                                                struct span *ret_key)
{
    const struct router_budget_rule *found = NULL;
    for (size_t i = 0; i < plan->budget_count; i++) {
        const struct router_budget_rule *rule = &plan->budgets[i];
        struct span name = span_of(rule->name);
        bool own = span_equal(account, name);
        if (!own && !(account.len > name.len && account.data[name.len] == ':' &&
                      span_equal(span_make(account.data, name.len), name)))
            continue;
        if (found && name.len <= strlen(found->name))
            continue;
        found = rule;
        *ret_key = own ? SPAN_ABSENT : span_skip(account, name.len + 1);
    }
    return found;
}

// Accounts of sessions and jobs are too many to be told apart, and mean nothing added up.
static void report_budgets(struct router *router)
{
    struct router_budget_state state;
    int64_t now_ms = loop_wall(router->env.loop);
    router_metrics_forget_budgets(router->metrics);
    for (size_t cursor = 0; router_budgets_next(router->budgets, &cursor, now_ms, &state);) {
        struct span key = SPAN_ABSENT;
        const struct router_budget_rule *rule =
            rule_of(router->runtime->plan, span_of(state.account), &key);
        if (!rule ||
            (key.data && (rule->scope == ROUTER_SCOPE_SESSION || rule->scope == ROUTER_SCOPE_JOB)))
            continue;
        struct router_budget_stats stats = {
            .budget = span_of(rule->name),
            .scope = span_of(router_scope_name(rule->scope)),
            .match = key.data ? key : span_of(rule->match),
            .cap_pico = rule->cap_pico,
            .spent_pico = state.spent_pico,
            .reserved_pico = state.reserved_pico,
            .reset_in_ms = state.next_reset_wall_ms < 0 ? -1 : state.next_reset_wall_ms - now_ms,
        };
        router_metrics_budget(router->metrics, &stats);
    }
}

static void report_queues(struct router *router)
{
    int64_t waiting[CHAT_PRIORITIES] = {0};
    list_for_each(link, &router->group_queues) {
        struct router_group_queue *queue = list_entry(link, struct router_group_queue, link);
        struct router_bucket_view view =
            router_bucket_view(queue->bucket, loop_now(router->env.loop));
        for (int i = 0; i < CHAT_PRIORITIES; i++)
            waiting[i] += (int64_t)view.waiting[i];
    }
    for (int i = 0; i < CHAT_PRIORITIES; i++)
        router_metrics_level(router->metrics, (enum router_level)(ROUTER_LEVEL_QUEUED + i),
                             waiting[i]);
}

void router_report_levels(void *context)
{
    struct router *router = context;
    int64_t attempts = 0;
    list_for_each(link, &router->calls) {
        const struct router_call *call = list_entry(link, struct router_call, link);
        attempts += call->attempt.running && call->attempt.http;
    }
    router_metrics_level(router->metrics, ROUTER_LEVEL_UPSTREAM, attempts);
    router_metrics_level(router->metrics, ROUTER_LEVEL_HELD_BYTES, (int64_t)router->buffered);
    if (router->ledger) {
        router_metrics_level(router->metrics, ROUTER_LEVEL_LEDGER_LAG,
                             router_ledger_written(router->ledger) -
                                 router_ledger_kept(router->ledger));
    }
    report_queues(router);
    report_budgets(router);
}
