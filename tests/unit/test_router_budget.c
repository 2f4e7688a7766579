#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "budget_look.h"
#include "router/money/budget_memory.h"
#include "support/fake_clock.h"

#define DAY_MS INT64_C(86400000)
#define NOON INT64_C(1795262400000) // 2026-11-21T12:00:00Z
#define MIDNIGHT (NOON + DAY_MS / 2)

static const struct router_budget_terms total = {.name = "all", .cap_pico = 1000};
static const struct router_budget_terms daily = {
    .name = "daily", .cap_pico = 1000, .period = {BUDGET_DAYS, 1}};
static const struct router_budget_terms slots = {
    .name = "slot", .cap_pico = 300, .period = {BUDGET_DAYS, 1}};
static const struct router_budget_terms counted = {
    .name = "counted", .cap_pico = -1, .period = {BUDGET_MONTHS, 1}};

static struct router_budget_claim claim(const struct router_budget_terms *terms, const char *key)
{
    return (struct router_budget_claim){*terms, span_of(key)};
}

// One claim, with what came of it.
static int reserve(struct router_budgets *budgets, const struct router_budget_terms *terms,
                   const char *key, int64_t amount, int64_t now, struct router_reservation *ret_id)
{
    struct router_budget_claim one = claim(terms, key);
    return budget_reserve(budgets, &one, 1, amount, now, ret_id, NULL, NULL);
}

static struct router_budget_state look(const struct router_budgets *budgets, const char *name)
{
    struct router_budget_state account;
    if (!budget_look(budgets, span_of(name), &account))
        fail_msg("there is no account \"%s\"", name);
    return account;
}

static void check(const struct router_budgets *budgets, const char *name, int64_t spent,
                  int64_t reserved)
{
    struct router_budget_state account = look(budgets, name);
    assert_int_equal(account.spent_pico, spent);
    assert_int_equal(account.reserved_pico, reserved);
}

static int restore(struct router_budgets *budgets, struct span account, int64_t start,
                   int64_t spent)
{
    struct store_charge sum = {
        .account = account, .period_ms = start, .resets_ms = -1, .amount_pico = spent};
    return router_budgets_restore(budgets, &sum, NOON, NULL);
}

// True when that has closed it.
static bool correct(struct router_budgets *budgets, const char *account, int64_t start,
                    int64_t delta, int64_t overshoot)
{
    struct store_charge correction = {span_of(account), start, 0, delta, overshoot, 900};
    const char *closed = router_budgets_correct(budgets, &correction);
    assert_true(!closed || strcmp(closed, account) == 0);
    return closed;
}

static void test_as_many_as_fit(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_reservation ids[200];
    int passed = 0;
    for (int i = 0; i < 200; i++) // 37 * 27 = 999
        passed += reserve(budgets, &daily, NULL, 27, NOON, &ids[passed]) == 0;
    assert_int_equal(passed, 37);
    check(budgets, "daily", 0, 999);
    struct router_budget_claim one = claim(&daily, NULL);
    assert_int_equal(budget_left(budgets, &one, 1, NOON), 1);

    // Each that costs less than it could makes room, but only for as many as fit into it.
    for (int i = 0; i < 27; i++)
        router_budgets_settle(budgets, &ids[i], 26, NOON, NULL);
    assert_int_equal(reserve(budgets, &daily, NULL, 27, NOON, &ids[0]), 0);
    assert_int_equal(reserve(budgets, &daily, NULL, 27, NOON, &ids[1]), ROUTER_BUDGET_REFUSED);
    check(budgets, "daily", 27 * 26, 11 * 27);
    router_budgets_destroy(budgets);
}

