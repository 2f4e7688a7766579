#include "base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

/*
 * A family is a name with its help and type; its samples differ in their labels. The format wants
 * all samples of a family in one group, whoever asked for them and when, so they are kept that way.
 * A family has one type: a second one under a name in use would make the whole page invalid, so its
 * slot is one that nobody reads.
 */
struct sample {
    struct list link; // on its family's samples
    const char *labels;
    int64_t count; // of a counter
    metrics_gauge_fn *gauge;
    void *context;
};

struct family {
    struct list link; // on the metrics' families
    const char *name, *help;
    bool counter;
    struct list samples;
};

struct metrics {
    struct list families;
};

struct metrics *metrics_create(void)
{
    struct metrics *metrics = mem_new(struct metrics);
    list_init(&metrics->families);
    return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
    if (!metrics)
        return;
    struct list *link, *inner;
    while ((link = list_shift(&metrics->families))) {
        struct family *family = list_entry(link, struct family, link);
        while ((inner = list_shift(&family->samples)))
            free(list_entry(inner, struct sample, link));
        free(family);
    }
    free(metrics);
}

static struct family *find_family(struct metrics *metrics, const char *name, const char *help,
                                  bool counter)
{
    list_for_each(link, &metrics->families) {
        struct family *family = list_entry(link, struct family, link);
        if (strcmp(family->name, name) == 0)
            return family->counter == counter ? family : NULL;
    }
    struct family *family = mem_new(struct family);
    *family = (struct family){.name = name, .help = help, .counter = counter};
    list_init(&family->samples);
    list_append(&metrics->families, &family->link);
    return family;
}

static struct sample *find_sample(struct metrics *metrics, const char *name, const char *labels,
                                  const char *help, bool counter)
{
    struct family *family = metrics ? find_family(metrics, name, help, counter) : NULL;
    if (!family)
        return NULL;
    list_for_each(link, &family->samples) {
        struct sample *sample = list_entry(link, struct sample, link);
        if (strcmp(sample->labels, labels) == 0)
            return sample;
    }
    struct sample *sample = mem_new(struct sample);
    sample->labels = labels;
    list_append(&family->samples, &sample->link);
    return sample;
}

int64_t *metrics_counter(struct metrics *metrics, const char *name, const char *labels,
                         const char *help)
{
    static int64_t unread;
    struct sample *sample = find_sample(metrics, name, labels, help, true);
    return sample ? &sample->count : &unread;
}

void metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help,
                   metrics_gauge_fn *fn, void *context)
{
    struct sample *sample = find_sample(metrics, name, labels, help, false);
    if (!sample)
        return;
    sample->gauge = fn; // asked twice for the same: the later one is alive
    sample->context = context;
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

static void write_sample(struct buf *out, const struct family *family, const struct sample *sample)
{
    buf_append_text(out, family->name);
    if (*sample->labels)
        buf_printf(out, "{%s}", sample->labels);
    buf_append_char(out, ' ');
    if (family->counter)
        buf_printf(out, "%" PRId64, sample->count);
    else
        write_double(out, sample->gauge(sample->context));
    buf_append_char(out, '\n');
}

void metrics_render(const struct metrics *metrics, struct buf *out)
{
    list_for_each(link, &metrics->families) {
        const struct family *family = list_entry(link, struct family, link);
        buf_printf(out, "# HELP %s ", family->name);
        write_help(out, family->help);
        buf_printf(out, "\n# TYPE %s %s\n", family->name, family->counter ? "counter" : "gauge");
        list_for_each(inner, &family->samples)
            write_sample(out, family, list_entry(inner, struct sample, link));
    }
}
