#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "codec/text_edit.h"
#include "codec/text_patch.h"

/*
 * Where the hunks of one file belong in its text, as sorted edits. Each must fit in one place, or
 * exactly in the one of several that its line number, its "@@" lines or the end of the file name.
 * `remarks` tells which did not fit exactly. Refused with a sentence for whoever wrote the patch;
 * `help` then shows what is in the text.
 */
int text_patch_find(const struct text_patch *patch, const struct text_patch_file *file,
                    struct span text, struct text_edits *edits, struct buf *remarks,
                    struct buf *help, struct error *err);

// The text of a file that is added. False when it does not fit.
bool text_patch_new_text(const struct text_patch *patch, const struct text_patch_file *file,
                         struct buf *out);
