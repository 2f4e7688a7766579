#include "router/money/budget_account.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "codec/money.h"

/*
 * When a period begins anew.
 *
 * Wall time is all there is to say when it is midnight, and on a board without a battery it is the
 * least certain thing: it begins in 1970 or when the image was made, and leaps when a time server
 * answers. The rules:
 *
 * 1. A period ends when the clock is at its end or later, and the one that holds `now` begins.
 * 2. The clock going back opens nothing. An account stays in the period that it is in, with what
 *    was spent and whether it is closed, although that has not begun yet by the clock.
 * 3. But a clock that was ahead by years must not close an account for years. When it has been
 *    behind an account's period for as long as that period is, it is believed. How long that was is
 *    not asked of a clock that jumps, else one jump more would begin a period.
 * 4. What was spent before the clock was set goes along: a period that began before this program
 *    existed is carried over into the first one that did not, and not forgotten.
 *
 * A clock that leaps ahead cannot be told from a machine that was off for so long. It begins one
 * new period, and by rule 2 no other when it is put right.
 *
 * Terms may change with the configuration. The sum stays; the new calendar says when the period
 * ends that it belongs to, and of a shorter one, the one that is now: how much of the sum was spent
 * in it is not known, so all of it may have been. A cap that the owner has raised opens what an
 * overshoot closed.
 */

#define CLOCK_IS_SET_MS INT64_C(1767225600000) // 2026-01-01T00:00:00Z

enum { KEYLESS_SHARE = 64 }; // one in so many is for accounts without a key

// Keys of callers are in the names, but a flooded bucket costs only time that the bound on the
// accounts limits.
static struct budget_account **bucket_of(struct router_budgets *budgets, struct span name)
{
    return &budgets->buckets[hash_of(name) % BUDGET_BUCKETS];
}

struct budget_account *budget_accounts_find(struct router_budgets *budgets, struct span name)
{
    struct budget_account *account = *bucket_of(budgets, name);
    while (account && !span_is(name, account->name))
        account = account->next;
    return account;
}

// One in which nothing was spent, or only in a period that is over; or whose sum can be read back,
// when nobody has used it for a round. NULL: none.
static struct budget_account *forget_one(struct router_budgets *budgets, int64_t now_ms)
{
    const struct router_budget_store *store = &budgets->store;
    int64_t kept = store->recall ? store->kept(store->context) : -1;
    for (size_t i = 0; i < 2 * budgets->count; i++) {
        budgets->hand = (budgets->hand + 1) % budgets->count;
        struct budget_account *account = budgets->items[budgets->hand];
        bool is_empty = account->spent_pico == 0 && !account->closed;
        bool is_over = account->end_ms >= 0 && now_ms >= account->end_ms &&
                       account->start_ms >= CLOCK_IS_SET_MS; // else it is to be carried over
        bool is_kept = !account->used && account->record <= kept;
        account->used = false;
        if (account->references || !(is_empty || is_over || is_kept))
            continue;
        budgets->partial |= !is_empty && !is_over;
        struct budget_account **at = bucket_of(budgets, span_of(account->name));
        while (*at != account)
            at = &(*at)->next;
        *at = account->next;
        return account;
    }
    return NULL;
}

struct budget_account *budget_accounts_get(struct router_budgets *budgets, struct span name,
                                           bool has_key, int64_t now_ms)
{
    struct budget_account *account = budget_accounts_find(budgets, name);
    if (account)
        return account;
    if (budgets->count >= budgets->max - (has_key ? budgets->max / KEYLESS_SHARE : 0)) {
        account = forget_one(budgets, now_ms);
        if (!account)
            return NULL;
    } else {
        budgets->items = mem_grow(budgets->items, budgets->count, &budgets->capacity,
                                  sizeof(struct budget_account *));
        account = budgets->items[budgets->count++] = mem_new(struct budget_account);
    }
    struct budget_account **bucket = bucket_of(budgets, name);
    *account = (struct budget_account){
        .next = *bucket,
        .unread = budgets->partial,
        .cap_pico = -1,
        .end_ms = -1,
        .behind_ms = -1,
    };
    memcpy(account->name, name.data, name.len);
    *bucket = account;
    return account;
}

void budget_account_note_loss(struct budget_account *account, int64_t lost_wall_ms)
{
    if (account->claimed && lost_wall_ms >= account->start_ms &&
        (account->end_ms < 0 || lost_wall_ms < account->end_ms))
        account->lost = true;
}

static bool has_calendar(const struct budget_account *account,
                         const struct router_budget_terms *terms)
{
    const struct zone *a = &account->zone, *b = &terms->zone;
    return account->period.kind == terms->period.kind &&
           account->period.length == terms->period.length && a->standard_s == b->standard_s &&
           a->daylight_s == b->daylight_s && a->known == b->known &&
           memcmp(&a->begins, &b->begins, sizeof a->begins) == 0 &&
           memcmp(&a->ends, &b->ends, sizeof a->ends) == 0;
}

