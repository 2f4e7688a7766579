#include "codec/html_writer.h"

#include <stdio.h>

#include "codec/html_entity.h"

static void begin_line(struct html_writer *w)
{
    for (unsigned i = 0; i < w->quotes && i < HTML_QUOTES_MAX; i++)
        buf_append_text(w->out, "> ");
    unsigned levels = w->lists < HTML_LISTS_MAX ? w->lists : HTML_LISTS_MAX;
    for (unsigned i = *w->mark ? 1 : 0; i < levels; i++)
        buf_append_text(w->out, "  ");
    buf_append_text(w->out, w->mark);
}

static void begin_character(struct html_writer *w)
{
    for (; w->breaks && w->out->len; w->breaks--) {
        buf_append_char(w->out, '\n');
        w->inside = false;
    }
    if (!w->inside)
        begin_line(w);
    else if (w->separators)
        for (; w->separators; w->separators--)
            buf_append_text(w->out, " | ");
    else if (w->space)
        buf_append_char(w->out, ' ');
    if (w->link_due) {
        buf_append_char(w->out, '[');
        w->in_link = true;
    }
    w->breaks = w->separators = 0;
    w->space = w->link_due = w->cell_empty = false;
    w->row_begun = w->inside = true;
    *w->mark = '\0';
}

void html_write_break(struct html_writer *w, unsigned breaks)
{
    w->space = true;
    if (w->in_link || w->cell_empty || w->verbatim || *w->mark)
        return;
    w->breaks = breaks > w->breaks ? breaks : w->breaks;
}

void html_write_mark(struct html_writer *w, const char *mark)
{
    if (!w->verbatim && !w->in_link)
        snprintf(w->mark, sizeof w->mark, "%s", mark);
}

static void write_rune(struct html_writer *w, uint32_t rune)
{
    bool blank =
        rune == ' ' || rune == '\t' || rune == '\n' || rune == '\r' || rune == '\f' || rune == 0xa0;
    if (blank) {
        w->space = true;
        return;
    }
    begin_character(w);
    charset_append(rune, w->out);
}

void html_write_text(struct html_writer *w, struct span text)
{
    while (text.len && !buf_is_full(w->out)) {
        uint32_t rune;
        size_t len = html_entity(text, false, &rune);
        if (len == 0)
            len = charset_decode(w->charset, text, &rune);
        if (w->verbatim)
            charset_append(rune, w->out);
        else
            write_rune(w, rune);
        text = span_skip(text, len);
    }
}

void html_write_words(struct html_writer *w, const char *text)
{
    begin_character(w);
    buf_append_text(w->out, text);
}

void html_write_row(struct html_writer *w)
{
    w->cell_empty = false;
    html_write_break(w, 1);
    w->separators = 0;
    w->row_begun = false;
}

// What the cell before asked for at its end is not for this one, which stands beside it.
void html_write_cell(struct html_writer *w)
{
    if (w->row_begun) {
        w->breaks = 0;
        w->separators += w->separators < HTML_SEPARATORS_MAX;
        w->cell_empty = true;
    }
}

void html_write_pre(struct html_writer *w, bool begins)
{
    if (begins == w->verbatim || w->in_link)
        return;
    if (begins) {
        html_write_break(w, 2);
        html_write_words(w, "```\n");
    } else {
        bool ended = w->out->len && w->out->data[w->out->len - 1] == '\n';
        buf_append_text(w->out, ended ? "```" : "\n```");
    }
    w->verbatim = begins;
    if (!begins)
        html_write_break(w, 2);
}

void html_write_link(struct html_writer *w)
{
    w->link_due = !w->verbatim;
}

void html_write_link_end(struct html_writer *w, const char *url)
{
    if (w->in_link)
        buf_printf(w->out, "](%s)", url);
    w->in_link = w->link_due = false;
}
