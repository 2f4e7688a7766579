#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

// Appends RFC 4648's base64, padded; all or nothing.
bool base64_encode(struct span data, struct buf *out);

// The same back; lines may be broken. False, with nothing appended: it is none, or does not fit.
bool base64_decode(struct span text, struct buf *out);