static void test_all_or_nothing(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_budget_claim claims[] = {claim(&total, NULL), claim(&slots, "main"),
                                           claim(&counted, NULL), claim(&slots, "main")};
    struct router_reservation a, b = {.amount_pico = 77};
    struct router_budget_state refusal;
    struct error err = ERROR_INIT;
    assert_int_equal(budget_left(budgets, claims, 4, NOON), 300);
    assert_int_equal(budget_reserve(budgets, claims, 4, 200, NOON, &a, &refusal, &err), 0);
    check(budgets, "all", 0, 200);
    check(budgets, "slot:main", 0, 200); // once, although it was claimed twice
    check(budgets, "counted", 0, 200);

    assert_int_equal(budget_reserve(budgets, claims, 4, 101, NOON, &b, &refusal, &err),
                     ROUTER_BUDGET_REFUSED);
    assert_int_equal(b.amount_pico, 77);
    assert_string_equal(refusal.account, "slot:main");
    assert_int_equal(refusal.cap_pico, 300);
    assert_int_equal(refusal.left_pico, 100);
    assert_int_equal(refusal.next_reset_wall_ms, MIDNIGHT);
    assert_false(refusal.closed);
    assert_string_equal(err.text,
                        "budget \"slot:main\" ($0.0000000003 a day) has $0.0000000001 left, and "
                        "this call may cost $0.000000000101; it resets at 2026-11-22T00:00:00Z");
    check(budgets, "all", 0, 200);
    check(budgets, "counted", 0, 200);

    // Of two that do not bear it, the one with less left is named.
    assert_int_equal(budget_reserve(budgets, claims, 4, 801, NOON, &b, &refusal, &err),
                     ROUTER_BUDGET_REFUSED);
    assert_string_equal(refusal.account, "slot:main");

    // Another slot has an account of its own; what they share still counts.
    claims[1] = claims[3] = claim(&slots, "title");
    assert_int_equal(budget_reserve(budgets, claims, 4, 300, NOON, &b, &refusal, &err), 0);
    check(budgets, "all", 0, 500);
    router_budgets_release(&b);
    router_budgets_release(&b); // does nothing, like this one
    router_budgets_settle(budgets, &b, 5, NOON, NULL);
    check(budgets, "slot:title", 0, 0);
    check(budgets, "all", 0, 200);
    router_budgets_destroy(budgets);
}

static void test_settling(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_budget_claim claims[] = {claim(&total, NULL), claim(&counted, NULL)};
    struct router_reservation id;
    struct router_budget_charges charges;
    assert_int_equal(budget_reserve(budgets, claims, 2, 100, NOON, &id, NULL, NULL), 0);

    struct store_charge held[ROUTER_BUDGETS_PER_CALL];
    assert_int_equal(router_budgets_held(&id, held), 2);
    assert_true(span_is(held[0].account, "all"));
    assert_int_equal(held[0].amount_pico, 100);
    assert_int_equal(held[0].resets_ms, -1);

    router_budgets_settle(budgets, &id, 30, NOON, &charges);
    assert_int_equal(charges.count, 2);
    assert_int_equal(charges.overshoot_pico, 0);
    assert_int_equal(charges.items[1].amount_pico, 30);
    check(budgets, "counted", 30, 0);
    check(budgets, "all", 30, 0);
    assert_int_equal(router_budgets_held(&id, held), 0);

    // Nobody knows what it cost: all that was held.
    assert_int_equal(reserve(budgets, &total, NULL, 70, NOON, &id), 0);
    router_budgets_settle(budgets, &id, -1, NOON, &charges);
    assert_int_equal(charges.items[0].amount_pico, 70);
    check(budgets, "all", 100, 0);
    router_budgets_destroy(budgets);
}

static void test_overshoot(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_budget_claim claims[] = {claim(&daily, NULL), claim(&counted, NULL)};
    struct router_reservation a, b;
    struct router_budget_charges charges;
    struct router_budget_state refusal;
    struct error err = ERROR_INIT;
    assert_int_equal(budget_reserve(budgets, claims, 2, 100, NOON, &a, NULL, NULL), 0);
    assert_int_equal(budget_reserve(budgets, claims, 2, 900, NOON, &b, NULL, NULL), 0);
    router_budgets_settle(budgets, &a, 103, NOON, &charges);
    assert_int_equal(charges.overshoot_pico, 3);
    assert_true(charges.closed_now[0]);
    assert_false(charges.closed_now[1]); // it has no cap
    struct router_budget_state account = look(budgets, "daily");
    assert_true(account.closed);
    assert_int_equal(account.overshoot_pico, 3);
    assert_int_equal(account.left_pico, 0);

    assert_int_equal(budget_reserve(budgets, claims, 2, 1, NOON, &a, &refusal, &err),
                     ROUTER_BUDGET_REFUSED);
    assert_true(refusal.closed);
    assert_non_null(strstr(err.text, "is closed"));
    assert_non_null(strstr(err.text, "resets at 2026-11-22T00:00:00Z"));
    assert_int_equal(reserve(budgets, &daily, NULL, ROUTER_BUDGET_UNBOUNDED, NOON, &a),
                     ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &daily, NULL, 0, NOON, &a), 0); // costs nothing
    router_budgets_release(&a);

    // Nor is it forgotten, however little was spent in it.
    struct router_budgets *small = router_budgets_create(1, &clock_system);
    assert_int_equal(reserve(small, &daily, NULL, 0, NOON, &a), 0);
    router_budgets_settle(small, &a, 1, NOON, NULL);
    assert_int_equal(reserve(small, &slots, "x", 0, NOON, &a), -ENOSPC);
    router_budgets_destroy(small);

    // It stays closed whatever comes back, until the reset.
    router_budgets_release(&b);
    assert_int_equal(reserve(budgets, &daily, NULL, 1, MIDNIGHT - 1, &a), ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &daily, NULL, 1000, MIDNIGHT, &a), 0);
    assert_false(look(budgets, "daily").closed);
    assert_int_equal(look(budgets, "daily").overshoot_pico, 0);

    // Or until its owner raises the cap.
    router_budgets_settle(budgets, &a, 1001, MIDNIGHT, NULL);
    struct router_budget_terms raised = daily;
    raised.cap_pico = 1500;
    assert_int_equal(reserve(budgets, &raised, NULL, 499, MIDNIGHT, &a), 0);
    assert_int_equal(reserve(budgets, &raised, NULL, 1, MIDNIGHT, &b), ROUTER_BUDGET_REFUSED);
    router_budgets_destroy(budgets);
}

