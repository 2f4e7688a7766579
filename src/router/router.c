#include "router/router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "router/call.h"
#include "router/money/budget_memory.h"
#include "router/money/notices.h"
#include "router/queue.h"
#include "router/router_internal.h"

enum { LEDGER_AGAIN_MS = 5000 }; // between two attempts to begin a ledger on a full disk

static int64_t offset_of(void *context, int64_t wall_ms)
{
    const struct router *router = context;
    return (int64_t)zone_offset(&router->runtime->plan->zone, wall_ms / 1000) * 1000;
}

static void on_sum(void *context, const struct store_charge *spent)
{
    struct router *router = context;
    struct error err = ERROR_INIT;
    if (router_budgets_restore(router->budgets, spent, loop_wall(router->env.loop), &err) < 0)
        log_error("the spending of a budget is unknown: %s", err.text);
}

static int recall(void *context, struct span account, struct error *err)
{
    struct router *router = context;
    return store_read_budget(router->env.store, account, on_sum, router, err);
}

static int64_t written(void *context)
{
    return router_ledger_written(((struct router *)context)->ledger);
}

static int64_t kept(void *context)
{
    return router_ledger_kept(((struct router *)context)->ledger);
}

static void on_correction(void *context, const struct store_charge *difference)
{
    struct router *router = context;
    const char *closed = router_budgets_correct(router->budgets, difference);
    if (closed)
        LOG_EVENT(LOG_ERROR, "router.overshoot", "", LOG_TEXT("budget", closed),
                  LOG_NUMBER("overshoot_pico", difference->overshoot_pico));
}

static void on_ready(void *context)
{
    router_inquiries_begin(((struct router *)context)->inquiries);
}

static bool on_lost(void *context, int64_t wall_ms)
{
    struct router *router = context;
    const struct router_plan *plan = router->runtime->plan;
    bool lasts = false;
    router_budgets_lose(router->budgets, wall_ms);
    for (size_t i = 0; i < plan->budget_count; i++) {
        int64_t end_ms =
            budget_period_at(&plan->budgets[i].period, &plan->zone, wall_ms).end_wall_ms;
        lasts |= end_ms < 0 || end_ms > loop_wall(router->env.loop);
    }
    return lasts;
}

static void on_event(void *context, enum router_ledger_event kind, const char *sentence)
{
    static const enum log_level levels[] = {
        [LEDGER_TROUBLE] = LOG_ERROR, [LEDGER_FOUND] = LOG_WARNING, [LEDGER_RELIEF] = LOG_INFO};
    log_line(levels[kind], "the ledger: %s", sentence);
}

static int open_ledger(struct router *router, struct error *err);

static void on_ledger_again(void *context);

// Until there is one, what costs nothing goes on, and whoever asks what is wrong is told.
static void without_ledger(struct router *router, const struct error *err)
{
    if (!router->ledger_error || strcmp(router->ledger_error, err->text) != 0)
        log_error("the ledger: %s", err->text);
    free(router->ledger_error);
    router->ledger_error = mem_strdup(err->text);
    router->ledger_again =
        loop_timer_after(router->env.loop, LEDGER_AGAIN_MS, on_ledger_again, router);
}

static void on_ledger_again(void *context)
{
    struct router *router = context;
    struct error err = ERROR_INIT;
    router->ledger_again = 0;
    if (open_ledger(router, &err) < 0)
        without_ledger(router, &err);
}

static int open_ledger(struct router *router, struct error *err)
{
    const struct router_plan *plan = router->runtime->plan;
    struct router_ledger_options options = {
        .loop = router->env.loop,
        .store = router->env.store,
        .home = router->env.home,
        .days = plan->ledger_days,
        .offset_ms = offset_of,
        .on_sum = on_sum,
        .on_correction = on_correction,
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_event = on_event,
        .context = router,
    };
    if (!router->env.store)
        return 0;
    int r = router_ledger_create(&options, &router->ledger, err);
    if (r < 0)
        return r;
    free(STEAL(router->ledger_error));
    struct router_budget_store sums = {recall, written, kept, router};
    router_budgets_keep_in(router->budgets, &sums);
    return 0;
}

