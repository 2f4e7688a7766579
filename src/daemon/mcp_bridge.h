#pragma once

#include "base/error.h"

struct loop;

/*
 * `hermes mcp serve` where another hermes owns the home: each line of standard input is a message
 * to its /mcp, and what comes back is a line of standard output. Runs until standard input has
 * ended and all is answered, or the loop is stopped.
 */
int mcp_bridge_run(struct loop *loop, const char *home, struct error *err);
