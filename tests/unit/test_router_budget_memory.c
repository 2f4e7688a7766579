#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "budget_look.h"
#include "router/money/budget.h"
#include "router/money/budget_memory.h"

// Accounts that leave the memory and are read back from a store.

#define NOON INT64_C(1795262400000) // 2026-11-21T12:00:00Z

enum { SUMS_MAX = 256, CAP = 300 };

static const struct router_budget_terms total = {.name = "all", .cap_pico = 1000000};
static const struct router_budget_terms session = {.name = "session", .cap_pico = CAP};

// A ledger: settlements are written at once, and can be read back when keep() was called.
struct sum {
    char account[ROUTER_BUDGET_NAME_MAX];
    int64_t start, spent, kept, overshoot;
};

struct store {
    struct router_budgets *budgets;
    struct sum sums[SUMS_MAX];
    size_t count;
    int64_t written, kept;
    bool is_broken;
    int recalls;
};

static int recall(void *context, struct span account, struct error *err)
{
    struct store *store = context;
    store->recalls++;
    if (store->is_broken)
        return error_set(err, -EIO, "the disk is gone");
    for (size_t i = 0; i < store->count; i++) {
        const struct sum *sum = &store->sums[i];
        if (!span_is(account, sum->account) || sum->kept == 0)
            continue;
        struct store_charge told = {account, sum->start, -1, sum->kept, sum->overshoot, CAP};
        assert_int_equal(router_budgets_restore(store->budgets, &told, NOON, err), 0);
    }
    return 0;
}

static int64_t written(void *context)
{
    return ((struct store *)context)->written;
}

static int64_t kept(void *context)
{
    return ((struct store *)context)->kept;
}

static void keep(struct store *store)
{
    for (size_t i = 0; i < store->count; i++)
        store->sums[i].kept = store->sums[i].spent;
    store->kept = store->written;
}

static struct store begin(size_t accounts)
{
    return (struct store){.budgets = router_budgets_create(accounts, &clock_system)};
}

static void keep_in(struct store *store)
{
    router_budgets_keep_in(store->budgets,
                           &(struct router_budget_store){recall, written, kept, store});
}

static void add(struct store *store, const struct store_charge *charge)
{
    size_t i = 0;
    while (i < store->count && !span_is(charge->account, store->sums[i].account))
        i++;
    if (i == store->count) {
        assert_true(store->count < SUMS_MAX);
        store->sums[store->count] = (struct sum){.start = charge->period_ms};
        snprintf(store->sums[store->count++].account, ROUTER_BUDGET_NAME_MAX, "%s",
                 charge->account.data);
    }
    store->sums[i].spent += charge->amount_pico;
    store->sums[i].overshoot += charge->overshoot_pico;
}

static int hold(struct store *store, const char *key, int64_t amount,
                struct router_reservation *ret_id)
{
    struct router_budget_claim claim = {key ? session : total, span_of(key)};
    return budget_reserve(store->budgets, &claim, 1, amount, NOON, ret_id, NULL, NULL);
}

static void settle(struct store *store, struct router_reservation id, int64_t amount)
{
    struct router_budget_charges charges;
    router_budgets_settle(store->budgets, &id, amount, NOON, &charges);
    for (size_t i = 0; i < charges.count; i++)
        add(store, &charges.items[i]);
    store->written++;
}

static int spend(struct store *store, const char *key, int64_t amount)
{
    struct router_reservation id;
    int rc = hold(store, key, amount, &id);
    if (rc == 0)
        settle(store, id, amount);
    return rc;
}

static bool has(const struct store *store, const char *account)
{
    struct router_budget_state state;
    return budget_look(store->budgets, span_of(account), &state);
}

static void leaves_when_the_store_has_it(void **state)
{
    (void)state;
    struct store store = begin(3);
    keep_in(&store);
    for (int i = 0; i < 3; i++)
        assert_int_equal(spend(&store, (const char *const[]){"a", "b", "c"}[i], 100), 0);
    assert_int_equal(spend(&store, "d", 100), -ENOSPC); // what is written down, but not kept, stays
    assert_int_equal(store.recalls, 0);
    keep(&store);
    assert_int_equal(spend(&store, "d", 100), 0);
    assert_false(has(&store, "session:a") && has(&store, "session:b") && has(&store, "session:c"));
    keep(&store);
    for (int i = 0; i < 3; i++) { // each comes back with what it has spent
        const char *key = (const char *const[]){"a", "b", "c"}[i];
        assert_int_equal(spend(&store, key, CAP - 99), ROUTER_BUDGET_REFUSED);
        assert_int_equal(spend(&store, key, CAP - 100), 0);
        keep(&store);
    }
    assert_true(store.recalls > 0);
    router_budgets_destroy(store.budgets);
}

