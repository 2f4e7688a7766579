#include "router/money/budget.h"

#include <errno.h>
#include <stdio.h>
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

enum {
    ENTRY_BITS = 16, // of a reservation's id; what is above counts up and is never used twice
    ENTRIES_MAX = 1 << ENTRY_BITS,
    SENTENCE_NAME_MAX = 96, // bytes of an account's name in a sentence
};

struct reservation {
    router_reservation_id id; // 0: free
    int64_t amount_pico;
    bool unbounded;
    uint32_t count;
    uint32_t accounts[ROUTER_BUDGETS_PER_CALL];
    size_t next_free; // entry + 1, or 0
};

struct router_budgets {
    struct budget_accounts accounts;
    struct reservation *entries; // owned
    size_t count, capacity, max;
    size_t first_free; // entry + 1, or 0
    uint64_t serial;
};

struct router_budgets *router_budgets_create(size_t max_accounts, size_t max_reservations)
{
    struct router_budgets *budgets = mem_new(struct router_budgets);
    budget_accounts_init(&budgets->accounts, max_accounts);
    budgets->max = max_reservations < ENTRIES_MAX ? max_reservations : ENTRIES_MAX;
    return budgets;
}

void router_budgets_destroy(struct router_budgets *budgets)
{
    if (!budgets)
        return;
    budget_accounts_finish(&budgets->accounts);
    mem_cleanup(&budgets->entries);
    mem_cleanup(&budgets);
}

void router_budgets_use_clock(struct router_budgets *budgets, const struct clock *clock)
{
    budgets->accounts.clock = clock;
}

static struct budget_now now_of(const struct router_budgets *budgets, int64_t wall_ms)
{
    return (struct budget_now){wall_ms, clock_boot_ms(budgets->accounts.clock),
                               budgets->accounts.lost_ms};
}

struct budget_accounts *router_budgets_accounts(struct router_budgets *budgets)
{
    return &budgets->accounts;
}

static struct budget_account *account_at(const struct router_budgets *budgets, uint32_t index)
{
    return &budgets->accounts.items[index];
}

// Reservations.

static struct reservation *find_reservation(const struct router_budgets *budgets,
                                            router_reservation_id id)
{
    size_t entry = id & (ENTRIES_MAX - 1);
    return id && entry < budgets->count && budgets->entries[entry].id == id
               ? &budgets->entries[entry]
               : NULL;
}

static struct reservation *new_reservation(struct router_budgets *budgets)
{
    size_t entry;
    if (budgets->first_free) {
        entry = budgets->first_free - 1;
        budgets->first_free = budgets->entries[entry].next_free;
    } else {
        budgets->entries = mem_grow(budgets->entries, budgets->count, &budgets->capacity,
                                    sizeof *budgets->entries);
        entry = budgets->count++;
    }
    budgets->entries[entry] = (struct reservation){.id = ++budgets->serial << ENTRY_BITS | entry};
    return &budgets->entries[entry];
}

static void end_reservation(struct router_budgets *budgets, struct reservation *reservation)
{
    for (uint32_t i = 0; i < reservation->count; i++) {
        struct budget_account *account = account_at(budgets, reservation->accounts[i]);
        account->reserved_pico -= reservation->amount_pico;
        account->references--;
    }
    *reservation = (struct reservation){.next_free = budgets->first_free};
    budgets->first_free = (size_t)(reservation - budgets->entries) + 1;
}

// Names.

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
    size_t len = strlen(claim->terms->name);
    size_t needed = len + (claim->key.data ? SHA256_HEX_SIZE : 0);
    if (len == 0 || needed >= ROUTER_BUDGET_NAME_MAX)
        return error_set(err, -EINVAL, "the budget's name \"%.*s\" is empty or too long",
                         SENTENCE_NAME_MAX, claim->terms->name);
    memcpy(name, claim->terms->name, len + 1);
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

// Finding the accounts of a call. While that goes on, each that was found is held, so that none is
// forgotten for the next.

