#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "router/money/ledger_internal.h"
#include "store/journal.h"

/*
 * Between the journal and the database.
 *
 * Some time after a record was written, or when there are many, the store applies what there is; a
 * second is long enough for a transaction to be worth its price, and nobody waits for it. A file
 * that has become long is left for a new one, and removed when all of it was taken up.
 *
 * After a start, the old files go first, then the calls that nobody can settle any more are
 * charged, and then the sums are told. Only then is the new file applied: a reservation in it would
 * be taken for one of those calls.
 */

enum {
    APPLY_WAIT_MS = 1000,
    APPLY_RECORDS = 1000,    // after which there is no waiting
    RETRY_MS = 5000,         // after a failure
    HURRY_BYTES = 192 << 10, // behind: then applying is never waiting
    FORGET_FIRST_MS = 60 * 1000,
    FORGET_MORE_MS = 1000,
    FORGET_EVERY_MS = 60 * 60 * 1000,
    DAY_MS = 24 * 60 * 60 * 1000,
    KEEP_BUDGETS_DAYS = 40,
    ROWS_MAX = 1000000,
};

static void apply_later(struct router_ledger *ledger, int64_t delay_ms);
static void charge_orphans(struct router_ledger *ledger);

void ledger_retry(struct router_ledger *ledger, const struct error *err)
{
    ledger_set_trouble(ledger, err->text);
    apply_later(ledger, RETRY_MS);
}

static void drop_old(struct router_ledger *ledger, size_t count)
{
    size_t all;
    const uint64_t *generations = journal_generations(ledger->journal, &all);
    struct store_apply_range range = {ledger->options.home, generations, count, 0, false};
    // What cannot be removed now is applied and removed by the next start.
    if (count && store_ledger_drop(ledger->options.store, &range, NULL, NULL, NULL) > 0)
        journal_forget(ledger->journal, count);
    ledger_measure_old(ledger);
    router_ledger_is_full(ledger); // nobody may be calling, to whom else it would be told
}

static void look_at_damage(struct router_ledger *ledger, const struct store_apply_result *applied)
{
    if (applied->set_aside_bytes)
        ledger_report(ledger, LEDGER_FOUND,
                      "%lld bytes of the ledger's journal were damaged; they are kept in "
                      "%s/" JOURNAL_NAME ".damaged, and everything else was read",
                      (long long)applied->set_aside_bytes, ledger->options.home);
    if (applied->lost_generation)
        ledger_take_loss(ledger, applied->lost_generation);
}

static void on_applied(void *context, int result, const struct error *err,
                       const struct store_apply_result *applied)
{
    struct router_ledger *ledger = context;
    ledger->job = 0;
    if (result < 0) {
        ledger_retry(ledger, err);
        return;
    }
    look_at_damage(ledger, applied);
    if (ledger_flush_backlog(ledger) == 0)
        ledger_set_trouble(ledger, "");
    if (applied->is_behind) {
        if (ledger->phase == LEDGER_READY && ledger->kept + applied->rows < ledger->apply_written)
            ledger->kept += applied->rows;
        ledger_apply_now(ledger);
    } else if (ledger->phase == LEDGER_APPLYING_OLD) {
        ledger->phase = LEDGER_CHARGING;
        charge_orphans(ledger);
    } else {
        drop_old(ledger, ledger->apply_old);
        ledger->applied_end = ledger->apply_limit;
        ledger->kept = ledger->apply_written;
        ledger_rotate(ledger, NULL);
        apply_later(ledger, APPLY_WAIT_MS);
    }
}

static bool is_applied(const struct router_ledger *ledger)
{
    size_t count;
    journal_generations(ledger->journal, &count);
    return count == 1 && ledger->applied_end == journal_end(ledger->journal);
}

