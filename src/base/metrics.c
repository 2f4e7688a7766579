#include "base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/mem.h"
#include "base/metrics_internal.h"

/*
 * The page that a scrape gets. Half of it would be valid too, and its missing series would look
 * like restarts and like things that are gone, so a page that does not fit is no page.
 *
 * A histogram tells the same labels some forty times, so they are escaped once.
 */
enum {
    LABELS_MAX = 16 * 1024, // bytes of a series' labels, escaped, with their names
};

static const char *const type_names[] = {
    [METRICS_COUNTER] = "counter",
    [METRICS_GAUGE] = "gauge",
    [METRICS_HISTOGRAM] = "histogram",
};

struct metrics *metrics_create(void)
{
    struct metrics *metrics = mem_new(struct metrics);
    list_init(&metrics->families);
    return metrics;
}

struct metrics_row *metrics_add_row(struct metrics_family *family, struct span key)
{
    const struct metrics_family_spec *spec = &family->spec;
    struct metrics_row *row = mem_zalloc(sizeof *row + key.len);
    row->key_len = key.len;
    memcpy(row->key, key.data, key.len);
    if (spec->type == METRICS_HISTOGRAM) {
        size_t bounds = (spec->bound_count + 1) * sizeof(int64_t);
        row->histogram = mem_zalloc(sizeof *row->histogram + bounds);
        row->histogram->bounds = spec->bounds;
        row->histogram->bound_count = spec->bound_count;
    }
    list_append(&family->rows, &row->link);
    family->row_count++;
    return row;
}

void metrics_row_destroy(struct metrics_row *row)
{
    list_remove(&row->link);
    free(row->histogram);
    free(row);
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics)
        return;
    list_for_each(link, &metrics->families) {
        struct metrics_family *family = list_entry(link, struct metrics_family, link);
        list_for_each(row, &family->rows)
            metrics_row_destroy(list_entry(row, struct metrics_row, link));
        free(family->chains);
        free(family);
    }
    free(metrics);
}

struct metrics_family *metrics_find_family(struct metrics *metrics, const char *name)
{
    list_for_each(link, &metrics->families) {
        struct metrics_family *family = list_entry(link, struct metrics_family, link);
        if (strcmp(family->spec.name, name) == 0)
            return family;
    }
    return NULL;
}

struct metrics_family *metrics_add_family(struct metrics *metrics,
                                          const struct metrics_family_spec *spec)
{
    struct metrics_family *family = mem_new(struct metrics_family);
    family->spec = *spec;
    list_init(&family->rows);
    list_append(&metrics->families, &family->link);
    return family;
}

static struct metrics_row *literal_row(struct metrics *metrics,
                                       const struct metrics_family_spec *spec, const char *labels)
{
    struct metrics_family *family = metrics ? metrics_find_family(metrics, spec->name) : NULL;
    if (!metrics || (family && (!family->literal || family->spec.type != spec->type)))
        return NULL;
    if (!family)
        family = metrics_add_family(metrics, spec);
    family->literal = true;
    list_for_each(link, &family->rows) {
        struct metrics_row *row = list_entry(link, struct metrics_row, link);
        if (strcmp(row->labels, labels) == 0)
            return row;
    }
    struct metrics_row *row = metrics_add_row(family, SPAN_LITERAL(""));
    row->labels = labels;
    return row;
}

int64_t *metrics_counter(struct metrics *metrics, const char *name, const char *labels,
                         const char *help)
{
    static int64_t unread;
    struct metrics_row *row = literal_row(
        metrics, &(struct metrics_family_spec){.name = name, .help = help, .type = METRICS_COUNTER},
        labels);
    return row ? &row->value : &unread;
}

void metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help,
                   metrics_gauge_fn *fn, void *context)
{
    struct metrics_row *row = literal_row(
        metrics, &(struct metrics_family_spec){.name = name, .help = help, .type = METRICS_GAUGE},
        labels);
    if (!row)
        return;
    row->gauge = fn; // asked twice for the same: the later one is alive
    row->context = context;
}

void metrics_on_render(struct metrics *metrics, metrics_refresh_fn *fn, void *context)
{
    if (!metrics)
        return;
    metrics->refresh = fn;
    metrics->refresh_context = context;
}

// The format's spelling of what is no number; whole ones without a fraction, however large.
static void write_double(struct buf *out, double value)
{
    if (isnan(value))
        buf_append_text(out, "NaN\n");
    else if (isinf(value))
        buf_append_text(out, value > 0 ? "+Inf\n" : "-Inf\n");
    else if (fabs(value) < 1e15 && value == (double)(int64_t)value)
        buf_printf(out, "%.0f\n", value);
    else
        buf_printf(out, "%.15g\n", value);
}

// A label value escapes what would end it. One that is not UTF-8 would cost the whole page.
static void write_value(struct buf *out, struct span value)
{
    while (value.len) {
        struct character c = span_character(value);
        if (c.rune == '\n')
            buf_append_text(out, "\\n");
        else if (c.rune == '"' || c.rune == '\\')
            buf_append(out, (char[]){'\\', value.data[0]}, 2);
        else if (c.state == CHARACTER_WHOLE)
            buf_append(out, value.data, c.len);
        else
            buf_append(out, "???", c.len);
        value = span_skip(value, c.len);
    }
}

