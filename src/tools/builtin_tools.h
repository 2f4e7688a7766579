#pragma once

#include "tools/tool.h"

// The tools of this program (tools/table.c), as a source.
struct builtin_tools {
    struct tool_source source;
    struct tool_env env;
    struct tool_queue fetches;
};

void builtin_tools_init(struct builtin_tools *tools, const struct tool_env *env); // copies env
