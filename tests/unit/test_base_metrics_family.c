// links: base/metrics.c base/metrics_family.c base/decimal.c base/buf.c base/span.c
// links: base/mem.c base/error.c
//
// Series that are met on the way: found again, bounded, escaped, and never half told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/metrics.h"

enum { PAGE_MAX = 1024 * 1024 };

static const char *const two_names[] = {"model", "status"};
static const struct metrics_family_spec asked = {
    .name = "asked_total",
    .help = "Asked.",
    .type = METRICS_COUNTER,
    .labels = two_names,
    .label_count = 2,
    .series_max = 3,
};

static void expect_page(const struct metrics *metrics, const char *wanted)
{
    BUF_AUTO page = BUF_INIT(PAGE_MAX);
    assert_true(metrics_render(metrics, &page));
    assert_string_equal(buf_text(&page), wanted);
}

static int64_t *asked_series(struct metrics_family *family, const char *model, const char *status)
{
    return metrics_series(family, (const struct span[]){span_of(model), span_of(status)});
}

static void series_are_found_again(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct metrics_family *family = metrics_family(metrics, &asked);
    int64_t *first = asked_series(family, "a", "b");
    *first = 7;
    assert_ptr_equal(asked_series(family, "a", "b"), first);
    assert_ptr_equal(metrics_family(metrics, &asked), family);
    // Values that run together when put side by side are two series.
    assert_ptr_not_equal(asked_series(family, "ab", ""), first);
    assert_ptr_not_equal(asked_series(family, "", "ab"), asked_series(family, "ab", NULL));
    expect_page(metrics, "# HELP asked_total Asked.\n# TYPE asked_total counter\n"
                         "asked_total{model=\"a\",status=\"b\"} 7\n"
                         "asked_total{model=\"ab\",status=\"\"} 0\n"
                         "asked_total{model=\"\",status=\"ab\"} 0\n");
    metrics_destroy(metrics);
}

static void beyond_the_limit_is_other(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct metrics_family *family = metrics_family(metrics, &asked);
    for (int i = 0; i < 5; i++) {
        char model[16];
        snprintf(model, sizeof(model), "m%d", i);
        *asked_series(family, model, "x") += 1;
    }
    *asked_series(family, "m0", "x") += 1;
    expect_page(metrics, "# HELP asked_total Asked.\n# TYPE asked_total counter\n"
                         "asked_total{model=\"m0\",status=\"x\"} 2\n"
                         "asked_total{model=\"m1\",status=\"x\"} 1\n"
                         "asked_total{model=\"m2\",status=\"x\"} 1\n"
                         "asked_total{model=\"other\",status=\"other\"} 2\n"
                         "# HELP hermes_metrics_other_total "
                         "Look-ups of a series beyond its family's limit.\n"
                         "# TYPE hermes_metrics_other_total counter\n"
                         "hermes_metrics_other_total{metric=\"asked_total\"} 2\n");
    metrics_destroy(metrics);
}

// Somebody whose model is called "other" must not make the page tell one series twice.
static void other_may_be_a_true_value(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct metrics_family *family = metrics_family(metrics, &asked);
    int64_t *other = asked_series(family, "other", "other");
    asked_series(family, "a", "");
    asked_series(family, "b", "");
    assert_ptr_equal(asked_series(family, "c", ""), other);
    assert_ptr_equal(asked_series(family, "other", "other"), other);
    metrics_destroy(metrics);
}

static void room_comes_back_with_what_is_forgotten(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct metrics_family *family = metrics_family(metrics, &asked);
    const struct span gone = SPAN_LITERAL("b");
    assert_int_equal(metrics_forget(family, 0, gone), 0);
    *asked_series(family, "a", "") = 1;
    *asked_series(family, "b", "") = 2;
    *asked_series(family, "c", "") = 3;
    assert_int_equal(metrics_forget(family, 0, gone), 1);
    assert_int_equal(metrics_forget(family, 0, gone), 0);
    assert_int_equal(metrics_forget(family, 2, gone), 0);
    *asked_series(family, "d", "") = 4;
    assert_int_equal(metrics_forget(NULL, 0, gone), 0);
    expect_page(metrics, "# HELP asked_total Asked.\n# TYPE asked_total counter\n"
                         "asked_total{model=\"a\",status=\"\"} 1\n"
                         "asked_total{model=\"c\",status=\"\"} 3\n"
                         "asked_total{model=\"d\",status=\"\"} 4\n");
    metrics_destroy(metrics);
}

