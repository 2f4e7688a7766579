#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/attempt.h"
#include "store/store.h"

/*
 * What was spent, for people. These questions may look at many rows, so they are the store
 * thread's; everything in an answer lives during its callback. Sums per day, model, slot and key go
 * back to the beginning; those per session and job as far as rows are kept.
 */

enum {
    STORE_COSTS_MAX = 400, // sums in one answer
    STORE_DEAREST = 10,    // calls
    STORE_CALL_MAX = 64,   // attempts of one call that are told
};

enum store_cost_by {
    STORE_BY_MODEL,
    STORE_BY_SLOT,
    STORE_BY_KEY,
    STORE_BY_DAY, // the name is the day's number
    STORE_BY_SESSION,
    STORE_BY_JOB,
    STORE_COST_BYS, // how many there are
};

struct store_cost_sum {
    struct span name;
    int64_t calls, attempts, failed, cancelled;
    int64_t unsure; // attempts whose cost is a bound, or unknown
    int64_t prompt_tokens, cached_tokens, completion_tokens;
    int64_t cost_pico;
};

struct store_costs_question {
    enum store_cost_by by;
    int64_t first_day, today, month_day; // days; of the last the month's first
};

struct store_costs {
    struct store_cost_sum today, month, all; // `all`: of the days that were asked for
    const struct store_cost_sum *sums;       // by that, the costliest first; days: the last first
    size_t sum_count;
    bool is_cut; // there are more of them
    const struct store_attempt *costliest;
    size_t costliest_count;
};

typedef void store_costs_fn(void *context, int result, const struct error *err,
                            const struct store_costs *costs);
int64_t store_read_costs(struct store *store, const struct store_costs_question *question,
                         store_costs_fn *done, void *context, struct error *err);

// Attempts of bound or unknown cost that the provider gave a name (reply_id), by which it may tell
// what they did cost: the latest first, of the newest 20,000 rows those since `since_ms`, at most
// 64 of them.
typedef void store_unsure_fn(void *context, int result, const struct error *err,
                             const struct store_attempt *attempts, size_t count);
int64_t store_read_unsure(struct store *store, int64_t since_ms, store_unsure_fn *done,
                          void *context, struct error *err);

// One call, and what it can be compared with.
struct store_call {
    const struct store_attempt *attempts;
    size_t count;
    const struct store_attempt *before; // the session's call before; NULL: none is known
    struct store_cost_sum usual;        // of the same model, in the 30 days to that call's
};

// Of an id its beginning is enough. Looked for among the newest 200,000 rows. STORE_NOT_FOUND;
// -EINVAL when there are several.
typedef void store_call_fn(void *context, int result, const struct error *err,
                           const struct store_call *call);
int64_t store_read_call(struct store *store, struct span beginning, store_call_fn *done,
                        void *context, struct error *err);
