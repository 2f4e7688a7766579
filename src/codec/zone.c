#include "codec/zone.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/suggest.h"
#include "codec/zone_table.h"

/*
 * A zone is the rule that its tz database file ends with. That is all that most of them need, but
 * not all: a country that changed its mind this year has its rule only from then on, and Morocco
 * has none at all, as its clocks follow the moon. So a rule of the table may have a list behind it,
 * "RULE;UNTIL=OFFSET;UNTIL=OFFSET...", in the order of time: before the first UNTIL that is later
 * than an instant, that OFFSET holds; after the last one, the rule. The list begins at the start of
 * 2020, times before that are not exact.
 *
 * The list is read whenever it is asked, as it is short, and so a zone is a value without memory of
 * its own.
 */

enum {
    DAY_S = 86400,
    NAME_MIN = 3,       // letters of an abbreviation
    OFFSET_HOURS = 24,  // of an offset
    TIME_HOURS = 167,   // of a change (RFC 8536 section 3.3.1)
    LEAP_MAX_S = 93600, // 26 hours: no clock is farther from UTC, or leaps farther
    QUOTE_MAX = 64,     // bytes of what is quoted in a sentence
};

// Days and dates: the year begins in March, so that the leap day is its last one.

int64_t zone_days(struct zone_date date)
{
    int64_t months = date.year * 12 + (date.month - 1) - 2;
    int64_t year = months / 12 - (months % 12 < 0), month = months - year * 12;
    int64_t era = year / 400 - (year % 400 < 0), of_era = year - era * 400;
    int64_t of_year = (153 * month + 2) / 5 + date.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct zone_date zone_date_of(int64_t days)
{
    days += 719468;
    int64_t era = days / 146097 - (days % 146097 < 0), of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    return (struct zone_date){era * 400 + year + (month >= 10),
                              (int)(month < 10 ? month + 3 : month - 9),
                              (int)(of_year - (153 * month + 2) / 5 + 1)};
}

int zone_weekday(int64_t days)
{
    int64_t weekday = (days + 4) % 7; // 1970-01-01 was a Thursday
    return (int)(weekday < 0 ? weekday + 7 : weekday);
}

static bool is_leap_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// Reading a rule. Each takes what it reads off *rest, and is false when that is something else.

static bool take_char(struct span *rest, char c)
{
    if (!rest->len || rest->data[0] != c)
        return false;
    *rest = span_skip(*rest, 1);
    return true;
}

static bool take_number(struct span *rest, int min, int max, int *ret_value)
{
    size_t digits = 0;
    int value = 0;
    while (digits < rest->len && digits < 4 && isdigit((unsigned char)rest->data[digits]))
        value = value * 10 + (rest->data[digits++] - '0');
    if (digits == 0 || value < min || value > max)
        return false;
    *rest = span_skip(*rest, digits);
    *ret_value = value;
    return true;
}

static bool is_quotable(char c)
{
    return isalnum((unsigned char)c) || c == '+' || c == '-';
}

static bool take_name(struct span *rest)
{
    bool quoted = take_char(rest, '<');
    size_t len = 0;
    while (len < rest->len &&
           (quoted ? is_quotable(rest->data[len]) : isalpha((unsigned char)rest->data[len])))
        len++;
    *rest = span_skip(*rest, len);
    return len >= NAME_MIN && (!quoted || take_char(rest, '>'));
}

// [+-]hh[:mm[:ss]]
static bool take_time(struct span *rest, int hours_max, int32_t *ret_seconds)
{
    bool negative = take_char(rest, '-');
    if (!negative)
        take_char(rest, '+');
    int hours, minutes = 0, seconds = 0;
    if (!take_number(rest, 0, hours_max, &hours) ||
        (take_char(rest, ':') && (!take_number(rest, 0, 59, &minutes) ||
                                  (take_char(rest, ':') && !take_number(rest, 0, 59, &seconds)))))
        return false;
    int32_t value = hours * 3600 + minutes * 60 + seconds;
    *ret_seconds = negative ? -value : value;
    return true;
}

// A rule counts west of Greenwich; we count east.
static bool take_offset(struct span *rest, int32_t *ret_offset)
{
    if (!take_time(rest, OFFSET_HOURS, ret_offset))
        return false;
    *ret_offset = -*ret_offset;
    return true;
}

static bool take_day(struct span *rest, struct zone_change *change)
{
    if (take_char(rest, 'M')) {
        change->kind = ZONE_WEEKDAY;
        return take_number(rest, 1, 12, &change->month) && take_char(rest, '.') &&
               take_number(rest, 1, 5, &change->week) && take_char(rest, '.') &&
               take_number(rest, 0, 6, &change->day);
    }
    change->kind = take_char(rest, 'J') ? ZONE_JULIAN : ZONE_DAY_OF_YEAR;
    return take_number(rest, change->kind == ZONE_JULIAN, 365, &change->day);
}

static bool take_change(struct span *rest, struct zone_change *change)
{
    change->time_s = 2 * 3600;
    return take_char(rest, ',') && take_day(rest, change) &&
           (!take_char(rest, '/') || take_time(rest, TIME_HOURS, &change->time_s));
}

static bool take_rule(struct span *rest, struct zone *zone)
{
    if (!take_name(rest) || !take_offset(rest, &zone->standard_s))
        return false;
    zone->has_daylight = rest->len > 0;
    if (!zone->has_daylight)
        return true;
    zone->daylight_s = zone->standard_s + 3600;
    return take_name(rest) &&
           ((rest->len && rest->data[0] == ',') || take_offset(rest, &zone->daylight_s)) &&
           take_change(rest, &zone->begins) && take_change(rest, &zone->ends) && rest->len == 0;
}

int zone_parse(struct span rule, struct zone *ret_zone, struct error *err)
{
    struct zone zone = ZONE_UTC;
    struct span rest = rule;
    if (!take_rule(&rest, &zone))
        return error_set(err, -EINVAL, "\"%.*s\" is not a time zone rule, from byte %zu on",
                         (int)(rule.len < QUOTE_MAX ? rule.len : QUOTE_MAX), rule.data,
                         rule.len - rest.len + 1);
    *ret_zone = zone;
    return 0;
}

// Offsets.

static int64_t change_day(const struct zone_change *change, int64_t year)
{
    int64_t new_year = zone_days((struct zone_date){year, 1, 1});
    if (change->kind == ZONE_DAY_OF_YEAR)
        return new_year + change->day;
    if (change->kind == ZONE_JULIAN)
        return new_year + change->day - 1 + (change->day >= 60 && is_leap_year(year));

    int64_t first = zone_days((struct zone_date){year, change->month, 1});
    int64_t next = zone_days((struct zone_date){year, change->month + 1, 1});
    int64_t day = first + (change->day - zone_weekday(first) + 7) % 7 + (change->week - 1) * 7;
    return day < next ? day : day - 7;
}

// The change to take place last before an instant rules it. Those of the years beside count as
// well, since a change may be a week off its day. Where both fall together, daylight saving has no
// end (RFC 8536 writes a whole year of it so).
static int32_t rule_offset(const struct zone *zone, int64_t utc_s)
{
    if (!zone->has_daylight)
        return zone->standard_s;
    int64_t local_s = utc_s + zone->standard_s;
    int64_t year = zone_date_of(local_s / DAY_S - (local_s % DAY_S < 0)).year;
    int64_t last = INT64_MIN;
    int32_t offset = zone->standard_s;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t ends = change_day(&zone->ends, y) * DAY_S + zone->ends.time_s - zone->daylight_s;
        int64_t begins =
            change_day(&zone->begins, y) * DAY_S + zone->begins.time_s - zone->standard_s;
        if (ends <= utc_s && ends > last) {
            last = ends;
            offset = zone->standard_s;
        }
        if (begins <= utc_s && begins >= last) {
            last = begins;
            offset = zone->daylight_s;
        }
    }
    return offset;
}