// What there is, or at the beginning what was there before.
static struct store_apply_range range_of(struct router_ledger *ledger)
{
    struct store_apply_range range = {.home = ledger->options.home,
                                      .wall_ms = loop_wall(ledger->options.loop)};
    range.generations = journal_generations(ledger->journal, &range.count);
    range.limit = journal_end(ledger->journal);
    if (ledger->phase == LEDGER_APPLYING_OLD) {
        range.count--;
        range.limit = -1;
    }
    range.hurry = ledger->phase != LEDGER_READY ||
                  ledger->old_bytes + range.limit - ledger->applied_end > HURRY_BYTES;
    return range;
}

bool ledger_apply_now(struct router_ledger *ledger)
{
    struct error err = ERROR_INIT;
    if (ledger->job || ledger->phase == LEDGER_CHARGING)
        return false;
    if (ledger->phase == LEDGER_READY && is_applied(ledger))
        return true;
    struct store_apply_range range = range_of(ledger);
    ledger->apply_old = ledger->phase == LEDGER_READY ? range.count - 1 : range.count;
    ledger->apply_limit = range.limit;
    ledger->unapplied = 0;
    ledger->apply_written = ledger->written - ledger->waiting_rows - ledger->lost_rows;
    int64_t job = store_ledger_apply(ledger->options.store, &range, on_applied, ledger, &err);
    if (job > 0)
        ledger->job = job;
    else
        ledger_retry(ledger, &err);
    return false;
}

static void on_apply_timer(void *context)
{
    struct router_ledger *ledger = context;
    ledger->apply_timer = 0;
    bool is_flushed = ledger_flush_backlog(ledger) == 0;
    if (!is_flushed)
        apply_later(ledger, RETRY_MS);
    if (ledger->phase == LEDGER_CHARGING)
        charge_orphans(ledger);
    else if (ledger_apply_now(ledger) && is_flushed)
        ledger_set_trouble(ledger, ""); // as far as can be told before the next record
}

static void apply_later(struct router_ledger *ledger, int64_t delay_ms)
{
    bool is_done = ledger->phase == LEDGER_READY && is_applied(ledger) &&
                   !ledger_has_backlog(ledger) && !ledger->trouble.text[0];
    if (ledger->apply_timer == 0 && !is_done)
        ledger->apply_timer =
            loop_timer_after(ledger->options.loop, delay_ms, on_apply_timer, ledger);
}

void ledger_record_added(struct router_ledger *ledger)
{
    if (++ledger->unapplied >= APPLY_RECORDS && ledger->phase == LEDGER_READY)
        ledger_apply_now(ledger);
    else
        apply_later(ledger, APPLY_WAIT_MS);
}

static void on_forget_timer(void *context);

static void forget_later(struct router_ledger *ledger, int64_t delay_ms)
{
    ledger->forget_timer =
        loop_timer_after(ledger->options.loop, delay_ms, on_forget_timer, ledger);
}

static void on_forgotten(void *context, int result, const struct error *err, int64_t rows)
{
    struct router_ledger *ledger = context;
    (void)err; // a disk that fails is told of by the next application
    ledger->forget_job = 0;
    forget_later(ledger, result == 0 && rows > 0 ? FORGET_MORE_MS : FORGET_EVERY_MS);
}

static void on_forget_timer(void *context)
{
    struct router_ledger *ledger = context;
    int64_t now_ms = loop_wall(ledger->options.loop), today = ledger_day(ledger, now_ms);
    int64_t job = -EAGAIN;
    ledger->forget_timer = 0;
    if (today >= LEDGER_SANE_DAY)
        job = store_ledger_forget(ledger->options.store, today - ledger->options.days, ROWS_MAX,
                                  now_ms - (int64_t)KEEP_BUDGETS_DAYS * DAY_MS, on_forgotten,
                                  ledger, NULL);
    if (job > 0)
        ledger->forget_job = job;
    else
        forget_later(ledger, FORGET_EVERY_MS);
}