// The start stays, whatever the new calendar makes of it: it is what the sum is stored under.
void budget_account_claim(struct budget_account *account, const struct router_budget_terms *terms,
                          struct budget_now now)
{
    int64_t now_ms = now.wall_ms;
    if (terms->cap_pico < 0 || (account->cap_pico >= 0 && terms->cap_pico > account->cap_pico))
        account->closed = false;
    account->cap_pico = terms->cap_pico;
    if (!account->claimed || !has_calendar(account, terms)) {
        bool is_new = !account->claimed && account->start_ms == 0 && account->spent_pico == 0;
        account->period = terms->period;
        account->zone = terms->zone;
        bool runs = !is_new && now_ms < account->end_ms;
        struct budget_span span =
            budget_period_at(&account->period, &account->zone, is_new ? now_ms : account->start_ms);
        if (runs && span.end_wall_ms >= 0 && span.end_wall_ms <= now_ms)
            span = budget_period_at(&account->period, &account->zone, now_ms);
        if (is_new)
            account->start_ms = span.start_wall_ms;
        account->end_ms = span.end_wall_ms;
        account->behind_ms = -1;
        account->claimed = true;
        budget_account_note_loss(account, now.lost_ms);
    }
    budget_account_roll(account, now);
}

static void begin_period(struct budget_account *account, struct budget_now now)
{
    struct budget_span span = budget_period_at(&account->period, &account->zone, now.wall_ms);
    bool is_carried = account->start_ms < CLOCK_IS_SET_MS && span.start_wall_ms >= CLOCK_IS_SET_MS;
    if (!is_carried) {
        account->spent_pico = account->overshoot_pico = 0;
        account->closed = account->lost = false;
    }
    account->reported_pico = account->reported_overshoot_pico = 0;
    account->start_ms = span.start_wall_ms;
    account->end_ms = span.end_wall_ms;
    account->behind_ms = -1;
    budget_account_note_loss(account, now.lost_ms);
}

void budget_account_roll(struct budget_account *account, struct budget_now now)
{
    if (!account->claimed || account->end_ms < 0)
        return;
    if (now.wall_ms >= account->end_ms)
        begin_period(account, now);
    else if (now.wall_ms >= account->start_ms)
        account->behind_ms = -1;
    else if (account->behind_ms < 0)
        account->behind_ms = now.boot_ms;
    else if (now.boot_ms - account->behind_ms >= account->end_ms - account->start_ms)
        begin_period(account, now);
}

int64_t budget_account_left(const struct budget_account *account)
{
    if (account->cap_pico < 0)
        return INT64_MAX;
    int64_t used = money_add(account->spent_pico, account->reserved_pico);
    return account->closed || account->lost || used >= account->cap_pico ? 0
                                                                         : account->cap_pico - used;
}

int64_t budget_account_excess(const struct budget_account *account, int64_t amount_pico)
{
    int64_t left =
        money_sub(account->cap_pico, money_add(account->spent_pico, account->reserved_pico));
    int64_t excess = money_sub(amount_pico, left > 0 ? left : 0);
    return account->cap_pico >= 0 && excess > 0 ? excess : 0;
}

bool budget_account_spend(struct budget_account *account, int64_t amount_pico, int64_t excess_pico)
{
    account->spent_pico = money_add(account->spent_pico, amount_pico);
    if (account->cap_pico < 0 || excess_pico <= 0)
        return false;
    bool was_open = !account->closed;
    account->overshoot_pico = money_add(account->overshoot_pico, excess_pico);
    account->closed = true;
    return was_open;
}

struct store_charge budget_account_charge(const struct budget_account *account, int64_t amount_pico,
                                          int64_t overshoot_pico)
{
    return (struct store_charge){
        .account = span_of(account->name),
        .period_ms = account->start_ms,
        .resets_ms = account->end_ms,
        .amount_pico = amount_pico,
        .overshoot_pico = overshoot_pico,
        .cap_pico = account->cap_pico > 0 ? account->cap_pico : 0,
    };
}

struct router_budget_state budget_account_state(const struct budget_account *account)
{
    return (struct router_budget_state){
        .account = account->name,
        .cap_pico = account->cap_pico,
        .spent_pico = account->spent_pico,
        .reserved_pico = account->reserved_pico,
        .left_pico = budget_account_left(account),
        .overshoot_pico = account->overshoot_pico,
        .next_reset_wall_ms = account->end_ms,
        .closed = account->closed || account->lost,
    };
}
