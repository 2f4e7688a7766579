#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "router/plan/policy.h"
#include "router/route/circuit.h"
#include "router/route/prng.h"

static const struct router_circuit_policy defaults = {
    .own_cooldown_ms = -1,
    .cooldown_ms = ROUTER_COOLDOWN_MS,
    .allowed_fails = -1,
    .fails = {-1, -1, -1, -1, -1, -1, -1},
};

// One attempt that fails at once; true: that opened the circuit.
static bool failing(struct router_circuit *circuit, const struct router_circuit_policy *policy,
                    enum router_error error, int64_t retry_after_ms, int64_t now_ms)
{
    struct router_failure failure;
    struct router_circuit_permit permit;
    router_failure_make(error, retry_after_ms, "x", &failure);
    assert_true(router_circuit_take(circuit, now_ms, &permit));
    return router_circuit_failed(circuit, policy, &failure, &permit, now_ms);
}

static void test_what_a_retry_cannot_help_opens_at_once(void **state)
{
    (void)state;
    static const enum router_error hopeless[] = {ROUTER_AUTHENTICATION, ROUTER_PAYMENT,
                                                 ROUTER_PERMISSION_DENIED, ROUTER_NOT_FOUND,
                                                 ROUTER_RATE_LIMIT};
    for (size_t i = 0; i < ARRAY_LEN(hopeless); i++) {
        struct router_circuit circuit = {0};
        assert_true(failing(&circuit, &defaults, hopeless[i], -1, 1000));
        assert_int_equal(router_circuit_state(&circuit, 5999), CIRCUIT_OPEN);
        assert_int_equal(router_circuit_next(&circuit, 1000), 6000);
        assert_int_equal(router_circuit_state(&circuit, 6000), CIRCUIT_HALF_OPEN);
    }
}

static void test_others_are_counted_in_a_row(void **state)
{
    (void)state;
    struct router_circuit circuit = {0};
    struct router_circuit_permit permit;
    for (int i = 0; i < 10; i++) { // an answer in between: never
        for (int n = 0; n < ROUTER_ALLOWED_FAILS; n++)
            assert_false(failing(&circuit, &defaults, ROUTER_INTERNAL_SERVER, -1, 1000));
        assert_true(router_circuit_take(&circuit, 1000, &permit));
        router_circuit_succeeded(&circuit, &permit);
    }
    for (int n = 0; n < 20; n++) // nor when they are far apart
        assert_false(failing(&circuit, &defaults, ROUTER_MALFORMED, -1, 100000 + n * 61000));
    for (int n = 0; n < ROUTER_ALLOWED_FAILS; n++)
        assert_false(failing(&circuit, &defaults, ROUTER_EMPTY, -1, 9000000));
    assert_true(failing(&circuit, &defaults, ROUTER_INTERRUPTED, -1, 9000000));
}

static void test_the_requests_own_faults_do_not_count(void **state)
{
    (void)state;
    static const enum router_error own[] = {
        ROUTER_BAD_REQUEST, ROUTER_CONTEXT_WINDOW, ROUTER_CONTENT_POLICY, ROUTER_UNPROCESSABLE,
        ROUTER_CANCELLED,   ROUTER_BUDGET,         ROUTER_EXHAUSTED};
    struct router_circuit circuit = {0};
    for (int i = 0; i < 100; i++)
        assert_false(failing(&circuit, &defaults, own[(size_t)i % ARRAY_LEN(own)], -1, 1000));
    assert_int_equal(circuit.fails, 0);
}

static void test_for_how_long(void **state)
{
    (void)state;
    struct router_circuit_policy policy = defaults;
    struct router_circuit circuit = {0};
    failing(&circuit, &policy, ROUTER_RATE_LIMIT, 20000, 1000);
    assert_int_equal(circuit.until_ms, 21000); // what the provider asked for
    policy.own_cooldown_ms = 30000;
    circuit = (struct router_circuit){0};
    failing(&circuit, &policy, ROUTER_RATE_LIMIT, 20000, 1000);
    assert_int_equal(circuit.until_ms, 31000); // the deployment's own word
    policy.own_cooldown_ms = 0;
    circuit = (struct router_circuit){0};
    for (int i = 0; i < 10; i++)
        assert_false(failing(&circuit, &policy, ROUTER_RATE_LIMIT, 20000, 1000));
    policy = defaults;
    policy.disabled = true;
    assert_false(failing(&circuit, &policy, ROUTER_AUTHENTICATION, -1, 1000));
    policy = defaults;
    policy.cooldown_ms = 0; // only where a provider asks
    assert_false(failing(&circuit, &policy, ROUTER_AUTHENTICATION, -1, 1000));
    assert_true(failing(&circuit, &policy, ROUTER_RATE_LIMIT, 20000, 1000));
}

