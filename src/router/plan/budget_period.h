#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "codec/zone.h"

/*
 * When a budget begins anew. A period is a function of the date alone and of nothing that happened,
 * so that a restart, another process or a test computes the same one. By LiteLLM's calendars: whole
 * days begin at local midnight, 7 days on Mondays, 30 days on the first of the month.
 */

enum budget_period_kind {
    BUDGET_TOTAL,   // never
    BUDGET_MONTHS,  // from the first of a month
    BUDGET_DAYS,    // from a local midnight, counted from Monday 1970-01-05
    BUDGET_CLOCK,   // a part of the local day that divides it: 12h begin at 0:00 and at 12:00
    BUDGET_ELAPSED, // any other length, counted in real time from 1970-01-05T00:00:00Z
};

struct budget_period {
    enum budget_period_kind kind;
    int64_t length; // months, days, or (clock, elapsed) seconds; 0 for a total
};

enum {
    BUDGET_PERIOD_TEXT_SIZE = 32,      // bytes, with the NUL
    BUDGET_PERIOD_MAX_S = 366 * 86400, // the longest one that is written in seconds to days
    BUDGET_PERIOD_MAX_MONTHS = 120,
};

// From `start` on, until just before `end`; -1: there is no end.
struct budget_span {
    int64_t start_wall_ms, end_wall_ms;
};

// "30s", "5m", "12h", "1d", "7d", "2w", "30d", "1mo", bare seconds; hour, day, week, month and
// hourly, daily, weekly, monthly; total, never. -EINVAL with a sentence that quotes the text.
int budget_period_parse(struct span text, struct budget_period *ret_period, struct error *err);

// The period that holds the instant. A total begins at 0.
struct budget_span budget_period_at(const struct budget_period *period, const struct zone *zone,
                                    int64_t wall_ms);

// "a day", "a week", "a month", "in 12 hours", "in total"; into BUDGET_PERIOD_TEXT_SIZE bytes.
const char *budget_period_text(const struct budget_period *period, char *text);
