#pragma once

#include "daemon/command.h"

// Words of `hermes mcp` with a file of their own.
int command_mcp_serve(const struct arguments *arguments, struct error *err);
