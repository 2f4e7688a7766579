#pragma once

#include "codec/zone.h"
#include "config/option.h"

struct tool_config {
    const char *timezone; // "" or NULL: not set
};

extern const struct option tool_options[];
extern const size_t tool_option_count;

// The clock by which people here live: the setting's, else that of the variable TZ (NULL: not set),
// by name or as a rule. False: neither says one, and the system is to be asked.
bool tool_find_zone(const struct tool_config *config, const char *tz, struct zone *ret_zone);
