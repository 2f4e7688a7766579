#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

// Appends the text, or its beginning and its end with a remark in between, when it has more than so
// many characters or bytes. Was something left out?
bool excerpt_append(struct span text, size_t characters, size_t bytes, struct buf *out);
