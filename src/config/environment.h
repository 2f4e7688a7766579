#pragma once

/*
 * Where variables come from, handed in so that a test (or `.env` beneath the real environment) can
 * stand in for it. get() returns NULL for a variable that is not set; what it returns must stay
 * valid and unchanged for as long as the struct is in use.
 */
struct config_environment {
    const char *(*get)(void *context, const char *name);
    void *context;
};

// The process's own environment, getenv(3).
extern const struct config_environment config_environment_process;

// NULL when not set, or set to nothing: `KEY=` in a compose file means that there is no key.
const char *config_environment_get(const struct config_environment *environment, const char *name);
