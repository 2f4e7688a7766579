#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "router/plan/budget_period.h"

static int64_t at(int64_t year, int month, int day, int hour, int minute)
{
    return (zone_days((struct zone_date){year, month, day}) * 86400 + hour * 3600 + minute * 60) *
           1000;
}

static struct budget_period parse(const char *text)
{
    struct budget_period period;
    struct error err = ERROR_INIT;
    if (budget_period_parse(span_of(text), &period, &err) != 0)
        fail_msg("%s", err.text);
    return period;
}

static const struct zone kolkata = {.standard_s = 19800}, new_york_winter = {.standard_s = -18000};
static const struct zone vienna = {3600, 7200, {3, 5, 0, 3600}, {10, 5, 0, 3600}, NULL, 0};
// Midnights that the clock leaps over, shows twice, or takes back after a minute.
static const struct zone leaps = {7200, 10800, {3, 5, 0, -7200}, {10, 5, 0, -7200}, NULL, 0};
static const struct zone twice = {7200, 10800, {3, 5, 0, -7200}, {10, 5, 0, -10800}, NULL, 0};
static const struct zone back = {-12600, -9000, {4, 1, 0, 12660}, {10, 5, 0, 9060}, NULL, 0};
static const struct zone half_hour = {37800, 39600, {10, 1, 0, -30600}, {4, 1, 0, -32400}, NULL, 0};
static const struct zone dublin = {3600, 0, {10, 5, 0, 3600}, {3, 5, 0, 3600}, NULL, 0};

static void check(const char *text, const struct zone *zone, int64_t now, const char *start,
                  const char *end)
{
    struct budget_period period = parse(text);
    struct budget_span span = budget_period_at(&period, zone, now);
    char buffer[CLOCK_TEXT_SIZE];
    assert_string_equal(clock_format_utc(span.start_wall_ms, buffer), start);
    assert_string_equal(clock_format_utc(span.end_wall_ms, buffer), end);
}

