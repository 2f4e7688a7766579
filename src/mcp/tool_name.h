#pragma once

#include <stddef.h>

#include "base/span.h"
#include "tools/tool_source.h"

/*
 * What a model calls the tool of a server: "mcp__SERVER__TOOL", as hermes-agent does. A server may
 * use 128 bytes and more kinds of characters than providers take, so others become "_", and where
 * that or the length changes the name, its middle gives way to a hash of the whole: two tools never
 * become one by being cut.
 */
void mcp_tool_name(const char *server, struct span tool, char name[TOOL_NAME_MAX + 1]);
