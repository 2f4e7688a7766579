#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "codec/zone.h"

/*
 * When something is due, as people write it. A value: may be copied, owns nothing.
 *
 *     0 9 * * 1-5    @daily         a cron expression of five fields, with names, steps, lists
 *     daily at 7am   weekdays at 9:30, 17:30       every monday at 9am
 *     every 2h       every 30m                     counted from one run to the next
 *     in 30m         30m            2027-02-03T14:00                        once
 *
 * Dates and hours are those of a zone's clock. A local time that the clock leaps over is due at the
 * first moment behind the gap, once; one that it shows twice is due the first time. Where every
 * hour is meant, an hour that comes twice is two hours.
 */
enum schedule_kind { SCHEDULE_ONCE, SCHEDULE_INTERVAL, SCHEDULE_CRON };

enum {
    SCHEDULE_TEXT_MAX = 128,              // bytes
    SCHEDULE_MINUTES_MAX = 366 * 24 * 60, // of an interval
};

#define SCHEDULE_NEVER INT64_MAX

struct schedule {
    enum schedule_kind kind;
    int64_t at_ms;                      // ONCE
    int64_t minutes;                    // INTERVAL
    char expression[SCHEDULE_TEXT_MAX]; // CRON: of five fields, whatever was written
    uint64_t minute;                    // sets of bits
    uint32_t hour, day, month, weekday;
    bool any_day, any_weekday;
};

// -EINVAL with a sentence that says what can be written.
int schedule_parse(struct span text, const struct zone *zone, int64_t now_ms,
                   struct schedule *ret_schedule, struct error *err);

// The first time it is due behind `after_ms`, which of an interval is the last one.
int64_t schedule_next(const struct schedule *schedule, const struct zone *zone, int64_t after_ms);

// The last time up to `now_ms`, of those from `due_ms` on, which is one.
int64_t schedule_latest(const struct schedule *schedule, const struct zone *zone, int64_t due_ms,
                        int64_t now_ms);

// About how long it is between two of them, from a time that is due on; 0: there is no other.
int64_t schedule_period(const struct schedule *schedule, const struct zone *zone, int64_t due_ms);
