#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * A prompt and a line in one row of a terminal. It knows what the terminal shows, and appends to
 * `screen` what makes it show something else.
 */
enum {
    LINE_COLUMNS_DEFAULT = 80,
    LINE_COLUMNS_MIN = 4, // a terminal that is narrower is treated as if it were not
    LINE_COLUMNS_MAX = 1024,
};

struct line_row {
    char *prompt;            // owned
    unsigned prompt_columns; // what it takes
    unsigned columns;        // of the terminal
    size_t first;            // offset in the text of the first cell that is shown

    bool shown;
    bool stale;      // the rest is not what the terminal shows
    struct buf seen; // behind the prompt
    unsigned at;     // column of the terminal's cursor
};

void line_row_init(struct line_row *row, const char *prompt);
void line_row_finish(struct line_row *row);

void line_row_show(struct line_row *row, struct buf *screen); // without a text
void line_row_update(struct line_row *row, struct span text, size_t cursor, struct buf *screen);
void line_row_hide(struct line_row *row, struct buf *screen);
// Leaves all of a line behind, in as many rows as it takes, where the window does not show it all.
void line_row_complete(struct line_row *row, struct span text, struct buf *screen);
void line_row_leave(struct line_row *row, struct buf *screen); // to the start of the next row

// These two want an update afterwards.
void line_row_resize(struct line_row *row, unsigned columns, struct buf *screen);
void line_row_clear_screen(struct line_row *row, struct buf *screen);