static void tell_deployments(struct router *router)
{
    const struct router_plan *plan = router->runtime->plan;
    size_t count = plan->deployment_count;
    struct router_metrics_deployment *told = mem_zalloc((count + 1) * sizeof *told);
    for (size_t i = 0; i < count; i++) {
        const struct router_deployment *d = &plan->deployments[i];
        told[i] = (struct router_metrics_deployment){
            .model = span_of(d->litellm_name),
            .id = span_of(d->id),
            .api_base = span_of(d->base_url),
            .provider = span_of(d->provider),
            .group = span_of(plan->groups[d->group].name),
            .rpm = d->rpm,
            .tpm = d->tpm,
        };
    }
    router_metrics_deployments(router->metrics, told, count);
    free(told);
}

int router_create(const struct router_env *env, const struct router_plan *plan,
                  struct router **ret_router, struct error *err)
{
    struct router *router = mem_new(struct router);
    router->env = *env;
    random_bytes(&router->seed, sizeof router->seed);
    list_init(&router->calls);
    list_init(&router->waiting);
    list_init(&router->group_queues);
    router->budgets = router_budgets_create(ROUTER_BUDGET_ACCOUNTS, loop_clock(env->loop));
    router->notices = router_notices_create(env->store);
    router->inquiries = router_inquiries_create(router);
    router->prices = router_prices_create(router);
    router->metrics = router_metrics_create(env->metrics);
    router->runtime = router_runtime_create(router, plan, NULL);
    tell_deployments(router);
    if (env->metrics)
        metrics_on_render(env->metrics, router_report_levels, router);
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    int r = open_ledger(router, err);
    if (r == -ENOSPC || r == -EDQUOT) { // a full disk is no reason not to start
        without_ledger(router, err);
        r = 0;
    }
    if (r < 0)
        router_destroy(router);
    else
        *ret_router = router;
    return r;
}

void router_configure(struct router *router, struct http_client *http,
                      const struct router_plan *plan)
{
    router->env.http = http;
    struct router_runtime *before = router->runtime;
    router->runtime = router_runtime_create(router, plan, before);
    router_runtime_unref(before);
    router_group_queues_configure(router);
    router_wake_later(router);
    router_prices_changed(router->prices);
    tell_deployments(router);
    for (size_t i = 0; i < plan->deployment_count; i++) // with another key one may have closed
        router_report_circuit(router, i, 0);
}

void router_destroy(struct router *router)
{
    if (!router)
        return;
    while (!list_empty(&router->calls)) {
        struct router_call *call = list_entry(router->calls.next, struct router_call, link);
        router_call_cancel(router, call->number);
    }
    if (router->env.metrics)
        metrics_on_render(router->env.metrics, NULL, NULL);
    loop_cancel(router->env.loop, router->wake);
    loop_cancel(router->env.loop, router->ledger_again);
    free(router->ledger_error);
    router_pool_clear(router);
    router_group_queues_destroy(router);
    router_inquiries_destroy(router->inquiries);
    router_prices_destroy(router->prices);
    router_ledger_destroy(router->ledger);
    router_runtime_unref(router->runtime);
    router_budgets_destroy(router->budgets);
    router_notices_destroy(router->notices);
    router_names_finish(&router->slot_names);
    router_names_finish(&router->model_names);
    router_metrics_destroy(router->metrics);
    free(router);
}

const struct router_plan *router_plan(const struct router *router)
{
    return router->runtime->plan;
}

void router_keeps(struct router *router, int64_t bytes)
{
    router->buffered += (size_t)bytes;
}

struct router_pick_view router_view(struct router *router, size_t deployment)
{
    return router_picker_view(router->runtime->picker, deployment, loop_now(router->env.loop));
}

bool router_next_budget(struct router *router, size_t *cursor, struct router_budget_state *ret)
{
    return router_budgets_next(router->budgets, cursor, loop_wall(router->env.loop), ret);
}

int64_t router_apply_ledger(struct router *router, store_apply_fn *done, void *context,
                            struct error *err)
{
    return router->ledger ? router_ledger_apply(router->ledger, done, context, err)
                          : error_set(err, -ENOENT, "there is no ledger");
}

const char *router_trouble(const struct router *router)
{
    if (router->ledger_error)
        return router->ledger_error;
    return router->ledger ? router_ledger_trouble(router->ledger) : "";
}
