#include "codec/http_date.h"

#include <stdio.h>
#include <string.h>

#include "codec/zone.h"

enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60, MONTHS = 12 };

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

const char *http_date_format(int64_t utc_s, char *text)
{
    int64_t days = utc_s / DAY_S - (utc_s % DAY_S < 0);
    struct zone_date date = zone_date_of(days);
    int second = (int)(utc_s - days * DAY_S);
    snprintf(text, HTTP_DATE_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
             zone_weekday_name(zone_weekday(days)), date.day, months + 3 * (date.month - 1),
             (int)date.year, second / HOUR_S, second / MINUTE_S % 60, second % 60);
    return text;
}

static int number(const char *digits)
{
    return (digits[0] - '0') * 10 + digits[1] - '0';
}

// What is no date is not what its date is written as.
bool http_date_parse(struct span text, int64_t *ret_utc_s)
{
    char again[HTTP_DATE_SIZE];
    const char *at = text.data;
    if (text.len != HTTP_DATE_SIZE - 1)
        return false;
    int month = 1;
    while (month < MONTHS && memcmp(months + 3 * (month - 1), at + 8, 3) != 0)
        month++;
    int64_t days = zone_days(
        (struct zone_date){number(at + 12) * 100 + number(at + 14), month, number(at + 5)});
    *ret_utc_s =
        days * DAY_S + number(at + 17) * HOUR_S + number(at + 20) * MINUTE_S + number(at + 23);
    return memcmp(http_date_format(*ret_utc_s, again), at, text.len) == 0;
}
