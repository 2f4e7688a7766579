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

struct metrics_histogram {
    const int64_t *bounds; // borrowed from the family's spec
    size_t bound_count;
    int64_t count, sum;
    int64_t buckets[]; // bound_count + 1, the last is beyond all bounds; not cumulative
};

// A series. Its labels are a literal, or were met on the way.
struct metrics_row {
    struct list link; // on its family's rows, in the order in which they were asked for
    int64_t value;    // of a counter or a gauge
    struct metrics_histogram *histogram; // owned; NULL unless the family is of that type
    const char *labels;                  // the literal
    metrics_gauge_fn *gauge;             // tells the value of one with a literal
    void *context;
    struct metrics_row *next; // in its hash chain
    uint64_t hash;
    size_t key_len;
    unsigned char key[]; // of labels that were met: for each its length, one byte, and value
};

enum { METRICS_CHAINS = 64 }; // a power of two

struct metrics_family {
    struct list link; // on the metrics' families
    struct metrics_family_spec spec;
    const char *labels[METRICS_LABELS_MAX]; // what spec.labels points to
    bool literal;                           // the labels of its rows are literals
    struct list rows;
    size_t row_count;
    struct metrics_row **chains; // owned; METRICS_CHAINS of them, NULL while none is needed
    int64_t other_count;         // how often one more than series_max was asked for
};

struct metrics {
    struct list families;
    metrics_refresh_fn *refresh; // NULL: none
    void *refresh_context;
};

struct metrics_family *metrics_find_family(struct metrics *metrics, const char *name);
struct metrics_family *metrics_add_family(struct metrics *metrics,
                                          const struct metrics_family_spec *spec);
struct metrics_row *metrics_add_row(struct metrics_family *family, struct span key);
void metrics_row_destroy(struct metrics_row *row);
