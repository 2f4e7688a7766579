#include "router_pick_fixture.h"

static bool fails_once(struct fixture *f, enum router_error error, int64_t retry_after_ms,
                       int64_t now_ms)
{
    struct router_failure failure;
    struct router_lease permit = take(f, 0, -1, now_ms);
    router_failure_make(error, retry_after_ms, "x", &failure);
    return router_picker_failed(f->picker, &permit, &failure, -1, now_ms);
}

// It is no trouble but a limit with an end, and holds though the circuit stays closed.
static void test_a_retry_after_is_kept_by_all(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 1);
    start(&f);
    assert_false(fails_once(&f, ROUTER_RATE_LIMIT, 1500, 1000));
    struct router_pick pick = router_picker_pick(f.picker, &f.query, 1000);
    assert_int_equal(pick.reason, PICK_BUSY);
    assert_int_equal(pick.at_ms, 2500);
    assert_int_equal(router_picker_pick(f.picker, &f.query, 2500).reason, PICK_FOUND);
    struct router_lease early = take(&f, 0, -1, 2500), late = take(&f, 0, -1, 2500);
    struct router_failure failure;
    router_failure_make(ROUTER_SERVICE_UNAVAILABLE, 2000, "x", &failure);
    router_picker_failed(f.picker, &early, &failure, -1, 2600);
    failure.retry_after_ms = 500; // the longest that was asked for counts
    router_picker_failed(f.picker, &late, &failure, -1, 2700);
    assert_int_equal(router_picker_pick(f.picker, &f.query, 2700).at_ms, 4600);
    assert_false(fails_once(&f, ROUTER_BAD_REQUEST, 60000, 4600)); // says nothing of the deployment
    assert_int_equal(router_picker_pick(f.picker, &f.query, 4600).reason, PICK_FOUND);
    end(&f);
    f.deployments[0].cooldown_ms = 0; // its owner wants no pauses
    start(&f);
    assert_false(fails_once(&f, ROUTER_RATE_LIMIT, 1500, 1000));
    assert_int_equal(router_picker_pick(f.picker, &f.query, 1000).reason, PICK_FOUND);
    end(&f);
}

// What was seen with one key, at one address, for one model says nothing of another.
static void test_a_standing_belongs_to_a_key(void **state)
{
    (void)state;
    struct fixture f, after;
    begin(&f, 1);
    begin(&after, 1);
    f.deployments[0].max_parallel = after.deployments[0].max_parallel = 1;
    start(&f);
    start(&after);
    struct router_lease old = take(&f, 0, -1, 500);
    router_picker_inherit(after.picker, 0, f.picker, 0);
    struct router_failure failure;
    router_failure_make(ROUTER_AUTHENTICATION, -1, "x", &failure);
    router_picker_failed(f.picker, &old, &failure, -1, 1000);
    assert_int_equal(router_picker_view(after.picker, 0, 1000).state, CIRCUIT_OPEN);
    static const char *const other_headers[] = {"X: 1", NULL};
    for (int i = 0; i < 5; i++) {
        struct fixture corrected = after;
        struct router_deployment *d = &corrected.deployments[0];
        d->api_key = i == 0 ? "corrected" : d->api_key;
        d->base_url = i == 1 ? "http://other/v1" : d->base_url;
        d->model = i == 2 ? "other" : d->model;
        d->params = i == 3 ? "{\"seed\":1}" : d->params;
        d->headers = i == 4 ? other_headers : d->headers;
        start(&corrected);
        router_picker_inherit(corrected.picker, 0, after.picker, 0);
        assert_int_equal(router_picker_view(corrected.picker, 0, 1000).state, CIRCUIT_CLOSED);
        struct router_lease permit = take(&corrected, 0, -1, 1000);
        assert_int_equal(router_picker_view(after.picker, 0, 1000).in_flight, 1); // one limit
        router_picker_answered(corrected.picker, &permit, -1, 1000);
        assert_int_equal(router_picker_view(after.picker, 0, 1000).state, CIRCUIT_OPEN);
        end(&corrected);
    }
    end(&after);
    end(&f);
}

static void test_a_reload_keeps_what_is_known(void **state)
{
    (void)state;
    struct fixture f;
    struct router_lease permit;
    begin(&f, 2);
    f.deployments[1].rpm = 1;
    start(&f);
    breaks(&f, 0, ROUTER_AUTHENTICATION, 1000);
    permit = take(&f, 1, -1, 1000);
    struct router_lease probe = take(&f, 0, -1, 6000); // reports to the old one
    struct router_picker *next = router_picker_create(f.deployments, COUNT, &policy, 2);
    for (size_t i = 0; i < 2; i++)
        router_picker_inherit(next, i, f.picker, i);
    assert_int_equal(router_picker_view(next, 0, 6000).state, CIRCUIT_HALF_OPEN);
    assert_int_equal(router_picker_view(next, 1, 6000).requests, 1);
    assert_int_equal(router_picker_view(next, 1, 6000).in_flight, 1);
    assert_false(router_picker_take(next, 0, 0, -1, 6000, &permit)); // one probe, not two
    router_picker_answered(f.picker, &probe, -1, 6000);
    assert_true(router_picker_take(next, 0, 0, -1, 6000, &permit));
    router_picker_destroy(f.picker);
    assert_int_equal(router_picker_view(next, 0, 6000).state, CIRCUIT_CLOSED);
    f.picker = next;
    end(&f);
}

// The old plan's calls and the new one's are under one limit, which is the new one's.
static void test_a_reload_counts_together(void **state)
{
    (void)state;
    struct fixture f;
    struct router_deployment later[COUNT];
    struct router_lease permit;
    begin(&f, 1);
    f.deployments[0].rpm = 2;
    start(&f);
    memcpy(later, f.deployments, sizeof later);
    later[0].tpm = 100;
    struct router_picker *next = router_picker_create(later, COUNT, &policy, 2);
    router_picker_inherit(next, 0, f.picker, 0);
    take(&f, 0, -1, 1000);
    assert_true(router_picker_take(next, 0, 0, -1, 1000, &permit));
    assert_false(router_picker_take(f.picker, 0, 0, -1, 1000, &permit));
    assert_false(router_picker_take(next, 0, 0, -1, 1000, &permit));
    later[0].rpm = -1;
    struct router_picker *last = router_picker_create(later, COUNT, &policy, 3);
    router_picker_inherit(last, 0, next, 0);
    assert_true(router_picker_take(f.picker, 0, 0, 90, 1000, &permit));
    assert_false(router_picker_take(last, 0, 0, 90, 1000, &permit));
    router_picker_destroy(next);
    router_picker_destroy(last);
    assert_int_equal(router_picker_view(f.picker, 0, 1000).in_flight, 3);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_retry_after_is_kept_by_all),
        cmocka_unit_test(test_a_standing_belongs_to_a_key),
        cmocka_unit_test(test_a_reload_keeps_what_is_known),
        cmocka_unit_test(test_a_reload_counts_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
