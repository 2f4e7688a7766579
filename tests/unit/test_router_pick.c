#include "router/route/prng.h"
#include "router_pick_fixture.h"

// How often each is chosen.
static void shares(struct fixture *f, int64_t now_ms, int *ret_counts)
{
    memset(ret_counts, 0, COUNT * sizeof *ret_counts);
    for (int i = 0; i < 10000; i++) {
        struct router_pick pick = router_picker_pick(f->picker, &f->query, now_ms);
        assert_int_equal(pick.reason, PICK_FOUND);
        ret_counts[pick.deployment]++;
    }
}

static void test_by_weight(void **state)
{
    (void)state;
    struct fixture f;
    int counts[COUNT];
    begin(&f, 4);
    f.deployments[0].weight_micro = 3000000;
    f.deployments[2].weight_micro = 0;
    f.deployments[3].weight_micro = 1000000;
    start(&f);
    shares(&f, 1000, counts); // 3 : 1 : 0 : 1
    assert_in_range(counts[0], 5700, 6300);
    assert_in_range(counts[1], 1800, 2200);
    assert_int_equal(counts[2], 0);
    assert_in_range(counts[3], 1800, 2200);
    breaks(&f, 0, ROUTER_AUTHENTICATION, 1000);
    breaks(&f, 1, ROUTER_AUTHENTICATION, 1000);
    breaks(&f, 3, ROUTER_AUTHENTICATION, 1000);
    shares(&f, 1000, counts); // the last resort
    assert_int_equal(counts[2], 10000);
    end(&f);
}

static void test_equal_where_none_has_a_weight(void **state)
{
    (void)state;
    struct fixture f;
    int counts[COUNT];
    begin(&f, 3);
    for (size_t i = 0; i < 3; i++)
        f.deployments[i].weight_micro = 0;
    start(&f);
    shares(&f, 1000, counts);
    for (size_t i = 0; i < 3; i++)
        assert_in_range(counts[i], 3000, 3700);
    end(&f);
}

static void test_the_lowest_order_that_can_be_asked(void **state)
{
    (void)state;
    struct fixture f;
    int counts[COUNT];
    uint32_t tried[] = {1};
    begin(&f, 3);
    f.deployments[0].order = 2;
    f.deployments[1].order = 1;
    f.deployments[2].order = 3;
    start(&f);
    shares(&f, 1000, counts);
    assert_int_equal(counts[1], 10000);
    f.query.tried = tried;
    f.query.tried_count = 1;
    shares(&f, 1000, counts);
    assert_int_equal(counts[0], 10000);
    breaks(&f, 0, ROUTER_NOT_FOUND, 1000);
    shares(&f, 1000, counts);
    assert_int_equal(counts[2], 10000);
    f.deployments[2].trouble = "it has no key";
    struct router_pick pick = router_picker_pick(f.picker, &f.query, 1000);
    assert_int_equal(pick.reason, PICK_OPEN);
    assert_int_equal(pick.at_ms, 6000); // the half-open instant of the only one left
    assert_true(pick.deployment == ROUTER_NONE);
    end(&f);
}

static void test_limits_and_when_they_end(void **state)
{
    (void)state;
    struct fixture f;
    struct router_pick pick;
    begin(&f, 1);
    f.deployments[0].rpm = 2;
    f.deployments[0].max_parallel = 2;
    start(&f);
    struct router_lease first = take(&f, 0, -1, 1000), second = take(&f, 0, -1, 5000), third;
    pick = router_picker_pick(f.picker, &f.query, 5000);
    assert_int_equal(pick.reason, PICK_BUSY);
    assert_int_equal(pick.at_ms, -1); // when one of them ends
    assert_false(router_picker_take(f.picker, 0, 0, -1, 5000, &third));
    router_picker_answered(f.picker, &first, -1, 6000);
    router_picker_cancelled(f.picker, &second, -1, 6000);
    pick = router_picker_pick(f.picker, &f.query, 6000);
    assert_int_equal(pick.reason, PICK_BUSY);
    assert_int_equal(pick.at_ms, 62000);
    assert_false(router_picker_take(f.picker, 0, 0, -1, 61999, &third));
    take(&f, 0, -1, 62000);
    assert_int_equal(router_picker_view(f.picker, 0, 62000).requests, 2);
    assert_int_equal(router_picker_view(f.picker, 0, 62000).in_flight, 1);
    end(&f);
}

