#include "codec/schedule.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/iso_time.h"

/*
 * An instant is found by going over the zone's clock: each local minute that the fields name is an
 * instant, and later minutes are never earlier instants (zone_instant()), so the first that lies
 * behind the given one is the next. A minute that comes twice is found as its first instant, one
 * that does not come as the first behind the gap; two that fall together are one.
 *
 * Where every hour is meant, the instants are gone over instead, so that an hour that comes twice
 * is not left out.
 */
enum {
    DAY_S = 86400,
    HOUR_S = 3600,
    MINUTE_S = 60,
    DAYS_MAX = 366 * 41, // the 29th of February on a given weekday comes all 28 or 40 years
    ALL_HOURS = (1 << 24) - 1,
    WORDS_MAX = 16,
};

static int refuse(struct span text, struct error *err)
{
    return error_set(err, -EINVAL,
                     "\"%.*s\" is no schedule; it is like: every 2h, in 30m, daily at 7am, "
                     "weekdays at 9am, every monday 9am, 0 9 * * 1-5, 2027-02-03T14:00",
                     (int)(text.len < SCHEDULE_TEXT_MAX ? text.len : SCHEDULE_TEXT_MAX), text.data);
}

/* Cron expressions */

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

struct field {
    int least, most;
    const char *const *names; // of `least` and what follows; NULL: none
};

static const struct field fields[] = {
    {0, 59, NULL}, {0, 23, NULL}, {1, 31, NULL}, {1, 12, month_names}, {0, 7, day_names}};

// A name counts when its first three letters are there and the rest is what it goes on with.
static int find_name(const char *const *names, struct span text)
{
    for (int i = 0; names && text.len >= 3 && names[i]; i++)
        if (strncasecmp(names[i], text.data, 3) == 0)
            return i;
    return -1;
}

static bool read_value(const struct field *field, struct span text, int *ret)
{
    uint64_t number;
    int named = text.len == 3 ? find_name(field->names, text) : -1;
    if (named >= 0)
        *ret = field->least + named;
    else if (text.len && text.len <= 2 && span_to_u64(text, &number))
        *ret = (int)number;
    else
        return false;
    return *ret >= field->least && *ret <= field->most;
}

// "*", "5", "1-5", and any of them with "/3".
static bool read_range(const struct field *field, struct span text, uint64_t *bits)
{
    struct span step_text = text, range = span_cut(&step_text, '/'), to = range;
    bool stepped = step_text.data && range.len < text.len;
    struct span from = span_cut(&to, '-');
    int first = field->least, last = field->most;
    uint64_t step = 1;
    if (stepped && (!span_to_u64(step_text, &step) || step == 0 || step > 59))
        return false;
    if (!span_is(range, "*")) {
        if (!read_value(field, from, &first))
            return false;
        bool ranged = from.len < range.len;
        last = ranged || !stepped ? first : field->most;
        if (ranged && !read_value(field, to, &last))
            return false;
        if (ranged && last < first)
            return false;
    } else if (field->most == 7) {
        last = 6; // Sunday has two numbers
    }
    for (int i = first; i <= last; i += (int)step)
        *bits |= UINT64_C(1) << i;
    return true;
}

static bool read_field(const struct field *field, struct span text, uint64_t *ret_bits)
{
    if (text.len == 0 || text.data[text.len - 1] == ',')
        return false;
    while (text.len)
        if (!read_range(field, span_cut(&text, ','), ret_bits))
            return false;
    return true;
}

static struct span next_word(struct span *rest)
{
    *rest = span_trim(*rest);
    size_t len = 0;
    while (len < rest->len && rest->data[len] != ' ' && rest->data[len] != '\t')
        len++;
    struct span word = {rest->data, len};
    *rest = span_skip(*rest, len);
    return word;
}

static bool read_expression(struct span text, struct schedule *schedule)
{
    uint64_t bits[5] = {0};
    struct span rest = text, words[5];
    for (size_t i = 0; i < 5; i++) {
        words[i] = next_word(&rest);
        if (!read_field(&fields[i], words[i], &bits[i]))
            return false;
    }
    if (span_trim(rest).len || text.len >= sizeof schedule->expression)
        return false;
    memmove(schedule->expression, text.data, text.len);
    schedule->expression[text.len] = '\0';
    schedule->kind = SCHEDULE_CRON;
    schedule->minute = bits[0];
    schedule->hour = (uint32_t)bits[1];
    schedule->day = (uint32_t)bits[2];
    schedule->month = (uint32_t)bits[3];
    schedule->weekday = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f);
    schedule->any_day = *words[2].data == '*';
    schedule->any_weekday = *words[4].data == '*';
    return true;
}

