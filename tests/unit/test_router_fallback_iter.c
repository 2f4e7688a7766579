#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "router/route/prng.h"
#include "router_fallback_fixture.h"

/*
 * Lets every attempt fail with `error` and checks who was asked, as digits ("0011"); 1 as a letter
 * in front of a digit would be "+": how long it took is in f->now.
 */
static void expect(struct fixture *f, enum router_error error, const char *asked)
{
    char log[ROUTER_ATTEMPTS_MAX + 1] = "";
    struct router_step step;
    size_t count = 0;
    while (next(f, &step)) {
        assert_true(count < ROUTER_ATTEMPTS_MAX);
        log[count++] = (char)('0' + step.lease.deployment);
        assert_int_equal(step.attempt, count);
        failing(f, &step, error, -1);
    }
    log[count] = '\0';
    assert_string_equal(log, asked);
}

static void test_another_deployment_at_once_then_the_same_after_a_while(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step step;
    begin(&f);
    start(&f);
    assert_true(next(&f, &step));
    assert_int_equal(step.why, ROUTER_WHY_FIRST);
    failing(&f, &step, ROUTER_INTERNAL_SERVER, -1);
    router_fallback_next(&f.iter, f.now, &step); // no sleep
    assert_int_equal(step.kind, STEP_ATTEMPT);
    assert_int_equal(step.lease.deployment, 1);
    assert_int_equal(step.why, ROUTER_WHY_DEPLOYMENT);
    failing(&f, &step, ROUTER_INTERNAL_SERVER, -1);
    router_fallback_next(&f.iter, f.now, &step);
    assert_int_equal(step.kind, STEP_WAIT);
    assert_in_range(step.at_ms - f.now, ROUTER_BACKOFF_MS, 2 * ROUTER_BACKOFF_MS);
    assert_true(next(&f, &step));
    assert_int_equal(step.why, ROUTER_WHY_RETRY);
    assert_int_equal(step.lease.deployment, 1);
    failing(&f, &step, ROUTER_INTERNAL_SERVER, -1);
    assert_false(next(&f, &step)); // two retries
    assert_int_equal(f.iter.retries, 2);
    assert_int_equal(f.iter.max_retries, 2);
    assert_int_equal(f.iter.fallbacks, 0);
    end(&f);
}

static void test_no_retry_where_it_cannot_help(void **state)
{
    (void)state;
    static const enum router_error hopeless[] = {
        ROUTER_AUTHENTICATION, ROUTER_PAYMENT,    ROUTER_PERMISSION_DENIED, ROUTER_NOT_FOUND,
        ROUTER_BAD_REQUEST,    ROUTER_RATE_LIMIT, ROUTER_UNPROCESSABLE};
    for (size_t i = 0; i < ARRAY_LEN(hopeless); i++) {
        struct fixture f;
        begin(&f);
        list_of(&f, ROUTER_CHAIN_GENERAL, "a", "bc");
        start(&f);
        expect(&f, hopeless[i], "0123"); // each once, and nobody sleeps
        assert_int_equal(f.now, 1000);
        assert_int_equal(f.iter.fallbacks, 2);
        assert_int_equal(router_fallback_failure(&f.iter)->error, hopeless[i]);
        end(&f);
    }
}

static void test_num_retries(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "b");
    f.memory.plan.num_retries = 0;
    start(&f);
    expect(&f, ROUTER_INTERNAL_SERVER, "02");
    end(&f);
    begin(&f);
    f.memory.plan.retries[ROUTER_CLASS_INTERNAL_SERVER] = 1; // retry_policy is before num_retries
    start(&f);
    expect(&f, ROUTER_INTERNAL_SERVER, "01");
    end(&f);
    begin(&f);
    f.deployments[0].num_retries = 3;
    f.deployments[1].num_retries = 3;
    start(&f);
    expect(&f, ROUTER_INTERNAL_SERVER, "0111");
    end(&f);
    begin(&f);
    f.request.num_retries = 0; // the client's own
    f.memory.plan.retries[ROUTER_CLASS_INTERNAL_SERVER] = 1;
    start(&f);
    expect(&f, ROUTER_INTERNAL_SERVER, "0");
    end(&f);
    begin(&f);
    f.memory.plan.retries[ROUTER_CLASS_BAD_REQUEST] =
        3; // the owner's word: even where it cannot help
    start(&f);
    expect(&f, ROUTER_BAD_REQUEST, "0111");
    end(&f);
}

