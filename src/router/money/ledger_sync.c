#include <stdlib.h>

#include "base/mem.h"
#include "router/money/ledger_internal.h"
#include "store/journal.h"

/*
 * Reservations that a power cut must not undo. A sync of an SD card takes milliseconds, so it is
 * the store thread's, and shared: those of one pass of the loop go together, and whoever comes
 * while one is under way waits for the next, which then is for all of them.
 */

struct sync_waiter {
    struct list link; // router_ledger.waiting
    int64_t number;
    router_ledger_fn *done;
    void *context;
};

static void sync_more(struct router_ledger *ledger);

// The callbacks may reserve, forget and settle.
static void finish_until(struct router_ledger *ledger, int64_t number, int result,
                         const struct error *err)
{
    while (!list_empty(&ledger->waiting)) {
        struct sync_waiter *waiter = list_entry(ledger->waiting.next, struct sync_waiter, link);
        struct sync_waiter own = *waiter;
        if (own.number > number)
            return;
        list_remove(&waiter->link);
        free(waiter);
        own.done(own.context, result, err);
    }
}

static void on_synced(void *context, int result, const struct error *err, int64_t rowid)
{
    struct router_ledger *ledger = context;
    int64_t number = ledger->synced_id;
    (void)rowid;
    ledger->sync_job = 0;
    ledger->figures.syncs++;
    if (result < 0)
        ledger_retry(ledger, err);
    finish_until(ledger, number, result, err);
    if (!ledger->sync_job && !list_empty(&ledger->waiting))
        sync_more(ledger);
    ledger_rotate(ledger, NULL);
}

static void sync_more(struct router_ledger *ledger)
{
    struct error err = ERROR_INIT;
    ledger->synced_id = ledger->last_sync_id;
    int64_t job = journal_sync(ledger->options.store, ledger->journal, on_synced, ledger, &err);
    if (job > 0)
        ledger->sync_job = job;
    else
        finish_until(ledger, ledger->synced_id, (int)job, &err);
}

static void on_sync_soon(void *context)
{
    struct router_ledger *ledger = context;
    ledger->sync_soon = 0;
    if (!ledger->sync_job && !list_empty(&ledger->waiting))
        sync_more(ledger);
}

int64_t ledger_wait(struct router_ledger *ledger, router_ledger_fn *done, void *context)
{
    struct sync_waiter *waiter = mem_new(struct sync_waiter);
    *waiter =
        (struct sync_waiter){.number = ++ledger->last_sync_id, .done = done, .context = context};
    list_append(&ledger->waiting, &waiter->link);
    if (!ledger->sync_job && !ledger->sync_soon)
        ledger->sync_soon = loop_defer(ledger->options.loop, on_sync_soon, ledger);
    return waiter->number;
}

void router_ledger_forget(struct router_ledger *ledger, int64_t sync_id)
{
    list_for_each(link, &ledger->waiting) {
        struct sync_waiter *waiting = list_entry(link, struct sync_waiter, link);
        if (waiting->number != sync_id)
            continue;
        list_remove(&waiting->link);
        free(waiting);
    }
}

void ledger_stop_syncing(struct router_ledger *ledger)
{
    store_forget(ledger->options.store, ledger->sync_job);
    loop_cancel(ledger->options.loop, ledger->sync_soon);
    for (struct list *link; (link = list_shift(&ledger->waiting));)
        free(list_entry(link, struct sync_waiter, link));
}