struct account_set {
    uint32_t count;
    uint32_t items[ROUTER_BUDGETS_PER_CALL];
};

static bool set_has(const struct account_set *set, uint32_t index)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->items[i] == index)
            return true;
    return false;
}

static int read_back(struct router_budgets *budgets, struct budget_account *account,
                     struct error *err)
{
    const struct router_budget_store *store = &budgets->accounts.store;
    int rc = account->unread ? store->recall(store->context, span_of(account->name), err) : 0;
    if (rc >= 0)
        account->unread = false;
    return rc;
}

static int add_account(struct router_budgets *budgets, const struct router_budget_claim *claim,
                       struct budget_now now, struct account_set *set, struct error *err)
{
    char name[ROUTER_BUDGET_NAME_MAX];
    int rc = make_name(claim, name, err);
    if (rc < 0)
        return rc;
    uint32_t index = budget_accounts_find(&budgets->accounts, span_of(name));
    if (index == BUDGET_NO_ACCOUNT)
        index =
            budget_accounts_add(&budgets->accounts, span_of(name), claim->key.data, now.wall_ms);
    if (index == BUDGET_NO_ACCOUNT)
        return error_set(err, -ENOSPC,
                         "all %zu budget accounts have spending that is not stored yet; there is "
                         "no room for \"%.*s\" until it is",
                         budgets->accounts.count, SENTENCE_NAME_MAX, name);
    rc = read_back(budgets, account_at(budgets, index), err);
    if (rc < 0)
        return rc;
    account_at(budgets, index)->used = true;
    budget_account_claim(account_at(budgets, index), claim->terms, now);
    if (set_has(set, index))
        return 0;
    account_at(budgets, index)->references++;
    set->items[set->count++] = index;
    return 0;
}

static void drop_accounts(struct router_budgets *budgets, struct account_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        account_at(budgets, set->items[i])->references--;
    set->count = 0;
}

static int find_accounts(struct router_budgets *budgets, const struct router_budget_claim *claims,
                         size_t count, int64_t now_wall_ms, struct account_set *set,
                         struct error *err)
{
    if (count > ROUTER_BUDGETS_PER_CALL)
        return error_set(err, -EINVAL, "%zu budgets apply to one call; at most %d may", count,
                         ROUTER_BUDGETS_PER_CALL);
    struct budget_now now = now_of(budgets, now_wall_ms);
    for (size_t i = 0; i < count; i++) {
        int rc = add_account(budgets, &claims[i], now, set, err);
        if (rc < 0) {
            drop_accounts(budgets, set);
            return rc;
        }
    }
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
    char cap[MONEY_TEXT_SIZE], left[MONEY_TEXT_SIZE], wanted[MONEY_TEXT_SIZE];
    char period[BUDGET_PERIOD_TEXT_SIZE], when[ROUTER_BUDGET_WHEN_SIZE];
    money_format(account->cap_pico, cap);
    money_format(budget_account_left(account), left);
    money_format(wanted_pico, wanted);
    budget_period_text(&account->period, period);
    router_budget_when(account->end_ms, when);
    if (account->closed)
        error_set(err, ROUTER_BUDGET_REFUSED,
                  "budget \"%.*s\" (%s %s) is closed: a call cost %s more than its upper bound; it "
                  "%s, and a higher cap opens it",
                  SENTENCE_NAME_MAX, account->name, cap, period,
                  money_format(account->overshoot_pico, wanted), when);
    else if (account->lost)
        error_set(err, ROUTER_BUDGET_REFUSED,
                  "budget \"%.*s\" (%s %s) is closed: records of the ledger's journal are lost, so "
                  "what is left of it is not known; it %s, and the log says what opens it",
                  SENTENCE_NAME_MAX, account->name, cap, period, when);
    else if (wanted_pico < 0)
        error_set(err, ROUTER_BUDGET_REFUSED, "budget \"%.*s\" (%s %s) has nothing left; it %s",
                  SENTENCE_NAME_MAX, account->name, cap, period, when);
    else
        error_set(err, ROUTER_BUDGET_REFUSED,
                  "budget \"%.*s\" (%s %s) has %s left, and this call may cost %s; it %s",
                  SENTENCE_NAME_MAX, account->name, cap, period, left, wanted, when);
}

