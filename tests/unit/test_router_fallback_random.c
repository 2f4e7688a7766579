#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "router/route/prng.h"
#include "router_fallback_fixture.h"

enum { CLIENTS = 50 };

/*
 * 50 clients, one deployment in each group, everything fails or answers by chance: nobody asks an
 * open circuit, only one asks a half-open one, every walk ends, nothing leaks.
 */
static void test_random_schedules(void **state)
{
    (void)state;
    static struct router_fallback_iter walks[CLIENTS];
    static struct router_step steps[CLIENTS];
    static const enum router_error errors[] = {
        ROUTER_INTERNAL_SERVER, ROUTER_RATE_LIMIT,     ROUTER_AUTHENTICATION, ROUTER_TIMEOUT,
        ROUTER_BAD_REQUEST,     ROUTER_CONTEXT_WINDOW, ROUTER_EMPTY,          ROUTER_BUDGET};
    struct fixture f;
    enum { IDLE, BUSY, WAITS } clients[CLIENTS] = {0};
    uint64_t prng = 99;
    int attempts = 0, gave_up = 0, answered = 0;
    begin(&f);
    list_of(&f, ROUTER_CHAIN_GENERAL, "a", "bcd");
    list_of(&f, ROUTER_CHAIN_GENERAL, "b", "ca");
    list_of(&f, ROUTER_CHAIN_GENERAL, "d", "ab");
    list_of(&f, ROUTER_CHAIN_CONTEXT_WINDOW, "c", "d");
    f.deployments[3].max_parallel = 3;
    f.deployments[2].rpm = 500;
    start(&f);
    for (int round = 0; round < 60000; round++) {
        size_t i = router_prng_below(&prng, CLIENTS);
        struct router_failure failure;
        f.now += (int64_t)router_prng_below(&prng, 20);
        if (clients[i] == IDLE) {
            f.request.target = target_of((char)('a' + router_prng_below(&prng, GROUPS)));
            f.request.deadline_ms = f.now + 10000;
            f.request.wait_ms = (int64_t)router_prng_below(&prng, 2) * 3000;
            router_fallback_init(&walks[i], &f.memory.plan, f.picker, &f.request,
                                 router_prng(&prng));
        } else if (clients[i] == WAITS) {
            if (f.now < steps[i].at_ms)
                continue;
        } else if (router_prng_below(&prng, 5) > 0) {
            router_picker_alive(f.picker, &steps[i].lease, f.now);
            router_picker_answered(f.picker, &steps[i].lease, 10, f.now);
            clients[i] = IDLE;
            answered++;
            continue;
        } else if (router_prng_below(&prng, 10) == 0) {
            router_picker_cancelled(f.picker, &steps[i].lease, 10, f.now);
            clients[i] = IDLE;
            continue;
        } else {
            router_failure_make(errors[router_prng_below(&prng, ARRAY_LEN(errors))],
                                router_prng_below(&prng, 3) ? -1 : 1000, "x", &failure);
            router_picker_failed(f.picker, &steps[i].lease, &failure, -1, f.now);
            router_fallback_failed(&walks[i], &failure, f.now);
        }
        struct router_pick_view before[DEPLOYMENTS];
        for (size_t n = 0; n < DEPLOYMENTS; n++)
            before[n] = router_picker_view(f.picker, n, f.now);
        router_fallback_next(&walks[i], f.now, &steps[i]);
        clients[i] = steps[i].kind == STEP_ATTEMPT ? BUSY
                     : steps[i].kind == STEP_WAIT  ? WAITS
                                                   : IDLE;
        gave_up += steps[i].kind == STEP_GIVE_UP;
        if (steps[i].kind == STEP_GIVE_UP)
            assert_true(walks[i].failed);
        if (steps[i].kind == STEP_WAIT)
            assert_true(steps[i].at_ms > f.now && steps[i].at_ms <= walks[i].request.deadline_ms);
        if (steps[i].kind != STEP_ATTEMPT)
            continue;
        attempts++;
        assert_true(before[steps[i].lease.deployment].state != CIRCUIT_OPEN);
        assert_true(walks[i].attempts <= 4 * 3 + 2 && f.now < walks[i].request.deadline_ms);
        for (size_t n = 0; n < DEPLOYMENTS; n++) {
            int probes = 0;
            for (size_t k = 0; k < CLIENTS; k++)
                probes += clients[k] == BUSY && steps[k].lease.deployment == n &&
                          steps[k].lease.standing.circuit.probe;
            if (router_picker_view(f.picker, n, f.now).state == CIRCUIT_HALF_OPEN)
                assert_true(probes <= 1);
        }
    }
    print_message("%d attempts, %d gave up, %d answered\n", attempts, gave_up, answered);
    assert_true(attempts > 5000 && gave_up > 100 && answered > 1000);
    for (size_t i = 0; i < CLIENTS; i++)
        if (clients[i] == BUSY)
            router_picker_cancelled(f.picker, &steps[i].lease, 0, f.now);
    for (size_t n = 0; n < DEPLOYMENTS; n++)
        assert_int_equal(router_picker_view(f.picker, n, f.now).in_flight, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
