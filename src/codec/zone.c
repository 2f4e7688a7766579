#include "codec/zone.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/suggest.h"
#include "codec/zone_table.h"

enum {
    DAY_S = 86400,
    QUARTER_S = 900,
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

const char *zone_weekday_name(int weekday)
{
    static const char names[][sizeof "Wednesday"] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                     "Thursday", "Friday", "Saturday"};
    return names[weekday];
}

// Offsets.

static int64_t change_instant(const struct zone_change *change, int64_t year)
{
    int64_t first = zone_days((struct zone_date){year, change->month, 1});
    int64_t next = zone_days((struct zone_date){year, change->month + 1, 1});
    int64_t day = first + (change->weekday - zone_weekday(first) + 7) % 7 + (change->week - 1) * 7;
    return (day < next ? day : day - 7) * DAY_S + change->second;
}

// The change to take place last before an instant rules it. Those of the years beside count as
// well, since a change may be a week off its day.
static int32_t rule_offset(const struct zone *zone, int64_t utc_s)
{
    if (!zone->begins.month)
        return zone->standard_s;
    int64_t local_s = utc_s + zone->standard_s;
    int64_t year = zone_date_of(local_s / DAY_S - (local_s % DAY_S < 0)).year;
    int64_t last = INT64_MIN;
    int32_t offset = zone->standard_s;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t ends = change_instant(&zone->ends, y), begins = change_instant(&zone->begins, y);
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
    for (size_t i = 0; i < zone->known_count; i++)
        if (utc_s < zone->known[i].until)
            return zone->known[i].offset_quarters * QUARTER_S;
    return rule_offset(zone, utc_s);
}

static int write_offset(char *text, size_t size, int32_t east_s)
{
    int minutes = (east_s < 0 ? -east_s : east_s) / 60;
    return snprintf(text, size, "<%c%02d%02d>%c%d:%02d", east_s < 0 ? '-' : '+', minutes / 60,
                    minutes % 60, east_s < 0 ? '+' : '-', minutes / 60, minutes % 60);
}

// By the clock that is about to be changed.
static int write_change(char *text, size_t size, const struct zone_change *change, int32_t east_s)
{
    int32_t at_s = change->second + east_s;
    int minutes = (at_s < 0 ? -at_s : at_s) / 60;
    return snprintf(text, size, ",M%d.%d.%d/%s%d:%02d", change->month, change->week,
                    change->weekday, at_s < 0 ? "-" : "", minutes / 60, minutes % 60);
}

void zone_rule(const struct zone *zone, int64_t utc_s, char text[ZONE_RULE_SIZE])
{
    size_t at = 0;
    bool listed = zone->known_count && utc_s < zone->known[zone->known_count - 1].until;
    if (listed || !zone->begins.month) {
        write_offset(text, ZONE_RULE_SIZE, zone_offset(zone, utc_s));
        return;
    }
    at += write_offset(text, ZONE_RULE_SIZE, zone->standard_s);
    at += write_offset(text + at, ZONE_RULE_SIZE - at, zone->daylight_s);
    at += write_change(text + at, ZONE_RULE_SIZE - at, &zone->begins, zone->standard_s);
    write_change(text + at, ZONE_RULE_SIZE - at, &zone->ends, zone->daylight_s);
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

static const struct zone_entry *search(struct span name)
{
    size_t low = 0, high = zone_table_len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = name_of(middle);
        int order = strncasecmp(name.data, other, name.len);
        if (order == 0 && strlen(other) == name.len)
            return &zone_table[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
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

int zone_find(struct span name, struct zone *ret_zone, struct error *err)
{
    const struct zone_entry *entry = search(name);
    if (entry) {
        *ret_zone = zone_table_zones[entry->zone_at];
        return 0;
    }
    int len = (int)(name.len < QUOTE_MAX ? name.len : QUOTE_MAX);
    const char *near = name.len < QUOTE_MAX ? suggest(name) : NULL;
    if (near)
        return error_set(err, -ENOENT, "there is no time zone \"%.*s\"; did you mean \"%s\"?", len,
                         name.data, near);
    return error_set(err, -ENOENT,
                     "there is no time zone \"%.*s\"; names are like \"Europe/Vienna\" or \"UTC\"",
                     len, name.data);
}
