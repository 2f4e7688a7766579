#pragma once

#include "codec/telegram_parse.h"
#include "codec/telegram_text.h"

// Shared by telegram_split.c, which cuts between lines, telegram_line.c, which cuts within one, and
// telegram_draft.c, which they try parts with.

enum { TELEGRAM_PREFIX_BYTES_MAX = 4096 }; // of what is written again

/*
 * A part that is being tried: what is written again at its top, then text. Of the source, `skip`
 * bytes stand in the prefix, escaped.
 */
struct telegram_draft {
    struct buf text;
    size_t prefix;
    size_t skip;
};

void telegram_draft_init(struct telegram_draft *d, const struct telegram_split *state,
                         struct span rest, size_t bytes);
static inline void telegram_draft_finish(struct telegram_draft *d)
{
    buf_finish(&d->text);
}
size_t telegram_draft_source(const struct telegram_draft *d, size_t at); // bytes of the source

size_t telegram_size(struct span markdown); // UTF-16 code units of the longer of its two forms
bool telegram_fits(struct span markdown);   // in one message, in both
void telegram_keep_code(struct telegram_split *state, const struct telegram_block *b);
void telegram_append_fence(struct buf *out, char fence, size_t length);

// Takes a part of the first line of *rest, which does not fit.
void telegram_cut_long_line(struct telegram_split *state, struct span *rest, struct buf *part);