static void all_series_of_a_value_are_forgotten(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct metrics_family_spec spec = asked;
    spec.series_max = 0;
    struct metrics_family *family = metrics_family(metrics, &spec);
    char model[200];
    memset(model, 'x', sizeof(model));
    for (size_t i = 0; i < 100; i++)
        *metrics_series(family, (const struct span[]){span_make(model, 1 + i), span_of("s")}) = 1;
    *metrics_series(family, (const struct span[]){span_make(model, 200), span_of("t")}) = 2;
    assert_int_equal(metrics_forget(family, 1, span_of("s")), 100);
    asked_series(family, "a", "b");
    assert_int_equal(metrics_forget(family, 0, span_make(model, 200)), 1); // it had been cut
    metrics_forget_all(family);
    metrics_forget_all(NULL);
    expect_page(metrics, "# HELP asked_total Asked.\n# TYPE asked_total counter\n");
    *asked_series(family, "a", "b") = 1;
    expect_page(metrics, "# HELP asked_total Asked.\n# TYPE asked_total counter\n"
                         "asked_total{model=\"a\",status=\"b\"} 1\n");
    metrics_destroy(metrics);
}

// A thousand series in random order, some forgotten, against a plain array.
static void many_series(void **state)
{
    (void)state;
    enum { MANY = METRICS_SERIES_MAX };
    static int64_t *slots[MANY];
    static const char *const names[] = {"n"};
    const struct metrics_family_spec spec = {
        .name = "n_total", .help = "n", .labels = names, .label_count = 1};
    struct metrics *metrics = metrics_create();
    struct metrics_family *family = metrics_family(metrics, &spec);
    uint32_t seed = 1;
    memset(slots, 0, sizeof(slots));
    for (int step = 0; step < 100 * 1000; step++) {
        seed = seed * 1664525 + 1013904223;
        size_t i = (seed >> 8) % MANY;
        char text[16];
        snprintf(text, sizeof(text), "%zu", i);
        const struct span value = span_of(text);
        if (seed >> 30 == 0) {
            assert_int_equal(metrics_forget(family, 0, value), slots[i] != NULL);
            slots[i] = NULL;
        } else if (slots[i]) {
            assert_ptr_equal(metrics_series(family, &value), slots[i]);
            assert_int_equal(*slots[i], (int64_t)i);
        } else {
            slots[i] = metrics_series(family, &value);
            assert_int_equal(*slots[i], 0);
            *slots[i] = (int64_t)i;
        }
    }
    metrics_destroy(metrics);
}

static void expect_told(struct span value, const char *wanted)
{
    static const char *const names[] = {"v"};
    const struct metrics_family_spec spec = {
        .name = "x", .help = "x", .type = METRICS_GAUGE, .labels = names, .label_count = 1};
    struct metrics *metrics = metrics_create();
    metrics_series(metrics_family(metrics, &spec), &value);
    BUF_AUTO page = BUF_INIT(PAGE_MAX);
    assert_true(metrics_render(metrics, &page));
    BUF_AUTO line = BUF_INIT(PAGE_MAX);
    buf_printf(&line, "# HELP x x\n# TYPE x gauge\nx{v=\"%s\"} 0\n", wanted);
    assert_string_equal(buf_text(&page), buf_text(&line));
    metrics_destroy(metrics);
}

static void values_are_escaped(void **state)
{
    (void)state;
    expect_told(SPAN_LITERAL("a\"b\\c\nd{}=,'"), "a\\\"b\\\\c\\nd{}=,'");
    expect_told(SPAN_LITERAL("grün 漢 😀"), "grün 漢 😀");
    expect_told(SPAN_LITERAL("\xFFx\xC3"), "?x?");
    expect_told(SPAN_LITERAL("\xED\xA0\x80\xC0\x80\xF5"), "??????");
    expect_told(SPAN_LITERAL("\xE6\xBC"), "??");
    expect_told(SPAN_ABSENT, "");
}