static void test_unbounded(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_reservation a, b;
    struct router_budget_charges charges;
    struct error err = ERROR_INIT;
    assert_int_equal(reserve(budgets, &daily, NULL, ROUTER_BUDGET_UNBOUNDED, NOON, &a), 0);
    assert_int_equal(reserve(budgets, &daily, NULL, ROUTER_BUDGET_UNBOUNDED, NOON, &b), 0);
    check(budgets, "daily", 0, 0);
    router_budgets_settle(budgets, &a, 1000, NOON, &charges);
    assert_int_equal(charges.overshoot_pico, 0);
    assert_false(charges.closed_now[0]);
    struct router_budget_claim one = claim(&daily, NULL);
    assert_int_equal(
        budget_reserve(budgets, &one, 1, ROUTER_BUDGET_UNBOUNDED, NOON, &a, NULL, &err),
        ROUTER_BUDGET_REFUSED);
    assert_non_null(strstr(err.text, "has nothing left"));
    router_budgets_settle(budgets, &b, 5, NOON, &charges);
    assert_true(charges.closed_now[0]);
    assert_int_equal(look(budgets, "daily").overshoot_pico, 5);
    router_budgets_destroy(budgets);
}

static void test_period_ends(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    struct router_reservation a, b;
    struct router_budget_charges charges;
    assert_int_equal(reserve(budgets, &daily, NULL, 600, NOON, &a), 0);
    assert_int_equal(reserve(budgets, &daily, NULL, 400, NOON, &b), 0);
    router_budgets_settle(budgets, &b, 400, NOON, NULL);

    // What is under way goes along, and is paid in the new period.
    struct router_reservation c;
    assert_int_equal(reserve(budgets, &daily, NULL, 401, MIDNIGHT, &c), ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &daily, NULL, 400, MIDNIGHT, &c), 0);
    check(budgets, "daily", 0, 1000);
    router_budgets_settle(budgets, &a, 550, MIDNIGHT, &charges);
    assert_int_equal(charges.items[0].period_ms, MIDNIGHT);
    assert_int_equal(charges.items[0].amount_pico, 550);
    check(budgets, "daily", 550, 400);

    // It ends while nobody asks, and the settlement finds out.
    router_budgets_settle(budgets, &c, 10, MIDNIGHT + 3 * DAY_MS, &charges);
    assert_int_equal(charges.items[0].period_ms, MIDNIGHT + 3 * DAY_MS);
    check(budgets, "daily", 10, 0);
    router_budgets_destroy(budgets);
}

static void spend(struct router_budgets *budgets, const struct router_budget_terms *terms,
                  int64_t amount, int64_t now)
{
    struct router_reservation id;
    assert_int_equal(reserve(budgets, terms, NULL, amount, now, &id), 0);
    router_budgets_settle(budgets, &id, amount, now, NULL);
}

static bool is_open(struct router_budgets *budgets, int64_t now)
{
    struct router_budget_claim one = claim(&daily, NULL);
    return budget_left(budgets, &one, 1, now) > 0;
}