static void write_labels(struct buf *out, const struct metrics_family *family,
                         const struct metrics_row *row)
{
    const unsigned char *at = row->key;
    if (family->literal)
        buf_append_text(out, row->labels);
    for (size_t i = 0; i < family->spec.label_count; i++) {
        size_t len = *at++;
        if (i > 0)
            buf_append_char(out, ',');
        buf_append_text(out, family->spec.labels[i]);
        buf_append_text(out, "=\"");
        write_value(out, span_make(at, len));
        buf_append_char(out, '"');
        at += len;
    }
}

static void write_name(struct buf *out, const char *name, const char *suffix, struct span labels)
{
    buf_append_text(out, name);
    buf_append_text(out, suffix);
    if (labels.len) {
        buf_append_char(out, '{');
        buf_append_span(out, labels);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ' ');
}

static void write_number(struct buf *out, int64_t value, unsigned decimals)
{
    char number[DECIMAL_FIXED_SIZE];
    buf_append_text(out, decimal_of_fixed(value, decimals, 0, number));
    buf_append_char(out, '\n');
}

static char *put(char *at, struct span text)
{
    memcpy(at, text.data, text.len);
    return at + text.len;
}

// Most of a page are these lines, so they are written at one go.
static void write_bucket(struct buf *out, struct span start, struct span bound, int64_t count)
{
    static const struct span middle = SPAN_LITERAL("\"} ");
    char number[DECIMAL_SIZE];
    struct span told = span_of(decimal_of_int(count, number));
    size_t len = start.len + bound.len + middle.len + told.len + 1;
    char *at = buf_reserve(out, len);
    if (!at)
        return;
    at = put(put(put(put(at, start), bound), middle), told);
    *at = '\n';
    buf_grow_by(out, len);
}

// `le` is one label more, spelled as Python's client spells it: 1.0, not 1.
static void write_histogram(struct buf *out, const struct metrics_family *family,
                            struct span labels, const struct metrics_histogram *histogram)
{
    BUF_AUTO start = BUF_INIT(LABELS_MAX);
    buf_append_text(&start, family->spec.name);
    buf_append_text(&start, "_bucket{");
    buf_append_span(&start, labels);
    buf_append_text(&start, labels.len ? ",le=\"" : "le=\"");
    out->full |= buf_is_full(&start);
    int64_t below = 0;
    for (size_t i = 0; i < histogram->bound_count; i++) {
        char room[DECIMAL_FIXED_SIZE];
        const char *bound = decimal_of_fixed(histogram->bounds[i], family->spec.decimals, 1, room);
        below += histogram->buckets[i];
        write_bucket(out, buf_span(&start), span_of(bound), below);
    }
    write_bucket(out, buf_span(&start), SPAN_LITERAL("+Inf"), histogram->count);
    write_name(out, family->spec.name, "_sum", labels);
    write_number(out, histogram->sum, family->spec.decimals);
    write_name(out, family->spec.name, "_count", labels);
    write_number(out, histogram->count, 0);
}

static void write_rows(struct buf *out, const struct metrics_family *family)
{
    BUF_AUTO labels = BUF_INIT(LABELS_MAX);
    list_for_each(link, &family->rows) {
        const struct metrics_row *row = list_entry(link, struct metrics_row, link);
        buf_clear(&labels);
        write_labels(&labels, family, row);
        out->full |= buf_is_full(&labels);
        if (row->histogram) {
            write_histogram(out, family, buf_span(&labels), row->histogram);
            continue;
        }
        write_name(out, family->spec.name, "", buf_span(&labels));
        if (row->gauge)
            write_double(out, row->gauge(row->context));
        else
            write_number(out, row->value, family->spec.decimals);
    }
}

static void write_head(struct buf *out, const char *name, const char *help, enum metrics_type type)
{
    buf_printf(out, "# HELP %s ", name);
    for (; *help; help++) { // whose text escapes the backslash and the line feed, and nothing else
        if (*help == '\\' || *help == '\n')
            buf_append_text(out, *help == '\n' ? "\\n" : "\\\\");
        else
            buf_append_char(out, *help);
    }
    buf_printf(out, "\n# TYPE %s %s\n", name, type_names[type]);
}

// Told only once there is something to tell: it is an alarm, not a rate.
static void write_others(struct buf *out, const struct metrics *metrics)
{
    static const char name[] = "hermes_metrics_other_total";
    bool begun = false;
    list_for_each(link, &metrics->families) {
        const struct metrics_family *family = list_entry(link, struct metrics_family, link);
        if (family->other_count == 0)
            continue;
        if (!begun)
            write_head(out, name, "Look-ups of a series beyond its family's limit.",
                       METRICS_COUNTER);
        begun = true;
        buf_printf(out, "%s{metric=\"%s\"} %" PRId64 "\n", name, family->spec.name,
                   family->other_count);
    }
}

bool metrics_render(const struct metrics *metrics, struct buf *out)
{
    size_t before = out->len;
    if (metrics->refresh)
        metrics->refresh(metrics->refresh_context);
    list_for_each(link, &metrics->families) {
        const struct metrics_family *family = list_entry(link, struct metrics_family, link);
        write_head(out, family->spec.name, family->spec.help, family->spec.type);
        write_rows(out, family);
    }
    write_others(out, metrics);
    if (!buf_is_full(out))
        return true;
    buf_truncate(out, before);
    return false;
}
