#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/plan/plan_read.h"
#include "router/route/fallback_iter.h"

/*
 * Groups named by letters: "a" of deployments 0 and 1, "b" of 2, "c" of 3, "d" of 4 and 5. What
 * follows on what stands in `lists`.
 */
enum { GROUPS = 4, DEPLOYMENTS = 6, LISTS = 6 };

struct lists {
    struct router_chain lists[ROUTER_CHAIN_KINDS][LISTS];
    struct router_target targets[ROUTER_CHAIN_KINDS][LISTS][4];
};

static const size_t members[GROUPS][2] = {{0, 1}, {2}, {3}, {4, 5}};
static const char *const names[GROUPS] = {"a", "b", "c", "d"};

struct fixture {
    struct router_deployment deployments[DEPLOYMENTS];
    struct router_group groups[GROUPS];
    struct lists lists;
    struct plan_memory memory; // of the plan, in which no name is looked up
    struct router_fallback_request request;
    struct router_circuit_policy policy;
    struct router_picker *picker;
    struct router_fallback_iter iter;
    int64_t now;
};

static inline void fill(struct fixture *f)
{
    for (size_t i = 0; i < DEPLOYMENTS; i++)
        f->deployments[i] = (struct router_deployment){
            .index = i,
            .group = i < 2   ? 0
                     : i < 4 ? i - 1
                             : 3,
            .order = 1,
            .weight_micro = i == 0 || i == 4 ? 1000000 : 0, // the first of a group first
            .rpm = -1,
            .tpm = -1,
            .max_parallel = -1,
            .cooldown_ms = -1,
            .num_retries = -1,
            .max_input_tokens = -1,
            .price = ROUTER_PRICE_UNKNOWN,
        };
    for (size_t i = 0; i < GROUPS; i++)
        f->groups[i] = (struct router_group){
            .name = names[i], .members = members[i], .count = i == 0 || i == 3 ? 2 : 1};
}

static inline void begin(struct fixture *f)
{
    *f = (struct fixture){.now = 1000};
    fill(f);
    f->memory.plan = (struct router_plan){
        .groups = f->groups, .deployments = f->deployments, .num_retries = 2, .max_fallbacks = 5};
    f->policy = (struct router_circuit_policy){
        .own_cooldown_ms = -1, .cooldown_ms = ROUTER_COOLDOWN_MS, .allowed_fails = -1};
    for (size_t i = 0; i < ROUTER_CLASSES; i++)
        f->memory.plan.retries[i] = f->policy.fails[i] = -1;
    f->request = (struct router_fallback_request){.target = {"a", 0, ROUTER_NONE},
                                                  .num_retries = -1,
                                                  .tokens = -1,
                                                  .prompt_tokens = -1,
                                                  .deadline_ms = 600000};
}

static inline struct router_target target_of(char letter)
{
    size_t group = (size_t)(letter - 'a');
    return (struct router_target){names[group], group, ROUTER_NONE};
}

// fallbacks: [{"a": ["b", "c"]}] is list_of(f, ROUTER_CHAIN_GENERAL, "a", "bc").
static inline void list_of(struct fixture *f, enum router_chain_kind kind, const char *name,
                           const char *letters)
{
    struct router_plan *plan = &f->memory.plan;
    size_t at = plan->chain_counts[kind]++;
    for (size_t i = 0; letters[i]; i++)
        f->lists.targets[kind][at][i] = target_of(letters[i]);
    f->lists.lists[kind][at] =
        (struct router_chain){name, f->lists.targets[kind][at], strlen(letters)};
    plan->chains[kind] = f->lists.lists[kind];
    plan->chains_set[kind] = true;
}

static inline void start(struct fixture *f)
{
    f->picker = router_picker_create(f->deployments, DEPLOYMENTS, &f->policy, 1);
    router_fallback_init(&f->iter, &f->memory.plan, f->picker, &f->request, 7);
}

static inline void end(struct fixture *f)
{
    router_picker_destroy(f->picker);
}

// The next attempt, waits gone through; false: it was given up.
static inline bool next(struct fixture *f, struct router_step *ret_step)
{
    for (int i = 0; i < 100; i++) {
        router_fallback_next(&f->iter, f->now, ret_step);
        if (ret_step->kind != STEP_WAIT)
            return ret_step->kind == STEP_ATTEMPT;
        assert_true(ret_step->at_ms > f->now);
        f->now = ret_step->at_ms;
    }
    assert_true(false);
    return false;
}

static inline void failing(struct fixture *f, const struct router_step *step,
                           enum router_error error, int64_t retry_after_ms)
{
    struct router_failure failure;
    router_failure_make(error, retry_after_ms, "no", &failure);
    router_picker_failed(f->picker, &step->lease, &failure, -1, f->now);
    router_fallback_failed(&f->iter, &failure, f->now);
}
