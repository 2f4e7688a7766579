#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "store/ledger.h"

struct loop;
struct router_ledger;
struct store;

/*
 * The ledger as the router sees it: reserve before a call, settle after each attempt. Both are one
 * write() to the journal, on the loop's thread; the store applies it to the database behind that.
 *
 * At a start, what an earlier process left is applied first, its open reservations are charged in
 * full, and then on_sum tells what every account has spent: before on_ready no call can be made
 * under a cap. Calls without one can be settled from the first moment.
 */

enum router_ledger_event {
    LEDGER_TROUBLE, // of the disk, or money that is not known: it lasts
    LEDGER_FOUND,   // something that is worth a warning
    LEDGER_RELIEF,  // a trouble is over
};

struct router_ledger_options {
    struct loop *loop;
    struct store *store;
    const char *home; // borrowed
    int64_t days;     // how long rows are kept
    // Offset from UTC of the owner's zone at an instant, for the days.
    int64_t (*offset_ms)(void *context, int64_t wall_ms);
    // What each account has spent in a period: once for each, before on_ready.
    void (*on_sum)(void *context, const struct store_charge *spent);
    // By how much more (or less) an account has spent, because a row was corrected.
    void (*on_correction)(void *context, const struct store_charge *difference);
    void (*on_ready)(void *context);
    // Not all that was spent until then is known: records of the journal are lost. After the sums.
    // True while a budget's period of that time lasts.
    bool (*on_lost)(void *context, int64_t wall_ms);
    // A sentence for the log.
    void (*on_event)(void *context, enum router_ledger_event kind, const char *sentence);
    void *context;
};

int router_ledger_create(const struct router_ledger_options *options,
                         struct router_ledger **ret_ledger, struct error *err);

// What was written stays in the journal for the next start; the last application is left to
// store_close(). No callback comes any more, but on_event, if rows in memory are lost with it
// because the disk took nothing. Accepts NULL.
void router_ledger_destroy(struct router_ledger *ledger);

// Records of attempts that were handed in so far; and how many of them are in the database.
int64_t router_ledger_written(const struct router_ledger *ledger);
int64_t router_ledger_kept(const struct router_ledger *ledger);

bool router_ledger_is_ready(const struct router_ledger *ledger);
// Not ready, but soon: nothing is in its way.
bool router_ledger_is_starting(const struct router_ledger *ledger);

// Why nothing can be promised at the moment (the disk is full; not ready yet); "" when it can.
const char *router_ledger_trouble(const struct router_ledger *ledger);

// May no call begin, because there might be no room for its rows? The reason is the trouble.
bool router_ledger_is_full(struct router_ledger *ledger);

// Until a power cut cannot undo a reservation; in the memory of whoever waits.
struct router_ledger_wait {
    struct list link; // the ledger's
    void (*done)(void *context, int result, const struct error *err);
    void *context;
};

/*
 * Writes down what a call holds of its accounts (call->charges, with what each pays if nobody ever
 * hears of the call again). wait->done() is called from the loop, and the call goes out after that;
 * NULL: nothing is to be waited for. -EAGAIN and other failures with a sentence: the call must not
 * go out under a cap.
 */
int router_ledger_reserve(struct router_ledger *ledger, const struct store_attempt *call,
                          struct router_ledger_wait *wait, struct error *err);

// wait->done() will not be called; the reservation stands until it is settled. Accepts zeroed.
void router_ledger_forget(struct router_ledger_wait *wait);

/*
 * Writes down an attempt, before the client gets its last byte; `day` is filled in here, when it is
 * 0. A reservation that was not used is settled by a row of cost 0, STORE_COST_NONE, or released.
 * On a disk that takes nothing the row waits in memory, in room that is kept for the calls under
 * way: then negative, and nothing for the caller to do.
 */
int router_ledger_settle(struct router_ledger *ledger, const struct store_attempt *row);

// A reservation of a call that never went out: no row, no charge.
int router_ledger_release(struct router_ledger *ledger, struct span call);

// What an attempt of bound or unknown cost cost in truth, as its provider says. on_correction
// follows for each account.
int router_ledger_correct(struct router_ledger *ledger, struct span call, int64_t attempt,
                          int64_t cost_pico, struct error *err);

// Applies what was written until now, for a question to the store that is to know of it: one step,
// as store_ledger_apply(). -EAGAIN while what earlier processes left is applied, -EIO where that
// failed.
int64_t router_ledger_apply(struct router_ledger *ledger, store_apply_fn *done, void *context,
                            struct error *err);
