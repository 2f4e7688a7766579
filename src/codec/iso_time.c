#include "codec/iso_time.h"

#include <stdio.h>

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60 };

// Takes `digits` digits off *rest, and before them `before` (0: nothing).
static bool take(struct span *rest, char before, size_t digits, int64_t *ret)
{
    struct span number = before ? span_skip(*rest, 1) : *rest;
    uint64_t value = 0;
    if ((before && (rest->len == 0 || *rest->data != before)) || number.len < digits ||
        !span_to_u64(span_make(number.data, digits), &value))
        return false;
    *ret = (int64_t)value;
    *rest = span_skip(number, digits);
    return true;
}

static bool take_date(struct span *rest, int64_t *ret_days)
{
    int64_t year, month, day;
    if (!take(rest, 0, 4, &year) || !take(rest, '-', 2, &month) || !take(rest, '-', 2, &day))
        return false;
    *ret_days = zone_days((struct zone_date){year, (int)month, (int)day});
    struct zone_date real = zone_date_of(*ret_days);
    return month >= 1 && month <= 12 && day >= 1 && real.month == month && real.day == day;
}

// Milliseconds of the fraction, of which only three digits count.
static int64_t take_fraction(struct span *rest)
{
    int64_t ms = 0, unit = 100;
    if (rest->len < 2 || (*rest->data != '.' && *rest->data != ','))
        return 0;
    *rest = span_skip(*rest, 1);
    for (; rest->len && *rest->data >= '0' && *rest->data <= '9'; *rest = span_skip(*rest, 1)) {
        ms += unit * (*rest->data - '0');
        unit /= 10;
    }
    return ms;
}

// True when there is one; *ret_s is what is to be taken off the time.
static bool take_offset(struct span *rest, int64_t *ret_s)
{
    int64_t hours = 0, minutes = 0;
    char sign = rest->len ? *rest->data : 0;
    *ret_s = 0;
    if (sign == 'Z' || sign == 'z') {
        *rest = span_skip(*rest, 1);
        return true;
    }
    if ((sign != '+' && sign != '-') || !take(rest, sign, 2, &hours))
        return false;
    if (!take(rest, ':', 2, &minutes))
        take(rest, 0, 2, &minutes);
    *ret_s = (hours * HOUR_S + minutes * MINUTE_S) * (sign == '-' ? -1 : 1);
    return true;
}

bool iso_time_parse(struct span text, const struct zone *zone, int64_t *ret_ms)
{
    struct span rest = span_trim(text);
    int64_t days, hour = 0, minute = 0, second = 0, ms = 0, offset_s;
    if (!take_date(&rest, &days))
        return false;
    if (rest.len) {
        bool timed =
            take(&rest, 'T', 2, &hour) || take(&rest, 't', 2, &hour) || take(&rest, ' ', 2, &hour);
        if (!timed || !take(&rest, ':', 2, &minute) || hour > 23 || minute > 59)
            return false;
        if (take(&rest, ':', 2, &second))
            ms = take_fraction(&rest);
        if (second > 59)
            return false;
    }
    int64_t local_s = days * DAY_S + hour * HOUR_S + minute * MINUTE_S + second;
    bool offset = take_offset(&rest, &offset_s);
    *ret_ms = (offset ? local_s - offset_s : zone_instant(zone, local_s)) * 1000 + ms;
    return rest.len == 0;
}

const char *iso_time_format(int64_t ms, const struct zone *zone, char *text)
{
    int64_t utc_s = ms / 1000 - (ms % 1000 < 0), offset_s = zone_offset(zone, utc_s);
    int64_t local_s = utc_s + offset_s;
    int64_t days = local_s / DAY_S - (local_s % DAY_S < 0);
    int second = (int)(local_s - days * DAY_S), offset_m = (int)(offset_s / MINUTE_S);
    struct zone_date date = zone_date_of(days);
    int east = offset_m < 0 ? -offset_m : offset_m;
    snprintf(text, ISO_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03d%c%02d:%02d", (int)date.year,
             date.month, date.day, second / HOUR_S, second / MINUTE_S % 60, second % 60,
             (int)(ms - utc_s * 1000), offset_m < 0 ? '-' : '+', east / 60, east % 60);
    return text;
}
