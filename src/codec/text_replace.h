#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "codec/text_edit.h"

/*
 * Where a text is to be replaced by another one in a third, as sorted edits: at its only place, or
 * at all of them. Where it is not, whole lines of it may stand there with other blanks at their
 * ends, or all indented by the same blanks more or less, in exactly one place. Line breaks become
 * those of the place. Refused with a sentence for whoever wrote it; `help` shows what is there.
 */
enum { TEXT_REPLACE_LINES_MAX = 20000 }; // of a text that is not found as it is

struct text_replace {
    struct span old_text, new_text;
    bool all;
};

int text_replace_find(const struct text_replace *replace, struct span text,
                      struct text_edits *edits, struct buf *remarks, struct buf *help,
                      struct error *err);