static void on_charged(void *context, int result, const struct error *err, int64_t orphans)
{
    struct router_ledger *ledger = context;
    const struct router_ledger_options *options = &ledger->options;
    struct error local = *err;
    ledger->job = 0;
    if (result == 0)
        result = store_read_budgets(options->store, options->on_sum, options->context, &local);
    if (result < 0) {
        ledger_retry(ledger, &local);
        return;
    }
    drop_old(ledger, ledger->apply_old);
    ledger->phase = LEDGER_READY;
    ledger_set_trouble(ledger, "");
    apply_later(ledger, APPLY_WAIT_MS);
    forget_later(ledger, FORGET_FIRST_MS);
    ledger_tell_losses(ledger);
    options->on_ready(options->context);
}

static void charge_orphans(struct router_ledger *ledger)
{
    struct error err = ERROR_INIT;
    if (ledger->job)
        return;
    int64_t job = store_ledger_charge_orphans(ledger->options.store, on_charged, ledger, &err);
    if (job > 0)
        ledger->job = job;
    else
        ledger_retry(ledger, &err);
}

struct correction {
    struct list link; // router_ledger.corrections
    struct router_ledger *ledger;
    int64_t job;
};

static void tell_difference(void *context, const struct store_charge *difference)
{
    const struct router_ledger_options *options = &((struct correction *)context)->ledger->options;
    options->on_correction(options->context, difference);
}

static void on_corrected(void *context, int result, const struct error *err, int64_t rowid)
{
    struct correction *correction = context;
    if (result < 0 && result != -EALREADY)
        ledger_report(correction->ledger, LEDGER_FOUND, "%s", err->text);
    else if (result == STORE_NOT_FOUND) // it waits for the disk
        ledger_report(correction->ledger, LEDGER_FOUND,
                      "a call's cost arrived before its row was stored; the router will ask for it "
                      "again after the next start");
    list_remove(&correction->link);
    free(correction);
}

int router_ledger_correct(struct router_ledger *ledger, struct span call, int64_t attempt,
                          int64_t cost_pico, struct error *err)
{
    struct store_correction what = {call, attempt, cost_pico, STORE_COST_PROVIDER};
    // The row may not be there yet; this application runs before the correction.
    int64_t job = router_ledger_apply(ledger, NULL, NULL, err);
    if (job < 0)
        return (int)job;
    struct correction *correction = mem_new(struct correction);
    correction->ledger = ledger;
    list_append(&ledger->corrections, &correction->link);
    job = store_ledger_correct(ledger->options.store, &what, tell_difference, on_corrected,
                               correction, err);
    if (job > 0) {
        correction->job = job;
        return 0;
    }
    list_remove(&correction->link);
    free(correction);
    return (int)job;
}

int64_t router_ledger_apply(struct router_ledger *ledger, store_apply_fn *done, void *context,
                            struct error *err)
{
    struct store_apply_range range = range_of(ledger);
    range.hurry = true; // somebody waits for it
    if (ledger->phase != LEDGER_READY)
        return error_set(err, ledger->trouble.text[0] ? -EIO : -EAGAIN, "%s",
                         router_ledger_trouble(ledger));
    return store_ledger_apply(ledger->options.store, &range, done, context, err);
}

void ledger_stop(struct router_ledger *ledger)
{
    struct store *store = ledger->options.store;
    loop_cancel(ledger->options.loop, ledger->apply_timer);
    loop_cancel(ledger->options.loop, ledger->forget_timer);
    loop_cancel(ledger->options.loop, ledger->clock_timer);
    store_forget(store, ledger->job);
    store_forget(store, ledger->forget_job);
    for (struct list *link; (link = list_shift(&ledger->corrections));) {
        struct correction *correction = list_entry(link, struct correction, link);
        store_forget(store, correction->job);
        free(correction);
    }
    struct store_apply_range range = range_of(ledger);
    if (ledger->phase == LEDGER_READY && !is_applied(ledger))
        store_ledger_apply(store, &range, NULL, NULL, NULL);
}
