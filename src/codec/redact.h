#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * Takes secrets out of a text before it is written down where others read: the values that this
 * program was given, in the spellings in which they get into texts (as they are, escaped in JSON,
 * percent-encoded, in base64), and what has the shape of a well-known kind of credential.
 */
enum {
    REDACT_SECRET_MIN = 8,       // bytes; a shorter value would take ordinary words out
    REDACT_SECRET_MAX = 16384,   // bytes; of a longer one its beginning is looked for
    REDACT_SPELLINGS_MAX = 4096, // of all secrets
    REDACT_PART_MIN = 20,        // bytes of a value's beginning; more than keys have in common
};

#define REDACT_MARK "[redacted]"

struct redactor;

// The values are copied; those that are NULL or too short are left out.
struct redactor *redactor_create(const char *const *secrets, size_t count);
// False: there were too many, and the last ones are not looked for.
bool redactor_hides_all(const struct redactor *redactor);
void redactor_destroy(struct redactor *redactor); // wipes the copies; accepts NULL

// Appends `text` with REDACT_MARK in place of each secret. False, with nothing appended, when that
// does not fit. Takes time linear in the text; never reads it as anything but bytes.
bool redact(const struct redactor *redactor, struct span text, struct buf *out);

// Whether redact() would leave the text as it is; for who would rather not copy it.
bool redact_is_clean(const struct redactor *redactor, struct span text);
