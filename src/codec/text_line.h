#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

// A line of a text, which ends with "\n" or "\r\n", or with the text.
struct text_line {
    struct span text;   // without its ending
    struct span ending; // empty at the end of a text that lacks it
};

// Takes the first line off *rest; false when nothing is left.
static inline bool text_line_next(struct span *rest, struct text_line *ret)
{
    if (rest->len == 0)
        return false;
    const char *newline = memchr(rest->data, '\n', rest->len);
    size_t size = newline ? (size_t)(newline - rest->data) + 1 : rest->len;
    size_t len = newline ? size - 1 : size;
    if (newline && len > 0 && rest->data[len - 1] == '\r')
        len--;
    ret->text = (struct span){rest->data, len};
    ret->ending = (struct span){rest->data + len, size - len};
    *rest = span_skip(*rest, size);
    return true;
}

static inline bool text_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// Blanks and tabs at its beginning.
static inline struct span text_line_indent(struct span line)
{
    size_t len = 0;
    while (len < line.len && text_is_blank(line.data[len]))
        len++;
    return (struct span){line.data, len};
}

static inline struct span text_line_without_trailing(struct span line)
{
    while (line.len && (text_is_blank(line.data[line.len - 1]) || line.data[line.len - 1] == '\r'))
        line.len--;
    return line;
}

// Without blanks at either end.
static inline struct span text_line_core(struct span line)
{
    line = text_line_without_trailing(line);
    return span_skip(line, text_line_indent(line).len);
}

// How the lines of a text end: as the line at `at` does, or its first one.
static inline struct span text_ending_at(struct span text, size_t at)
{
    struct text_line line;
    struct span from = span_skip(text, at);
    if (text_line_next(&from, &line) && line.ending.len)
        return line.ending;
    if (text_line_next(&text, &line) && line.ending.len)
        return line.ending;
    return SPAN_LITERAL("\n");
}
