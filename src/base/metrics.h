#pragma once

#include <stdint.h>

#include "base/buf.h"

/*
 * Counters and gauges, told in the Prometheus text format (version 0.0.4). A module asks once for
 * its slots and adds to them; nobody waits and nothing is formatted until somebody scrapes.
 * One thread: the loop's. Names and labels are literals, so their number is bounded by the code.
 */
struct metrics;

struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *metrics); // accepts NULL

/*
 * A counter's slot, which lives as long as `metrics`; the same slot for the same name and labels.
 * `labels` is what stands between the braces (`state="done"`), or "". `metrics` may be NULL: then
 * the slot is one that nobody reads.
 */
int64_t *metrics_counter(struct metrics *metrics, const char *name, const char *labels,
                         const char *help);

// A gauge is asked for its value when somebody scrapes.
typedef double metrics_gauge_fn(void *context);
void metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help,
                   metrics_gauge_fn *fn, void *context);

void metrics_render(const struct metrics *metrics, struct buf *out);
