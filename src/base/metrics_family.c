/*
 * Series that are found by the values of their labels.
 *
 * What is looked up is made of bytes that the outside had a hand in, so three things are bounded:
 * how many series a family has (one more costs the scrape, the page and Prometheus itself a line
 * for ever), how long a value is, and the work of a look-up: since there are never more than
 * METRICS_SERIES_MAX, somebody who forces collisions of this unkeyed hash gains little.
 *
 * The key of a series is its values with their lengths, unescaped: nothing is formatted to count.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/metrics_internal.h"

enum {
    KEY_MAX = METRICS_LABELS_MAX * (1 + METRICS_LABEL_VALUE_MAX), // bytes
};

_Static_assert(METRICS_LABEL_VALUE_MAX <= UINT8_MAX, "its length is one byte of the key");

static bool is_same_family(const struct metrics_family *family,
                           const struct metrics_family_spec *spec)
{
    const struct metrics_family_spec *own = &family->spec;
    if (family->literal || own->type != spec->type || own->decimals != spec->decimals ||
        own->label_count != spec->label_count || own->bound_count != spec->bound_count)
        return false;
    for (size_t i = 0; i < spec->label_count; i++)
        if (strcmp(own->labels[i], spec->labels[i]) != 0)
            return false;
    return spec->bound_count == 0 ||
           memcmp(own->bounds, spec->bounds, spec->bound_count * sizeof(*spec->bounds)) == 0;
}

static bool is_possible(const struct metrics_family_spec *spec)
{
    bool bounded = spec->type == METRICS_HISTOGRAM || spec->bound_count == 0;
    for (size_t i = 1; i < spec->bound_count; i++)
        bounded &= spec->bounds[i - 1] < spec->bounds[i];
    return bounded && spec->label_count <= METRICS_LABELS_MAX &&
           spec->bound_count <= METRICS_BOUNDS_MAX && spec->decimals <= METRICS_DECIMALS_MAX;
}

struct metrics_family *metrics_family(struct metrics *metrics,
                                      const struct metrics_family_spec *spec)
{
    if (!metrics || !is_possible(spec))
        return NULL;
    struct metrics_family *family = metrics_find_family(metrics, spec->name);
    if (family)
        return is_same_family(family, spec) ? family : NULL;
    family = metrics_add_family(metrics, spec);
    for (size_t i = 0; i < spec->label_count; i++)
        family->labels[i] = spec->labels[i];
    family->spec.labels = family->labels;
    size_t *most = &family->spec.series_max;
    if (*most == 0 || *most > METRICS_SERIES_MAX)
        *most = METRICS_SERIES_MAX;
    return family;
}

static unsigned char *append_value(unsigned char *at, struct span value)
{
    static const struct span dots = SPAN_LITERAL("...");
    size_t len = value.len;
    bool cut = len > METRICS_LABEL_VALUE_MAX;
    if (cut) { // behind a whole character
        len = METRICS_LABEL_VALUE_MAX - dots.len;
        for (int back = 0; back < 4 && (value.data[len] & 0xC0) == 0x80; back++)
            len--;
    }
    *at++ = (unsigned char)(cut ? len + dots.len : len);
    if (len)
        memcpy(at, value.data, len);
    if (cut)
        memcpy(at + len, dots.data, dots.len);
    return at + len + (cut ? dots.len : 0);
}

static struct span make_key(unsigned char *room, const struct span *values, size_t count)
{
    unsigned char *at = room;
    for (size_t i = 0; i < count; i++)
        at = append_value(at, values[i]);
    return span_make(room, (size_t)(at - room));
}

static struct metrics_row **chain_of(const struct metrics_family *family, uint64_t hash)
{
    return &family->chains[hash % METRICS_CHAINS];
}

static struct metrics_row *find_row(const struct metrics_family *family, struct span key)
{
    uint64_t hash = hash_of(key);
    struct metrics_row *row = family->chains ? *chain_of(family, hash) : NULL;
    while (row && (row->hash != hash || !span_equal(span_make(row->key, row->key_len), key)))
        row = row->next;
    return row;
}

static struct metrics_row *row_of(struct metrics_family *family, const struct span *values)
{
    unsigned char room[KEY_MAX];
    size_t count = family->spec.label_count;
    struct span key = make_key(room, values, count);
    struct metrics_row *row = find_row(family, key);
    if (!row && family->row_count >= family->spec.series_max) {
        struct span others[METRICS_LABELS_MAX];
        for (size_t i = 0; i < count; i++)
            others[i] = SPAN_LITERAL("other");
        key = make_key(room, others, count);
        row = find_row(family, key); // those may also be the true values of a series
        family->other_count++;
    }
    if (row)
        return row;
    if (!family->chains)
        family->chains = mem_zalloc(METRICS_CHAINS * sizeof *family->chains);
    row = metrics_add_row(family, key);
    row->hash = hash_of(key);
    row->next = *chain_of(family, row->hash);
    *chain_of(family, row->hash) = row;
    return row;
}

int64_t *metrics_series(struct metrics_family *family, const struct span *values)
{
    static int64_t unread;
    if (!family || family->spec.type == METRICS_HISTOGRAM)
        return &unread;
    return &row_of(family, values)->value;
}

struct metrics_histogram *metrics_histogram(struct metrics_family *family,
                                            const struct span *values)
{
    if (!family || family->spec.type != METRICS_HISTOGRAM)
        return NULL;
    return row_of(family, values)->histogram;
}

// Halving: a latency is found among 36 bounds in six steps, wherever it falls.
void metrics_observe(struct metrics_histogram *histogram, int64_t value)
{
    if (!histogram || value < 0)
        return;
    size_t low = 0, high = histogram->bound_count;
    if (high > 0 && value <= histogram->bounds[0])
        high = 0; // what did not have to wait
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (histogram->bounds[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    histogram->buckets[low]++;
    histogram->count++;
    histogram->sum += value;
}

static void forget_row(struct metrics_family *family, struct metrics_row *row)
{
    struct metrics_row **at = chain_of(family, row->hash);
    while (*at != row)
        at = &(*at)->next;
    *at = row->next;
    metrics_row_destroy(row);
    family->row_count--;
}

size_t metrics_forget(struct metrics_family *family, size_t label, struct span value)
{
    if (!family || label >= family->spec.label_count)
        return 0;
    unsigned char wanted[1 + METRICS_LABEL_VALUE_MAX] = {0}; // cut as it was when it was met
    append_value(wanted, value);
    size_t before = family->row_count;
    list_for_each(link, &family->rows) {
        struct metrics_row *row = list_entry(link, struct metrics_row, link);
        const unsigned char *at = row->key;
        for (size_t i = 0; i < label; i++)
            at += 1 + *at;
        if (memcmp(at, wanted, 1 + *at) == 0)
            forget_row(family, row);
    }
    return before - family->row_count;
}

void metrics_forget_all(struct metrics_family *family)
{
    if (!family)
        return;
    list_for_each(link, &family->rows)
        forget_row(family, list_entry(link, struct metrics_row, link));
}