static void what_holds_money_stays(void **state)
{
    (void)state;
    struct store store = begin(2);
    struct router_reservation id;
    keep_in(&store);
    assert_int_equal(hold(&store, "held", 100, &id), 0);
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(spend(&store, key, 1), 0);
        keep(&store);
        assert_true(has(&store, "session:held"));
    }
    settle(&store, id, 100);
    assert_int_equal(spend(&store, "held", CAP - 99), ROUTER_BUDGET_REFUSED);
    router_budgets_destroy(store.budgets);
}

static void what_cannot_be_read_back_is_not_begun_anew(void **state)
{
    (void)state;
    struct store store = begin(1);
    keep_in(&store);
    assert_int_equal(spend(&store, "a", CAP), 0);
    keep(&store);
    assert_int_equal(spend(&store, "b", 1), 0);
    keep(&store);
    store.is_broken = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(spend(&store, "a", 1), -EIO);
    store.is_broken = false;
    assert_int_equal(spend(&store, "a", 1), ROUTER_BUDGET_REFUSED);
    router_budgets_destroy(store.budgets);
}

static void what_an_overshoot_closed_comes_back_closed(void **state)
{
    (void)state;
    struct store store = begin(1);
    struct router_reservation id;
    keep_in(&store);
    assert_int_equal(hold(&store, "a", 10, &id), 0);
    settle(&store, id, 20);
    keep(&store);
    assert_int_equal(spend(&store, "b", 1), 0);
    keep(&store);
    assert_int_equal(spend(&store, "a", 1), ROUTER_BUDGET_REFUSED);
    router_budgets_destroy(store.budgets);
}

static int64_t left_of(struct router_budgets *budgets, const struct router_budget_terms *terms,
                       int64_t now_ms)
{
    struct router_budget_claim one = {*terms, SPAN_ABSENT};
    return budget_left(budgets, &one, 1, now_ms);
}

// Where it is not known what was spent, nothing is, until another period begins.
static void what_was_lost_closes_the_periods_of_that_time(void **state)
{
    enum { HOUR_MS = 3600 * 1000, DAY_HOURS = 24 };
    static const struct router_budget_terms daily = {
        .name = "daily", .cap_pico = 1000, .period = {BUDGET_DAYS, 1}};
    static const struct router_budget_terms weekly = {
        .name = "weekly", .cap_pico = 1000, .period = {BUDGET_DAYS, 7}};
    static const struct router_budget_terms counted = {.name = "counted", .cap_pico = -1};
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_budget_claim one = {daily, SPAN_ABSENT};
    struct router_budget_state refusal;
    struct router_budget_state seen;
    struct error err = ERROR_INIT;
    struct router_reservation id;
    (void)state;
    assert_int_equal(left_of(budgets, &daily, NOON), 1000);
    router_budgets_lose(budgets, NOON);
    assert_int_equal(left_of(budgets, &daily, NOON), 0);
    assert_int_equal(left_of(budgets, &weekly, NOON), 0); // also where nobody had asked before
    assert_int_equal(left_of(budgets, &total, NOON), 0);
    assert_true(left_of(budgets, &counted, NOON) > 0);
    assert_int_equal(budget_reserve(budgets, &one, 1, 1, NOON, &id, &refusal, &err),
                     ROUTER_BUDGET_REFUSED);
    assert_true(refusal.closed);
    assert_non_null(strstr(err.text, "are lost, so what is left of it is not known"));
    assert_int_equal(budget_reserve(budgets, &one, 1, 0, NOON, &id, NULL, NULL), 0);
    assert_true(budget_look(budgets, SPAN_LITERAL("daily"), &seen));
    assert_true(seen.closed && seen.overshoot_pico == 0);

    int64_t tomorrow = NOON + (int64_t)DAY_HOURS * HOUR_MS;
    assert_int_equal(left_of(budgets, &daily, tomorrow), 1000);
    assert_int_equal(left_of(budgets, &weekly, tomorrow), 0);
    assert_int_equal(left_of(budgets, &daily, NOON), 1000); // what began stays
    router_budgets_lose(budgets, NOON);
    assert_int_equal(left_of(budgets, &daily, tomorrow), 1000);
    router_budgets_destroy(budgets);
}

