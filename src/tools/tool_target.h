#pragma once

#include "tools/tool_set.h"

extern const char tool_call_tool_name[];

// What a call means: the tool that it names, or through call_tool the one that its arguments name.
struct tool_target {
    const struct tool_set_entry *entry; // NULL: there is none of that name
    struct span arguments;              // its own; within the call's
    char missing[TOOL_NAME_MAX + 1];    // the name behind call_tool that is none; "": the call's
};

// Without a set no tool is found, and `missing` is the name behind call_tool.
void tool_target_find(const struct tool_set *set, const char *name, struct span arguments,
                      struct tool_target *ret);
