#include <stdlib.h>

#include "base/mem.h"
#include "router/ledger_internal.h"
#include "store/journal.h"

/*
 * Reservations that a power cut must not undo. A sync of an SD card takes milliseconds, so it is
 * the store thread's, and shared: those of one pass of the loop go together, and whoever comes
 * while one is under way waits for the next, which then is for all of them.
 */

struct ticket {
    struct list link; // router_ledger.waiting
    int64_t number;
    router_ledger_fn *done;
    void *context;
};

static void sync_more(struct router_ledger *ledger);

static struct ticket *first_until(struct router_ledger *ledger, int64_t number)
{
    if (list_empty(&ledger->waiting))
        return NULL;
    struct ticket *ticket = list_entry(ledger->waiting.next, struct ticket, link);
    return ticket->number <= number ? ticket : NULL;
}

// The callbacks may reserve, forget and settle.
static void finish_until(struct router_ledger *ledger, int64_t number, int result,
                         const struct error *err)
{
    for (struct ticket *ticket; (ticket = first_until(ledger, number));) {
        struct ticket own = *ticket;
        list_remove(&ticket->link);
        free(ticket);
        own.done(own.context, result, err);
    }
}

static void on_synced(void *context, int result, const struct error *err, int64_t rowid)
{
    struct router_ledger *ledger = context;
    int64_t number = ledger->synced_ticket;
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
    ledger->synced_ticket = ledger->last_ticket;
    int64_t job = journal_sync(ledger->options.store, ledger->journal, on_synced, ledger, &err);
    if (job > 0)
        ledger->sync_job = job;
    else
        finish_until(ledger, ledger->synced_ticket, (int)job, &err);
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
    struct ticket *ticket = mem_new(struct ticket);
    *ticket = (struct ticket){.number = ++ledger->last_ticket, .done = done, .context = context};
    list_append(&ledger->waiting, &ticket->link);
    if (!ledger->sync_job && !ledger->sync_soon)
        ledger->sync_soon = loop_defer(ledger->options.loop, on_sync_soon, ledger);
    return ticket->number;
}

bool ledger_is_covered(const struct router_ledger *ledger)
{
    return list_empty(&ledger->waiting) ||
           (ledger->sync_job && ledger->synced_ticket == ledger->last_ticket);
}

void router_ledger_forget(struct router_ledger *ledger, int64_t ticket)
{
    list_for_each(link, &ledger->waiting) {
        struct ticket *waiting = list_entry(link, struct ticket, link);
        if (waiting->number != ticket)
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
        free(list_entry(link, struct ticket, link));
}
