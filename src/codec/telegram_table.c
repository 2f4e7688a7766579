/*
 * Telegram has no tables. One that fits a narrow screen becomes an aligned block of code; one that
 * does not would be torn into unreadable lines there, so each of its rows becomes a small list: the
 * first cell as a bold line, the others as "header: value".
 */
#include "codec/telegram_parse.h"
#include "codec/utf8.h"

enum {
    COLUMNS_MAX = 32,
    WIDTH_MAX = 60, // columns of a terminal, of the whole table
    GAP_WIDTH = 3,  // " | "
    CELL_BYTES_MAX = 2 * TELEGRAM_TABLE_LINE_MAX,
    ROW_GROWTH_MAX = 64, // bytes of an aligned row for each that was written
};

struct cells {
    struct span cell[COLUMNS_MAX];
    size_t count;
};

// At least one cell; what is beyond COLUMNS_MAX stays together in the last.
static void split_row(struct span row, struct cells *ret_cells)
{
    ret_cells->count = 0;
    row = span_trim(row);
    row = span_skip(row, row.len && row.data[0] == '|');
    size_t begin = 0;
    for (size_t i = 0; i <= row.len; i++) {
        if (i + 1 < row.len && row.data[i] == '\\') {
            i++;
            continue;
        }
        if (i < row.len && (row.data[i] != '|' || ret_cells->count == COLUMNS_MAX - 1))
            continue;
        struct span cell = span_trim((struct span){row.data + begin, i - begin});
        if (i == row.len && cell.len == 0 && ret_cells->count)
            break; // behind the last |
        ret_cells->cell[ret_cells->count++] = cell;
        begin = i + 1;
    }
}

// :--, :-:, --: or ---
static bool is_delimiter(struct span cell)
{
    cell = span_skip(cell, cell.len && cell.data[0] == ':');
    cell.len -= cell.len && cell.data[cell.len - 1] == ':';
    for (size_t i = 0; i < cell.len; i++) {
        if (cell.data[i] != '-')
            return false;
    }
    return cell.len > 0;
}

size_t telegram_table_columns(struct span header, struct span delimiter)
{
    struct cells names, marks;
    if (!delimiter.len || !memchr(delimiter.data, '|', delimiter.len))
        return 0;
    split_row(header, &names);
    split_row(delimiter, &marks);
    if (names.count != marks.count)
        return 0;
    for (size_t i = 0; i < marks.count; i++) {
        if (!is_delimiter(marks.cell[i]))
            return 0;
    }
    return names.count;
}

// A pipe is escaped even inside code, so that comes off before the cell is read as a line.
static void write_cell(struct telegram_writer *w, struct span cell, unsigned style)
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_TABLE_LINE_MAX);
    for (size_t i = 0; i < cell.len; i++) {
        bool pipe = cell.data[i] == '\\' && i + 1 < cell.len && cell.data[i + 1] == '|';
        buf_append_char(&text, cell.data[i += pipe]);
    }
    telegram_inline(w, buf_span(&text), style);
}

static void cell_text(struct span cell, struct buf *out)
{
    struct telegram_writer plain = {.out = out, .plain = true};
    buf_clear(out);
    write_cell(&plain, cell, 0);
}

/* An aligned block */

static void measure(const struct cells *row, size_t count, size_t *widths)
{
    BUF_AUTO text = BUF_INIT(CELL_BYTES_MAX);
    for (size_t i = 0; i < count && i < row->count; i++) {
        cell_text(row->cell[i], &text);
        size_t width = utf8_width(buf_span(&text));
        widths[i] = width > widths[i] ? width : widths[i];
    }
}

static void align_row(struct buf *out, const struct cells *row, const struct cells *marks,
                      const size_t *widths)
{
    BUF_AUTO text = BUF_INIT(CELL_BYTES_MAX);
    for (size_t i = 0; i < marks->count; i++) {
        struct span mark = marks->cell[i];
        cell_text(i < row->count ? row->cell[i] : SPAN_ABSENT, &text);
        size_t space = widths[i] - utf8_width(buf_span(&text)), before = 0;
        if (mark.data[mark.len - 1] == ':')
            before = mark.data[0] == ':' ? space / 2 : space;
        buf_append_text(out, i ? " | " : "");
        telegram_pad(out, before, ' ');
        buf_append_span(out, buf_span(&text));
        telegram_pad(out, space - before, ' ');
    }
    while (out->len && out->data[out->len - 1] == ' ')
        buf_truncate(out, out->len - 1);
    buf_append_char(out, '\n');
}

static void align(struct telegram_writer *w, const struct cells *names, const struct cells *marks,
                  struct span rows, const size_t *widths)
{
    BUF_AUTO block = BUF_INIT(rows.len * ROW_GROWTH_MAX + 2 * CELL_BYTES_MAX);
    struct cells row;
    align_row(&block, names, marks, widths);
    for (size_t i = 0; i < marks->count; i++) {
        buf_append_text(&block, i ? "-+-" : "");
        telegram_pad(&block, widths[i], '-');
    }
    buf_append_char(&block, '\n');
    while (rows.len) {
        split_row(telegram_cut_line(&rows), &row);
        align_row(&block, &row, marks, widths);
    }
    telegram_write_pre(w, SPAN_ABSENT, buf_span(&block), 0);
}

/* Lists */

static void list(struct telegram_writer *w, const struct cells *names, struct span rows)
{
    struct cells row;
    if (!rows.len) {
        for (size_t i = 0; i < names->count; i++) {
            telegram_write(w, i ? SPAN_LITERAL("\n") : SPAN_ABSENT, 0, SPAN_ABSENT);
            write_cell(w, names->cell[i], TELEGRAM_BOLD);
        }
    }
    for (bool first = true; rows.len; first = false) {
        split_row(telegram_cut_line(&rows), &row);
        telegram_write(w, first ? SPAN_ABSENT : SPAN_LITERAL("\n\n"), 0, SPAN_ABSENT);
        write_cell(w, row.cell[0], TELEGRAM_BOLD);
        for (size_t i = 1; i < row.count; i++) {
            if (!row.cell[i].len)
                continue;
            telegram_write(w, SPAN_LITERAL("\n• "), 0, SPAN_ABSENT);
            if (i < names->count && names->cell[i].len) {
                write_cell(w, names->cell[i], 0);
                telegram_write(w, SPAN_LITERAL(": "), 0, SPAN_ABSENT);
            }
            write_cell(w, row.cell[i], 0);
        }
    }
}

void telegram_table(struct telegram_writer *w, struct span head, struct span rows)
{
    struct cells names, marks, row;
    size_t widths[COLUMNS_MAX] = {0}, width = 0;
    split_row(telegram_cut_line(&head), &names);
    split_row(telegram_cut_line(&head), &marks);
    measure(&names, marks.count, widths);
    bool ragged = false; // a row with more cells than the header would lose them
    for (struct span rest = rows; rest.len;) {
        split_row(telegram_cut_line(&rest), &row);
        measure(&row, marks.count, widths);
        ragged |= row.count > marks.count;
    }
    for (size_t i = 0; i < marks.count; i++)
        width += widths[i] + (i ? GAP_WIDTH : 0);
    if (width > WIDTH_MAX || ragged)
        list(w, &names, rows);
    else
        align(w, &names, &marks, rows, widths);
}