static void fill_refusal(const struct budget_account *account, int64_t wanted_pico,
                         struct router_budget_refusal *refusal)
{
    *refusal = (struct router_budget_refusal){
        .cap_pico = account->cap_pico,
        .left_pico = budget_account_left(account),
        .wanted_pico = wanted_pico,
        .next_reset_wall_ms = account->end_ms,
        .closed = account->closed || account->lost,
    };
    memcpy(refusal->account, account->name, sizeof refusal->account);
}

// `more_pico`: what is wanted besides what is held; ROUTER_BUDGET_UNBOUNDED wants something.
static int check_room(struct router_budgets *budgets, const uint32_t *accounts, uint32_t count,
                      int64_t more_pico, int64_t now_wall_ms,
                      struct router_budget_refusal *ret_refusal, struct error *err)
{
    struct budget_now now = now_of(budgets, now_wall_ms);
    const struct budget_account *least = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct budget_account *account = account_at(budgets, accounts[i]);
        budget_account_roll(account, now);
        bool is_uncountable = money_add(account->reserved_pico, more_pico) == INT64_MAX;
        if (is_uncountable && account->cap_pico < 0) // else the cap bounds the sum
            return error_set(err, -EOVERFLOW, "budget \"%.*s\" cannot count that much money",
                             SENTENCE_NAME_MAX, account->name);
        int64_t left = budget_account_left(account);
        bool bears = more_pico == ROUTER_BUDGET_UNBOUNDED ? left > 0 : more_pico <= left;
        if (!bears && (!least || left < budget_account_left(least)))
            least = account;
    }
    if (!least)
        return 0;
    if (ret_refusal)
        fill_refusal(least, more_pico, ret_refusal);
    write_refusal(least, more_pico, err);
    return ROUTER_BUDGET_REFUSED;
}

int router_budgets_reserve(struct router_budgets *budgets, const struct router_budget_claim *claims,
                           size_t count, int64_t amount_pico, int64_t now_wall_ms,
                           router_reservation_id *ret_reservation,
                           struct router_budget_refusal *ret_refusal, struct error *err)
{
    if (amount_pico < 0 && amount_pico != ROUTER_BUDGET_UNBOUNDED)
        return error_set(err, -EINVAL, "a negative amount cannot be reserved");
    if (!budgets->first_free && budgets->count == budgets->max)
        return error_set(err, -ENOSPC, "%zu calls hold money already", budgets->count);
    struct account_set set = {0, {0}};
    int rc = find_accounts(budgets, claims, count, now_wall_ms, &set, err);
    if (rc == 0)
        rc = check_room(budgets, set.items, set.count, amount_pico, now_wall_ms, ret_refusal, err);
    if (rc != 0) {
        drop_accounts(budgets, &set);
        return rc;
    }
    struct reservation *reservation = new_reservation(budgets);
    reservation->unbounded = amount_pico == ROUTER_BUDGET_UNBOUNDED;
    reservation->amount_pico = reservation->unbounded ? 0 : amount_pico;
    reservation->count = set.count;
    memcpy(reservation->accounts, set.items, sizeof set.items);
    for (uint32_t i = 0; i < set.count; i++)
        account_at(budgets, set.items[i])->reserved_pico += reservation->amount_pico;
    *ret_reservation = reservation->id;
    return 0;
}

// Settling.

static struct router_budget_charge report(struct budget_account *account, bool closed_now)
{
    struct router_budget_charge charge = {
        .account = account->name,
        .period_start_wall_ms = account->start_ms,
        .next_reset_wall_ms = account->end_ms,
        .delta_pico = account->spent_pico - account->reported_pico,
        .spent_pico = account->spent_pico,
        .overshoot_pico = account->overshoot_pico - account->reported_overshoot_pico,
        .cap_pico = account->cap_pico,
        .closed_now = closed_now,
    };
    account->reported_pico = account->spent_pico;
    account->reported_overshoot_pico = account->overshoot_pico;
    return charge;
}