static void test_each_order_is_a_level_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "b");
    f.memory.plan.num_retries = 1;
    f.deployments[1].order = 2;
    start(&f);
    expect(&f, ROUTER_INTERNAL_SERVER, "001122");
    end(&f);
    begin(&f);
    f.memory.plan.num_retries = 0;
    f.deployments[1].order = 2;
    start(&f);
    expect(&f, ROUTER_AUTHENTICATION, "01");
    end(&f);
}

static void test_retry_after_is_a_floor(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step step;
    begin(&f);
    f.request.target = target_of('b');
    start(&f);
    assert_true(next(&f, &step));
    failing(&f, &step, ROUTER_SERVICE_UNAVAILABLE, 1900);
    router_fallback_next(&f.iter, f.now, &step);
    assert_int_equal(step.kind, STEP_WAIT);
    assert_in_range(step.at_ms - f.now, 1900, 1900 + ROUTER_BACKOFF_JITTER_MS);
    end(&f);
}

static void test_the_back_off_grows_to_its_end(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step step;
    begin(&f);
    f.request.target = target_of('b');
    f.policy.disabled = true;
    f.request.num_retries = 40;
    f.request.deadline_ms = INT64_MAX;
    start(&f);
    assert_true(next(&f, &step));
    for (int retry = 0; retry < 40; retry++) {
        failing(&f, &step, ROUTER_INTERNAL_SERVER, -1);
        int64_t failed_ms = f.now;
        assert_true(next(&f, &step));
        assert_in_range(f.now - failed_ms, ROUTER_BACKOFF_MS / 2, ROUTER_BACKOFF_MAX_MS);
        assert_true(retry < 5 || f.now - failed_ms >= ROUTER_BACKOFF_MAX_MS / 2);
    }
    end(&f);
}

static void test_nothing_begins_after_the_deadline(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step step;
    begin(&f);
    f.request.target = target_of('b');
    f.request.deadline_ms = 1200; // no back-off ends before it
    list_of(&f, ROUTER_CHAIN_GENERAL, "b", "c");
    start(&f);
    expect(&f, ROUTER_INTERNAL_SERVER, "23"); // so it goes on at once
    assert_int_equal(f.now, 1000);
    end(&f);
    begin(&f);
    start(&f);
    f.now = f.request.deadline_ms;
    assert_false(next(&f, &step));
    assert_int_equal(router_fallback_failure(&f.iter)->error, ROUTER_TIMEOUT);
    end(&f);
}

static void test_fallbacks_of_fallbacks(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "abc"); // itself is skipped
    list_of(&f, ROUTER_CHAIN_GENERAL, "b", "da");  // and who was asked before
    start(&f);
    expect(&f, ROUTER_AUTHENTICATION, "012453");
    assert_int_equal(f.iter.fallbacks, 3);
    end(&f);
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "bc");
    list_of(&f, ROUTER_CHAIN_GENERAL, "b", "d");
    f.memory.plan.max_fallbacks = 1; // one was tried: no other list is begun
    start(&f);
    expect(&f, ROUTER_AUTHENTICATION, "0123");
    end(&f);
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "b");
    f.request.disable_fallbacks = true;
    start(&f);
    expect(&f, ROUTER_AUTHENTICATION, "01");
    end(&f);
}

static void test_a_clients_own_list(void **state)
{
    (void)state;
    struct fixture f;
    struct router_target targets[] = {target_of('c'), target_of('a'), target_of('b')};
    struct router_chain own = {"", targets, 3};
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "d");
    list_of(&f, ROUTER_CHAIN_GENERAL, "c", "d");
    list_of(&f, ROUTER_CHAIN_CONTEXT_WINDOW, "a", "d");
    f.request.client = &own;
    start(&f);
    expect(&f, ROUTER_NOT_FOUND, "0132");
    end(&f);
}

