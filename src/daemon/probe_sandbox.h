#pragma once

#include "daemon/probe.h"

struct shell_config;

// Which layers hold on this kernel; NULL: nothing is known of the configuration.
void probe_sandbox(const struct shell_config *config, struct report *report);
