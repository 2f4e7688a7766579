#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "budget_look.h"
#include "router/money/budget_memory.h"
#include "support/fake_clock.h"

#define NOON INT64_C(1795262400000) // 2026-11-21T12:00:00Z

/*
 * Random schedules against a model that does nothing but add up. The clock goes on, stands still
 * and now and then goes back a little; calls hold one to three of six accounts and end in every
 * way; what some did cost is corrected; and now and then all begins anew from what a store would
 * have, with what was open charged in full. At each step no account is over its cap but by
 * overshoots, and the sums of the store are those of the accounts.
 */
enum { ACCOUNTS = 6, CALLS = 240, STEPS = 60000 };

struct model_call {
    struct router_reservation id;
    int64_t amount;
    bool accounts[ACCOUNTS];
    int64_t period[ACCOUNTS]; // in which it began
};

struct model {
    struct router_budgets *budgets;
    struct router_budget_terms terms[ACCOUNTS];
    char names[ACCOUNTS][16];
    int64_t period_ms[ACCOUNTS];
    int64_t period[ACCOUNTS], spent[ACCOUNTS], reserved[ACCOUNTS], stored[ACCOUNTS];
    int64_t overshoot[ACCOUNTS];
    bool closed[ACCOUNTS];
    struct model_call calls[CALLS];
    int64_t now;
    uint64_t seed;
    int passed, refused, overshot, resets, corrected, restarts;
};

static int64_t below(struct model *model, int64_t limit)
{
    model->seed = model->seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((model->seed >> 33) % (uint64_t)limit);
}

static void model_begin(struct model *model, uint64_t seed)
{
    static const int64_t hours[ACCOUNTS] = {0, 24, 12, 24, 1, 6};
    *model = (struct model){
        .seed = seed, .now = NOON, .budgets = router_budgets_create(8, &clock_system)};
    for (int i = 0; i < ACCOUNTS; i++) {
        snprintf(model->names[i], sizeof model->names[i], "b%d", i);
        model->terms[i] = (struct router_budget_terms){
            .name = model->names[i],
            .cap_pico = i == 3 ? -1 : (i == 0 ? 40000000 : 500 + below(model, 1500)),
        };
        model->period_ms[i] = hours[i] * 3600000;
        if (hours[i])
            model->terms[i].period = hours[i] == 24
                                         ? (struct budget_period){BUDGET_DAYS, 1}
                                         : (struct budget_period){BUDGET_CLOCK, hours[i] * 3600};
        model->period[i] = hours[i] ? model->now / model->period_ms[i] : 0;
        struct router_budget_claim one = (struct router_budget_claim){model->terms[i], SPAN_ABSENT};
        assert_true(budget_left(model->budgets, &one, 1, model->now) > 0);
    }
}

static void model_roll(struct model *model, const bool *accounts)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        if (!accounts[i] || !model->period_ms[i] ||
            model->now / model->period_ms[i] <= model->period[i])
            continue;
        model->period[i] = model->now / model->period_ms[i];
        model->resets += model->spent[i] > 0;
        model->spent[i] = model->stored[i] = model->overshoot[i] = 0;
        model->closed[i] = false;
    }
}

static bool model_bears(const struct model *model, const bool *accounts, int64_t more)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        int64_t cap = model->terms[i].cap_pico;
        if (accounts[i] && cap >= 0 && more > 0 &&
            (model->closed[i] || model->spent[i] + model->reserved[i] + more > cap))
            return false;
    }
    return true;
}