static void test_what_never_went_out_counts_nowhere(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1);
    f.deployments[0].rpm = 1;
    f.deployments[0].tpm = 100;
    f.deployments[0].max_parallel = 1;
    start(&f);
    struct router_lease first = take(&f, 0, 80, 1000);
    router_picker_returned(f.picker, &first, 2000);
    struct router_pick_view view = router_picker_view(f.picker, 0, 2000);
    assert_true(view.requests == 0 && view.tokens == 0 && view.in_flight == 0);
    take(&f, 0, 80, 2000);
    end(&f);
}

static void test_tokens_per_minute(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1);
    f.deployments[0].tpm = 1000;
    f.query.tokens = 600;
    start(&f);
    struct router_lease lease = take(&f, 0, 600, 1000);
    assert_int_equal(router_picker_pick(f.picker, &f.query, 2000).reason, PICK_BUSY);
    router_picker_answered(f.picker, &lease, 300, 2000);
    assert_int_equal(router_picker_pick(f.picker, &f.query, 2000).reason, PICK_FOUND);
    f.query.tokens = 5000; // larger than the limit: alone
    assert_int_equal(router_picker_pick(f.picker, &f.query, 2000).at_ms, 62000);
    end(&f);
    f.deployments[0].tpm = 0;
    start(&f);
    assert_int_equal(router_picker_pick(f.picker, &f.query, 900000).reason, PICK_BUSY); // never
    end(&f);
}

static void test_what_providers_say_remains(void **state)
{
    (void)state;
    struct fixture f;
    struct router_rate_limits limits = ROUTER_RATE_LIMITS_INIT;
    begin(&f, 1);
    start(&f);
    struct router_lease lease = {.deployment = 0};
    limits.remaining_tokens = 5;
    limits.tokens_reset_ms = 20000;
    router_picker_rate(f.picker, &lease, &limits);
    assert_int_equal(router_picker_pick(f.picker, &f.query, 1000).reason, PICK_FOUND);
    limits.remaining_tokens = 0;
    router_picker_rate(f.picker, &lease, &limits);
    struct router_pick pick = router_picker_pick(f.picker, &f.query, 1000);
    assert_int_equal(pick.reason, PICK_BUSY);
    assert_int_equal(pick.at_ms, 20000);
    assert_int_equal(router_picker_pick(f.picker, &f.query, 20000).reason, PICK_FOUND);
    end(&f);
}

// --- many models behind a wildcard

static void model_breaks(struct fixture *f, uint64_t model, enum router_error error, int status,
                         int64_t now_ms)
{
    struct router_lease lease;
    struct router_failure failure;
    assert_true(router_picker_take(f->picker, 0, model, -1, now_ms, &lease));
    router_failure_make(error, -1, "x", &failure);
    failure.upstream_status = status;
    router_picker_failed(f->picker, &lease, &failure, -1, now_ms);
}

static bool may_go(struct fixture *f, uint64_t model, int64_t now_ms)
{
    struct router_lease lease;
    f->query.model = model;
    bool found = router_picker_pick(f->picker, &f->query, now_ms).reason == PICK_FOUND;
    bool taken = router_picker_take(f->picker, 0, model, -1, now_ms, &lease);
    if (taken)
        router_picker_returned(f->picker, &lease, now_ms);
    assert_int_equal(found, taken);
    return found;
}

static void test_a_models_trouble_is_its_own(void **state)
{
    (void)state;
    struct fixture f;
    struct router_lease probe, second;
    begin(&f, 1);
    start(&f);
    model_breaks(&f, 7, ROUTER_RATE_LIMIT, 429, 1000);
    assert_false(may_go(&f, 7, 1001));
    assert_true(may_go(&f, 8, 1001));
    assert_int_equal(router_picker_view(f.picker, 0, 1001).state, CIRCUIT_CLOSED);
    // Half-open: exactly one of it, and the others are not kept from anything.
    assert_true(router_picker_take(f.picker, 0, 7, -1, 6000, &probe));
    assert_false(router_picker_take(f.picker, 0, 7, -1, 6000, &second));
    assert_true(may_go(&f, 8, 6000));
    router_picker_answered(f.picker, &probe, -1, 6100);
    assert_true(may_go(&f, 7, 6100));
    end(&f);
}

