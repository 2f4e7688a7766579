//
// The page as Prometheus reads it, byte by byte.
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/metrics.h"
#include "base/process_metrics.h"
#include "base/span.h"

enum { PAGE_MAX = 16 * 1024 };

static double told(void *context)
{
    return *(const double *)context;
}

static void expect_page(const struct metrics *metrics, const char *wanted)
{
    BUF_AUTO page = BUF_INIT(PAGE_MAX);
    metrics_render(metrics, &page);
    assert_string_equal(buf_text(&page), wanted);
}

static void nothing_is_an_empty_page(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    expect_page(metrics, "");
    metrics_destroy(metrics);
    metrics_destroy(NULL);
}

static void families_stay_together(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    double level = 2;
    int64_t *done = metrics_counter(metrics, "turns_total", "state=\"done\"", "Turns.");
    metrics_gauge(metrics, "queued", "", "Waiting.", told, &level);
    int64_t *failed = metrics_counter(metrics, "turns_total", "state=\"failed\"", "Turns.");
    *done += 3;
    *failed += 1;
    assert_ptr_equal(metrics_counter(metrics, "turns_total", "state=\"done\"", "Turns."), done);
    expect_page(metrics, "# HELP turns_total Turns.\n"
                         "# TYPE turns_total counter\n"
                         "turns_total{state=\"done\"} 3\n"
                         "turns_total{state=\"failed\"} 1\n"
                         "# HELP queued Waiting.\n"
                         "# TYPE queued gauge\n"
                         "queued 2\n");
    metrics_destroy(metrics);
}

static void a_slot_keeps_its_place(void **state)
{
    (void)state;
    static const char *const labels[] = {"n=\"0\"", "n=\"1\"", "n=\"2\"", "n=\"3\"", "n=\"4\"",
                                         "n=\"5\"", "n=\"6\"", "n=\"7\"", "n=\"8\"", "n=\"9\""};
    struct metrics *metrics = metrics_create();
    int64_t *slots[10];
    for (size_t i = 0; i < 10; i++)
        slots[i] = metrics_counter(metrics, "x", labels[i], "x");
    for (size_t i = 0; i < 10; i++)
        *slots[i] = INT64_C(1) << 62;
    for (size_t i = 0; i < 10; i++)
        assert_ptr_equal(metrics_counter(metrics, "x", labels[i], "x"), slots[i]);
    metrics_destroy(metrics);
}

static void help_is_escaped(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    metrics_counter(metrics, "x", "", "a\\b\nc \"d\"");
    expect_page(metrics, "# HELP x a\\\\b\\nc \"d\"\n# TYPE x counter\nx 0\n");
    metrics_destroy(metrics);
}

static void expect_number(double value, const char *wanted)
{
    struct metrics *metrics = metrics_create();
    metrics_gauge(metrics, "x", "", "x", told, &value);
    BUF_AUTO page = BUF_INIT(PAGE_MAX);
    metrics_render(metrics, &page);
    assert_string_equal(strrchr(buf_text(&page), ' ') + 1, wanted);
    metrics_destroy(metrics);
}

static void numbers(void **state)
{
    (void)state;
    expect_number(0, "0\n");
    expect_number(-3, "-3\n");
    expect_number(1e12, "1000000000000\n");
    expect_number(1e300, "1e+300\n");
    expect_number(0.25, "0.25\n");
    expect_number(1795237385.75, "1795237385.75\n");
    expect_number(NAN, "NaN\n");
    expect_number(INFINITY, "+Inf\n");
    expect_number(-INFINITY, "-Inf\n");
}

// A name has one type; a page with two would be refused as a whole.
static void the_second_type_of_a_name_is_not_told(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    double value = 7;
    metrics_counter(metrics, "x", "", "x");
    metrics_gauge(metrics, "x", "a=\"b\"", "x", told, &value);
    expect_page(metrics, "# HELP x x\n# TYPE x counter\nx 0\n");
    metrics_destroy(metrics);
}

static void without_metrics_one_may_count(void **state)
{
    (void)state;
    int64_t *slot = metrics_counter(NULL, "x", "", "x");
    assert_non_null(slot);
    ++*slot;
    metrics_gauge(NULL, "x", "", "x", told, NULL);
}

static double value_of(const struct buf *page, const char *name)
{
    size_t len = strlen(name);
    struct span rest = buf_span(page);
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        int64_t thousandths;
        if (span_starts_with(line, name) && line.data[len] == ' ' &&
            span_to_fixed(span_skip(line, len + 1), 3, &thousandths))
            return (double)thousandths / 1000;
    }
    return -1;
}

static void the_process(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_create();
    metrics_add_process(metrics);
    BUF_AUTO page = BUF_INIT(PAGE_MAX);
    BUF_AUTO again = BUF_INIT(PAGE_MAX);
    metrics_render(metrics, &page);
    assert_true(value_of(&page, "process_resident_memory_bytes") > 100 * 1024);
    assert_true(value_of(&page, "process_cpu_seconds_total") >= 0);
    double now = (double)time(NULL), start = value_of(&page, "process_start_time_seconds");
    assert_true(start > now - 3600 && start < now + 5);
    double descriptors = value_of(&page, "process_open_fds");
    assert_true(descriptors >= 3);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    metrics_render(metrics, &again);
    close(fd);
    assert_true(value_of(&again, "process_open_fds") == descriptors + 1);
    metrics_destroy(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_an_empty_page),
        cmocka_unit_test(families_stay_together),
        cmocka_unit_test(a_slot_keeps_its_place),
        cmocka_unit_test(help_is_escaped),
        cmocka_unit_test(numbers),
        cmocka_unit_test(the_second_type_of_a_name_is_not_told),
        cmocka_unit_test(without_metrics_one_may_count),
        cmocka_unit_test(the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