static void long_values_are_cut(void **state)
{
    (void)state;
    char text[400], wanted[400];
    memset(text, 'a', sizeof(text));
    memset(wanted, 'a', sizeof(wanted));
    wanted[128] = '\0';
    expect_told(span_make(text, 128), wanted);
    memcpy(wanted + 125, "...", 4);
    expect_told(span_make(text, 129), wanted);
    memcpy(text + 123, "\xF0\x9F\x98\x80", 4); // the cut would fall into it
    memcpy(wanted + 123, "...", 4);
    expect_told(span_make(text, sizeof(text)), wanted);
    memset(text, '\x80', sizeof(text)); // nothing but continuations: it ends all the same
    memset(wanted, '?', sizeof(wanted));
    memcpy(wanted + 121, "...", 4);
    expect_told(span_make(text, sizeof(text)), wanted);
}

static void fractions_are_exact(void **state)
{
    (void)state;
    static const struct {
        unsigned decimals;
        int64_t value;
        const char *told;
    } cases[] = {
        {0, 0, "0"},
        {0, -12, "-12"},
        {0, INT64_MIN, "-9223372036854775808"},
        {6, 1, "0.000001"},
        {6, 1500000, "1.5"},
        {6, 2000000, "2"},
        {12, 1, "0.000000000001"},
        {12, -INT64_C(2500000000000), "-2.5"},
        {18, INT64_MAX, "9.223372036854775807"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct metrics_family_spec spec = {
            .name = "x", .help = "x", .type = METRICS_GAUGE, .decimals = cases[i].decimals};
        struct metrics *metrics = metrics_create();
        *metrics_series(metrics_family(metrics, &spec), NULL) = cases[i].value;
        BUF_AUTO page = BUF_INIT(PAGE_MAX);
        assert_true(metrics_render(metrics, &page));
        assert_int_equal(
            strncmp(strrchr(buf_text(&page), ' ') + 1, cases[i].told, strlen(cases[i].told)), 0);
        assert_int_equal(page.data[page.len - 1], '\n');
        metrics_destroy(metrics);
    }
}

static const int64_t steps[] = {6250, 500000, 1000000, 300000000};
static const char *const one_name[] = {"model"};
static const struct metrics_family_spec latency = {
    .name = "latency",
    .help = "Seconds.",
    .type = METRICS_HISTOGRAM,
    .decimals = 6,
    .labels = one_name,
    .label_count = 1,
    .bounds = steps,
    .bound_count = ARRAY_LEN(steps),
};

static void a_histogram_is_cumulative(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    const struct span model = SPAN_LITERAL("m");
    struct metrics_histogram *h = metrics_histogram(metrics_family(metrics, &latency), &model);
    static const int64_t seen[] = {0, 6250, 6251, 500000, 500001, 300000000, 300000001, -1};
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        metrics_observe(h, seen[i]);
    expect_page(metrics, "# HELP latency Seconds.\n# TYPE latency histogram\n"
                         "latency_bucket{model=\"m\",le=\"0.00625\"} 2\n"
                         "latency_bucket{model=\"m\",le=\"0.5\"} 4\n"
                         "latency_bucket{model=\"m\",le=\"1.0\"} 5\n"
                         "latency_bucket{model=\"m\",le=\"300.0\"} 6\n"
                         "latency_bucket{model=\"m\",le=\"+Inf\"} 7\n"
                         "latency_sum{model=\"m\"} 601.012503\n"
                         "latency_count{model=\"m\"} 7\n");
    metrics_destroy(metrics);
}

static void a_histogram_without_labels(void **state)
{
    (void)state;
    static const int64_t bounds[] = {1, 2};
    const struct metrics_family_spec spec = {
        .name = "h", .help = "h", .type = METRICS_HISTOGRAM, .bounds = bounds, .bound_count = 2};
    struct metrics *metrics = metrics_create();
    metrics_observe(metrics_histogram(metrics_family(metrics, &spec), NULL), 2);
    expect_page(metrics, "# HELP h h\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 0\n"
                         "h_bucket{le=\"2.0\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n");
    metrics_destroy(metrics);
}

// What would make the page invalid, or pass a limit, counts where nobody reads.
static void what_cannot_be_told_is_not(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    struct metrics_family_spec spec = asked;
    metrics_counter(metrics, "asked_total", "", "Asked.");
    assert_null(metrics_family(metrics, &asked)); // literal labels are in use
    spec.name = "b_total";
    assert_non_null(metrics_family(metrics, &spec));
    ++*metrics_counter(metrics, "b_total", "", "Asked.");
    spec.type = METRICS_GAUGE;
    assert_null(metrics_family(metrics, &spec));
    spec = asked;
    spec.name = "b_total";
    spec.label_count = 1;
    assert_null(metrics_family(metrics, &spec));
    static const int64_t falling[] = {2, 1};
    spec = latency;
    spec.bounds = falling;
    spec.bound_count = 2;
    assert_null(metrics_family(metrics, &spec));
    assert_null(metrics_family(NULL, &asked));
    ++*asked_series(NULL, "a", "b");
    metrics_observe(metrics_histogram(NULL, NULL), 1);
    assert_int_equal(metrics_forget(NULL, 0, SPAN_ABSENT), 0);
    expect_page(metrics, "# HELP asked_total Asked.\n# TYPE asked_total counter\nasked_total 0\n"
                         "# HELP b_total Asked.\n# TYPE b_total counter\n");
    metrics_destroy(metrics);
}

static void half_a_page_is_no_page(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    const struct span model = SPAN_LITERAL("m");
    metrics_observe(metrics_histogram(metrics_family(metrics, &latency), &model), 1);
    BUF_AUTO whole = BUF_INIT(PAGE_MAX);
    assert_true(metrics_render(metrics, &whole));
    for (size_t max = 1; max < whole.len + 1; max++) {
        BUF_AUTO page = BUF_INIT(max);
        buf_append_char(&page, 'x');
        assert_false(metrics_render(metrics, &page));
        assert_string_equal(buf_text(&page), "x");
        assert_true(buf_is_full(&page));
    }
    BUF_AUTO page = BUF_INIT(whole.len);
    assert_true(metrics_render(metrics, &page));
    metrics_destroy(metrics);
}

static void refresh(void *context)
{
    struct metrics *metrics = context;
    const struct span model = SPAN_LITERAL("late");
    metrics_observe(metrics_histogram(metrics_family(metrics, &latency), &model), 1);
}

static void levels_are_asked_for(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    metrics_on_render(metrics, refresh, metrics);
    metrics_on_render(NULL, refresh, NULL);
    BUF_AUTO page = BUF_INIT(PAGE_MAX);
    assert_true(metrics_render(metrics, &page));
    assert_non_null(strstr(buf_text(&page), "latency_count{model=\"late\"} 1\n"));
    metrics_on_render(metrics, NULL, NULL);
    buf_clear(&page);
    assert_true(metrics_render(metrics, &page));
    assert_non_null(strstr(buf_text(&page), "latency_count{model=\"late\"} 1\n"));
    metrics_on_render(metrics, refresh, metrics); // and is released with the rest
    metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_are_found_again),
        cmocka_unit_test(beyond_the_limit_is_other),
        cmocka_unit_test(other_may_be_a_true_value),
        cmocka_unit_test(room_comes_back_with_what_is_forgotten),
        cmocka_unit_test(all_series_of_a_value_are_forgotten),
        cmocka_unit_test(many_series),
        cmocka_unit_test(values_are_escaped),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(fractions_are_exact),
        cmocka_unit_test(a_histogram_is_cumulative),
        cmocka_unit_test(a_histogram_without_labels),
        cmocka_unit_test(what_cannot_be_told_is_not),
        cmocka_unit_test(half_a_page_is_no_page),
        cmocka_unit_test(levels_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