int32_t zone_offset(const struct zone *zone, int64_t utc_s)
{
    struct span rest = zone->known;
    while (rest.len) {
        struct span offset_text = span_cut(&rest, ';');
        struct span until_text = span_cut(&offset_text, '=');
        int64_t until, offset;
        if (span_to_i64(until_text, &until) && span_to_i64(offset_text, &offset) && utc_s < until)
            return (int32_t)offset;
    }
    return rule_offset(zone, utc_s);
}

int64_t zone_local(const struct zone *zone, int64_t utc_s)
{
    return utc_s + zone_offset(zone, utc_s);
}

int64_t zone_instant(const struct zone *zone, int64_t local_s)
{
    // The offsets around it: where clocks go back, both may lead to it, and the larger one first.
    int32_t before = zone_offset(zone, local_s - LEAP_MAX_S);
    int32_t after = zone_offset(zone, local_s + LEAP_MAX_S);
    int32_t larger = before > after ? before : after, smaller = before > after ? after : before;
    if (zone_local(zone, local_s - larger) == local_s)
        return local_s - larger;
    if (zone_local(zone, local_s - smaller) == local_s)
        return local_s - smaller;

    // It is leapt over: the clock is behind it until some instant, and past it from then on.
    int64_t low = local_s - larger, high = local_s - smaller;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (zone_local(zone, middle) < local_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Names.

static const char *name_of(size_t index)
{
    return zone_table_names + zone_table[index].name_at;
}

static int compare_name(struct span name, const char *other)
{
    size_t len = strlen(other);
    int difference = strncasecmp(name.data, other, name.len < len ? name.len : len);
    return difference ? difference : (name.len > len) - (name.len < len);
}

static const struct zone_entry *search(struct span name)
{
    size_t low = 0, high = zone_table_len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(name, name_of(middle));
        if (order == 0)
            return &zone_table[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

// People write the city alone, or with a blank.
static const char *suggest(struct span name)
{
    CLEANUP(mem_cleanup) char *word = mem_strndup(name.data, name.len);
    CLEANUP(mem_cleanup) const char **names = mem_alloc(zone_table_len * sizeof *names);
    for (char *at = word; *at; at++)
        *at = *at == ' ' ? '_' : *at;
    for (size_t i = 0; i < zone_table_len; i++)
        names[i] = name_of(i);
    const char *nearest = suggest_nearest(span_of(word), names, zone_table_len);
    if (nearest || strchr(word, '/'))
        return nearest;

    for (size_t i = 0; i < zone_table_len; i++) {
        const char *slash = strrchr(names[i], '/');
        names[i] = slash ? slash + 1 : names[i];
    }
    const char *city = suggest_nearest(span_of(word), names, zone_table_len);
    while (city && city > zone_table_names && city[-1])
        city--;
    return city;
}

static int fail_unknown(struct span name, struct error *err)
{
    int len = (int)(name.len < QUOTE_MAX ? name.len : QUOTE_MAX);
    const char *near = name.len < QUOTE_MAX ? suggest(name) : NULL;
    if (near)
        return error_set(err, -ENOENT, "there is no time zone \"%.*s\"; did you mean \"%s\"?", len,
                         name.data, near);
    return error_set(err, -ENOENT,
                     "there is no time zone \"%.*s\"; names are like \"Europe/Vienna\" or \"UTC\"",
                     len, name.data);
}

int zone_find(struct span name, struct zone *ret_zone, struct error *err)
{
    const struct zone_entry *entry = search(name);
    if (!entry)
        return fail_unknown(name, err);
    struct span known = span_of(zone_table_rules + entry->rule_at);
    struct span rule = span_cut(&known, ';');
    struct zone zone;
    int rc = zone_parse(rule, &zone, err);
    if (rc < 0)
        return rc;
    zone.known = known;
    *ret_zone = zone;
    return 0;
}
