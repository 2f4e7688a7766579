#include <time.h>

#include "base/clock.h"
#include "tools/table.h"

enum { LOCAL_MAX = 64 }; // bytes

// By the built-in zones, where one is configured: a container has no zone files.
static void local_parts(const struct tool_settings *settings, time_t seconds, struct tm *ret_parts)
{
    if (!settings->zoned) {
        localtime_r(&seconds, ret_parts);
        return;
    }
    time_t local = (time_t)zone_local(&settings->zone, seconds);
    gmtime_r(&local, ret_parts);
    ret_parts->tm_gmtoff = zone_offset(&settings->zone, seconds);
}

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    int64_t now_ms = clock_wall_ms(env->clock);
    time_t seconds = (time_t)(now_ms / 1000);
    char utc[CLOCK_TEXT_SIZE], day[16], local[LOCAL_MAX];
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(day, sizeof day, "%A", &parts);
    buf_printf(out, "%s (%s, UTC)", clock_format_utc(now_ms, utc), day);
    local_parts(&env->settings, seconds, &parts);
    if (parts.tm_gmtoff != 0 && strftime(local, sizeof local, "%A %Y-%m-%d %H:%M:%S %z", &parts))
        buf_printf(out, "; local: %s", local);
    return TOOL_ENDED;
}

const struct tool tool_current_time = {
    .name = "current_time",
    .description = "The date and time now.",
    .parameters = "{\"type\":\"object\",\"properties\":{}}",
    .flags = TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .start = start,
};
