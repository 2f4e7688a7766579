#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/json.h"

/*
 * A line of the gateway log as a row for a person. It knows no event and no field: whatever stands
 * in the line is shown, in its order. Nothing that is in a log may move a terminal's cursor or
 * turn its text around.
 */
struct log_row_style {
    bool colours;
    bool whole;       // values are not shortened
    bool relative;    // time as distance from `since_ms`, and no id
    int64_t since_ms; // since 1970
};

void log_row_write(struct buf *out, struct json_value line, const struct log_row_style *style);

// Text without anything that acts on a terminal; line feeds and tabs as \n and \t, and where it is
// quoted, quotes as \".
void log_row_clean(struct buf *out, struct span text, bool quoted);

// The line's "time" in ms since 1970; false when it is none.
bool log_row_time(struct json_value line, int64_t *ret_ms);

// "2026-11-21T02:02:03+01:00", where the user is.
void log_row_local_time(struct buf *out, int64_t ms);
