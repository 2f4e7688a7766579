#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "base/metrics.h"

/*
 * A family is a name with its help and type; its series differ in their labels. The format wants
 * all series of a family in one group, whoever asked for them and when, so they are kept that way.
 * A family has one type: a second one under a name in use would make the whole page invalid, so
 * its slot is one that nobody reads.
 */

// A series whose labels are a literal.
struct metrics_sample {
    struct list link; // on its family's samples
    const char *labels;
    int64_t count; // of a counter
    metrics_gauge_fn *gauge;
    void *context;
};

struct metrics_histogram {
    const int64_t *bounds; // borrowed from the family's spec
    size_t bound_count;
    int64_t count, sum;
    int64_t buckets[]; // bound_count + 1, the last is beyond all bounds; not cumulative
};

// A series whose labels were met on the way.
struct metrics_row {
    struct list link;         // on its family's rows, in the order in which they were met
    struct metrics_row *next; // in its hash chain
    uint64_t hash;
    size_t key_len;
    unsigned char *key;                  // owned: for each label its length, one byte, and value
    int64_t value;                       // of a counter or a gauge
    struct metrics_histogram *histogram; // owned; NULL unless the family is of that type
};

struct metrics_family {
    struct list link; // on the metrics' families
    struct metrics_family_spec spec;
    const char *labels[METRICS_LABELS_MAX]; // what spec.labels points to
    bool literal;                           // its samples count, else its rows
    struct list samples;                    // struct metrics_sample
    struct list rows;                       // struct metrics_row
    size_t row_count;
    struct metrics_row **chains; // owned; NULL while there is no row
    size_t chain_count;          // a power of two
    int64_t other_count;         // how often one more than series_max was asked for
};

struct metrics_refresh {
    struct list link; // on the metrics' refreshers
    metrics_refresh_fn *fn;
    void *context;
};

struct metrics {
    struct list families;
    struct list refreshers;
};

struct metrics_family *metrics_find_family(struct metrics *metrics, const char *name);
struct metrics_family *metrics_add_family(struct metrics *metrics,
                                          const struct metrics_family_spec *spec);
void metrics_row_destroy(struct metrics_row *row);