static void step_reserve(struct model *model, struct model_call *call)
{
    struct router_budget_claim claims[ACCOUNTS];
    size_t count = 0;
    memset(call, 0, sizeof *call);
    for (int i = 0; i < 3; i++)
        call->accounts[below(model, ACCOUNTS)] = true;
    for (int i = 0; i < ACCOUNTS; i++)
        if (call->accounts[i])
            claims[count++] = (struct router_budget_claim){model->terms[i], SPAN_ABSENT};
    call->amount = below(model, 60);
    model_roll(model, call->accounts);
    bool expected = model_bears(model, call->accounts, call->amount);
    int rc = budget_reserve(model->budgets, claims, count, call->amount, model->now, &call->id,
                            NULL, NULL);
    assert_int_equal(rc, expected ? 0 : ROUTER_BUDGET_REFUSED);
    model->passed += expected;
    model->refused += !expected;
    for (int i = 0; i < ACCOUNTS; i++)
        model->reserved[i] += call->accounts[i] && expected ? call->amount : 0;
    memcpy(call->period, model->period, sizeof call->period);
}

// One that was charged at its bound did cost less, or once in a while more.
static void step_correct(struct model *model)
{
    int i = (int)below(model, ACCOUNTS);
    bool more = below(model, 400) == 0;
    if (model->spent[i] == 0)
        return;
    int64_t most = model->spent[i] < 50 ? model->spent[i] : 50;
    int64_t delta = more ? 1 + below(model, 20) : -below(model, most + 1);
    struct store_charge correction = {
        .account = span_of(model->names[i]),
        .period_ms = model->period[i] * model->period_ms[i],
        .amount_pico = delta,
        .overshoot_pico = more && model->terms[i].cap_pico >= 0 ? delta : 0,
        .cap_pico = model->terms[i].cap_pico,
    };
    bool closed_now = router_budgets_correct(model->budgets, &correction);
    assert_int_equal(closed_now, correction.overshoot_pico > 0 && !model->closed[i]);
    model->spent[i] += delta;
    model->stored[i] += delta;
    model->overshoot[i] += correction.overshoot_pico;
    model->closed[i] |= correction.overshoot_pico > 0;
    model->corrected++;
}

static void step_restart(struct model *model)
{
    for (int c = 0; c < CALLS; c++) {
        struct model_call *call = &model->calls[c];
        for (int i = 0; call->id.count && i < ACCOUNTS; i++) {
            if (!call->accounts[i])
                continue;
            model->reserved[i] -= call->amount;
            if (call->period[i] == model->period[i])
                model->spent[i] += call->amount;
        }
        call->id = (struct router_reservation){.count = 0};
    }
    router_budgets_destroy(model->budgets);
    model->budgets = router_budgets_create(8, &clock_system);
    for (int i = 0; i < ACCOUNTS; i++) {
        struct store_charge sum = {
            .account = span_of(model->names[i]),
            .period_ms = model->period[i] * model->period_ms[i],
            .resets_ms = -1,
            .amount_pico = model->stored[i] = model->spent[i],
            .overshoot_pico = model->overshoot[i],
            .cap_pico = model->overshoot[i] ? model->terms[i].cap_pico : 0,
        };
        assert_int_equal(router_budgets_restore(model->budgets, &sum, model->now, NULL), 0);
    }
    model->restarts++;
}

static void step_end(struct model *model, struct model_call *call)
{
    bool release = below(model, 5) == 0, overshoot = below(model, 400) == 0;
    int64_t actual = below(model, 10) == 0 ? -1 : below(model, call->amount + 1);
    if (overshoot)
        actual = call->amount + 1 + below(model, 20);
    int64_t paid = release ? 0 : actual < 0 ? call->amount : actual;
    struct router_budget_charges charges = {0};
    if (release)
        router_budgets_release(&call->id);
    else
        router_budgets_settle(model->budgets, &call->id, actual, model->now, &charges);
    if (!release)
        model_roll(model, call->accounts);
    size_t at = 0;
    for (int i = 0; i < ACCOUNTS; i++) {
        if (!call->accounts[i])
            continue;
        model->reserved[i] -= call->amount;
        model->spent[i] += paid;
        if (release)
            continue;
        model->closed[i] |= overshoot && model->terms[i].cap_pico >= 0;
        assert_true(span_is(charges.items[at].account, model->names[i]));
        model->overshoot[i] += charges.items[at].overshoot_pico;
        model->stored[i] += charges.items[at++].amount_pico;
    }
    model->overshot += overshoot && !release;
    call->id = (struct router_reservation){.count = 0};
}