static void test_clock_goes_back(void **state)
{
    (void)state;
    struct fake_clock time;
    struct router_budgets *budgets = router_budgets_create(8, fake_clock_init(&time, 7));
    spend(budgets, &daily, 1000, MIDNIGHT - 1);
    spend(budgets, &daily, 1000, MIDNIGHT);
    assert_false(is_open(budgets, MIDNIGHT - 5000)); // a time server corrects it
    assert_false(is_open(budgets, MIDNIGHT - 1));
    assert_false(is_open(budgets, MIDNIGHT + 1)); // and it is not midnight a second time
    assert_false(is_open(budgets, 0));
    assert_false(is_open(budgets, MIDNIGHT + DAY_MS - 1));
    assert_true(is_open(budgets, MIDNIGHT + DAY_MS));

    // A clock that had been ahead for years is believed after a day.
    spend(budgets, &daily, 1000, MIDNIGHT + 4000 * DAY_MS);
    assert_false(is_open(budgets, NOON + DAY_MS));
    time.now_ms += DAY_MS / 2;
    assert_false(is_open(budgets, NOON)); // it goes back farther, and is no less behind
    time.now_ms += DAY_MS / 2 - 1;
    assert_false(is_open(budgets, NOON + DAY_MS - 1));
    time.now_ms++;
    assert_true(is_open(budgets, NOON + DAY_MS));
    assert_int_equal(look(budgets, "daily").next_reset_wall_ms, MIDNIGHT + DAY_MS);
    router_budgets_destroy(budgets);
}

static void test_clock_begins_in_1970(void **state)
{
    (void)state;
    // A first start: what is spent before the clock is set counts when it is.
    struct router_budgets *budgets = router_budgets_create(8, &clock_system);
    spend(budgets, &daily, 700, 5000);
    spend(budgets, &daily, 300, NOON);
    assert_false(is_open(budgets, NOON));
    struct router_budget_state account = look(budgets, "daily");
    assert_int_equal(budget_accounts_find(budgets, SPAN_LITERAL("daily"))->start_ms,
                     MIDNIGHT - DAY_MS);
    assert_int_equal(account.spent_pico, 1000);
    assert_true(is_open(budgets, MIDNIGHT));
    router_budgets_destroy(budgets);

    // Until then it is not forgotten for another account, as if its period were over.
    struct router_reservation id;
    budgets = router_budgets_create(1, &clock_system);
    spend(budgets, &daily, 700, 5000);
    assert_int_equal(reserve(budgets, &slots, "x", 1, NOON, &id), -ENOSPC);
    router_budgets_destroy(budgets);

    // A later one: the sum of today is there before the clock is.
    budgets = router_budgets_create(8, &clock_system);
    struct span name = SPAN_LITERAL("daily");
    assert_int_equal(restore(budgets, name, MIDNIGHT - 2 * DAY_MS, 200), 0);
    assert_int_equal(restore(budgets, name, MIDNIGHT - DAY_MS, 1000), 0);
    assert_int_equal(restore(budgets, name, MIDNIGHT - 3 * DAY_MS, 300), 0);
    assert_false(is_open(budgets, 5000));
    assert_false(is_open(budgets, NOON));
    assert_true(is_open(budgets, MIDNIGHT));
    router_budgets_destroy(budgets);
}

static void test_restored(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(3, &clock_system);
    assert_int_equal(restore(budgets, SPAN_LITERAL("all"), 0, 400), 0);
    assert_int_equal(restore(budgets, SPAN_LITERAL("slot:main"), MIDNIGHT - DAY_MS, 250), 0);
    assert_int_equal(restore(budgets, SPAN_LITERAL("x"), 0, -1), -EINVAL);
    assert_int_equal(restore(budgets, SPAN_LITERAL(""), 0, 1), -EINVAL);
    assert_int_equal(restore(budgets, SPAN_LITERAL("c"), 0, 1), 0);
    assert_int_equal(restore(budgets, SPAN_LITERAL("d"), 0, 1), -ENOSPC);

    struct router_reservation id;
    assert_int_equal(reserve(budgets, &slots, "main", 51, NOON, &id), ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &slots, "main", 50, NOON, &id), 0);
    assert_int_equal(reserve(budgets, &total, NULL, 601, NOON, &id), ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &total, NULL, 600, NOON, &id), 0);

    size_t cursor = 0, count = 0;
    struct router_budget_state account;
    while (router_budgets_next(budgets, &cursor, NOON, &account))
        count++;
    assert_int_equal(count, 3);
    router_budgets_destroy(budgets);
}

