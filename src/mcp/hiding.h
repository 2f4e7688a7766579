#pragma once

#include "sandbox/process.h"

/*
 * Can the kernel hide files of ours from a server's program? A process of its own tries it: what is
 * entered for that is never left, and a child of the daemon would begin with whatever locks its
 * threads hold. Its input is the directory that is shown, and what is hidden, a line each.
 */
extern const struct process_function mcp_hiding_function;

enum { MCP_HIDDEN_MAX = 16 }; // paths
