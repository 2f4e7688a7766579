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
    list_init(&metrics->refreshers);
    return metrics;
}

void metrics_row_destroy(struct metrics_row *row)
{
    free(row->key);
    free(row->histogram);
    free(row);
}

static void free_family(struct metrics_family *family)
{
    struct list *link;
    while ((link = list_shift(&family->samples)))
        free(list_entry(link, struct metrics_sample, link));
    while ((link = list_shift(&family->rows)))
        metrics_row_destroy(list_entry(link, struct metrics_row, link));
    free(family->chains);
    free(family);
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics)
        return;
    struct list *link;
    while ((link = list_shift(&metrics->families)))
        free_family(list_entry(link, struct metrics_family, link));
    while ((link = list_shift(&metrics->refreshers)))
        free(list_entry(link, struct metrics_refresh, link));
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
    list_init(&family->samples);
    list_init(&family->rows);
    list_append(&metrics->families, &family->link);
    return family;
}

static struct metrics_family *literal_family(struct metrics *metrics, const char *name,
                                             const char *help, enum metrics_type type)
{
    struct metrics_family *family = metrics_find_family(metrics, name);
    if (family)
        return family->literal && family->spec.type == type ? family : NULL;
    const struct metrics_family_spec spec = {.name = name, .help = help, .type = type};
    family = metrics_add_family(metrics, &spec);
    family->literal = true;
    return family;
}

static struct metrics_sample *find_sample(struct metrics *metrics, const char *name,
                                          const char *labels, const char *help,
                                          enum metrics_type type)
{
    struct metrics_family *family = metrics ? literal_family(metrics, name, help, type) : NULL;
    if (!family)
        return NULL;
    list_for_each(link, &family->samples) {
        struct metrics_sample *sample = list_entry(link, struct metrics_sample, link);
        if (strcmp(sample->labels, labels) == 0)
            return sample;
    }
    struct metrics_sample *sample = mem_new(struct metrics_sample);
    sample->labels = labels;
    list_append(&family->samples, &sample->link);
    return sample;
}

int64_t *metrics_counter(struct metrics *metrics, const char *name, const char *labels,
                         const char *help)
{
    static int64_t unread;
    struct metrics_sample *sample = find_sample(metrics, name, labels, help, METRICS_COUNTER);
    return sample ? &sample->count : &unread;
}

void metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help,
                   metrics_gauge_fn *fn, void *context)
{
    struct metrics_sample *sample = find_sample(metrics, name, labels, help, METRICS_GAUGE);
    if (!sample)
        return;
    sample->gauge = fn; // asked twice for the same: the later one is alive
    sample->context = context;
}

void metrics_on_render(struct metrics *metrics, metrics_refresh_fn *fn, void *context)
{
    if (!metrics)
        return;
    struct metrics_refresh *refresh = mem_new(struct metrics_refresh);
    *refresh = (struct metrics_refresh){.fn = fn, .context = context};
    list_append(&metrics->refreshers, &refresh->link);
}

void metrics_forget_refresh(struct metrics *metrics, metrics_refresh_fn *fn, void *context)
{
    if (!metrics)
        return;
    list_for_each(link, &metrics->refreshers) {
        struct metrics_refresh *refresh = list_entry(link, struct metrics_refresh, link);
        if (refresh->fn != fn || refresh->context != context)
            continue;
        list_remove(link);
        free(refresh);
    }
}

// A HELP text escapes the backslash and the line feed (and nothing else).
static void write_help(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '\n')
            buf_append_text(out, *text == '\n' ? "\\n" : "\\\\");
        else
            buf_append_char(out, *text);
    }
}

// The format's spelling of what is no number; whole ones without a fraction, however large.
static void write_double(struct buf *out, double value)
{
    if (isnan(value))
        buf_append_text(out, "NaN");
    else if (isinf(value))
        buf_append_text(out, value > 0 ? "+Inf" : "-Inf");
    else if (fabs(value) < 1e15 && value == (double)(int64_t)value)
        buf_printf(out, "%.0f", value);
    else
        buf_printf(out, "%.15g", value);
}

static size_t plain_length(const unsigned char *text, size_t len)
{
    size_t i = 0;
    while (i < len && text[i] >= ' ' && text[i] < 0x7F && text[i] != '"' && text[i] != '\\')
        i++;
    return i;
}

static size_t write_odd(struct buf *out, const unsigned char *text, size_t len)
{
    size_t length = span_character(span_make((const char *)text, len));
    if (length == 0)
        buf_append_char(out, '?');
    else if (*text == '\n')
        buf_append_text(out, "\\n");
    else if (*text == '"' || *text == '\\')
        buf_printf(out, "\\%c", *text);
    else
        buf_append(out, text, length);
    return length ? length : 1;
}