/* What people write */

static bool word_is(struct span word, const char *text)
{
    return word.len == strlen(text) && strncasecmp(word.data, text, word.len) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// "90m", "2 hours", "1h30m": whole minutes; 0: it is none.
static int64_t read_duration(struct span text)
{
    static const struct {
        const char *name;
        int64_t minutes;
    } units[] = {
        {"m", 1},
        {"min", 1},
        {"mins", 1},
        {"minute", 1},
        {"minutes", 1},
        {"h", 60},
        {"hr", 60},
        {"hrs", 60},
        {"hour", 60},
        {"hours", 60},
        {"d", 24 * 60},
        {"day", 24 * 60},
        {"days", 24 * 60},
        {"w", 7 * 24 * 60},
        {"week", 7 * 24 * 60},
        {"weeks", 7 * 24 * 60},
    };
    int64_t sum = 0;
    for (text = span_trim(text); text.len; text = span_trim(text)) {
        size_t digits = 0, letters = 0;
        uint64_t number;
        int64_t unit = 0;
        while (digits < text.len && is_digit(text.data[digits]))
            digits++;
        if (!span_to_u64(span_make(text.data, digits), &number) || number > SCHEDULE_MINUTES_MAX)
            return 0;
        text = span_trim(span_skip(text, digits));
        while (letters < text.len && text.data[letters] != ' ' && !is_digit(text.data[letters]))
            letters++;
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (word_is(span_make(text.data, letters), units[i].name))
                unit = units[i].minutes;
        if (unit == 0)
            return 0;
        sum += (int64_t)number * unit;
        text = span_skip(text, letters);
    }
    return sum <= SCHEDULE_MINUTES_MAX ? sum : 0;
}

// "7am", "7:30 pm", "19:30", "noon". Takes it off *rest.
static bool read_clock(struct span *rest, int *ret_hour, int *ret_minute)
{
    struct span word = next_word(rest), after = *rest, half = next_word(&after);
    int64_t hour = 0, minute = 0;
    size_t at = 0;
    *ret_minute = 0;
    *ret_hour = word_is(word, "noon") ? 12 : 0;
    if (word_is(word, "noon") || word_is(word, "midnight"))
        return true;
    while (at < word.len && is_digit(word.data[at]) && at < 2)
        hour = hour * 10 + word.data[at++] - '0';
    bool timed = at && at + 2 < word.len && word.data[at] == ':' && is_digit(word.data[at + 1]) &&
                 is_digit(word.data[at + 2]);
    if (timed) {
        minute = (word.data[at + 1] - '0') * 10 + word.data[at + 2] - '0';
        at += 3;
    }
    struct span tail = span_skip(word, at);
    if (tail.len == 0 && (word_is(half, "am") || word_is(half, "pm"))) {
        tail = half;
        *rest = after;
    }
    bool am = word_is(tail, "am"), pm = word_is(tail, "pm");
    if (at == 0 || minute > 59 || (tail.len && !am && !pm) || (tail.len == 0 && !timed))
        return false;
    if ((am || pm) && (hour < 1 || hour > 12))
        return false;
    if (am || pm)
        hour = hour % 12 + (pm ? 12 : 0);
    *ret_hour = (int)hour;
    *ret_minute = (int)minute;
    return hour <= 23;
}

// The fifth field of an expression; NULL: it names no days.
static const char *read_days(struct span word)
{
    static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6"};
    static const char *const whole[] = {"sunday",   "monday", "tuesday", "wednesday",
                                        "thursday", "friday", "saturday"};
    if (word_is(word, "day") || word_is(word, "daily"))
        return "*";
    if (word_is(word, "weekday") || word_is(word, "weekdays"))
        return "1-5";
    if (word_is(word, "weekend") || word_is(word, "weekends"))
        return "0,6";
    int day = find_name(day_names, word);
    size_t len = day < 0 ? 0 : strlen(whole[day]);
    bool named = day >= 0 && (word.len == 3 || (word.len >= len && word.len <= len + 1 &&
                                                strncasecmp(whole[day], word.data, len) == 0 &&
                                                (word.len == len || word.data[len] == 's')));
    return named ? numbers[day] : NULL;
}

// "[every] DAYS [at] TIME[, TIME]": times that share their minute, or their hour, are one
// expression; others would need several.
static bool read_phrase(struct span text, struct schedule *schedule)
{
    struct span rest = text, word = next_word(&rest);
    char hours[SCHEDULE_TEXT_MAX / 2] = "", expression[SCHEDULE_TEXT_MAX];
    int hour, minute, first_minute = -1;
    if (word_is(word, "every"))
        word = next_word(&rest);
    const char *days = read_days(word);
    if (!days)
        return false;
    struct span after = rest;
    if (word_is(next_word(&after), "at"))
        rest = after;
    while (span_trim(rest).len) {
        struct span one = span_cut(&rest, ',');
        size_t len = strlen(hours);
        if (!read_clock(&one, &hour, &minute) || span_trim(one).len ||
            (first_minute >= 0 && minute != first_minute) || len + 4 > sizeof hours)
            return false;
        first_minute = minute;
        snprintf(hours + len, sizeof hours - len, "%s%d", len ? "," : "", hour);
    }
    if (first_minute < 0)
        return false;
    snprintf(expression, sizeof expression, "%d %s * * %s", first_minute, hours, days);
    return read_expression(span_of(expression), schedule);
}

static bool read_nickname(struct span text, struct schedule *schedule)
{
    static const struct {
        const char *name, *expression;
    } names[] = {
        {"@hourly", "0 * * * *"},   {"hourly", "0 * * * *"},    {"@daily", "0 0 * * *"},
        {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"},
        {"@yearly", "0 0 1 1 *"},   {"@annually", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (word_is(text, names[i].name))
            return read_expression(span_of(names[i].expression), schedule);
    return false;
}

static bool read_interval(struct span text, int64_t now_ms, struct schedule *schedule)
{
    struct span rest = text, word = next_word(&rest);
    bool every = word_is(word, "every"), in = word_is(word, "in");
    struct span length = every || in ? span_trim(rest) : text;
    // "every hour", "every day": one of them.
    char one[SCHEDULE_TEXT_MAX];
    if (every && length.len && !is_digit(*length.data) && length.len < sizeof one - 3) {
        snprintf(one, sizeof one, "1 %.*s", (int)length.len, length.data);
        length = span_of(one);
    }
    int64_t minutes = read_duration(length);
    if (minutes == 0)
        return false;
    *schedule = every ? (struct schedule){.kind = SCHEDULE_INTERVAL, .minutes = minutes}
                      : (struct schedule){.kind = SCHEDULE_ONCE,
                                          .at_ms = now_ms + minutes * MINUTE_S * 1000};
    return true;
}

int schedule_parse(struct span text, const struct zone *zone, int64_t now_ms,
                   struct schedule *ret_schedule, struct error *err)
{
    struct schedule schedule = {.kind = SCHEDULE_ONCE};
    text = span_trim(text);
    if (text.len == 0 || text.len >= SCHEDULE_TEXT_MAX)
        return refuse(text, err);
    if (!read_interval(text, now_ms, &schedule) && !read_nickname(text, &schedule) &&
        !read_phrase(text, &schedule) && !read_expression(text, &schedule) &&
        !iso_time_parse(text, zone, &schedule.at_ms))
        return refuse(text, err);
    if (schedule.kind == SCHEDULE_CRON && schedule_next(&schedule, zone, now_ms) == SCHEDULE_NEVER)
        return error_set(err, -EINVAL, "\"%.*s\" names a day that never comes", (int)text.len,
                         text.data);
    *ret_schedule = schedule;
    return 0;
}

/* When */

static bool is_day(const struct schedule *schedule, int64_t days)
{
    struct zone_date date = zone_date_of(days);
    bool day = schedule->day >> date.day & 1, weekday = schedule->weekday >> zone_weekday(days) & 1;
    // Of two restrictions either is enough; of one and a "*" (or its steps), both hold.
    bool both = schedule->any_day || schedule->any_weekday;
    return schedule->month >> date.month & 1 && (both ? day && weekday : day || weekday);
}

// By the zone's clock: the first minute of that day from `local_s` on whose instant lies behind.
static bool find_in_day(const struct schedule *schedule, const struct zone *zone, int64_t days,
                        int64_t local_s, int64_t after_s, int64_t *ret_s)
{
    for (int hour = 0; hour < 24; hour++) {
        int64_t hour_s = days * DAY_S + hour * HOUR_S;
        if (!(schedule->hour >> hour & 1) || hour_s + HOUR_S <= local_s)
            continue;
        for (int minute = 0; minute < 60; minute++) {
            int64_t at_s = hour_s + minute * MINUTE_S;
            if (!(schedule->minute >> minute & 1) || at_s < local_s)
                continue;
            *ret_s = zone_instant(zone, at_s);
            if (*ret_s > after_s)
                return true;
        }
    }
    return false;
}

static int64_t floor_to(int64_t value, int64_t unit)
{
    return value / unit - (value % unit < 0);
}

static int64_t next_by_clock(const struct schedule *schedule, const struct zone *zone,
                             int64_t after_s)
{
    int64_t local_s = floor_to(zone_local(zone, after_s), MINUTE_S) * MINUTE_S, found_s;
    int64_t days = floor_to(local_s, DAY_S);
    for (int64_t i = 0; i < DAYS_MAX; i++)
        if (is_day(schedule, days + i) &&
            find_in_day(schedule, zone, days + i, local_s, after_s, &found_s))
            return found_s;
    return SCHEDULE_NEVER;
}

static int64_t next_by_instant(const struct schedule *schedule, const struct zone *zone,
                               int64_t after_s)
{
    int64_t at_s = (floor_to(after_s, MINUTE_S) + 1) * MINUTE_S;
    for (int64_t end_s = at_s + (int64_t)DAYS_MAX * DAY_S; at_s < end_s;) {
        int64_t local_s = zone_local(zone, at_s), days = floor_to(local_s, DAY_S);
        if (!is_day(schedule, days)) {
            int64_t next_s = zone_instant(zone, (days + 1) * DAY_S);
            at_s = next_s > at_s ? next_s : at_s + MINUTE_S;
        } else if (schedule->minute >> (local_s - days * DAY_S) / MINUTE_S % 60 & 1) {
            return at_s;
        } else {
            at_s += MINUTE_S;
        }
    }
    return SCHEDULE_NEVER;
}

int64_t schedule_next(const struct schedule *schedule, const struct zone *zone, int64_t after_ms)
{
    if (schedule->kind == SCHEDULE_ONCE)
        return schedule->at_ms > after_ms ? schedule->at_ms : SCHEDULE_NEVER;
    if (schedule->kind == SCHEDULE_INTERVAL)
        return after_ms + schedule->minutes * MINUTE_S * 1000;
    int64_t after_s = floor_to(after_ms, 1000);
    int64_t next_s = schedule->hour == ALL_HOURS ? next_by_instant(schedule, zone, after_s)
                                                 : next_by_clock(schedule, zone, after_s);
    return next_s == SCHEDULE_NEVER ? SCHEDULE_NEVER : next_s * 1000;
}

int64_t schedule_latest(const struct schedule *schedule, const struct zone *zone, int64_t due_ms,
                        int64_t now_ms)
{
    enum { STEPS = 64 };
    int64_t period = schedule->minutes * MINUTE_S * 1000, next;
    if (schedule->kind == SCHEDULE_INTERVAL && now_ms > due_ms)
        return due_ms + (now_ms - due_ms) / period * period;
    // From as near before as is certain to have one, so that years are not gone over.
    for (int64_t back_ms = 4 * DAY_S * INT64_C(1000);
         schedule->kind == SCHEDULE_CRON && now_ms - back_ms > due_ms; back_ms *= 4) {
        next = schedule_next(schedule, zone, now_ms - back_ms);
        if (next <= now_ms) {
            due_ms = next;
            break;
        }
    }
    // Halves what is left, then goes on one by one.
    for (int64_t left = now_ms - due_ms; left > STEPS * MINUTE_S * INT64_C(1000); left /= 2) {
        next = schedule_next(schedule, zone, due_ms + left / 2);
        if (next <= now_ms)
            due_ms = next;
    }
    while ((next = schedule_next(schedule, zone, due_ms)) <= now_ms &&
           schedule->kind == SCHEDULE_CRON)
        due_ms = next;
    return due_ms;
}

int64_t schedule_period(const struct schedule *schedule, const struct zone *zone, int64_t due_ms)
{
    if (schedule->kind == SCHEDULE_ONCE)
        return 0;
    int64_t next = schedule_next(schedule, zone, due_ms);
    return next == SCHEDULE_NEVER ? 0 : next - due_ms;
}
