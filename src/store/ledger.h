#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/attempt.h"
#include "store/store.h"

/*
 * What calls to models cost: one row per attempt, sums per day, and what budgets have spent.
 *
 * Rows come here through the journal (store/journal.h) alone: whoever has one encodes it, appends
 * it, and has the journal applied now and then.
 */

/*
 * Applies what these generations of the journal hold, in order, of the last one as far as `limit`
 * bytes, in bounded steps: one transaction each. `is_behind`: there is more, ask again. Idempotent:
 * what was applied before is skipped by its place and by its name. In a hurry a step is longer, and
 * waits for no other job to share its transaction. Losses (journal.h) are dated by `wall_ms`.
 */
struct store_apply_range {
    const char *home;
    const uint64_t *generations;
    size_t count;
    int64_t limit;
    bool hurry;
    int64_t wall_ms;
};

struct store_apply_result {
    bool is_behind;
    int64_t rows, reservations; // read by this step
    int64_t set_aside_bytes;    // that were no record: kept in <home>/ledger.journal.damaged
    int64_t torn_bytes;         // of a last record that was not written to its end
    // The last of the generations of which records that had been kept are gone: what was spent
    // until now is not known. 0: none. It is told by each step that meets it.
    uint64_t lost_generation;
};

typedef void store_apply_fn(void *context, int result, const struct error *err,
                            const struct store_apply_result *applied);

// As every operation: the job's number, or negative. `done` may be NULL.
int64_t store_ledger_apply(struct store *store, const struct store_apply_range *range,
                           store_apply_fn *done, void *context, struct error *err);

// Removes the files of these generations, none of which is written to any more: when they were
// applied to their end (else -EBUSY), and that is on the disk. The job's number changes meanwhile:
// who forgets it may leave files behind, which the next start removes.
int64_t store_ledger_drop(struct store *store, const struct store_apply_range *range,
                          store_done_fn *done, void *context, struct error *err);

/*
 * Calls that were reserved and never settled, when nothing can settle them any more (at a start):
 * each becomes a row that costs what was reserved, of unknown cost. The completion's rowid is how
 * many there were.
 */
int64_t store_ledger_charge_orphans(struct store *store, store_done_fn *done, void *context,
                                    struct error *err);

/*
 * What a row of bound or unknown cost cost in truth. Its accounts are corrected by the difference,
 * which `account` is told of each before `done`. Outcomes: 0, STORE_NOT_FOUND; -EALREADY when the
 * cost is known.
 */
struct store_correction {
    struct span call;
    int64_t attempt, cost_pico;
    enum store_cost_source source;
};
typedef void store_charge_fn(void *context, const struct store_charge *charge);
int64_t store_ledger_correct(struct store *store, const struct store_correction *correction,
                             store_charge_fn *account, store_done_fn *done, void *context,
                             struct error *err);

/*
 * Forgets at most some hundred of the oldest rows, when they are of a day before `first_day`, or
 * more than `rows_max`; the sums of days stay. And sums of budgets whose period ended before
 * `ended_ms`. The completion's rowid is how many rows went: with 0 there is no more to do.
 */
int64_t store_ledger_forget(struct store *store, int64_t first_day, int64_t rows_max,
                            int64_t ended_ms, store_done_fn *done, void *context,
                            struct error *err);

// What every account, or one, has spent in each of its periods. Synchronous.
int store_read_budgets(struct store *store, store_charge_fn *row, void *context, struct error *err);
int store_read_budget(struct store *store, struct span account, store_charge_fn *row, void *context,
                      struct error *err);
