#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

/*
 * Time zones without files: the rules are in the program (scripts/zones.py takes them from Debian's
 * tzdata when it is built), so that a container without /usr/share/zoneinfo knows when it is
 * midnight in Vienna. Seconds are POSIX seconds, days those of the Gregorian calendar since
 * 1970-01-01, a local time is seconds since 1970-01-01T00:00:00 on the zone's own clock.
 */

// The `week`-th weekday of a month, the last one for 5, and a second of that day, which may as well
// be one of a neighbouring day.
struct zone_change {
    int32_t month : 5, week : 4, weekday : 4; // 1 to 12, 1 to 5, 0 to 6 from Sunday
    int32_t second : 19;                      // in UTC
};

// There are hundreds of these in the program.
struct __attribute__((packed)) zone_known {
    uint32_t until; // this instant
    int8_t offset_quarters;
};

/*
 * A value: may be copied, owns nothing. {0} is UTC.
 *
 * The rule that a file of the tz database ends with is all that most zones need, but not all: a
 * country that changed its mind this year has its rule only from then on, and Morocco has none at
 * all, as its clocks follow the moon. So a list may come before the rule: it begins at the start of
 * 2020, times before that are not exact.
 */
struct zone {
    int32_t standard_s, daylight_s;  // east of UTC
    struct zone_change begins, ends; // of daylight_s; in month 0 where there is none
    const struct zone_known *known;  // static; in the order of time
    size_t known_count;
};

#define ZONE_UTC ((struct zone){0})

// By a name of the tz database, in any case: "Europe/Vienna", "US/Eastern", "UTC". -ENOENT with a
// sentence that says which name may have been meant.
int zone_find(struct span name, struct zone *ret_zone, struct error *err);

// East of UTC, in seconds.
int32_t zone_offset(const struct zone *zone, int64_t utc_s);

int64_t zone_local(const struct zone *zone, int64_t utc_s);

// The first instant at which the zone's clock shows `local_s` or, where it leaps over that, later:
// the midnight of a day that has two of them or none.
int64_t zone_instant(const struct zone *zone, int64_t local_s);

// As POSIX writes it in TZ, for programs that find no zone files: "<+0100>-1:00<+0200>-2:00,M3...".
// Where the list of `zone` holds that instant or a later one, only the offset at that instant.
enum { ZONE_RULE_SIZE = 128 };
void zone_rule(const struct zone *zone, int64_t utc_s, char text[ZONE_RULE_SIZE]);

struct zone_date {
    int64_t year;
    int month, day; // from 1
};

int64_t zone_days(struct zone_date date); // a month of 13 and more is of the years that follow
struct zone_date zone_date_of(int64_t days);
int zone_weekday(int64_t days); // 0 is Sunday
const char *zone_weekday_name(int weekday);