static void test_a_providers_trouble_is_all_models(void **state)
{
    (void)state;
    static const enum router_error errors[] = {ROUTER_AUTHENTICATION, ROUTER_PAYMENT};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct fixture f;
        begin(&f, 1);
        start(&f);
        model_breaks(&f, 7, errors[i], 401, 1000);
        assert_false(may_go(&f, 7, 1001));
        assert_false(may_go(&f, 8, 1001));
        assert_int_equal(router_picker_view(f.picker, 0, 1001).state, CIRCUIT_OPEN);
        end(&f);
    }
}

static void test_what_remains_of_a_model_is_its_own(void **state)
{
    (void)state;
    struct fixture f;
    struct router_rate_limits limits = ROUTER_RATE_LIMITS_INIT;
    struct router_lease lease = {.deployment = 0, .standing.model = 7};
    begin(&f, 1);
    start(&f);
    limits.remaining_requests = 0;
    limits.requests_reset_ms = 20000;
    router_picker_rate(f.picker, &lease, &limits);
    assert_false(may_go(&f, 7, 1000));
    assert_true(may_go(&f, 8, 1000));
    assert_true(may_go(&f, 7, 20000));
    end(&f);
}

// Whoever asks for a thousand models costs no more than for some.
static void test_models_are_forgotten(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    struct fixture f;
    struct router_circuit_policy long_policy = policy;
    unsigned open = 0;
    begin(&f, 1);
    long_policy.cooldown_ms = 60000;
    f.picker = router_picker_create(f.deployments, COUNT, &long_policy, 1);
    for (uint64_t model = 1; model <= MANY; model++)
        model_breaks(&f, model, ROUTER_RATE_LIMIT, 429, 1000 + (int64_t)model);
    for (uint64_t model = 1; model <= MANY; model++)
        open += !may_go(&f, model, 2000 + MANY);
    assert_int_equal(open, 32);
    assert_false(may_go(&f, MANY, 2000 + MANY));
    struct router_picker *next = router_picker_create(f.deployments, COUNT, &long_policy, 2);
    router_picker_inherit(next, 0, f.picker, 0);
    router_picker_destroy(f.picker);
    f.picker = next;
    assert_false(may_go(&f, MANY, 2000 + MANY));
    assert_true(may_go(&f, 1, 2000 + MANY));
    end(&f);
}

static void test_a_context_that_is_too_small(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 2);
    f.deployments[0].max_input_tokens = 1000;
    f.deployments[1].max_input_tokens = 2000;
    start(&f);
    f.query.prompt_tokens = 1500;
    f.query.pre_call_checks = true;
    for (int i = 0; i < 50; i++)
        assert_int_equal(router_picker_pick(f.picker, &f.query, 1000).deployment, 1);
    f.query.prompt_tokens = 3000;
    assert_int_equal(router_picker_pick(f.picker, &f.query, 1000).reason, PICK_TOO_LONG);
    f.query.pre_call_checks = false;
    assert_int_equal(router_picker_pick(f.picker, &f.query, 1000).reason, PICK_FOUND);
    end(&f);
}

static void test_other_strategies(void **state)
{
    (void)state;
    struct fixture f;
    int counts[COUNT];
    begin(&f, 3);
    f.deployments[0].tpm = 1000;
    f.deployments[1].tpm = 10000;
    f.deployments[2].tpm = 1000;
    f.deployments[0].price.input_pico = f.deployments[0].price.output_pico = 900;
    f.deployments[1].price.input_pico = f.deployments[1].price.output_pico = 500;
    start(&f);
    struct router_lease slow = take(&f, 0, 500, 1000), quick = take(&f, 1, 600, 1000);
    take(&f, 2, 200, 1000);
    take(&f, 2, 200, 1000);
    f.query.strategy = ROUTER_LEAST_BUSY;
    shares(&f, 1000, counts);
    assert_int_equal(counts[2], 0);
    assert_in_range(counts[0], 4500, 5500);
    f.query.strategy = ROUTER_USAGE_BASED; // 50 %, 6 %, 40 %
    shares(&f, 1000, counts);
    assert_int_equal(counts[1], 10000);
    f.query.strategy = ROUTER_COST_BASED; // the third has no known price
    shares(&f, 1000, counts);
    assert_int_equal(counts[1], 10000);
    f.query.strategy = ROUTER_LATENCY_BASED;
    shares(&f, 1000, counts);
    assert_in_range(counts[0], 3000, 3700); // nobody has answered yet
    router_picker_alive(f.picker, &slow, 3000);
    router_picker_alive(f.picker, &quick, 1200);
    shares(&f, 3000, counts);
    assert_int_equal(counts[2], 10000); // and one still has not
    f.query.count = 2;
    shares(&f, 3000, counts);
    assert_int_equal(counts[1], 10000);
    assert_int_equal(router_picker_view(f.picker, 0, 3000).latency_ms, 2000);
    end(&f);
}