static void test_calendars(void **state)
{
    (void)state;
    int64_t now = at(2026, 11, 21, 12, 34); // a Saturday
    check("1d", &ZONE_UTC, now, "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
    check("24h", &ZONE_UTC, now, "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
    check("86400s", &ZONE_UTC, now, "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
    check("7d", &ZONE_UTC, now, "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
    check("week", &ZONE_UTC, at(2026, 11, 22, 23, 59), "2026-11-16T00:00:00Z",
          "2026-11-23T00:00:00Z");
    check("1w", &ZONE_UTC, at(2026, 11, 23, 0, 0), "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
    check("30d", &ZONE_UTC, now, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
    check("1mo", &ZONE_UTC, at(2026, 12, 31, 23, 59), "2026-12-01T00:00:00Z",
          "2027-01-01T00:00:00Z");
    check("monthly", &ZONE_UTC, at(2024, 2, 29, 5, 0), "2024-02-01T00:00:00Z",
          "2024-03-01T00:00:00Z");
    check("12mo", &ZONE_UTC, now, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    check("12h", &ZONE_UTC, now, "2026-11-21T12:00:00Z", "2026-11-22T00:00:00Z");
    check("5m", &ZONE_UTC, now, "2026-11-21T12:30:00Z", "2026-11-21T12:35:00Z");
    check("30s", &ZONE_UTC, now, "2026-11-21T12:34:00Z", "2026-11-21T12:34:30Z");
    check("hour", &kolkata, now, "2026-11-21T12:30:00Z", "2026-11-21T13:30:00Z");
    check("2w", &ZONE_UTC, now, "2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z");
    check("5h", &new_york_winter, 4 * 86400000ll, "1970-01-05T00:00:00Z", "1970-01-05T05:00:00Z");
    check("1d", &ZONE_UTC, -1, "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z");

    struct budget_period total = parse("total");
    struct zone utc = ZONE_UTC;
    struct budget_span span = budget_period_at(&total, &utc, now);
    assert_int_equal(span.start_wall_ms, 0);
    assert_int_equal(span.end_wall_ms, -1);
}

static void test_zones(void **state)
{
    (void)state;
    check("1d", &vienna, at(2026, 11, 21, 23, 30), "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z");
    check("day", &vienna, at(2026, 3, 29, 12, 0), "2026-03-28T23:00:00Z",
          "2026-03-29T22:00:00Z"); // 23 hours
    check("day", &vienna, at(2026, 10, 25, 12, 0), "2026-10-24T22:00:00Z",
          "2026-10-25T23:00:00Z"); // 25
    check("12h", &vienna, at(2026, 3, 29, 9, 0), "2026-03-28T23:00:00Z", "2026-03-29T10:00:00Z");
    check("1mo", &vienna, at(2026, 3, 31, 22, 30), "2026-03-31T22:00:00Z", "2026-04-30T22:00:00Z");
    check("7d", &vienna, at(2026, 10, 26, 12, 0), "2026-10-25T23:00:00Z", "2026-11-01T23:00:00Z");

    check("day", &leaps, at(2026, 3, 28, 22, 30), "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z");
    check("day", &leaps, at(2026, 3, 28, 21, 59), "2026-03-27T22:00:00Z", "2026-03-28T22:00:00Z");
    check("day", &leaps, at(2026, 10, 24, 21, 30), "2026-10-24T21:00:00Z", "2026-10-25T22:00:00Z");
    check("day", &leaps, at(2026, 10, 24, 22, 30), "2026-10-24T21:00:00Z", "2026-10-25T22:00:00Z");
    check("day", &back, at(2026, 10, 25, 2, 45), "2026-10-25T02:30:00Z", "2026-10-26T03:30:00Z");
    // The hour that the clock shows twice is one.
    check("1h", &vienna, at(2026, 10, 25, 1, 30), "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z");
}

// Periods follow each other without a gap, and each holds the instants in it, in every zone.
static void test_seamless(void **state)
{
    (void)state;
    const struct zone *const zones[] = {&ZONE_UTC, &vienna, &back, &twice, &half_hour, &dublin};
    static const char *const texts[] = {"1h", "30m", "12h", "1d", "3d",
                                        "7d", "30d", "3mo", "5h", "36h"};
    for (size_t z = 0; z < ARRAY_LEN(zones); z++)
        for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
            struct budget_period period = parse(texts[t]);
            int64_t now = at(2026, 1, 1, 0, 7);
            struct budget_span span = budget_period_at(&period, zones[z], now);
            for (; now < at(2027, 1, 2, 0, 0); now += 1000 * 977) {
                while (now >= span.end_wall_ms) { // a leap can leave a minute of one
                    struct budget_span next = budget_period_at(&period, zones[z], span.end_wall_ms);
                    assert_int_equal(next.start_wall_ms, span.end_wall_ms);
                    span = next;
                }
                struct budget_span here = budget_period_at(&period, zones[z], now);
                assert_int_equal(here.start_wall_ms, span.start_wall_ms);
                assert_int_equal(here.end_wall_ms, span.end_wall_ms);
                assert_true(here.start_wall_ms <= now && now < here.end_wall_ms);
            }
        }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "0",
                                        "0d",
                                        "30",
                                        "-1d",
                                        "1.5h",
                                        "d",
                                        "1y",
                                        "1 d",
                                        "367d",
                                        "1MO",
                                        "121mo",
                                        "0.5mo",
                                        "fortnight",
                                        "99999999999999999999d",
                                        "9223372036854775807w"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct budget_period period;
        struct error err = ERROR_INIT;
        if (budget_period_parse(span_of(texts[i]), &period, &err) != -EINVAL)
            fail_msg("\"%s\" was taken", texts[i]);
        assert_non_null(strstr(err.text, texts[i]));
    }
}

static void test_text(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"24h", "a day"},         {"weekly", "a week"},   {"30d", "a month"},
        {"never", "in total"},    {"12h", "in 12 hours"}, {"3d", "in 3 days"},
        {"90m", "in 90 minutes"}, {"1h", "an hour"},      {"60s", "a minute"},
        {"61s", "in 61 seconds"}, {"3mo", "in 3 months"}, {"36h", "in 36 hours"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[BUDGET_PERIOD_TEXT_SIZE];
        struct budget_period period = parse(cases[i][0]);
        assert_string_equal(budget_period_text(&period, text), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendars), cmocka_unit_test(test_zones),
        cmocka_unit_test(test_seamless),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
