#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "router/route/pick.h"

// A group of up to six deployments without limits.
enum { COUNT = 6 };

static const struct router_circuit_policy policy = {
    .cooldown_ms = ROUTER_COOLDOWN_MS,
    .allowed_fails = -1,
    .fails = {-1, -1, -1, -1, -1, -1, -1},
};
static const size_t members[COUNT] = {0, 1, 2, 3, 4, 5};

struct fixture {
    struct router_deployment deployments[COUNT];
    struct router_picker *picker;
    struct router_pick_query query;
};

static void begin(struct fixture *f, size_t count)
{
    *f = (struct fixture){.query = {.members = members,
                                    .count = count,
                                    .only = ROUTER_NONE,
                                    .tokens = -1,
                                    .prompt_tokens = -1}};
    for (size_t i = 0; i < COUNT; i++)
        f->deployments[i] = (struct router_deployment){
            .index = i,
            .api_key = "key",
            .base_url = "http://server/v1",
            .model = "model",
            .params = "{}",
            .order = 1,
            .weight_micro = 1000000,
            .rpm = -1,
            .tpm = -1,
            .max_parallel = -1,
            .cooldown_ms = -1,
            .num_retries = -1,
            .max_input_tokens = -1,
            .price = ROUTER_PRICE_UNKNOWN,
        };
}

static void start(struct fixture *f)
{
    f->picker = router_picker_create(f->deployments, COUNT, &policy, 1);
}

static void end(struct fixture *f)
{
    router_picker_destroy(f->picker);
}

static struct router_lease take(struct fixture *f, size_t index, int64_t tokens, int64_t now_ms)
{
    struct router_lease lease;
    assert_true(router_picker_take(f->picker, index, 0, tokens, now_ms, &lease));
    return lease;
}

static void breaks(struct fixture *f, size_t index, enum router_error error, int64_t now_ms)
{
    struct router_failure failure;
    struct router_lease lease = take(f, index, -1, now_ms);
    router_failure_make(error, -1, "x", &failure);
    router_picker_failed(f->picker, &lease, &failure, -1, now_ms);
}
