#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

// Where lines that were not found were probably meant to be.

enum {
    LINE_NEAREST_LINES = 8,   // that are compared and shown
    LINE_NEAREST_SHOWN = 160, // bytes of a line
};

// Appends those lines of the text that are most like the first of `lines`, as NUMBER|TEXT. False
// when none is like any of them.
bool line_nearest_show(struct span text, const struct span *lines, size_t count, struct buf *out);
