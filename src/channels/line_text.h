#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * The text of a line that is edited, its cursor and what was killed last. The text is valid UTF-8
 * without control characters other than line feed and tab. It consists of cells: a character that
 * takes columns with all that follow it and take none (combining marks, joiners). The cursor is
 * always between cells, and no cell begins with a character that takes no columns.
 */
struct line_text {
    struct buf bytes;
    size_t cursor; // offset in `bytes`
    struct buf killed;
};

void line_text_init(struct line_text *text, size_t max); // bytes
void line_text_finish(struct line_text *text);

// Bytes of the first cell (0 of an empty text) and how many columns it takes on the screen.
size_t line_cell(struct span text, unsigned *ret_columns);

// At the cursor, which moves behind it; false when there is no room. What a text does not hold
// (see above) is left out.
bool line_text_insert(struct line_text *text, uint32_t rune);
bool line_text_yank(struct line_text *text);
void line_text_set(struct line_text *text, struct span content); // the cursor goes to the end

// Offsets that lie in some direction from the cursor.
size_t line_text_start(const struct line_text *text);
size_t line_text_end(const struct line_text *text);
size_t line_text_left(const struct line_text *text);
size_t line_text_right(const struct line_text *text);
size_t line_text_word_left(const struct line_text *text); // letters and digits
size_t line_text_word_right(const struct line_text *text);
size_t line_text_blank_left(const struct line_text *text); // all but blanks

// To `offset`, which is one of the above, or what lies between it and the cursor.
void line_text_move(struct line_text *text, size_t offset);
void line_text_delete(struct line_text *text, size_t offset);
void line_text_kill(struct line_text *text, size_t offset); // keeps it to be yanked