// Without a store, or before it has taken anything up: keys do not take all places.
static void there_is_room_for_those_without_a_key(void **state)
{
    (void)state;
    struct store store = begin(128);
    int rc = 0, count = 0;
    for (; rc == 0 && count < 200; count += rc == 0) {
        char key[16];
        snprintf(key, sizeof key, "k%d", count);
        rc = spend(&store, key, 1);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(count, 126);
    assert_int_equal(spend(&store, NULL, 1), 0);
    assert_int_equal(spend(&store, "k5", 1), 0);
    router_budgets_destroy(store.budgets);
}

// More sums than there may be accounts, as after a start; the ones in use are not those that go.
static void any_number_of_sums(void **state)
{
    (void)state;
    struct store store = begin(16);
    keep_in(&store);
    uint32_t dice = 1;
    int64_t spent[200] = {0};
    assert_int_equal(spend(&store, NULL, 1), 0);
    for (int i = 0; i < 20000; i++) {
        char key[16];
        dice = dice * 1664525 + 1013904223;
        size_t which = dice >> 16 & 127;
        int64_t amount = dice >> 8 & 63;
        snprintf(key, sizeof key, "k%zu", which);
        int rc = spend(&store, key, amount);
        assert_true(rc == 0 || rc == ROUTER_BUDGET_REFUSED || rc == -ENOSPC);
        if (rc != -ENOSPC)
            assert_int_equal(rc == 0, amount == 0 || spent[which] + amount <= CAP);
        spent[which] += rc == 0 ? amount : 0;
        if (dice >> 30 == 0)
            keep(&store);
        assert_int_equal(spend(&store, NULL, 0), 0);
        assert_true(has(&store, "all"));
    }
    assert_true(store.recalls > 1000);
    router_budgets_destroy(store.budgets);
}

static struct router_budget_state only_account(const struct store *store)
{
    struct router_budget_state found;
    size_t cursor = 0;
    assert_true(router_budgets_next(store->budgets, &cursor, NOON, &found));
    return found;
}

enum { DAY_MS = 86400000 };

static const struct router_budget_terms daily = {
    .name = "daily", .cap_pico = CAP, .period = {.kind = BUDGET_DAYS, .length = 1}};

static void restore(struct store *store, int64_t start, int64_t end, int64_t spent)
{
    const struct store_charge sum = {SPAN_LITERAL("daily"), start, end, spent, 0, 0};
    assert_int_equal(router_budgets_restore(store->budgets, &sum, NOON, NULL), 0);
}

// A model that was to cost nothing cost something, before anybody knew what had been spent.
static void what_was_spent_before_its_sum_was_read_is_added(void **state)
{
    (void)state;
    const int64_t today = NOON / DAY_MS * DAY_MS;
    const struct router_budget_claim claim = {daily, SPAN_ABSENT};
    for (int is_told = 0; is_told <= 1; is_told++) {
        struct store store = begin(8);
        struct router_budget_charges charges;
        struct router_reservation id;
        assert_int_equal(budget_reserve(store.budgets, &claim, 1, 0, NOON, &id, NULL, NULL), 0);
        router_budgets_settle(store.budgets, &id, 10, NOON, &charges);
        if (!is_told)
            router_budgets_keep_untold(store.budgets, &charges);
        for (int again = 0; again < 2; again++) {        // reading the sums was cut short
            restore(&store, today - DAY_MS, today, 200); // is over
            restore(&store, today, today + DAY_MS, 100);
        }
        assert_int_equal(only_account(&store).spent_pico, 110);
        assert_int_equal(budget_accounts_find(store.budgets, SPAN_LITERAL("daily"))->start_ms,
                         today);
        assert_true(only_account(&store).closed); // it was more than nothing
        assert_int_equal(budget_reserve(store.budgets, &claim, 1, 0, NOON, &id, NULL, NULL), 0);
        router_budgets_settle(store.budgets, &id, 0, NOON, &charges);
        assert_int_equal(charges.items[0].amount_pico, is_told ? 0 : 10);
        assert_int_equal(charges.items[0].overshoot_pico, is_told ? 0 : 10);
        router_budgets_destroy(store.budgets);
    }
}

// By a clock that was not set; and of a period that the configuration has since made shorter.
static void a_sum_of_another_period_is_added_while_that_lasts(void **state)
{
    (void)state;
    const int64_t today = NOON / DAY_MS * DAY_MS;
    const struct router_budget_claim claim = {daily, SPAN_ABSENT};
    static const struct {
        int64_t now, back_days, days;
    } cases[] = {{5000, 0, 1}, {NOON, 3, 7}, {NOON, 3, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store store = begin(8);
        struct router_reservation id;
        int64_t start = today - cases[i].back_days * DAY_MS;
        int64_t end = cases[i].days ? start + cases[i].days * DAY_MS : -1;
        assert_int_equal(budget_reserve(store.budgets, &claim, 1, 0, cases[i].now, &id, NULL, NULL),
                         0);
        router_budgets_settle(store.budgets, &id, 10, cases[i].now, NULL);
        restore(&store, start, end, 100);
        assert_int_equal(only_account(&store).spent_pico, 110);
        router_budgets_destroy(store.budgets);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_spent_before_its_sum_was_read_is_added),
        cmocka_unit_test(a_sum_of_another_period_is_added_while_that_lasts),
        cmocka_unit_test(leaves_when_the_store_has_it),
        cmocka_unit_test(what_holds_money_stays),
        cmocka_unit_test(what_cannot_be_read_back_is_not_begun_anew),
        cmocka_unit_test(what_an_overshoot_closed_comes_back_closed),
        cmocka_unit_test(what_was_lost_closes_the_periods_of_that_time),
        cmocka_unit_test(there_is_room_for_those_without_a_key),
        cmocka_unit_test(any_number_of_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
