#include "tools/options.h"

#include "base/mem.h"

const struct option tool_options[] = {
    {.key = "timezone",
     .type = OPTION_STRING,
     .offset = offsetof(struct tool_config, timezone),
     .env = "HERMES_TIMEZONE",
     .flags = OPTION_ZONE,
     .help = "what the assistant's clock shows beside UTC, such as Europe/Vienna; else TZ, else "
             "the system's"},
};

const size_t tool_option_count = ARRAY_LEN(tool_options);

bool tool_find_zone(const struct tool_config *config, const char *tz, struct zone *ret_zone)
{
    struct span name = span_trim(span_of(config->timezone));
    if (name.len)
        return zone_find(name, ret_zone, NULL) == 0;
    struct span variable = span_of(tz);
    if (variable.len && variable.data[0] == ':')
        variable = span_skip(variable, 1);
    return variable.len && zone_find(variable, ret_zone, NULL) == 0;
}
