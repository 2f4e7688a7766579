#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

// Appends RFC 4648's base64, padded; all or nothing.
bool base64_encode(struct span data, struct buf *out);
