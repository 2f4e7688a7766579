#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "codec/charset.h"

/*
 * The readable text of a page as it comes to be. Blanks, line ends and marks (of a list, a heading,
 * a cell) are asked for, and written when a character follows them: so what is empty leaves nothing
 * behind. Private to html_text.c.
 */
enum {
    HTML_LISTS_MAX = 8,      // levels that are shown
    HTML_QUOTES_MAX = 4,     // the same
    HTML_SEPARATORS_MAX = 8, // empty cells in a row
    HTML_MARK_SIZE = 16,     // bytes
};

struct html_writer {
    struct buf *out;
    enum charset charset;
    unsigned breaks;     // line ends that are due
    bool space;          // a blank is due
    bool inside;         // the line holds something
    unsigned lists;      // levels that are open
    unsigned quotes;     // likewise
    unsigned separators; // between cells, that are due
    bool row_begun, cell_empty;
    bool link_due, in_link;
    bool verbatim; // <pre>
    char mark[HTML_MARK_SIZE];
};

void html_write_break(struct html_writer *w, unsigned breaks); // at least so many line ends
void html_write_mark(struct html_writer *w, const char *mark); // before the next character
void html_write_text(struct html_writer *w, struct span text); // of the page
void html_write_words(struct html_writer *w, const char *text);

void html_write_row(struct html_writer *w);
void html_write_cell(struct html_writer *w);

void html_write_pre(struct html_writer *w, bool begins);

void html_write_link(struct html_writer *w);                      // its text follows
void html_write_link_end(struct html_writer *w, const char *url); // where one is open
