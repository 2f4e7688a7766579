#include "router/money/ledger_internal.h"
#include "store/journal.h"

/*
 * Reservations that a power cut must not undo. A sync of an SD card takes milliseconds, so it is
 * the store thread's, and shared: those of one pass of the loop go together, and whoever comes
 * while one is under way waits for the next, which then is for all of them.
 */

// The callbacks may reserve, forget and settle.
static void finish(struct router_ledger *ledger, int result, const struct error *err)
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
    (void)rowid;
    ledger->sync_job = 0;
    ledger->figures.syncs++;
    if (result < 0)
        ledger_retry(ledger, err);
    finish(ledger, result, err);
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
        finish(ledger, (int)job, &err);
}

static void on_sync_soon(void *context)
{
    struct router_ledger *ledger = context;
    ledger->sync_soon = 0;
    sync_more(ledger);
}

void ledger_wait(struct router_ledger *ledger, struct router_ledger_wait *wait)
{
    list_append(&ledger->waiting, &wait->link);
    if (!ledger->sync_job && !ledger->sync_soon)
        ledger->sync_soon = loop_defer(ledger->options.loop, on_sync_soon, ledger);
}

void router_ledger_forget(struct router_ledger_wait *wait)
{
    if (wait->link.next)
        list_remove(&wait->link);
}

void ledger_stop_syncing(struct router_ledger *ledger)
{
    store_forget(ledger->options.store, ledger->sync_job);
    loop_cancel(ledger->options.loop, ledger->sync_soon);
    while (list_shift(&ledger->waiting) || list_shift(&ledger->syncing))
        ; // they are the callers'
}
