#pragma once

#include "codec/telegram_parse.h"
#include "codec/telegram_text.h"

// Shared by telegram_split.c, which cuts between lines, and telegram_line.c, which cuts within one.

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

bool telegram_fits(struct span markdown); // in one message, in both its forms
void telegram_keep_code(struct telegram_split *state, const struct telegram_block *b);
void telegram_append_fence(struct buf *out, char fence, size_t length);

// Takes a part of the first line of *rest, which does not fit.
void telegram_cut_long_line(struct telegram_split *state, struct span *rest, struct buf *part);
