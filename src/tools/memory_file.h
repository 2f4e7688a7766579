#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

// What the tool "memory" does to the files of a home, for their owner: the entry is removed, and
// `out` says so. `limit` as the tool's, in characters.
int memory_file_forget(const char *home, bool user, struct span entry, size_t limit,
                       struct buf *out, struct error *err);