bool router_budgets_settle(struct router_budgets *budgets, router_reservation_id id,
                           int64_t actual_pico, int64_t now_wall_ms,
                           struct router_budget_charges *ret_charges)
{
    struct reservation *found = find_reservation(budgets, id);
    if (!found)
        return false;
    struct reservation reservation = *found;
    end_reservation(budgets, found);
    int64_t actual = actual_pico < 0 ? reservation.amount_pico : actual_pico;
    int64_t excess = money_sub(actual, reservation.amount_pico);
    const struct router_budget_store *store = &budgets->accounts.store;
    int64_t record = store->recall ? store->written(store->context) + 1 : INT64_MAX;
    struct router_budget_charges charges = {.count = reservation.count};
    charges.overshoot_pico = reservation.unbounded || excess < 0 ? 0 : excess;
    struct budget_now now = now_of(budgets, now_wall_ms);
    for (uint32_t i = 0; i < reservation.count; i++) {
        struct budget_account *account = account_at(budgets, reservation.accounts[i]);
        budget_account_roll(account, now);
        if (reservation.unbounded)
            excess = budget_account_excess(account, actual);
        charges.items[i] = report(account, budget_account_spend(account, actual, excess));
        account->record = record;
    }
    if (ret_charges)
        *ret_charges = charges;
    return true;
}

bool router_budgets_release(struct router_budgets *budgets, router_reservation_id id)
{
    struct reservation *reservation = find_reservation(budgets, id);
    if (reservation)
        end_reservation(budgets, reservation);
    return reservation != NULL;
}

bool router_budgets_held(const struct router_budgets *budgets, router_reservation_id id,
                         int64_t *ret_amount_pico, struct router_budget_charges *ret_charges)
{
    const struct reservation *reservation = find_reservation(budgets, id);
    if (!reservation)
        return false;
    *ret_charges = (struct router_budget_charges){.count = reservation->count};
    for (uint32_t i = 0; i < reservation->count; i++) {
        const struct budget_account *account = account_at(budgets, reservation->accounts[i]);
        ret_charges->items[i] = (struct router_budget_charge){
            .account = account->name,
            .period_start_wall_ms = account->start_ms,
            .next_reset_wall_ms = account->end_ms,
            .spent_pico = account->spent_pico,
            .cap_pico = account->cap_pico,
        };
    }
    *ret_amount_pico = reservation->amount_pico;
    return true;
}

int64_t router_budgets_left(struct router_budgets *budgets,
                            const struct router_budget_claim *claims, size_t count,
                            int64_t now_wall_ms, struct router_budget_refusal *ret_least)
{
    const struct budget_account *tightest = NULL;
    struct account_set set = {0, {0}};
    if (find_accounts(budgets, claims, count, now_wall_ms, &set, NULL) < 0)
        return 0;
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < set.count; i++) {
        const struct budget_account *account = account_at(budgets, set.items[i]);
        int64_t left = budget_account_left(account);
        tightest = left < least ? account : tightest;
        least = left < least ? left : least;
    }
    if (tightest && ret_least)
        fill_refusal(tightest, ROUTER_BUDGET_UNBOUNDED, ret_least);
    drop_accounts(budgets, &set);
    return least;
}

bool router_budgets_next(struct router_budgets *budgets, size_t *cursor, int64_t now_wall_ms,
                         struct router_budget_state *ret_state)
{
    if (*cursor >= budgets->accounts.count)
        return false;
    struct budget_account *account = account_at(budgets, (uint32_t)(*cursor)++);
    budget_account_roll(account, now_of(budgets, now_wall_ms));
    *ret_state = budget_account_state(account);
    return true;
}
