#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "daemon/command.h"

/*
 * `hermes run`: the wiring of struct app, and around it what makes a service: the channel, the
 * listeners, the log file, the signals, the reload and the orderly end. And `hermes router`, the
 * same without the agent.
 */
struct service_options {
    const struct arguments *arguments;
    bool routes_only; // without the agent, its channel and the admin listener
    const char *host; // of the router; NULL: the configured one
    const char *port; // of the admin listener, or the router alone; NULL: the configured one
    bool allow_writable_config; // the tools may be able to write the configuration in use
};

// Runs until a signal ends it. 0, or negative with a sentence when it could not start.
int service_run(const struct service_options *options, struct error *err);