static void test_allowed_fails_policy_is_the_owners_word(void **state)
{
    (void)state;
    struct router_circuit_policy policy = defaults;
    struct router_circuit circuit = {0};
    policy.fails[ROUTER_CLASS_RATE_LIMIT] = 2;
    policy.fails[ROUTER_CLASS_TIMEOUT] = 0;
    assert_false(failing(&circuit, &policy, ROUTER_RATE_LIMIT, -1, 1000));
    assert_false(failing(&circuit, &policy, ROUTER_RATE_LIMIT, -1, 1000));
    assert_true(failing(&circuit, &policy, ROUTER_RATE_LIMIT, -1, 1000));
    circuit = (struct router_circuit){0};
    assert_true(failing(&circuit, &policy, ROUTER_TIMEOUT, -1, 1000));
    circuit = (struct router_circuit){0};
    policy.allowed_fails = 0;
    assert_true(failing(&circuit, &policy, ROUTER_INTERNAL_SERVER, -1, 1000));
}

static void test_cooldown_doubles_up_to_a_maximum(void **state)
{
    (void)state;
    struct router_circuit circuit = {0};
    struct router_circuit_permit permit;
    int64_t now = 1000, last = 0;
    failing(&circuit, &defaults, ROUTER_AUTHENTICATION, -1, now);
    for (int i = 0; i < 80; i++) {
        int64_t length = circuit.until_ms - now;
        assert_true(length == 2 * last || last == 0 || length == ROUTER_COOLDOWN_MAX_MS);
        last = length;
        now = circuit.until_ms;
        assert_true(failing(&circuit, &defaults, ROUTER_INTERNAL_SERVER, -1, now)); // one is enough
    }
    assert_int_equal(circuit.until_ms - now, ROUTER_COOLDOWN_MAX_MS);
    now = circuit.until_ms;
    assert_true(router_circuit_take(&circuit, now, &permit));
    router_circuit_succeeded(&circuit, &permit);
    assert_int_equal(router_circuit_state(&circuit, now), CIRCUIT_CLOSED);
    failing(&circuit, &defaults, ROUTER_AUTHENTICATION, -1, now);
    assert_int_equal(circuit.until_ms - now, ROUTER_COOLDOWN_MS); // from the beginning
}

static void test_one_probe_and_its_turn_comes_back(void **state)
{
    (void)state;
    struct router_circuit circuit = {0};
    struct router_circuit_permit permit, other;
    struct router_failure own;
    failing(&circuit, &defaults, ROUTER_AUTHENTICATION, -1, 1000);
    assert_false(router_circuit_take(&circuit, 5999, &permit));
    assert_true(router_circuit_take(&circuit, 6000, &permit));
    assert_true(permit.probe);
    for (int i = 0; i < 50; i++)
        assert_false(router_circuit_take(&circuit, 6000 + i, &other));
    assert_int_equal(router_circuit_next(&circuit, 6000), -1);
    router_circuit_cancelled(&circuit, &permit);
    assert_int_equal(router_circuit_next(&circuit, 6100), 6100);
    assert_true(router_circuit_take(&circuit, 6100, &permit));
    router_failure_make(ROUTER_BAD_REQUEST, -1, "x", &own); // says nothing about the deployment
    assert_false(router_circuit_failed(&circuit, &defaults, &own, &permit, 6200));
    assert_int_equal(router_circuit_state(&circuit, 6200), CIRCUIT_HALF_OPEN);
    assert_true(router_circuit_take(&circuit, 6200, &permit));
}

static void test_results_of_before_it_opened(void **state)
{
    (void)state;
    struct router_circuit circuit = {0};
    struct router_circuit_permit early[3];
    struct router_failure failure;
    for (int i = 0; i < 3; i++)
        assert_true(router_circuit_take(&circuit, 500, &early[i]));
    failing(&circuit, &defaults, ROUTER_AUTHENTICATION, -1, 1000);
    router_circuit_succeeded(&circuit, &early[0]);
    assert_int_equal(router_circuit_state(&circuit, 1000), CIRCUIT_OPEN);
    router_failure_make(ROUTER_AUTHENTICATION, -1, "x", &failure);
    assert_false(router_circuit_failed(&circuit, &defaults, &failure, &early[1], 2000));
    assert_int_equal(circuit.until_ms, 6000);
    router_failure_make(ROUTER_RATE_LIMIT, 10000, "x", &failure);
    assert_false(router_circuit_failed(&circuit, &defaults, &failure, &early[2], 2000));
    assert_int_equal(circuit.until_ms, 12000); // it may ask for more time
}

// A probe that answered and was cut later is a failure like any other, not one more probe.
static void test_a_probe_that_breaks_after_its_first_content(void **state)
{
    (void)state;
    struct router_circuit circuit = {0};
    struct router_circuit_permit permit;
    struct router_failure cut;
    failing(&circuit, &defaults, ROUTER_AUTHENTICATION, -1, 1000);
    assert_true(router_circuit_take(&circuit, 6000, &permit));
    router_circuit_succeeded(&circuit, &permit);
    router_failure_make(ROUTER_INTERRUPTED, -1, "x", &cut);
    assert_false(router_circuit_failed(&circuit, &defaults, &cut, &permit, 7000));
    assert_int_equal(router_circuit_state(&circuit, 7000), CIRCUIT_CLOSED);
}

