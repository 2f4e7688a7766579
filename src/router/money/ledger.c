#include "router/money/ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/money.h"
#include "router/money/ledger_internal.h"
#include "store/journal.h"

/*
 * What a call owes is written down before anybody else hears of it. A reservation under a cap goes
 * out to the disk before the call goes out to the provider; so whatever happens in between, the
 * next start finds either no reservation and no call, or a reservation to charge.
 *
 * A disk that takes nothing stops calls under a cap, since they could not be kept under it across a
 * crash. It does not stop what is under way: such rows wait in memory, and if the process ends, the
 * reservation on the disk still stands for them, which is more than they cost.
 *
 * A sync of an SD card takes milliseconds, so it is the store thread's, and shared: those of one
 * pass of the loop go together, and whoever comes while one is under way waits for the next, which
 * then is for all of them.
 */

int router_ledger_create(const struct router_ledger_options *options,
                         struct router_ledger **ret_ledger, struct error *err)
{
    struct router_ledger *ledger = mem_new(struct router_ledger);
    int r = journal_open(options->home, &ledger->journal, err);
    if (r < 0) {
        free(ledger);
        return error_wrap(err, "the ledger");
    }
    ledger->options = *options;
    buf_init(&ledger->record, LEDGER_RECORD_MAX);
    buf_init(&ledger->backlog, (size_t)2 * LEDGER_BACKLOG_MAX); // half of it may be taken already
    list_init(&ledger->waiting);
    list_init(&ledger->syncing);
    list_init(&ledger->corrections);
    ledger_measure_old(ledger);
    ledger_apply_now(ledger);
    *ret_ledger = ledger;
    return 0;
}

// Nobody can do anything for what still waits in memory, but the owner should know what is missing.
static void tell_unkept(struct router_ledger *ledger)
{
    struct store_charge charges[LEDGER_CHARGES_MAX];
    char money[MONEY_TEXT_SIZE];
    int64_t rows = 0, cost_pico = 0;
    for (size_t at = ledger->backlog_at; at < ledger->backlog.len;) {
        struct span record = ledger_waiting_at(ledger, at);
        struct store_attempt row;
        enum ledger_record kind;
        at += sizeof(uint32_t) + record.len;
        if (!store_ledger_decode(record, charges, &kind, &row) || kind != LEDGER_ROW)
            continue;
        cost_pico = money_add(cost_pico, row.cost_pico > 0 ? row.cost_pico : 0);
        rows++;
    }
    if (rows)
        ledger_report(ledger, LEDGER_TROUBLE,
                      "the rows of %lld calls (%s) are lost with this stop, because the disk did "
                      "not take them. Of those under a budget the next start charges the bound. "
                      "Next time free some space and wait until the ledger is written again",
                      (long long)rows, money_format(cost_pico, money));
}

void router_ledger_destroy(struct router_ledger *ledger)
{
    if (!ledger)
        return;
    if (ledger_flush_backlog(ledger) < 0)
        tell_unkept(ledger);
    ledger_stop(ledger);
    store_forget(ledger->options.store, ledger->sync_job);
    loop_cancel(ledger->options.loop, ledger->sync_soon);
    while (list_shift(&ledger->waiting) || list_shift(&ledger->syncing))
        ; // they are the callers'
    journal_close(ledger->journal);
    buf_finish(&ledger->record);
    buf_finish(&ledger->backlog);
    free(ledger);
}

int64_t router_ledger_written(const struct router_ledger *ledger)
{
    return ledger->written;
}

int64_t router_ledger_kept(const struct router_ledger *ledger)
{
    return ledger->kept;
}

bool router_ledger_is_ready(const struct router_ledger *ledger)
{
    return ledger->phase == LEDGER_READY;
}

bool router_ledger_is_starting(const struct router_ledger *ledger)
{
    return ledger->phase != LEDGER_READY && !ledger->trouble.text[0];
}

