#include <time.h>

#include "base/clock.h"
#include "tools/table.h"

static int start(const struct tool_env *env, const struct tool_call *call, struct tool_run *run,
                 struct buf *out, struct error *err)
{
    (void)call, (void)run, (void)err;
    int64_t now_ms = clock_wall_ms(env->clock);
    time_t seconds = (time_t)(now_ms / 1000);
    char utc[CLOCK_TEXT_SIZE], day[16], local[64];
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(day, sizeof day, "%A", &parts);
    buf_printf(out, "%s (%s, UTC)", clock_format_utc(now_ms, utc), day);
    localtime_r(&seconds, &parts);
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
