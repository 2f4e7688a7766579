#include "router/route/rate_limits.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/zone.h"

/*
 * A number under 10^6 is a duration in seconds, above it an instant: in seconds since 1970 up to
 * 10^11, in milliseconds beyond. Durations so long, and instants so early, do not occur.
 */
enum { SECONDS_MAX = 1000000 };
#define INSTANT_SECONDS_MAX INT64_C(100000000000)
#define DAY_MS INT64_C(86400000)

static int64_t bounded(int64_t ms)
{
    if (ms < 0)
        return 0;
    return ms < ROUTER_RATE_RESET_MAX_MS ? ms : ROUTER_RATE_RESET_MAX_MS;
}

static size_t number_len(struct span text)
{
    size_t len = 0;
    while (len < text.len &&
           ((text.data[len] >= '0' && text.data[len] <= '9') || text.data[len] == '.'))
        len++;
    return len;
}

// "1h2m3.5s", "120ms": milliseconds, or -1.
static int64_t units(struct span text)
{
    static const struct {
        const char *name;
        int64_t ms;
    } known[] = {{"ms", 1},    {"us", 0},      {"ns", 0},      {"s", 1000},
                 {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t total = 0;
    while (text.len) {
        int64_t micro;
        size_t len = number_len(text), i = 0;
        if (len == 0 || len > 12 || !span_to_fixed(span_make(text.data, len), 6, &micro))
            return -1;
        text = span_skip(text, len);
        while (i < ARRAY_LEN(known) && !span_starts_with(text, known[i].name))
            i++;
        if (i == ARRAY_LEN(known))
            return -1;
        text = span_skip(text, strlen(known[i].name));
        bool far = known[i].ms && micro / 1000000 > ROUTER_RATE_RESET_MAX_MS / known[i].ms;
        total = far ? ROUTER_RATE_RESET_MAX_MS : bounded(total + micro * known[i].ms / 1000000);
    }
    return total;
}

static bool digits(struct span text, size_t at, size_t count, int64_t *ret_value)
{
    return at + count <= text.len && span_to_i64(span_make(text.data + at, count), ret_value) &&
           *ret_value >= 0;
}

// "08:49:37" at `at`: milliseconds of the day.
static bool time_of_day(struct span text, size_t at, int64_t *ret_ms)
{
    int64_t hour, minute, second;
    if (!digits(text, at, 2, &hour) || !digits(text, at + 3, 2, &minute) ||
        !digits(text, at + 6, 2, &second))
        return false;
    *ret_ms = ((hour * 60 + minute) * 60 + second) * 1000;
    return true;
}

static bool instant_of(int64_t year, int64_t month, int64_t day, int64_t of_day_ms,
                       int64_t *ret_wall_ms)
{
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *ret_wall_ms = zone_days((struct zone_date){year, (int)month, (int)day}) * DAY_MS + of_day_ms;
    return true;
}

// RFC 9110 §5.6.7, "Sun, 06 Nov 1994 08:49:37 GMT"; not the two forms that nobody may send.
static bool http_date(struct span text, int64_t *ret_wall_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t year, day, of_day, month = 0;
    if (text.len != 29 || text.data[3] != ',' || !span_ends_with(text, " GMT") ||
        !digits(text, 5, 2, &day) || !digits(text, 12, 4, &year) || !time_of_day(text, 17, &of_day))
        return false;
    while (month < 12 && memcmp(text.data + 8, months + 3 * month, 3) != 0)
        month++;
    return month < 12 && instant_of(year, month + 1, day, of_day, ret_wall_ms);
}

// RFC 3339 in UTC, fractions of a second left out; false when it is not that.
static bool instant(struct span text, int64_t *ret_wall_ms)
{
    int64_t year, month, day, of_day;
    if (text.len < 20 || text.data[4] != '-' || text.data[10] != 'T' || !span_ends_with(text, "Z"))
        return false;
    if (!digits(text, 0, 4, &year) || !digits(text, 5, 2, &month) || !digits(text, 8, 2, &day) ||
        !time_of_day(text, 11, &of_day))
        return false;
    return instant_of(year, month, day, of_day, ret_wall_ms);
}

// How long from now, bounded; -1: unreadable.
static int64_t reset_in(struct span value, int64_t wall_now_ms)
{
    int64_t ms, wall_ms;
    value = span_trim(value);
    if (value.len == 0 || value.len > 40)
        return -1;
    if (instant(value, &wall_ms) || http_date(value, &wall_ms))
        return bounded(wall_ms - wall_now_ms);
    if (number_len(value) < value.len)
        return units(value);
    if (!span_to_fixed(value, 3, &ms))
        return -1;
    if (ms < SECONDS_MAX * INT64_C(1000))
        return bounded(ms);
    return bounded((ms / 1000 < INSTANT_SECONDS_MAX ? ms : ms / 1000) - wall_now_ms);
}

#define AT(field) offsetof(struct router_rate_limits, field)

static const struct {
    struct span name;
    size_t at; // in struct router_rate_limits
    enum { COUNT, RESET, RETRY, RETRY_MS } kind;
} headers[] = {
    {SPAN_LITERAL("x-ratelimit-remaining-requests"), AT(remaining_requests), COUNT},
    {SPAN_LITERAL("x-ratelimit-remaining-tokens"), AT(remaining_tokens), COUNT},
    {SPAN_LITERAL("x-ratelimit-reset-requests"), AT(requests_reset_ms), RESET},
    {SPAN_LITERAL("x-ratelimit-reset-tokens"), AT(tokens_reset_ms), RESET},
    {SPAN_LITERAL("x-ratelimit-remaining"), AT(remaining_requests), COUNT}, // OpenRouter's requests
    {SPAN_LITERAL("x-ratelimit-reset"), AT(requests_reset_ms), RESET},
    {SPAN_LITERAL("anthropic-ratelimit-requests-remaining"), AT(remaining_requests), COUNT},
    {SPAN_LITERAL("anthropic-ratelimit-tokens-remaining"), AT(remaining_tokens), COUNT},
    {SPAN_LITERAL("anthropic-ratelimit-requests-reset"), AT(requests_reset_ms), RESET},
    {SPAN_LITERAL("anthropic-ratelimit-tokens-reset"), AT(tokens_reset_ms), RESET},
    {SPAN_LITERAL("retry-after"), AT(retry_after_ms), RETRY},
    {SPAN_LITERAL("retry-after-ms"), AT(retry_after_ms), RETRY_MS},
};

bool router_rate_limits_read(struct router_rate_limits *limits, struct span name, struct span value,
                             int64_t now_ms, int64_t wall_now_ms)
{
    size_t i = 0;
    while (i < ARRAY_LEN(headers) && (name.len != headers[i].name.len ||
                                      strncasecmp(name.data, headers[i].name.data, name.len) != 0))
        i++;
    if (i == ARRAY_LEN(headers))
        return false;
    int64_t *to = (int64_t *)((char *)limits + headers[i].at), number = -1;
    value = span_trim(value);
    if (headers[i].kind == COUNT)
        number = span_to_i64(value, &number) ? number : -1;
    else if (headers[i].kind == RETRY_MS)
        number = span_to_fixed(value, 0, &number) && number >= 0 ? bounded(number) : -1;
    else
        number = reset_in(value, wall_now_ms);
    if (number < 0)
        return false;
    if (headers[i].kind != RETRY || *to < 0) // the one in ms is the more exact one
        *to = headers[i].kind == RESET ? now_ms + number : number;
    return true;
}

int64_t router_rate_limits_retry_after(const struct router_rate_limits *limits, int64_t now_ms)
{
    int64_t wait = limits->retry_after_ms;
    if (limits->remaining_requests == 0 && limits->requests_reset_ms - now_ms > wait)
        wait = limits->requests_reset_ms - now_ms;
    if (limits->remaining_tokens == 0 && limits->tokens_reset_ms - now_ms > wait)
        wait = limits->tokens_reset_ms - now_ms;
    return wait;
}