// What a call of unknown cost did cost is known in the end: in the period that paid for it.
static void test_corrected(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(3, &clock_system);
    spend(budgets, &daily, 700, NOON);
    assert_false(correct(budgets, "daily", MIDNIGHT - DAY_MS, -150, 0));
    check(budgets, "daily", 550, 0);
    assert_false(correct(budgets, "daily", MIDNIGHT, 150, 1)); // another period
    check(budgets, "daily", 550, 0);
    assert_false(correct(budgets, "none", 0, 1, 1));

    // What the store knows already is not told to it again.
    struct router_reservation id;
    struct router_budget_charges charges;
    assert_int_equal(reserve(budgets, &daily, NULL, 5, NOON, &id), 0);
    router_budgets_settle(budgets, &id, 5, NOON, &charges);
    assert_int_equal(charges.items[0].amount_pico, 5);
    check(budgets, "daily", 555, 0);

    // More than what was held closes it; less afterwards opens nothing, and the period's end does.
    assert_true(correct(budgets, "daily", MIDNIGHT - DAY_MS, 10, 10));
    assert_true(look(budgets, "daily").closed);
    assert_int_equal(look(budgets, "daily").overshoot_pico, 10);
    assert_false(correct(budgets, "daily", MIDNIGHT - DAY_MS, -400, 0));
    assert_int_equal(reserve(budgets, &daily, NULL, 5, NOON, &id), ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &daily, NULL, 5, MIDNIGHT, &id), 0);
    router_budgets_destroy(budgets);
}

static struct router_budgets *restarted(int64_t overshoot, int64_t closed_cap)
{
    struct store_charge sum = {
        SPAN_LITERAL("daily"), MIDNIGHT - DAY_MS, MIDNIGHT, 20, overshoot, closed_cap};
    struct router_budgets *budgets = router_budgets_create(2, &clock_system);
    assert_int_equal(router_budgets_restore(budgets, &sum, NOON, NULL), 0);
    return budgets;
}

// An overshoot closes for the rest of the period, whoever starts in between.
static void test_closed_over_a_restart(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct router_budget_claim one = claim(&daily, NULL);
    struct router_budget_state refusal;
    struct router_budget_terms raised = daily;
    struct router_reservation id;
    raised.cap_pico++;
    struct router_budgets *budgets = restarted(7, daily.cap_pico);
    assert_true(look(budgets, "daily").closed);
    assert_int_equal(look(budgets, "daily").next_reset_wall_ms, MIDNIGHT);
    assert_int_equal(budget_reserve(budgets, &one, 1, 1, NOON, &id, &refusal, &err),
                     ROUTER_BUDGET_REFUSED);
    assert_true(refusal.closed && strstr(err.text, "is closed"));
    assert_int_equal(refusal.next_reset_wall_ms, MIDNIGHT);
    assert_int_equal(reserve(budgets, &daily, NULL, 1, MIDNIGHT, &id), 0);
    router_budgets_destroy(budgets);

    budgets = restarted(7, daily.cap_pico); // the owner raised the cap meanwhile
    assert_int_equal(reserve(budgets, &raised, NULL, 1, NOON, &id), 0);
    router_budgets_destroy(budgets);

    budgets = restarted(0, 0);
    assert_int_equal(reserve(budgets, &daily, NULL, 980, NOON, &id), 0);
    router_budgets_destroy(budgets);

    budgets = restarted(0, 0); // a correction that comes before the first call
    assert_true(correct(budgets, "daily", MIDNIGHT - DAY_MS, 5, 5));
    assert_int_equal(reserve(budgets, &daily, NULL, 1, NOON, &id), 0); // 1000 is more than 900
    router_budgets_destroy(budgets);
}

// Sums of sessions that nobody will name again do not fill the table for good.
static void test_what_is_over_gives_way_at_a_restart(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(2, &clock_system);
    struct store_charge sum = {
        SPAN_LITERAL("session:a"), MIDNIGHT - 2 * DAY_MS, MIDNIGHT - DAY_MS, 20, 0, 0};
    assert_int_equal(router_budgets_restore(budgets, &sum, NOON, NULL), 0);
    sum.account = SPAN_LITERAL("session:b");
    assert_int_equal(router_budgets_restore(budgets, &sum, NOON, NULL), 0);
    sum = (struct store_charge){SPAN_LITERAL("slot:x"), MIDNIGHT - DAY_MS, MIDNIGHT, 290, 0, 0};
    assert_int_equal(router_budgets_restore(budgets, &sum, NOON, NULL), 0);
    struct router_reservation id;
    assert_int_equal(reserve(budgets, &daily, NULL, 1, NOON, &id), 0);
    assert_int_equal(reserve(budgets, &slots, "x", 11, NOON, &id), ROUTER_BUDGET_REFUSED);
    assert_int_equal(reserve(budgets, &total, NULL, 1, NOON, &id), -ENOSPC);
    router_budgets_destroy(budgets);
}

