#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_monotonic_ms(void *context)
{
    return read_ms(CLOCK_MONOTONIC);
}

static int64_t system_wall_ms(void *context)
{
    return read_ms(CLOCK_REALTIME);
}

static int64_t system_boot_ms(void *context)
{
    return read_ms(CLOCK_BOOTTIME);
}

const struct clock clock_system = {system_monotonic_ms, system_wall_ms, NULL, system_boot_ms};

int64_t clock_monotonic_ms(const struct clock *clock)
{
    return clock->monotonic_ms(clock->context);
}

int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->context);
}

int64_t clock_boot_ms(const struct clock *clock)
{
    return clock->boot_ms ? clock->boot_ms(clock->context) : clock_monotonic_ms(clock);
}

const char *clock_format_utc(int64_t wall_ms, char *text)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    snprintf(text, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
             parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    return text;
}
