#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * A model's Markdown as messages of Telegram: cut into parts of at most TELEGRAM_UNITS_MAX UTF-16
 * code units as Telegram will see them, and each part turned into MarkdownV2 (Bot API,
 * "Formatting options"). Bytes in, bytes out; the same input always gives the same parts.
 */
enum {
    TELEGRAM_UNITS_MAX = 4096,
    TELEGRAM_PART_BYTES_MAX = 48 << 10, // no part, and neither of its forms, is longer
};

size_t telegram_units(struct span text); // UTF-16 code units of UTF-8 text

/*
 * Cuts the next part off *rest: at a paragraph, else a line, else a word, else anywhere between two
 * characters. A fenced code block that does not fit is closed at the end of a part and opened
 * again, with its language, at the beginning of the next. The part, Markdown still, is appended to
 * `part`; its MarkdownV2 form and its plain form both fit. False when nothing was left.
 * A table is cut between rows, and its header is repeated; a line too long for one part is cut
 * outside its markup, or loses the markup when there is no such place.
 * `state` carries what is open from part to part; zeroed at the beginning. The text that *rest
 * points into stays where it is until the last part. *rest may stay as it is between two parts of
 * one long line; it is empty once everything has been cut off.
 */
struct telegram_split {
    char language[64]; // of the code block that is open
    bool in_code;
    char fence; // '`' or '~'
    size_t fence_length, fence_indent;
    struct span table; // header of the table that is open, in the text that is being cut
    bool mid_line;     // *rest begins inside a line
    bool mid_quote;    // and that line is part of a quote
    size_t line_done;  // bytes of the line's plain form that went out already
};
bool telegram_next_part(struct telegram_split *state, struct span *rest, struct buf *part);

/*
 * MarkdownV2 of one part: bold, italic, strike-through, code, code blocks, links, quotes, lists,
 * headings as bold lines, tables as aligned code blocks; everything else escaped. Text that is
 * not well-formed Markdown comes out as the characters that were written.
 */
void telegram_markdown(struct span markdown, struct buf *out);

// The same text without any markup, for when Telegram refuses the other.
void telegram_plain(struct span markdown, struct buf *out);

// An answer that is still being written, in its plain form: at most TELEGRAM_UNITS_MAX - 2 units,
// its end replaced by "…" when it is longer. Empty only for text that is nothing but white space.
void telegram_preview(struct span markdown, struct buf *out);