// The stream that proved it well is still flowing when the next probe goes out, and then breaks.
static void test_an_old_probe_is_not_the_new_one(void **state)
{
    (void)state;
    struct router_circuit circuit = {0};
    struct router_circuit_permit old, new, other;
    struct router_failure cut;
    router_failure_make(ROUTER_INTERRUPTED, -1, "x", &cut);
    failing(&circuit, &defaults, ROUTER_AUTHENTICATION, -1, 1000);
    assert_true(router_circuit_take(&circuit, 6000, &old));
    router_circuit_succeeded(&circuit, &old);
    failing(&circuit, &defaults, ROUTER_AUTHENTICATION, -1, 7000);
    assert_true(router_circuit_take(&circuit, 12000, &new));
    assert_false(router_circuit_failed(&circuit, &defaults, &cut, &old, 12000));
    router_circuit_cancelled(&circuit, &old);
    router_circuit_succeeded(&circuit, &old);
    assert_int_equal(router_circuit_state(&circuit, 12000), CIRCUIT_HALF_OPEN);
    assert_false(router_circuit_take(&circuit, 12000, &other)); // the new one is under way
    router_circuit_succeeded(&circuit, &new);
    assert_int_equal(router_circuit_state(&circuit, 12000), CIRCUIT_CLOSED);
}

enum { CLIENTS = 50 };

// 50 clients at once, whatever they do: nobody while it is open, never two while it is half-open.
static void test_random_schedules(void **state)
{
    (void)state;
    uint64_t dice = 11;
    static const enum router_error errors[] = {ROUTER_AUTHENTICATION, ROUTER_INTERNAL_SERVER,
                                               ROUTER_RATE_LIMIT, ROUTER_BAD_REQUEST};
    for (int run = 0; run < 20; run++) {
        struct router_circuit circuit = {0};
        struct {
            bool busy;
            struct router_circuit_permit permit;
        } clients[CLIENTS] = {0};
        int64_t now = 1000;
        int openings = 0, probes = 0;
        for (int step = 0; step < 20000; step++) {
            size_t i = router_prng_below(&dice, CLIENTS);
            enum router_circuit_state before;
            now += (int64_t)router_prng_below(&dice, 60);
            before = router_circuit_state(&circuit, now);
            if (!clients[i].busy) {
                bool may = router_circuit_next(&circuit, now) == now;
                clients[i].busy = router_circuit_take(&circuit, now, &clients[i].permit);
                assert_int_equal(clients[i].busy, may);
                assert_false(clients[i].busy && before == CIRCUIT_OPEN);
                assert_int_equal(clients[i].busy && clients[i].permit.probe,
                                 clients[i].busy && before == CIRCUIT_HALF_OPEN);
                probes += clients[i].busy && clients[i].permit.probe;
            } else {
                struct router_failure failure;
                router_failure_make(errors[router_prng_below(&dice, 4)],
                                    router_prng_below(&dice, 4) ? -1 : 3000, "x", &failure);
                clients[i].busy = false;
                switch (router_prng_below(&dice, 3)) {
                case 0:
                    router_circuit_succeeded(&circuit, &clients[i].permit);
                    break;
                case 1:
                    openings += router_circuit_failed(&circuit, &defaults, &failure,
                                                      &clients[i].permit, now);
                    break;
                default:
                    router_circuit_cancelled(&circuit, &clients[i].permit);
                }
            }
            int under_way = 0;
            for (size_t n = 0; n < CLIENTS; n++)
                under_way += clients[n].busy && clients[n].permit.probe &&
                             clients[n].permit.generation == circuit.generation;
            if (router_circuit_state(&circuit, now) == CIRCUIT_HALF_OPEN)
                assert_true(under_way == (router_circuit_next(&circuit, now) < 0));
        }
        assert_true(openings > 10 && probes >= openings / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_retry_cannot_help_opens_at_once),
        cmocka_unit_test(test_others_are_counted_in_a_row),
        cmocka_unit_test(test_the_requests_own_faults_do_not_count),
        cmocka_unit_test(test_for_how_long),
        cmocka_unit_test(test_allowed_fails_policy_is_the_owners_word),
        cmocka_unit_test(test_cooldown_doubles_up_to_a_maximum),
        cmocka_unit_test(test_one_probe_and_its_turn_comes_back),
        cmocka_unit_test(test_results_of_before_it_opened),
        cmocka_unit_test(test_a_probe_that_breaks_after_its_first_content),
        cmocka_unit_test(test_an_old_probe_is_not_the_new_one),
        cmocka_unit_test(test_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
