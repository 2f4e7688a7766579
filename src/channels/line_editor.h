#pragma once

#include "base/buf.h"
#include "base/span.h"

/*
 * Line editing in a terminal, as a state machine without a terminal: keys go in as the bytes that
 * the terminal sent, events come out, and what the terminal must be sent is appended to a buffer.
 * Raw mode, the window's size and bracketed paste (CSI ? 2004 h) are the business of the caller.
 *
 * The line takes one row and scrolls sideways in it; line breaks, which only a paste can bring, are
 * shown as a sign. A line that was entered is left behind in full, in as many rows as it takes, if
 * it is not huge. The cursor must be at the start of an empty row when a line begins,
 * and is at the start of the next row after every event.
 */
struct line_editor;

enum line_event {
    LINE_MORE,        // the input is used up
    LINE_ENTERED,     // line_editor_text() has the line
    LINE_INTERRUPTED, // Ctrl-C
    LINE_ENDED,       // Ctrl-D on an empty line
};

enum {
    LINE_BYTES_MAX = 64 * 1024, // of one line; the bell rings for what does not fit
    LINE_HISTORY_MAX = 500,     // entries
};

// The prompt may hold SGR escape sequences; it is left out where the terminal is too narrow. It is
// copied and may be NULL.
struct line_editor *line_editor_create(const char *prompt);
void line_editor_destroy(struct line_editor *editor); // accepts NULL

// The width of the terminal, 80 until it is said and for 0. Draws a shown line again.
void line_editor_set_columns(struct line_editor *editor, unsigned columns, struct buf *screen);

// Starts an empty line and draws the prompt.
void line_editor_begin(struct line_editor *editor, struct buf *screen);

// Consumes keys from the front of *input until an event happens or it is used up. An event ends the
// line, and line_editor_begin() begins the next one. What did not fit into `screen` is drawn again
// next time. Ctrl-C inside a paste also drops the rest of the input, as a terminal driver does,
// lest the rest of the paste be taken for keys.
enum line_event line_editor_feed(struct line_editor *editor, struct span *input,
                                 struct buf *screen);

// After LINE_ENTERED, until the next begin: valid UTF-8 without control characters
// other than line feed and tab.
struct span line_editor_text(const struct line_editor *editor);

// Puts a line into the history, unless it is empty or the same as the last one.
void line_editor_remember(struct line_editor *editor, struct span line);

// Takes the line from the terminal, for something to be printed before the next one begins.
void line_editor_hide(struct line_editor *editor, struct buf *screen);
