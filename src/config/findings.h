#pragma once

#include "config/config.h"

/*
 * The mistakes in a configuration, and all that is worth knowing about it: the whole, so that a
 * person corrects a file once and not once per mistake. Private to the folder; config.h shows the
 * result.
 */
struct place {
    const char *where;     // a file's path, or "environment", "command line", ...; "" for nowhere
    unsigned line, column; // from 1; 0: none
};

struct findings {
    struct config_finding *array; // owned, and the strings in it
    size_t count, capacity;
    size_t dropped; // beyond CONFIG_FINDINGS_MAX
    size_t errors;  // among both
};

void findings_finish(struct findings *findings);

// Adds one. Control characters become '?': much of the text comes from the file and ends on a
// terminal.
void findings_add(struct findings *findings, enum config_severity severity, struct place place,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

// True when there is no use in preparing another one.
bool findings_full(const struct findings *findings);

// The first error and how many more there are, as the sentence of a failed load. Returns -EINVAL.
int findings_to_error(const struct findings *findings, struct error *err);
