/*
 * MarkdownV2 is strict: one character that should have been escaped, one entity that is not
 * closed, and Telegram refuses the whole message. So nothing here passes markup through. It gets
 * text with a set of styles, and the writer alone knows which entities are open: it opens one only
 * when there is text for it (empty ones are refused in places), closes them in the order that
 * nesting asks for, and never puts the _ of one italic beside that of another, which Telegram would
 * read as underline.
 */
#include "codec/telegram_parse.h"

enum { LANGUAGE_MAX = 32 }; // bytes

static const char *const marks[TELEGRAM_STYLES] = {"*", "_", "~", "[", "`"};

// Telegram drops or replaces control characters; without them lengths are certain.
static bool is_dropped(char c)
{
    return ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7F;
}

// Most characters are neither special nor dropped, so those go in runs.
static void append_escaped(struct buf *out, struct span text, const char *special)
{
    bool stops[256] = {false};
    for (const char *c = special; *c; c++)
        stops[(unsigned char)*c] = true;
    size_t begin = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool dropped = is_dropped(text.data[i]);
        if (!dropped && !stops[(unsigned char)text.data[i]])
            continue;
        buf_append(out, text.data + begin, i - begin);
        if (!dropped)
            buf_append_char(out, '\\');
        begin = i + dropped;
    }
    buf_append(out, text.data + begin, text.len - begin);
}

void telegram_pad(struct buf *out, size_t count, char c)
{
    while (count-- > 0)
        buf_append_char(out, c);
}

static void close_last(struct telegram_writer *w)
{
    unsigned style = w->open[--w->depth];
    if (style != TELEGRAM_LINK) {
        buf_append_text(w->out, marks[__builtin_ctz(style)]);
        return;
    }
    buf_append_text(w->out, "](");
    append_escaped(w->out, w->url, ")\\");
    buf_append_text(w->out, ")");
}

// Makes exactly `style` open.
static void open_styles(struct telegram_writer *w, unsigned style, struct span url)
{
    unsigned keep = 0, open = 0;
    bool same_link = w->url.data == url.data;
    while (keep < w->depth && (style & w->open[keep]) &&
           (w->open[keep] != TELEGRAM_LINK || same_link))
        open |= w->open[keep++];
    while (w->depth > keep)
        close_last(w);
    for (unsigned i = 0; i < TELEGRAM_STYLES; i++) {
        unsigned one = 1u << i;
        if (!(style & one) || (open & one))
            continue;
        buf_append_text(w->out, marks[i]);
        w->open[w->depth++] = one;
    }
    w->url = url;
}

void telegram_write(struct telegram_writer *w, struct span text, unsigned style, struct span url)
{
    size_t dropped = 0;
    while (dropped < text.len && is_dropped(text.data[dropped]))
        dropped++;
    if (dropped == text.len)
        return;
    if (w->plain) {
        append_escaped(w->out, text, "");
        return;
    }
    // Code cannot be part of another entity, and an address matters more than a typeface.
    if (style & TELEGRAM_LINK)
        style &= ~(unsigned)TELEGRAM_CODE;
    else if (style & TELEGRAM_CODE)
        style = TELEGRAM_CODE;
    open_styles(w, style, style & TELEGRAM_LINK ? url : SPAN_ABSENT);
    append_escaped(w->out, text, style & TELEGRAM_CODE ? "`\\" : "_*[]()~`>#+-=|{}.!\\");
}

void telegram_write_end(struct telegram_writer *w)
{
    while (w->depth)
        close_last(w);
}

void telegram_write_pre(struct telegram_writer *w, struct span language, struct span code,
                        size_t indent)
{
    while (code.len && (code.data[code.len - 1] == '\n' || code.data[code.len - 1] == '\r'))
        code.len--;
    if (span_trim(code).len == 0)
        return;
    if (!w->plain) {
        buf_append_text(w->out, "```");
        for (size_t i = 0; i < language.len && i < LANGUAGE_MAX; i++) {
            char c = language.data[i];
            bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
            if (!letter && (!c || !strchr("+#-_.", c)))
                break; // of "{.python .numberLines}" nothing remains
            buf_append_char(w->out, c);
        }
        buf_append_text(w->out, "\n");
    }
    while (code.len) {
        struct span line = telegram_cut_line(&code);
        for (size_t n = 0; n < indent && line.len && (*line.data == ' ' || *line.data == '\t'); n++)
            line = span_skip(line, 1);
        append_escaped(w->out, line, w->plain ? "" : "`\\");
    }
    if (!w->plain)
        buf_append_text(w->out, "\n```");
}