static void model_check(const struct model *model)
{
    for (int i = 0; i < ACCOUNTS; i++) {
        struct router_budget_state account;
        if (!budget_look(model->budgets, span_of(model->names[i]), &account)) {
            assert_int_equal(model->spent[i] + model->reserved[i], 0);
            continue;
        }
        assert_int_equal(account.spent_pico, model->spent[i]);
        assert_int_equal(account.spent_pico, model->stored[i]);
        assert_int_equal(account.reserved_pico, model->reserved[i]);
        assert_int_equal(account.closed, model->closed[i]);
        assert_int_equal(account.overshoot_pico, model->overshoot[i]);
        if (account.cap_pico >= 0)
            assert_true(account.spent_pico + account.reserved_pico <=
                        account.cap_pico + account.overshoot_pico);
    }
}

static void run_schedule(uint64_t seed)
{
    struct model model;
    model_begin(&model, seed);
    for (int step = 0; step < STEPS; step++) {
        struct model_call *call = &model.calls[below(&model, CALLS)];
        int64_t dice = below(&model, 100);
        if (dice < 3)
            model.now += below(&model, 3600000);
        else if (dice < 4)
            model.now -= below(&model, 1000000);
        if (!call->id.count)
            step_reserve(&model, call);
        else if (dice < 60)
            step_end(&model, call);
        else
            step_correct(&model);
        if (below(&model, 2000) == 0)
            step_restart(&model);
        model_check(&model);
    }
    assert_true(model.passed > 1000 && model.refused > 1000);
    assert_true(model.overshot > 10 && model.resets > 50);
    assert_true(model.corrected > 1000 && model.restarts > 10);
    router_budgets_destroy(model.budgets);
}

static void test_random_schedules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        run_schedule(seed);
}

static const struct router_budget_terms monthly = {
    .name = "monthly", .cap_pico = 1000, .period = {BUDGET_DAYS, 28}};

static int64_t left_of(struct router_budgets *budgets, int64_t now)
{
    struct router_budget_claim one = {monthly, SPAN_ABSENT};
    return budget_left(budgets, &one, 1, now);
}

static void spend_most(struct router_budgets *budgets, int64_t now)
{
    struct router_budget_claim one = {monthly, SPAN_ABSENT};
    struct router_reservation id;
    assert_int_equal(budget_reserve(budgets, &one, 1, 990, now, &id, NULL, NULL), 0);
    router_budgets_settle(budgets, &id, 990, now, NULL);
}

// A month by the clock is none when no time went by.
static void test_clock_jumps_about(void **state)
{
    const int64_t period_ms = 28 * 24 * INT64_C(3600000);
    struct fake_clock time;
    struct router_budgets *budgets = router_budgets_create(8, fake_clock_init(&time, 7));
    (void)state;
    spend_most(budgets, NOON);
    for (int back = 5; back >= 0; back--) // back, and a period ahead each time
        assert_int_equal(left_of(budgets, NOON - back * period_ms), 10);

    // It was right in between, so that it is behind anew.
    for (int i = 0; i < 2; i++) {
        time.now_ms += period_ms - 1;
        assert_int_equal(left_of(budgets, NOON - period_ms), 10);
    }

    // Ahead begins one new period, and back and ahead again no other.
    assert_int_equal(left_of(budgets, NOON + 9 * period_ms), 1000);
    spend_most(budgets, NOON + 9 * period_ms);
    for (int ahead = 0; ahead <= 9; ahead += 3)
        assert_int_equal(left_of(budgets, NOON + ahead * period_ms), 10);
    router_budgets_destroy(budgets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_schedules),
        cmocka_unit_test(test_clock_jumps_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