static int append(struct router_ledger *ledger, struct error *err)
{
    int r = ledger_put(ledger, buf_span(&ledger->record), err);
    if (r < 0)
        ledger_set_trouble(ledger, err->text);
    return r;
}

// What must not be lost: into the journal, or behind what already waits for it.
static int write_down(struct router_ledger *ledger)
{
    ledger->written++;
    int r = ledger_flush_backlog(ledger);
    if (r == 0)
        r = append(ledger, &(struct error)ERROR_INIT);
    if (r < 0)
        ledger_put_off(ledger, buf_span(&ledger->record));
    ledger_record_added(ledger); // or it is tried again
    return r;
}

static struct store_attempt dated(const struct router_ledger *ledger,
                                  const struct store_attempt *attempt)
{
    struct store_attempt dated = *attempt;
    if (dated.day == 0)
        dated.day = ledger_day(ledger, dated.wall_ms);
    return dated;
}

// The callbacks may reserve, forget and settle.
static void end_waits(struct router_ledger *ledger, int result, const struct error *err)
{
    for (struct list *link; (link = list_shift(&ledger->syncing));) {
        struct router_ledger_wait *wait = list_entry(link, struct router_ledger_wait, link);
        wait->done(wait->context, result, err);
    }
}

static void sync_more(struct router_ledger *ledger);

static void on_synced(void *context, int result, const struct error *err, int64_t rowid)
{
    struct router_ledger *ledger = context;
    ledger->sync_job = 0;
    if (result < 0)
        ledger_retry(ledger, err);
    end_waits(ledger, result, err);
    sync_more(ledger);
    ledger_rotate(ledger, NULL);
}

static void sync_more(struct router_ledger *ledger)
{
    struct error err = ERROR_INIT;
    if (ledger->sync_job || list_empty(&ledger->waiting))
        return;
    for (struct list *link; (link = list_shift(&ledger->waiting));)
        list_append(&ledger->syncing, link);
    int64_t job = journal_sync(ledger->options.store, ledger->journal, on_synced, ledger, &err);
    if (job > 0)
        ledger->sync_job = job;
    else
        end_waits(ledger, (int)job, &err);
}

static void on_sync_soon(void *context)
{
    struct router_ledger *ledger = context;
    ledger->sync_soon = 0;
    sync_more(ledger);
}

void router_ledger_forget(struct router_ledger_wait *wait)
{
    if (wait->link.next)
        list_remove(&wait->link);
}

int router_ledger_reserve(struct router_ledger *ledger, const struct store_attempt *call,
                          struct router_ledger_wait *wait, struct error *err)
{
    struct store_attempt kept = dated(ledger, call);
    struct error local = ERROR_INIT;
    err = err ? err : &local;
    if (wait && (ledger->trouble.text[0] || ledger->phase != LEDGER_READY))
        return error_set(err, -EAGAIN, "nothing can be spent under a budget now: %.400s",
                         router_ledger_trouble(ledger));
    buf_clear(&ledger->record);
    if (!store_ledger_encode_reservation(&kept, &ledger->record))
        return error_set(err, -E2BIG, "the reservation is too large to be written down");
    int r = append(ledger, err);
    ledger_record_added(ledger);
    if (r == 0 && wait) {
        list_append(&ledger->waiting, &wait->link);
        if (!ledger->sync_job && !ledger->sync_soon)
            ledger->sync_soon = loop_defer(ledger->options.loop, on_sync_soon, ledger);
    }
    return r;
}

int router_ledger_settle(struct router_ledger *ledger, const struct store_attempt *row)
{
    struct store_attempt kept = dated(ledger, row);
    buf_clear(&ledger->record);
    if (!store_ledger_encode_row(&kept, &ledger->record))
        return -E2BIG;
    return write_down(ledger);
}

int router_ledger_release(struct router_ledger *ledger, struct span call)
{
    buf_clear(&ledger->record);
    if (!store_ledger_encode_release(call, &ledger->record))
        return -E2BIG;
    return write_down(ledger);
}
