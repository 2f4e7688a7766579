/*
 * After every piece of input the row is composed anew and compared with what the terminal shows:
 * from the first cell that differs to its end it is written again. So a key typed at the end of a
 * line costs that key alone, and nothing needs to know which change makes which difference.
 *
 * The last column stays empty: what a terminal does with its cursor after writing there differs.
 * The cursor is placed by going to the start of the row and right from there, for terminals do not
 * agree on the width of every character, and this way an error does not add up.
 *
 * When the window becomes narrower some terminals break the row in two and others cut it. Which it
 * is cannot be told, so only what lies from the cursor's row down is removed: a piece of the old
 * row may stay above, but nothing that was printed before the line is lost.
 *
 * A line that was entered stays in the terminal as part of the conversation, so then it is written
 * once more in full, and the terminal breaks it into rows.
 */
#include "channels/line_row.h"

#include <stdlib.h>

#include "base/mem.h"
#include "channels/line_text.h"
#include "codec/utf8.h"

enum {
    TEXT_COLUMNS_MIN = 3,    // that a prompt must leave: a wide cell and one before it
    COMPLETE_MAX = 4 * 1024, // bytes of a line that is left behind whole; a serial line is slow
    SEEN_MAX = 128 * 1024,   // bytes: a line, with signs that are longer than what they stand for
};

static const char line_break_sign[] = "⏎";

// Columns of the prompt: all but its escape sequences, "ESC [" up to a letter.
static size_t prompt_width(struct span prompt)
{
    size_t columns = 0;
    bool escape = false;
    uint32_t rune;
    for (size_t len; (len = utf8_decode(prompt, &rune)); prompt = span_skip(prompt, len)) {
        bool letter = (rune >= 'A' && rune <= 'Z') || (rune >= 'a' && rune <= 'z');
        if (rune == 0x1b)
            escape = true;
        else if (!escape)
            columns += utf8_rune_width(rune);
        else if (letter)
            escape = false;
    }
    return columns;
}

void line_row_init(struct line_row *row, const char *prompt)
{
    size_t width = prompt_width(span_of(prompt));
    *row = (struct line_row){
        .prompt = mem_strdup(prompt),
        .prompt_columns = width < LINE_COLUMNS_MAX ? (unsigned)width : LINE_COLUMNS_MAX,
        .columns = LINE_COLUMNS_DEFAULT,
    };
    buf_init(&row->seen, SEEN_MAX);
}

void line_row_finish(struct line_row *row)
{
    buf_finish(&row->seen);
    free(row->prompt);
}

// Where the text begins: behind the prompt, or at the left where that leaves too little.
static unsigned origin(const struct line_row *row)
{
    bool fits = row->prompt_columns + TEXT_COLUMNS_MIN < row->columns;
    return fits ? row->prompt_columns : 0;
}

// How many columns the cells of `text` take, or some number above `limit` as soon as it is more.
static unsigned width_up_to(struct span text, unsigned limit)
{
    unsigned width = 0, columns;
    for (size_t len; width <= limit && (len = line_cell(text, &columns));
         text = span_skip(text, len))
        width += columns;
    return width;
}

// Whether the window can stay: it begins with a cell, of a text that may be another by now; the
// cursor and the cell under it are in it, and so is something before the cursor.
static bool may_stay(struct span text, size_t first, size_t cursor, unsigned room)
{
    if (first > cursor || (first == cursor && first > 0))
        return false;
    unsigned columns;
    line_cell(span_skip(text, first), &columns);
    if (columns == 0 || ((unsigned char)text.data[first] & 0xc0) == 0x80)
        return false;
    line_cell(span_skip(text, cursor), &columns);
    return width_up_to(span_make(text.data + first, cursor - first), room) + columns <= room;
}

// The first cell from which it is at most `distance` columns to the cursor.
static size_t cell_at_distance(struct span text, size_t cursor, unsigned distance)
{
    size_t first = 0;
    unsigned columns;
    size_t width = 0;
    for (size_t at = 0, len; at < cursor; at += len) {
        len = line_cell(span_skip(text, at), &columns);
        width += columns;
    }
    while (width > distance) {
        first += line_cell(span_skip(text, first), &columns);
        width -= columns;
    }
    return first;
}

static void append_cell(struct buf *out, struct span cell)
{
    bool line_break = cell.data[0] == '\n', tab = cell.data[0] == '\t';
    if (line_break || tab) {
        buf_append_text(out, line_break ? line_break_sign : " ");
        cell = span_skip(cell, 1);
    }
    buf_append_span(out, cell);
}