// A label value escapes what would end it. One that is not UTF-8 would cost the whole page.
static void write_value(struct buf *out, const unsigned char *text, size_t len)
{
    while (len > 0) {
        size_t step = plain_length(text, len);
        if (step > 0)
            buf_append(out, text, step);
        else
            step = write_odd(out, text, len);
        text += step;
        len -= step;
    }
}

static void write_labels(struct buf *out, const struct metrics_family *family,
                         const struct metrics_row *row)
{
    const unsigned char *at = row->key;
    for (size_t i = 0; i < family->spec.label_count; i++) {
        size_t len = *at++;
        if (i > 0)
            buf_append_char(out, ',');
        buf_append_text(out, family->spec.labels[i]);
        buf_append_text(out, "=\"");
        write_value(out, at, len);
        buf_append_char(out, '"');
        at += len;
    }
}

static void write_number(struct buf *out, const struct metrics_family *family, const char *suffix,
                         struct span labels, int64_t value, unsigned decimals)
{
    char number[DECIMAL_FIXED_SIZE];
    buf_append_text(out, family->spec.name);
    buf_append_text(out, suffix);
    if (labels.len) {
        buf_append_char(out, '{');
        buf_append_span(out, labels);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ' ');
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
static void write_buckets(struct buf *out, const struct metrics_family *family, struct span start,
                          const struct metrics_histogram *histogram)
{
    int64_t below = 0;
    for (size_t i = 0; i < histogram->bound_count; i++) {
        char room[DECIMAL_FIXED_SIZE];
        const char *bound = decimal_of_fixed(histogram->bounds[i], family->spec.decimals, 1, room);
        below += histogram->buckets[i];
        write_bucket(out, start, span_of(bound), below);
    }
    write_bucket(out, start, SPAN_LITERAL("+Inf"), histogram->count);
}

static void write_histogram(struct buf *out, const struct metrics_family *family,
                            struct span labels, const struct metrics_histogram *histogram)
{
    BUF_AUTO start = BUF_INIT(LABELS_MAX);
    buf_append_text(&start, family->spec.name);
    buf_append_text(&start, "_bucket{");
    buf_append_span(&start, labels);
    buf_append_text(&start, labels.len ? ",le=\"" : "le=\"");
    out->full |= buf_is_full(&start);
    write_buckets(out, family, buf_span(&start), histogram);
    write_number(out, family, "_sum", labels, histogram->sum, family->spec.decimals);
    write_number(out, family, "_count", labels, histogram->count, 0);
}

static void write_rows(struct buf *out, const struct metrics_family *family)
{
    BUF_AUTO scratch = BUF_INIT(LABELS_MAX);
    list_for_each(link, &family->rows) {
        const struct metrics_row *row = list_entry(link, struct metrics_row, link);
        buf_clear(&scratch);
        write_labels(&scratch, family, row);
        out->full |= buf_is_full(&scratch);
        if (row->histogram)
            write_histogram(out, family, buf_span(&scratch), row->histogram);
        else
            write_number(out, family, "", buf_span(&scratch), row->value, family->spec.decimals);
    }
}

static void write_sample(struct buf *out, const struct metrics_family *family,
                         const struct metrics_sample *sample)
{
    buf_append_text(out, family->spec.name);
    if (*sample->labels)
        buf_printf(out, "{%s}", sample->labels);
    buf_append_char(out, ' ');
    if (family->spec.type == METRICS_COUNTER)
        buf_printf(out, "%" PRId64, sample->count);
    else
        write_double(out, sample->gauge(sample->context));
    buf_append_char(out, '\n');
}

static void write_head(struct buf *out, const char *name, const char *help, enum metrics_type type)
{
    buf_printf(out, "# HELP %s ", name);
    write_help(out, help);
    buf_printf(out, "\n# TYPE %s %s\n", name, type_names[type]);
}

static void write_family(struct buf *out, const struct metrics_family *family)
{
    write_head(out, family->spec.name, family->spec.help, family->spec.type);
    list_for_each(link, &family->samples)
        write_sample(out, family, list_entry(link, struct metrics_sample, link));
    write_rows(out, family);
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
    list_for_each(link, &metrics->refreshers) {
        const struct metrics_refresh *refresh = list_entry(link, struct metrics_refresh, link);
        refresh->fn(refresh->context);
    }
    list_for_each(link, &metrics->families)
        write_family(out, list_entry(link, struct metrics_family, link));
    write_others(out, metrics);
    if (!buf_is_full(out))
        return true;
    buf_truncate(out, before);
    return false;
}
