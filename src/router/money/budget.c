#include "router/money/budget.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "codec/money.h"
#include "codec/sha256.h"
#include "router/money/budget_account.h"

/*
 * A counter that is read before a call and raised after it lets a hundred calls pass at once, each
 * of which saw the same room. So what a call can cost is taken from the accounts before it is made,
 * and nothing but the difference comes back. All of it happens on the loop's thread, between two
 * events: it is the order of calls of these functions that decides who gets the last cent.
 *
 *   - spent + reserved <= cap, in every account, always; but for what a provider charged above the
 *     bound. That is kept as the overshoot, and closes the account: a bound that did not hold once
 *     holds nothing.
 *   - A charge lands in the period in which it is settled. A reservation goes along when a period
 *     ends, it takes room in the new one; so whatever it comes to is within both caps, nothing is
 *     counted twice, and nothing nowhere.
 *   - What costs nothing always passes, so that a free model can answer when the money is spent.
 *   - No caller is exempt: there is no argument by which one could be.
 *   - Accounts are made when a call names them. When there are as many as may be, one is forgotten
 *     in which no money is: nothing was spent, or its period is over; or one of which the store
 *     knows all, which is read back when it is named again. If there is none, the call is refused,
 *     since an account that is forgotten too early would begin anew with its whole cap.
 *
 * When a period ends is told in budget_account.c.
 */

enum { SENTENCE_NAME_MAX = 96 }; // bytes of an account's name in a sentence

struct router_budgets *router_budgets_create(size_t max_accounts, const struct clock *clock)
{
    struct router_budgets *budgets = mem_new(struct router_budgets);
    budgets->max = max_accounts;
    budgets->clock = clock;
    budgets->lost_ms = -1;
    return budgets;
}

void router_budgets_destroy(struct router_budgets *budgets)
{
    if (!budgets)
        return;
    while (budgets->count)
        free(budgets->items[--budgets->count]);
    free(budgets->items);
    free(budgets);
}

static struct budget_now now_of(const struct router_budgets *budgets, int64_t wall_ms)
{
    return (struct budget_now){wall_ms, clock_boot_ms(budgets->clock), budgets->lost_ms};
}

// A key comes from a caller: what could not be shown, or is long, stands there by its digest.
static bool is_plain(struct span key, size_t room)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.data[i] <= ' ' || key.data[i] > '~')
            return false;
    return key.len > 0 && key.len <= room;
}

static int make_name(const struct router_budget_claim *claim, char *name, struct error *err)
{
    size_t len = strlen(claim->terms.name);
    size_t needed = len + (claim->key.data ? SHA256_HEX_SIZE : 0);
    if (len == 0 || needed >= ROUTER_BUDGET_NAME_MAX)
        return error_set(err, -EINVAL, "the budget's name \"%.*s\" is empty or too long",
                         SENTENCE_NAME_MAX, claim->terms.name);
    memcpy(name, claim->terms.name, len + 1);
    if (!claim->key.data)
        return 0;
    name[len++] = ':';
    if (is_plain(claim->key, ROUTER_BUDGET_NAME_MAX - 1 - len)) {
        memcpy(name + len, claim->key.data, claim->key.len);
        name[len + claim->key.len] = '\0';
        return 0;
    }
    struct sha256 hash;
    sha256_init(&hash);
    sha256_add(&hash, claim->key);
    sha256_end_hex(&hash, name + len);
    return 0;
}

// Each account that was found is held at once, so that none is forgotten for the next.
static int hold(struct router_budgets *budgets, const struct router_budget_claim *claim,
                struct budget_now now, struct router_reservation *reservation, struct error *err)
{
    char name[ROUTER_BUDGET_NAME_MAX];
    int r = make_name(claim, name, err);
    if (r < 0)
        return r;
    struct budget_account *account =
        budget_accounts_get(budgets, span_of(name), claim->key.data, now.wall_ms);
    if (!account)
        return error_set(err, -ENOSPC,
                         "all %zu budget accounts have spending that is not stored yet; there is "
                         "no room for \"%.*s\" until it is",
                         budgets->count, SENTENCE_NAME_MAX, name);
    if (account->unread)
        r = budgets->store.recall(budgets->store.context, span_of(name), err);
    if (r < 0)
        return r;
    account->unread = false;
    account->used = true;
    budget_account_claim(account, &claim->terms, now);
    for (size_t i = 0; i < reservation->count; i++)
        if (reservation->accounts[i] == account)
            return 0;
    account->references++;
    reservation->accounts[reservation->count++] = account;
    return 0;
}

int router_budgets_claim(struct router_budgets *budgets, const struct router_budget_claim *claims,
                         size_t count, int64_t now_wall_ms,
                         struct router_reservation *ret_reservation,
                         struct router_budget_state *ret_tightest, struct error *err)
{
    struct router_reservation reservation = {.count = 0};
    struct budget_now now = now_of(budgets, now_wall_ms);
    assert(count > 0 && count <= ROUTER_BUDGETS_PER_CALL);
    for (size_t i = 0; i < count; i++) {
        int r = hold(budgets, &claims[i], now, &reservation, err);
        if (r < 0) {
            router_budgets_release(&reservation);
            return r;
        }
    }
    const struct budget_account *tightest = reservation.accounts[0];
    for (size_t i = 1; i < reservation.count; i++)
        if (budget_account_left(reservation.accounts[i]) < budget_account_left(tightest))
            tightest = reservation.accounts[i];
    if (ret_tightest)
        *ret_tightest = budget_account_state(tightest);
    *ret_reservation = reservation;
    return 0;
}

// Refusing.