// What the window shows of the text; returns the cursor's column in it.
static unsigned compose(const struct line_row *row, struct span text, size_t cursor, unsigned room,
                        struct buf *out)
{
    unsigned width = 0, cursor_column = 0, columns;
    for (size_t at = row->first, len; at < text.len; at += len) {
        if (at == cursor)
            cursor_column = width;
        len = line_cell(span_skip(text, at), &columns);
        if (width + columns > room)
            return cursor_column;
        append_cell(out, span_make(text.data + at, len));
        width += columns;
    }
    return cursor == text.len ? width : cursor_column;
}

static void move_to(struct line_row *row, unsigned column, struct buf *screen)
{
    if (column == row->at)
        return;
    buf_append_char(screen, '\r');
    if (column > 0)
        buf_printf(screen, "\033[%uC", column);
    row->at = column;
}

// Bytes of the cells that two rows begin with, and their columns.
static size_t common_cells(struct span a, struct span b, unsigned *ret_columns)
{
    size_t same = 0;
    unsigned columns;
    *ret_columns = 0;
    for (;;) {
        struct span rest_a = span_skip(a, same), rest_b = span_skip(b, same);
        size_t len = line_cell(rest_a, &columns);
        bool equal = len && span_equal(span_make(rest_a.data, len),
                                       span_make(rest_b.data, line_cell(rest_b, &columns)));
        if (!equal)
            return same;
        same += len;
        *ret_columns += columns;
    }
}

// Makes the terminal show `wanted` behind the prompt.
static void rewrite(struct line_row *row, struct span wanted, struct buf *screen)
{
    unsigned columns;
    struct span seen = buf_span(&row->seen);
    size_t same = common_cells(seen, wanted, &columns);
    struct span old = span_skip(seen, same), fresh = span_skip(wanted, same);
    if (old.len == 0 && fresh.len == 0)
        return;
    unsigned old_width = width_up_to(old, LINE_COLUMNS_MAX);
    unsigned fresh_width = width_up_to(fresh, LINE_COLUMNS_MAX);
    move_to(row, origin(row) + columns, screen);
    buf_append_span(screen, fresh);
    row->at += fresh_width;
    if (old_width > fresh_width)
        buf_append_text(screen, "\033[K");
    buf_truncate(&row->seen, same);
    buf_append_span(&row->seen, fresh);
}

static void start_over(struct line_row *row, struct buf *screen)
{
    row->stale = false;
    buf_clear(&row->seen);
    row->at = origin(row);
    if (row->at > 0)
        buf_append_text(screen, row->prompt);
}

void line_row_update(struct line_row *row, struct span text, size_t cursor, struct buf *screen)
{
    if (!row->shown)
        return;
    if (row->stale) {
        buf_append_text(screen, "\r\033[K");
        start_over(row, screen);
    }
    BUF_AUTO wanted = BUF_INIT(SEEN_MAX);
    unsigned room = row->columns - 1 - origin(row);
    if (width_up_to(text, room) <= room)
        row->first = 0;
    else if (!may_stay(text, row->first, cursor, room))
        row->first = cell_at_distance(text, cursor, room / 2);
    unsigned column = compose(row, text, cursor, room, &wanted);
    rewrite(row, buf_span(&wanted), screen);
    move_to(row, origin(row) + column, screen);
    row->stale = buf_is_full(screen);
}

void line_row_show(struct line_row *row, struct buf *screen)
{
    row->shown = true;
    row->first = 0;
    start_over(row, screen);
}

void line_row_hide(struct line_row *row, struct buf *screen)
{
    if (row->shown)
        buf_append_text(screen, "\r\033[K");
    row->shown = false;
}

void line_row_complete(struct line_row *row, struct span text, struct buf *screen)
{
    unsigned room = row->columns - 1 - origin(row), columns;
    if (!row->shown || text.len > COMPLETE_MAX || width_up_to(text, room) <= room)
        return;
    move_to(row, origin(row), screen);
    for (size_t len; (len = line_cell(text, &columns)); text = span_skip(text, len))
        append_cell(screen, span_make(text.data, len));
}

void line_row_leave(struct line_row *row, struct buf *screen)
{
    if (row->shown)
        buf_append_text(screen, "\r\n");
    row->shown = false;
}

void line_row_resize(struct line_row *row, unsigned columns, struct buf *screen)
{
    if (columns == 0)
        columns = LINE_COLUMNS_DEFAULT;
    if (columns < LINE_COLUMNS_MIN)
        columns = LINE_COLUMNS_MIN;
    row->columns = columns < LINE_COLUMNS_MAX ? columns : LINE_COLUMNS_MAX;
    if (row->shown) {
        buf_append_text(screen, "\r\033[J");
        start_over(row, screen);
    }
}

void line_row_clear_screen(struct line_row *row, struct buf *screen)
{
    if (row->shown) {
        buf_append_text(screen, "\033[H\033[2J");
        start_over(row, screen);
    }
}
