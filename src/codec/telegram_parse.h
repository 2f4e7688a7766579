#pragma once

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/span.h"

// Shared by the files that make up telegram_text.h: lines and blocks, markup within a line, output.

enum { TELEGRAM_LINE_BYTES_MAX = 32 << 10 }; // in longer lines no markup is looked for

// A line of *rest, with its end.
static inline struct span telegram_cut_line(struct span *rest)
{
    const char *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    struct span line = {rest->data, end ? (size_t)(end - rest->data) + 1 : rest->len};
    *rest = span_skip(*rest, line.len);
    return line;
}

// The characters that count for markup are those of ASCII.
static inline bool telegram_is_white(char c)
{
    return isspace((unsigned char)c);
}

static inline bool telegram_is_mark(char c)
{
    return ispunct((unsigned char)c);
}

// The longest beginning of `text` that has at most `units` UTF-16 code units.
size_t telegram_prefix(struct span text, size_t units);

// So many characters at its beginning are `c`.
static inline size_t telegram_run(struct span text, char c)
{
    size_t n = 0;
    while (n < text.len && text.data[n] == c)
        n++;
    return n;
}

/* Output: telegram_writer.c */

enum telegram_style {
    TELEGRAM_BOLD = 1,
    TELEGRAM_ITALIC = 2,
    TELEGRAM_STRIKE = 4,
    TELEGRAM_LINK = 8,
    TELEGRAM_CODE = 16,
};

enum { TELEGRAM_STYLES = 5 };

struct telegram_writer {
    struct buf *out;
    bool plain;
    unsigned open[TELEGRAM_STYLES]; // what Telegram has open, the outermost first
    unsigned depth;
    struct span url; // of the open link
};

void telegram_write(struct telegram_writer *w, struct span text, unsigned style, struct span url);
void telegram_write_end(struct telegram_writer *w); // closes what is open: at the end of a line
void telegram_write_pre(struct telegram_writer *w, struct span language, struct span code,
                        size_t indent);

void telegram_pad(struct buf *out, size_t count, char c);

/* Blocks */

enum telegram_kind {
    TELEGRAM_BLANK,
    TELEGRAM_TEXT,
    TELEGRAM_HEADING,
    TELEGRAM_RULE,
    TELEGRAM_ITEM,  // of a list
    TELEGRAM_QUOTE, // one line of it
    TELEGRAM_FENCE, // a line that opens a code block; a block has TELEGRAM_PRE instead
    TELEGRAM_PRE,   // a code block
    TELEGRAM_TABLE,
};

struct telegram_block {
    enum telegram_kind kind;
    struct span raw;    // its lines, complete
    struct span text;   // without the marks; code: the lines between the fences; table: the rows
    struct span lead;   // item: the indentation
    struct span number; // item: "1." or nothing
    char task;          // item: ' ' or 'x', 0 when it is not a task
    struct span head;   // table: header and delimiter row
    struct span language;
    char fence;
    size_t fence_length, indent;
    bool closed; // code: the closing fence is there
};

void telegram_classify(struct span line, struct telegram_block *ret_block); // one line by itself
bool telegram_next_block(struct span *rest, struct telegram_block *ret_block);
bool telegram_is_fence_end(struct span line, char fence, size_t length);
bool telegram_is_row(struct span line); // could go on with a table
void telegram_write_block(struct telegram_writer *w, const struct telegram_block *block);

/* Markup within a line */

void telegram_inline(struct telegram_writer *w, struct span text, unsigned style);

// Appends to `ret_offsets`, as size_t, where white space stands outside all markup.
void telegram_inline_cuts(struct span text, struct buf *ret_offsets);

/* Tables */

enum { TELEGRAM_TABLE_LINE_MAX = 800 }; // bytes; so a header with any one row fits into a part

size_t telegram_table_columns(struct span header, struct span delimiter); // 0: they are no table
void telegram_table(struct telegram_writer *w, struct span head, struct span rows);
