#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/span.h"
#include "codec/utf8.h"

/*
 * A terminal of a few rows, with just what the editor sends: any other control fails the test;
 * writing into the last column is noted.
 */
enum { ROWS = 4, COLUMNS = 100, CELL_BYTES = 64 };

struct terminal {
    char cells[ROWS][COLUMNS][CELL_BYTES]; // "" is blank, "\1" the right half of a wide character
    unsigned columns, row, column, bells;
    bool crossed_the_edge;
};

static inline void terminal_erase(struct terminal *terminal, unsigned row, unsigned from)
{
    memset(terminal->cells[row][from], 0, (COLUMNS - from) * (size_t)CELL_BYTES);
}

static inline void terminal_erase_below(struct terminal *terminal)
{
    terminal_erase(terminal, terminal->row, terminal->column);
    for (unsigned row = terminal->row + 1; row < ROWS; row++)
        terminal_erase(terminal, row, 0);
}

static inline void terminal_line_feed(struct terminal *terminal)
{
    if (++terminal->row < ROWS)
        return;
    terminal->row = ROWS - 1;
    memmove(terminal->cells[0], terminal->cells[1], (ROWS - 1) * sizeof terminal->cells[0]);
    terminal_erase(terminal, ROWS - 1, 0);
}

static inline void terminal_print(struct terminal *terminal, struct span rune, unsigned width)
{
    terminal->crossed_the_edge |= terminal->column + width >= terminal->columns;
    if (terminal->column + width > terminal->columns) {
        terminal->column = 0;
        terminal_line_feed(terminal);
    }
    char(*row)[CELL_BYTES] = terminal->cells[terminal->row];
    unsigned at = terminal->column;
    if (width == 0) {
        assert_true(at > 0);
        char *cell = row[at - 1][0] == '\1' ? row[at - 2] : row[at - 1];
        size_t len = strlen(cell);
        if (len + rune.len < CELL_BYTES)
            memcpy(cell + len, rune.data, rune.len);
        return;
    }
    if (row[at][0] == '\1')
        row[at - 1][0] = '\0';
    if (row[at + width][0] == '\1')
        row[at + width][0] = '\0';
    memset(row[at], 0, (size_t)width * CELL_BYTES);
    memcpy(row[at], rune.data, rune.len);
    if (width == 2)
        row[at + 1][0] = '\1';
    terminal->column += width;
}

static inline size_t terminal_escape(struct terminal *terminal, const char *bytes)
{
    assert_int_equal(bytes[1], '[');
    size_t len = strspn(bytes + 2, "0123456789;");
    uint64_t number = 0;
    span_to_u64(span_make(bytes + 2, len), &number);
    switch (bytes[2 + len]) {
    case 'K':
        terminal_erase(terminal, terminal->row, terminal->column);
        break;
    case 'J':
        if (number == 2)
            memset(terminal->cells, 0, sizeof terminal->cells);
        else
            terminal_erase_below(terminal);
        break;
    case 'H':
        terminal->row = terminal->column = 0;
        break;
    case 'C':
        terminal->column += (unsigned)number;
        assert_true(number > 0 && terminal->column < terminal->columns);
        break;
    case 'm':
        break;
    default:
        fail_msg("unexpected sequence ESC%s", bytes + 1);
    }
    return 3 + len;
}

static inline void terminal_write(struct terminal *terminal, struct span bytes)
{
    while (bytes.len) {
        uint32_t rune;
        size_t len = utf8_decode(bytes, &rune);
        if (rune == 0x1b)
            len = terminal_escape(terminal, bytes.data);
        else if (rune == '\r')
            terminal->column = 0;
        else if (rune == '\n')
            terminal_line_feed(terminal);
        else if (rune == '\a')
            terminal->bells++;
        else {
            assert_true(rune >= 0x20 && (rune < 0x7f || rune >= 0xa0));
            terminal_print(terminal, span_make(bytes.data, len), utf8_rune_width(rune));
        }
        bytes = span_skip(bytes, len);
    }
}

// A row without the blanks at its end.
static inline const char *terminal_row(struct terminal *terminal, unsigned row, char *out)
{
    size_t len = 0, used = 0;
    for (unsigned i = 0; i < terminal->columns; i++) {
        const char *cell = terminal->cells[row][i];
        if (cell[0] == '\1')
            continue;
        size_t more = cell[0] ? strlen(cell) : 1;
        memcpy(out + len, cell[0] ? cell : " ", more);
        len += more;
        if (cell[0] && strcmp(cell, " ") != 0)
            used = len;
    }
    out[used] = '\0';
    return out;
}
