#include <time.h>

#include "base/clock.h"
#include "tools/table.h"

enum { DAY_S = 86400 };

// By the built-in zones, where one is configured: a container has no zone files.
static long offset_of(const struct tool_settings *settings, time_t seconds)
{
    struct tm parts;
    if (settings->zoned)
        return zone_offset(&settings->zone, seconds);
    localtime_r(&seconds, &parts);
    return parts.tm_gmtoff;
}

static const char *day_name(int64_t seconds)
{
    return zone_weekday_name(zone_weekday(seconds / DAY_S));
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    int64_t now_ms = clock_wall_ms(env->clock);
    char text[CLOCK_TEXT_SIZE];
    long offset = offset_of(&env->settings, (time_t)(now_ms / 1000));
    int64_t local_ms = now_ms + offset * 1000, minutes = (offset < 0 ? -offset : offset) / 60;
    buf_printf(out, "%s (%s, UTC)", clock_format_utc(now_ms, text), day_name(now_ms / 1000));
    clock_format_utc(local_ms, text);
    if (offset != 0)
        buf_printf(out, "; local: %s %.10s %.8s %c%02d%02d", day_name(local_ms / 1000), text,
                   text + sizeof "2026-11-21", offset < 0 ? '-' : '+', (int)(minutes / 60),
                   (int)(minutes % 60));
    return TOOL_ENDED;
}

const struct tool tool_current_time = {
    .name = "current_time",
    .description = "The date and time now.",
    .parameters = "{\"type\":\"object\",\"properties\":{}}",
    .flags = TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .start = start,
};