static void test_lists_for_what_is_too_long_or_forbidden(void **state)
{
    (void)state;
    static const struct {
        enum router_error error;
        enum router_chain_kind kind;
    } both[] = {{ROUTER_CONTEXT_WINDOW, ROUTER_CHAIN_CONTEXT_WINDOW},
                {ROUTER_CONTENT_POLICY, ROUTER_CHAIN_CONTENT_POLICY}};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        struct fixture f;
        begin(&f);
        list_of(&f, ROUTER_CHAIN_GENERAL, "a", "b");
        list_of(&f, both[i].kind, "a", "c");
        start(&f);
        expect(&f, both[i].error, "03"); // straight to its own list
        end(&f);
        begin(&f);
        list_of(&f, ROUTER_CHAIN_GENERAL, "a", "b");
        start(&f);
        expect(&f, both[i].error, "012");
        end(&f);
        begin(&f);
        list_of(&f, both[i].kind, "b", "c"); // the setting is there, but not for this group
        start(&f);
        expect(&f, both[i].error, "0");
        end(&f);
    }
}

static void test_what_no_model_can_mend(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "b");
    start(&f);
    expect(&f, ROUTER_CANCELLED, "0");
    assert_int_equal(router_fallback_failure(&f.iter)->error, ROUTER_CANCELLED);
    end(&f);
}

static void test_what_another_model_can_cost_less(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "b");
    start(&f);
    expect(&f, ROUTER_BUDGET, "012");
    assert_int_equal(router_fallback_failure(&f.iter)->error, ROUTER_BUDGET);
    end(&f);
}

static void test_an_open_circuit_is_passed_over(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step step;
    begin(&f);
    f.request.target = target_of('b');
    f.request.wait_ms = 30000; // is for room only
    start(&f);
    expect(&f, ROUTER_AUTHENTICATION, "2");
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 8);
    assert_false(next(&f, &step));
    assert_int_equal(f.now, 1000);
    const struct router_failure *failure = router_fallback_failure(&f.iter);
    assert_int_equal(failure->error, ROUTER_NO_DEPLOYMENT);
    assert_int_equal(failure->retry_after_ms, ROUTER_COOLDOWN_MS);
    assert_string_equal(failure->text,
                        "No deployments available for selected model, Try again in 5 seconds. "
                        "Passed model=b. pre-call-checks=False, reason=cooling down after "
                        "failures");
    list_of(&f, ROUTER_CHAIN_GENERAL, "b", "c");
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 9);
    assert_true(next(&f, &step));
    assert_int_equal(step.lease.deployment, 3);
    assert_int_equal(step.why, ROUTER_WHY_FALLBACK);
    end(&f);
}

static void test_waits_for_room_only_where_nothing_else_is_left(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step step;
    begin(&f);
    f.request.target = target_of('b');
    f.request.wait_ms = 70000;
    f.deployments[2].rpm = 1;
    f.memory.plan.num_retries = 0;
    start(&f);
    assert_true(next(&f, &step));
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 8);
    router_fallback_next(&f.iter, f.now, &step);
    assert_int_equal(step.kind, STEP_WAIT);
    assert_int_equal(step.at_ms, 62000);
    f.now = 62000;
    router_fallback_next(&f.iter, f.now, &step);
    assert_int_equal(step.kind, STEP_ATTEMPT);
    f.request.wait_ms = 1000; // room comes too late
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 9);
    router_fallback_next(&f.iter, f.now, &step);
    assert_int_equal(step.kind, STEP_GIVE_UP);
    assert_int_equal(router_fallback_failure(&f.iter)->error, ROUTER_NO_DEPLOYMENT);
    f.request.wait_ms = 70000;
    list_of(&f, ROUTER_CHAIN_GENERAL, "b", "c");
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 10);
    router_fallback_next(&f.iter, f.now, &step);
    assert_int_equal(step.kind, STEP_ATTEMPT);
    assert_int_equal(step.lease.deployment, 3);
    end(&f);
}