const char *router_budget_when(int64_t next_reset_wall_ms, char *text)
{
    char reset[CLOCK_TEXT_SIZE];
    if (next_reset_wall_ms < 0)
        snprintf(text, ROUTER_BUDGET_WHEN_SIZE, "does not reset");
    else
        snprintf(text, ROUTER_BUDGET_WHEN_SIZE, "resets at %s",
                 clock_format_utc(next_reset_wall_ms, reset));
    return text;
}

static void write_refusal(const struct budget_account *account, int64_t wanted_pico,
                          struct error *err)
{
    char cap[MONEY_TEXT_SIZE], left[MONEY_TEXT_SIZE], money[MONEY_TEXT_SIZE];
    char period[BUDGET_PERIOD_TEXT_SIZE], when[ROUTER_BUDGET_WHEN_SIZE], why[ERROR_TEXT_MAX];
    router_budget_when(account->end_ms, when);
    if (account->closed)
        snprintf(why, sizeof why,
                 "is closed: a call cost %s more than its upper bound; it %s, and a higher cap "
                 "opens it",
                 money_format(account->overshoot_pico, money), when);
    else if (account->lost)
        snprintf(why, sizeof why,
                 "is closed: records of the ledger's journal are lost, so what is left of it is "
                 "not known; it %s, and the log says what opens it",
                 when);
    else if (wanted_pico < 0)
        snprintf(why, sizeof why, "has nothing left; it %s", when);
    else
        snprintf(why, sizeof why, "has %s left, and this call may cost %s; it %s",
                 money_format(budget_account_left(account), left), money_format(wanted_pico, money),
                 when);
    error_set(err, ROUTER_BUDGET_REFUSED, "budget \"%.*s\" (%s %s) %s", SENTENCE_NAME_MAX,
              account->name, money_format(account->cap_pico, cap),
              budget_period_text(&account->period, period), why);
}

int router_budgets_reserve(struct router_reservation *reservation, int64_t amount_pico,
                           struct router_budget_state *ret_least, struct error *err)
{
    const struct budget_account *least = NULL;
    bool unbounded = amount_pico == ROUTER_BUDGET_UNBOUNDED;
    for (size_t i = 0; i < reservation->count; i++) {
        const struct budget_account *account = reservation->accounts[i];
        bool is_uncountable = money_add(account->reserved_pico, amount_pico) == INT64_MAX;
        if (is_uncountable && account->cap_pico < 0) // else the cap bounds the sum
            return error_set(err, -EOVERFLOW, "budget \"%.*s\" cannot count that much money",
                             SENTENCE_NAME_MAX, account->name);
        int64_t left = budget_account_left(account);
        bool bears = unbounded ? left > 0 : amount_pico <= left;
        if (!bears && (!least || left < budget_account_left(least)))
            least = account;
    }
    if (least) {
        if (ret_least)
            *ret_least = budget_account_state(least);
        write_refusal(least, amount_pico, err);
        return ROUTER_BUDGET_REFUSED;
    }
    reservation->unbounded = unbounded;
    reservation->amount_pico = unbounded ? 0 : amount_pico;
    for (size_t i = 0; i < reservation->count; i++)
        reservation->accounts[i]->reserved_pico += reservation->amount_pico;
    return 0;
}

// Settling.

void router_budgets_release(struct router_reservation *reservation)
{
    for (size_t i = 0; i < reservation->count; i++) {
        reservation->accounts[i]->reserved_pico -= reservation->amount_pico;
        reservation->accounts[i]->references--;
    }
    *reservation = (struct router_reservation){.count = 0};
}

void router_budgets_settle(struct router_budgets *budgets, struct router_reservation *reservation,
                           int64_t actual_pico, int64_t now_wall_ms,
                           struct router_budget_charges *ret_charges)
{
    struct router_reservation held = *reservation;
    router_budgets_release(reservation);
    int64_t actual = actual_pico < 0 ? held.amount_pico : actual_pico;
    int64_t excess = money_sub(actual, held.amount_pico);
    const struct router_budget_store *store = &budgets->store;
    int64_t record = store->recall ? store->written(store->context) + 1 : INT64_MAX;
    struct router_budget_charges charges = {
        .count = held.count,
        .overshoot_pico = held.unbounded || excess < 0 ? 0 : excess,
    };
    struct budget_now now = now_of(budgets, now_wall_ms);
    for (size_t i = 0; i < held.count; i++) {
        struct budget_account *account = held.accounts[i];
        budget_account_roll(account, now);
        if (held.unbounded)
            excess = budget_account_excess(account, actual);
        charges.closed_now[i] = budget_account_spend(account, actual, excess);
        charges.items[i] =
            budget_account_charge(account, account->spent_pico - account->reported_pico,
                                  account->overshoot_pico - account->reported_overshoot_pico);
        account->reported_pico = account->spent_pico;
        account->reported_overshoot_pico = account->overshoot_pico;
        account->record = record;
    }
    if (ret_charges)
        *ret_charges = charges;
}

size_t router_budgets_held(const struct router_reservation *reservation,
                           struct store_charge *ret_charges)
{
    for (size_t i = 0; i < reservation->count; i++)
        ret_charges[i] =
            budget_account_charge(reservation->accounts[i], reservation->amount_pico, 0);
    return reservation->count;
}

bool router_budgets_next(struct router_budgets *budgets, size_t *cursor, int64_t now_wall_ms,
                         struct router_budget_state *ret_state)
{
    if (*cursor >= budgets->count)
        return false;
    struct budget_account *account = budgets->items[(*cursor)++];
    budget_account_roll(account, now_of(budgets, now_wall_ms));
    *ret_state = budget_account_state(account);
    return true;
}
