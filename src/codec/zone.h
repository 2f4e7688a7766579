#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/*
 * Time zones without files: the rules are in the program (scripts/zones.py takes them from Debian's
 * tzdata when it is built), so that a container without /usr/share/zoneinfo knows when it is
 * midnight in Vienna. Seconds are POSIX seconds, days those of the Gregorian calendar since
 * 1970-01-01, a local time is seconds since 1970-01-01T00:00:00 on the zone's own clock.
 */

enum zone_day_kind {
    ZONE_WEEKDAY,    // Mm.w.d: the w-th weekday d of month m, the last one for 5
    ZONE_JULIAN,     // Jn: 1 to 365, the 29th of February is never counted
    ZONE_DAY_OF_YEAR // n: 0 to 365, it is counted
};

struct zone_change {
    enum zone_day_kind kind;
    int month, week; // 1 to 12, 1 to 5
    int day;         // 0 to 6 from Sunday, or n
    int32_t time_s;  // on the clock before the change; may be of a neighbouring day
};

// A value: may be copied, owns nothing. {0} is UTC.
struct zone {
    int32_t standard_s, daylight_s; // east of UTC
    bool has_daylight;
    struct zone_change begins, ends; // of daylight_s
    struct span known;               // of the table: what came before the rule, see zone.c
};

#define ZONE_UTC ((struct zone){0})

// A POSIX TZ rule (IEEE Std 1003.1 section 8.3, with the extensions of RFC 8536 section 3.3.1):
// "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3". -EINVAL with a sentence that quotes it.
int zone_parse(struct span rule, struct zone *ret_zone, struct error *err);

// By a name of the tz database, in any case: "Europe/Vienna", "US/Eastern", "UTC". -ENOENT with a
// sentence that says which name may have been meant.
int zone_find(struct span name, struct zone *ret_zone, struct error *err);

// East of UTC, in seconds.
int32_t zone_offset(const struct zone *zone, int64_t utc_s);

int64_t zone_local(const struct zone *zone, int64_t utc_s);

// The first instant at which the zone's clock shows `local_s` or, where it leaps over that, later:
// the midnight of a day that has two of them or none.
int64_t zone_instant(const struct zone *zone, int64_t local_s);

struct zone_date {
    int64_t year;
    int month, day; // from 1
};

int64_t zone_days(struct zone_date date); // a month of 13 and more is of the years that follow
struct zone_date zone_date_of(int64_t days);
int zone_weekday(int64_t days); // 0 is Sunday
