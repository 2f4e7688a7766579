#include "router/plan/budget_period.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/mem.h"

/*
 * LiteLLM computes the next reset from the instant of the last one, so that "3d" or "5h" begins
 * whenever its server happened to look. Here every length has its place in the calendar: days are
 * counted from a Monday, which makes 7 of them a week, and parts of a day from its midnight.
 *
 * A period ends where the next one begins, on the zone's own clock. So a day may have 23 or 25
 * hours; a part of a day that the clock leaps over does not take place, and one that it shows twice
 * is one.
 */

enum {
    DAY_S = 86400,
    MONTH_DAYS = 30, // as LiteLLM writes a month
    QUOTE_MAX = 32,  // bytes of what is quoted in a sentence
};

static const struct zone_date EPOCH = {1970, 1, 5}; // a Monday

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

// Reading.

static struct budget_period of_seconds(int64_t seconds)
{
    if (seconds == MONTH_DAYS * DAY_S)
        return (struct budget_period){BUDGET_MONTHS, 1};
    if (seconds % DAY_S == 0)
        return (struct budget_period){BUDGET_DAYS, seconds / DAY_S};
    if (DAY_S % seconds == 0)
        return (struct budget_period){BUDGET_CLOCK, seconds};
    return (struct budget_period){BUDGET_ELAPSED, seconds};
}

static bool read_word(struct span text, struct budget_period *ret_period)
{
    static const struct {
        const char *word;
        struct budget_period period;
    } words[] = {
        {"hour", {BUDGET_CLOCK, 3600}}, {"hourly", {BUDGET_CLOCK, 3600}},
        {"day", {BUDGET_DAYS, 1}},      {"daily", {BUDGET_DAYS, 1}},
        {"week", {BUDGET_DAYS, 7}},     {"weekly", {BUDGET_DAYS, 7}},
        {"month", {BUDGET_MONTHS, 1}},  {"monthly", {BUDGET_MONTHS, 1}},
        {"total", {BUDGET_TOTAL, 0}},   {"never", {BUDGET_TOTAL, 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (text.len == strlen(words[i].word) &&
            strncasecmp(text.data, words[i].word, text.len) == 0) {
            *ret_period = words[i].period;
            return true;
        }
    return false;
}

static bool read_length(struct span text, struct budget_period *ret_period)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", DAY_S}, {"w", 7 * DAY_S}};
    size_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    int64_t count;
    struct span unit = span_skip(text, digits);
    if (!span_to_i64(span_make(text.data, digits), &count) || count < 1 ||
        count > BUDGET_PERIOD_MAX_S)
        return false;
    if (span_is(unit, "mo")) {
        *ret_period = (struct budget_period){BUDGET_MONTHS, count};
        return count <= BUDGET_PERIOD_MAX_MONTHS;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (span_is(unit, units[i].unit)) {
            *ret_period = of_seconds(count * units[i].seconds);
            return count * units[i].seconds <= BUDGET_PERIOD_MAX_S;
        }
    return false;
}

int budget_period_parse(struct span text, struct budget_period *ret_period, struct error *err)
{
    struct budget_period period;
    struct span trimmed = span_trim(text);
    if (!read_word(trimmed, &period) && !read_length(trimmed, &period))
        return error_set(err, -EINVAL,
                         "\"%.*s\" is not a budget period; use day, week, month, total, or a "
                         "length such as 12h, 7d, 30d or 1mo, at most a year",
                         (int)(trimmed.len < QUOTE_MAX ? trimmed.len : QUOTE_MAX),
                         trimmed.len ? trimmed.data : "");
    *ret_period = period;
    return 0;
}

// The calendar. `index` counts periods of a kind; each begins on a local second.

static int64_t index_at(const struct budget_period *period, int64_t local_s)
{
    int64_t days = floor_div(local_s, DAY_S);
    struct zone_date date;
    switch (period->kind) {
    case BUDGET_MONTHS:
        date = zone_date_of(days);
        return floor_div(date.year * 12 + date.month - 1, period->length);
    case BUDGET_DAYS:
        return floor_div(days - zone_days(EPOCH), period->length);
    default:
        return floor_div(local_s - zone_days(EPOCH) * DAY_S, period->length);
    }
}

static int64_t begin_of(const struct budget_period *period, int64_t index)
{
    int64_t months = index * period->length;
    switch (period->kind) {
    case BUDGET_MONTHS:
        return DAY_S *
               zone_days((struct zone_date){floor_div(months, 12),
                                            (int)(months - floor_div(months, 12) * 12) + 1, 1});
    case BUDGET_DAYS:
        return (index * period->length + zone_days(EPOCH)) * DAY_S;
    default:
        return index * period->length + zone_days(EPOCH) * DAY_S;
    }
}

struct budget_span budget_period_at(const struct budget_period *period, const struct zone *zone,
                                    int64_t wall_ms)
{
    if (period->kind == BUDGET_TOTAL)
        return (struct budget_span){0, -1};
    static const struct zone utc = {0};
    if (period->kind == BUDGET_ELAPSED)
        zone = &utc;

    // Clocks that go back over midnight show the day before once more: it is over all the same, as
    // a period begins with the first instant that belongs to it.
    int64_t now_s = floor_div(wall_ms, 1000);
    int64_t index = index_at(period, zone_local(zone, now_s));
    int64_t start_s = zone_instant(zone, begin_of(period, index));
    int64_t end_s = zone_instant(zone, begin_of(period, index + 1));
    while (end_s <= now_s) {
        start_s = end_s;
        index++;
        end_s = zone_instant(zone, begin_of(period, index + 1));
    }
    return (struct budget_span){start_s * 1000, end_s * 1000};
}

const char *budget_period_text(const struct budget_period *period, char *text)
{
    static const struct {
        struct budget_period period;
        const char *text;
    } names[] = {
        {{BUDGET_TOTAL, 0}, "in total"},   {{BUDGET_MONTHS, 1}, "a month"},
        {{BUDGET_DAYS, 7}, "a week"},      {{BUDGET_DAYS, 1}, "a day"},
        {{BUDGET_CLOCK, 3600}, "an hour"}, {{BUDGET_CLOCK, 60}, "a minute"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (period->kind == names[i].period.kind && period->length == names[i].period.length) {
            snprintf(text, BUDGET_PERIOD_TEXT_SIZE, "%s", names[i].text);
            return text;
        }
    const char *unit = "seconds";
    int64_t count = period->length;
    if (period->kind == BUDGET_MONTHS || period->kind == BUDGET_DAYS) {
        unit = period->kind == BUDGET_MONTHS ? "months" : "days";
    } else if (count % 60 == 0) {
        unit = count % 3600 == 0 ? "hours" : "minutes";
        count /= count % 3600 == 0 ? 3600 : 60;
    }
    snprintf(text, BUDGET_PERIOD_TEXT_SIZE, "in %lld %s", (long long)count, unit);
    return text;
}
