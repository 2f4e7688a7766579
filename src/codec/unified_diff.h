#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "codec/text_edit.h"

// What edits make of a text, shown as a unified diff without its file names. It is for reading:
// what is long is cut, and says so.
enum {
    UNIFIED_DIFF_CONTEXT = 3,       // lines around a change
    UNIFIED_DIFF_LINE_SHOWN = 400,  // bytes of a line
    UNIFIED_DIFF_CHANGES_MAX = 256, // that are shown
};

// `new` is what text_edits_apply() made of `old`. Stops behind the first line at which `out` holds
// `budget` bytes.
void unified_diff_write(struct span old, struct span new, const struct text_edits *edits,
                        size_t budget, struct buf *out);