static void test_waits_for_somebody_to_end(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step first, step;
    begin(&f);
    f.request.target = target_of('b');
    f.request.wait_ms = 5000;
    f.deployments[2].max_parallel = 1;
    start(&f);
    assert_true(next(&f, &first));
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 8);
    router_fallback_next(&f.iter, 1000, &step);
    assert_int_equal(step.kind, STEP_WAIT);
    assert_int_equal(step.at_ms, 6000);
    router_picker_answered(f.picker, &first.lease, -1, 3000);
    router_fallback_next(&f.iter, 3000, &step);
    assert_int_equal(step.kind, STEP_ATTEMPT);
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 9);
    router_fallback_next(&f.iter, 4000, &step);
    router_fallback_next(&f.iter, 9000,
                         &step); // its patience is over, though nothing else happened
    assert_int_equal(step.kind, STEP_GIVE_UP);
    end(&f);
}

static void test_a_deployment_by_its_id(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "d");
    f.lists.targets[0][0][0].deployment = 5;
    start(&f);
    expect(&f, ROUTER_NOT_FOUND, "015");
    end(&f);
}

static void test_a_context_that_no_deployment_has(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_CONTEXT_WINDOW, "b", "c");
    f.request.target = target_of('b');
    f.memory.plan.pre_call_checks = true;
    f.deployments[2].max_input_tokens = 100;
    f.request.prompt_tokens = 5000;
    start(&f);
    expect(&f, ROUTER_NOT_FOUND, "3");
    assert_int_equal(router_fallback_failure(&f.iter)->error, ROUTER_CONTEXT_WINDOW);
    end(&f);
}

static void test_the_message_of_litellm(void **state)
{
    (void)state;
    struct fixture f;
    struct router_step step;
    BUF_AUTO out = BUF_INIT(4000);
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "b", "cd");
    f.request.target = target_of('b');
    f.memory.plan.num_retries = 0;
    start(&f);
    assert_true(next(&f, &step));
    failing(&f, &step, ROUTER_INTERNAL_SERVER, -1);
    assert_true(next(&f, &step));
    failing(&f, &step, ROUTER_NOT_FOUND, -1);
    assert_true(next(&f, &step));
    failing(&f, &step, ROUTER_RATE_LIMIT, -1);
    assert_false(next(&f, &step));
    router_fallback_message(&f.iter, span_of("openai"), &out);
    assert_string_equal(
        buf_text(&out),
        "litellm.InternalServerError: InternalServerError: OpenAIException - no. Received Model "
        "Group=b\nAvailable Model Group Fallbacks=['c', 'd']\nError doing the fallback: "
        "litellm.RateLimitError: no");
    buf_clear(&out);
    f.request.target = target_of('c');
    router_fallback_init(&f.iter, &f.memory.plan, f.picker, &f.request, 8);
    assert_false(next(&f, &step));
    router_fallback_message(&f.iter, SPAN_ABSENT, &out);
    assert_true(span_ends_with(buf_span(&out),
                               "Received Model Group=c\nAvailable Model Group Fallbacks=None"));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_deployment_at_once_then_the_same_after_a_while),
        cmocka_unit_test(test_no_retry_where_it_cannot_help),
        cmocka_unit_test(test_num_retries),
        cmocka_unit_test(test_each_order_is_a_level_of_its_own),
        cmocka_unit_test(test_retry_after_is_a_floor),
        cmocka_unit_test(test_the_back_off_grows_to_its_end),
        cmocka_unit_test(test_nothing_begins_after_the_deadline),
        cmocka_unit_test(test_fallbacks_of_fallbacks),
        cmocka_unit_test(test_a_clients_own_list),
        cmocka_unit_test(test_lists_for_what_is_too_long_or_forbidden),
        cmocka_unit_test(test_what_no_model_can_mend),
        cmocka_unit_test(test_what_another_model_can_cost_less),
        cmocka_unit_test(test_an_open_circuit_is_passed_over),
        cmocka_unit_test(test_waits_for_room_only_where_nothing_else_is_left),
        cmocka_unit_test(test_waits_for_somebody_to_end),
        cmocka_unit_test(test_a_deployment_by_its_id),
        cmocka_unit_test(test_a_context_that_no_deployment_has),
        cmocka_unit_test(test_the_message_of_litellm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