static void test_bounds(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(3, &clock_system);
    struct router_reservation a, b, c;
    assert_int_equal(reserve(budgets, &total, NULL, 1, NOON, &a), 0);
    assert_int_equal(reserve(budgets, &slots, "one", 1, NOON, &b), 0);
    router_budgets_release(&b);
    assert_int_equal(reserve(budgets, &slots, "two", 1, NOON, &b), 0);
    router_budgets_settle(budgets, &b, 1, NOON, NULL);

    // "one" holds nothing and gives way; "three" then does not, nor does what was spent.
    struct router_budget_state seen;
    assert_int_equal(reserve(budgets, &slots, "three", 1, NOON, &b), 0);
    assert_false(budget_look(budgets, SPAN_LITERAL("slot:one"), &seen));
    router_budgets_release(&a);
    assert_int_equal(reserve(budgets, &total, NULL, 1, NOON, &a), 0);
    router_budgets_settle(budgets, &a, 1, NOON, NULL);
    struct error err = ERROR_INIT;
    struct router_budget_claim four = claim(&slots, "four");
    assert_int_equal(budget_reserve(budgets, &four, 1, 1, NOON, &c, NULL, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "slot:four"));
    assert_int_equal(budget_left(budgets, &four, 1, NOON), 0);

    // The day after, the sum of "two" matters no more.
    assert_int_equal(reserve(budgets, &slots, "four", 1, MIDNIGHT, &c), 0);
    assert_false(budget_look(budgets, SPAN_LITERAL("slot:two"), &seen));
    check(budgets, "all", 1, 0);
    check(budgets, "slot:three", 0, 1);

    // Two that one call names do not drive each other out.
    router_budgets_release(&c);
    struct router_budget_claim claims[] = {claim(&slots, "five"), claim(&slots, "six")};
    assert_int_equal(budget_reserve(budgets, claims, 2, 1, MIDNIGHT, &c, NULL, NULL), -ENOSPC);
    router_budgets_destroy(budgets);
    router_budgets_destroy(NULL);
}

static void test_huge_amounts(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(3, &clock_system);
    struct router_reservation id;
    assert_int_equal(reserve(budgets, &counted, NULL, INT64_MAX - 1, NOON, &id), 0);
    assert_int_equal(reserve(budgets, &counted, NULL, INT64_MAX - 1, NOON, &id), -EOVERFLOW);
    router_budgets_settle(budgets, &id, INT64_MAX, NOON, NULL);
    assert_int_equal(reserve(budgets, &counted, NULL, 5, NOON, &id), 0);
    router_budgets_settle(budgets, &id, INT64_MAX, NOON, NULL);
    check(budgets, "counted", INT64_MAX, 0);
    router_budgets_destroy(budgets);
}

static void test_names(void **state)
{
    (void)state;
    struct router_budgets *budgets = router_budgets_create(16, &clock_system);
    struct router_reservation id;
    char key[201];
    memset(key, 'k', sizeof key - 1);
    key[200] = '\0';
    assert_int_equal(reserve(budgets, &slots, key, 1, NOON, &id), 0);
    key[199] = 'x'; // another key, another account
    assert_int_equal(reserve(budgets, &slots, key, 300, NOON, &id), 0);
    assert_int_equal(reserve(budgets, &slots, "a b", 300, NOON, &id), 0);
    look(budgets, "slot:c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65");
    assert_int_equal(reserve(budgets, &slots, "", 300, NOON, &id), 0); // no key is a key as well
    struct router_budget_terms long_name = daily;
    long_name.name = key;
    assert_int_equal(reserve(budgets, &long_name, NULL, 1, NOON, &id), -EINVAL);
    router_budgets_destroy(budgets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_many_as_fit),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_settling),
        cmocka_unit_test(test_overshoot),
        cmocka_unit_test(test_unbounded),
        cmocka_unit_test(test_period_ends),
        cmocka_unit_test(test_clock_goes_back),
        cmocka_unit_test(test_clock_begins_in_1970),
        cmocka_unit_test(test_restored),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_huge_amounts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_corrected),
        cmocka_unit_test(test_closed_over_a_restart),
        cmocka_unit_test(test_what_is_over_gives_way_at_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