// That all together have room helps nobody; that the one which has is busy is another matter.
static void test_room_within_the_limits_of_one(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 2);
    f.deployments[0].tpm = f.deployments[1].tpm = 100;
    f.deployments[1].max_parallel = 1;
    start(&f);
    f.query.tokens = 60;
    assert_int_equal(router_picker_room_at(f.picker, &f.query, 1000), 1000);
    take(&f, 0, 60, 1000);
    struct router_lease other = take(&f, 1, 40, 5000);
    assert_int_equal(router_picker_room_at(f.picker, &f.query, 5000), 5000); // merely busy
    router_picker_failed(f.picker, &other, &(struct router_failure){.error = ROUTER_AUTHENTICATION},
                         40, 5000);
    assert_int_equal(router_picker_room_at(f.picker, &f.query, 6000), 62000);
    breaks(&f, 0, ROUTER_AUTHENTICATION, 6000);
    assert_int_equal(router_picker_room_at(f.picker, &f.query, 6000), -1);
    end(&f);
}

enum { CLIENTS = 40, EVENTS = 20000 };

// Whatever 40 clients do: no limit is ever passed, in any window, and none leaks.
static void test_random_schedules(void **state)
{
    (void)state;
    static int64_t at[EVENTS], tokens[EVENTS];
    struct {
        bool busy;
        struct router_lease lease;
        size_t event;
    } clients[CLIENTS] = {0};
    struct fixture f;
    uint64_t prng = 5;
    size_t events = 0, in_flight = 0, refused = 0;
    int64_t now = 1000;
    begin(&f, 1);
    f.deployments[0].rpm = 300;
    f.deployments[0].tpm = 100000;
    f.deployments[0].max_parallel = 7;
    start(&f);
    for (int step = 0; step < EVENTS; step++) {
        size_t i = router_prng_below(&prng, CLIENTS);
        int64_t want = (int64_t)router_prng_below(&prng, 1000);
        now += (int64_t)router_prng_below(&prng, 120);
        f.query.tokens = want;
        if (clients[i].busy) {
            int64_t used = (int64_t)router_prng_below(&prng, (uint64_t)clients[i].lease.tokens + 1);
            clients[i].busy = false;
            in_flight--;
            tokens[clients[i].event] = used;
            router_picker_answered(f.picker, &clients[i].lease, used, now);
            continue;
        }
        bool may = router_picker_pick(f.picker, &f.query, now).reason == PICK_FOUND;
        clients[i].busy = router_picker_take(f.picker, 0, 0, want, now, &clients[i].lease);
        assert_int_equal(may, clients[i].busy);
        refused += !may;
        if (!may)
            continue;
        at[events] = now;
        tokens[events] = want;
        clients[i].event = events++;
        assert_true(++in_flight <= 7);
        int64_t sum = 0, requests = 0;
        for (size_t n = events; n-- > 0 && at[n] >= now - 60000; requests++)
            sum += tokens[n];
        assert_true(sum <= 100000 && requests <= 300);
    }
    assert_true(events > 2000 && refused > 2000);
    for (size_t i = 0; i < CLIENTS; i++)
        if (clients[i].busy)
            router_picker_cancelled(f.picker, &clients[i].lease, 0, now);
    assert_int_equal(router_picker_view(f.picker, 0, now).in_flight, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_weight),
        cmocka_unit_test(test_equal_where_none_has_a_weight),
        cmocka_unit_test(test_the_lowest_order_that_can_be_asked),
        cmocka_unit_test(test_limits_and_when_they_end),
        cmocka_unit_test(test_what_never_went_out_counts_nowhere),
        cmocka_unit_test(test_tokens_per_minute),
        cmocka_unit_test(test_what_providers_say_remains),
        cmocka_unit_test(test_a_models_trouble_is_its_own),
        cmocka_unit_test(test_a_providers_trouble_is_all_models),
        cmocka_unit_test(test_what_remains_of_a_model_is_its_own),
        cmocka_unit_test(test_models_are_forgotten),
        cmocka_unit_test(test_a_context_that_is_too_small),
        cmocka_unit_test(test_other_strategies),
        cmocka_unit_test(test_room_within_the_limits_of_one),
        cmocka_unit_test(test_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
