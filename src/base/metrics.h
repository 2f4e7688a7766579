#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * Counters, gauges and histograms, told in the Prometheus text format (version 0.0.4). A module
 * asks once for its slots and adds to them; nobody waits and nothing is formatted until somebody
 * scrapes. One thread: the loop's.
 */
struct metrics;

struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *metrics); // accepts NULL

/*
 * A counter's slot, which lives as long as `metrics`; the same slot for the same name and labels.
 * Name, labels and help are literals. `labels` is what stands between the braces (`state="done"`),
 * or "". `metrics` may be NULL: then the slot is one that nobody reads.
 */
int64_t *metrics_counter(struct metrics *metrics, const char *name, const char *labels,
                         const char *help);

// A gauge is asked for its value when somebody scrapes.
typedef double metrics_gauge_fn(void *context);
void metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help,
                   metrics_gauge_fn *fn, void *context);

/*
 * A family whose label values are only known as the program runs. However many there are, at most
 * `series_max` series are told apart; whatever comes after that is added to one whose label values
 * are all "other", and hermes_metrics_other_total{metric} counts how often that was asked for.
 *
 * Slots are integers. `decimals` says in which fraction of the told unit: 12 for picodollars told
 * as dollars, 6 for microseconds told as seconds, 0 for what is counted.
 */
enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

enum {
    METRICS_SERIES_MAX = 1024,     // of one family
    METRICS_LABELS_MAX = 16,       // of one family
    METRICS_BOUNDS_MAX = 64,       // of one histogram, +Inf not counted
    METRICS_LABEL_VALUE_MAX = 128, // bytes; longer ones are cut at a character and end in "..."
    METRICS_DECIMALS_MAX = 18,     // what an int64_t can hold
};

// Texts and bounds are literals or static: they are borrowed as long as `metrics` lives. Only the
// array of the labels' names is copied.
struct metrics_family_spec {
    const char *name; // of a counter with its _total
    const char *help;
    enum metrics_type type;
    unsigned decimals;
    const char *const *labels; // their names
    size_t label_count;
    const int64_t *bounds; // of a histogram, upper and inclusive, rising, in slot units
    size_t bound_count;
    size_t series_max; // 0: METRICS_SERIES_MAX
};

struct metrics_family;
struct metrics_histogram;

/*
 * The family of that name, made if need be. NULL when `metrics` is NULL, when the name is in use
 * with another type or other labels, or when a limit above is passed; every function below accepts
 * that NULL and counts where nobody reads.
 */
struct metrics_family *metrics_family(struct metrics *metrics,
                                      const struct metrics_family_spec *spec);

/*
 * The series with these values, one for each of the family's labels in its order. The values are
 * copied; an absent one is "". The slot stays where it is until it is forgotten, so who counts
 * often keeps it. Never NULL for a counter or a gauge; the second is for histograms alone and may
 * be NULL, which metrics_observe() accepts.
 */
int64_t *metrics_series(struct metrics_family *family, const struct span *values);
struct metrics_histogram *metrics_histogram(struct metrics_family *family,
                                            const struct span *values);

// Adds one value. Negative ones are not known, and not counted.
void metrics_observe(struct metrics_histogram *histogram, int64_t value);

/*
 * Series whose label number `label` has that value are told no more, and their slots are gone: for
 * what no longer exists. Returns how many there were.
 */
size_t metrics_forget(struct metrics_family *family, size_t label, struct span value);
void metrics_forget_all(struct metrics_family *family);

// Called before each rendering, for levels that are dearer to keep current than to ask for. There
// is one at a time; NULL takes it back.
typedef void metrics_refresh_fn(void *context);
void metrics_on_render(struct metrics *metrics, metrics_refresh_fn *fn, void *context);

/*
 * The page. It fits below `out`'s maximum or is not told at all: then false, nothing added and
 * buf_is_full(out), because half a page is a valid page whose missing series look like restarts.
 */
bool metrics_render(const struct metrics *metrics, struct buf *out);
