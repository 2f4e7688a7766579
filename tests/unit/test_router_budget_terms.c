#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "budget_look.h"
#include "router/money/budget_memory.h"

// A budget whose terms the owner changes in the middle of a period.

#define HOUR_MS INT64_C(3600000)
#define NOON INT64_C(1795262400000) // 2026-11-21T12:00:00Z
#define MIDNIGHT (NOON + 12 * HOUR_MS)
#define NEXT_MONTH INT64_C(1796083200000)

static const struct router_budget_terms daily = {
    .name = "daily", .cap_pico = 1000, .period = {BUDGET_DAYS, 1}};

static int reserve(struct router_budgets *budgets, const struct router_budget_terms *terms,
                   int64_t amount, int64_t now, struct router_reservation *ret_id)
{
    struct router_budget_claim claim = {*terms, SPAN_ABSENT};
    return budget_reserve(budgets, &claim, 1, amount, now, ret_id, NULL, NULL);
}

static void spend(struct router_budgets *budgets, int64_t amount)
{
    struct router_reservation id;
    assert_int_equal(reserve(budgets, &daily, amount, NOON, &id), 0);
    router_budgets_settle(budgets, &id, amount, NOON, NULL);
}

static int64_t reset_of(const struct router_budgets *budgets)
{
    struct router_budget_state account;
    assert_true(budget_look(budgets, SPAN_LITERAL("daily"), &account));
    return account.next_reset_wall_ms;
}

static void the_sum_stays(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_budget_terms terms = daily;
    struct router_reservation id;
    spend(budgets, 600);
    terms.cap_pico = 500; // less than was spent
    assert_int_equal(reserve(budgets, &terms, 1, NOON, &id), ROUTER_BUDGET_REFUSED);
    terms.cap_pico = 700;
    terms.period = (struct budget_period){BUDGET_MONTHS, 1};
    assert_int_equal(reserve(budgets, &terms, 101, MIDNIGHT, &id), ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &terms, 100, MIDNIGHT, &id), 0);
    assert_int_equal(reset_of(budgets), NEXT_MONTH);
    router_budgets_destroy(budgets);
}

// What was spent this day may have been spent this hour. Also by what a restart has read.
static void a_shorter_period_forgets_nothing(void **state)
{
    (void)state;
    struct router_budget_terms hourly = daily;
    hourly.period = (struct budget_period){BUDGET_CLOCK, 3600};
    struct store_charge sum = {SPAN_LITERAL("daily"), MIDNIGHT - 24 * HOUR_MS, MIDNIGHT, 900, 0, 0};
    for (int i = 0; i < 2; i++) {
        struct router_budgets *budgets = router_budgets_create(8, &clock_system);
        struct router_reservation id;
        if (i == 0)
            spend(budgets, 900);
        else
            assert_int_equal(router_budgets_restore(budgets, &sum, NOON, NULL), 0);
        assert_int_equal(reserve(budgets, &hourly, 101, NOON, &id), ROUTER_BUDGET_REFUSED);
        int64_t reset = reset_of(budgets);
        assert_true(NOON < reset && reset <= NOON + HOUR_MS);
        assert_int_equal(reserve(budgets, &hourly, 1000, reset, &id), 0);
        router_budgets_destroy(budgets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_stays),
        cmocka_unit_test(a_shorter_period_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
