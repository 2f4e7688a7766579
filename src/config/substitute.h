#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "config/environment.h"

/*
 * Variables in a configuration value (hermes-agent's and LiteLLM's notations):
 *
 *     ${NAME}, ${env:NAME}   anywhere in the text
 *     os.environ/NAME        the whole text
 *
 * A bare $NAME is text. The value of a variable is text as well: it is not looked through for
 * further variables, and never read as YAML. A variable that is not set stays as it is written.
 */
enum substitute_event {
    SUBSTITUTE_SET,       // replaced
    SUBSTITUTE_UNSET,     // not set, or empty; left as it is
    SUBSTITUTE_MALFORMED, // "${" without a name and "}", "${NAME:-x}", "os.environ/" and no name
};

enum { SUBSTITUTE_NAME_MAX = 128 }; // bytes of a variable's name

// Told about every reference, in order. `name` is the variable's, or the malformed reference
// (SUBSTITUTE_NAME_MAX bytes of it); it dies with the call.
struct substitute_observer {
    void (*seen)(void *context, enum substitute_event event, const char *name);
    void *context;
};

/*
 * Appends `text` with its variables put in to `out`, whose maximum bounds the result. 0, or -E2BIG
 * when it does not fit (then what is in `out` is of no use). `observer` may be NULL.
 */
int config_substitute(struct span text, const struct config_environment *environment,
                      struct buf *out, const struct substitute_observer *observer,
                      struct error *err);

// The variable that a text waits for which substitution left as it was written ("os.environ/NAME",
// or the first "${NAME}" in it), into a buffer of SUBSTITUTE_NAME_MAX + 1. False: none.
bool config_unset_variable(const char *text, char *ret_name);
