/*
 * MarkdownV2 is strict: one character that should have been escaped, one entity that is not
 * closed, and Telegram refuses the whole message. So nothing here passes markup through. What is
 * written is text with a set of styles, and the writer alone knows which entities are open: it
 * opens one only when there is text for it (empty ones are refused in places), closes them in the
 * order that nesting asks for, and never puts the _ of one italic beside that of another, which
 * Telegram would read as underline.
 */
#include "codec/telegram_parse.h"
#include "codec/telegram_text.h"
#include "codec/utf8.h"

enum { LANGUAGE_MAX = 32 }; // bytes

static const char *const marks[TELEGRAM_STYLES] = {"*", "_", "~", "[", "`"};

size_t telegram_units(struct span text)
{
    size_t units = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        units += (byte & 0xC0) != 0x80; // every character has one byte that leads it
        units += byte >= 0xF0;          // a surrogate pair
    }
    return units;
}

/* Output */

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

static bool has_characters(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_dropped(text.data[i]))
            return true;
    }
    return false;
}

void telegram_write(struct telegram_writer *w, struct span text, unsigned style, struct span url)
{
    if (!has_characters(text))
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

static void write_language(struct buf *out, struct span language)
{
    for (size_t i = 0; i < language.len && i < LANGUAGE_MAX; i++) {
        char c = language.data[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && (!c || !strchr("+#-_.", c)))
            break; // of "{.python .numberLines}" nothing remains
        buf_append_char(out, c);
    }
}

static struct span without_indent(struct span line, size_t indent)
{
    size_t n = 0;
    while (n < indent && n < line.len && (line.data[n] == ' ' || line.data[n] == '\t'))
        n++;
    return span_skip(line, n);
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
        write_language(w->out, language);
        buf_append_text(w->out, "\n");
    }
    while (code.len)
        append_escaped(w->out, without_indent(telegram_cut_line(&code), indent),
                       w->plain ? "" : "`\\");
    if (!w->plain)
        buf_append_text(w->out, "\n```");
}

/* Blocks */

static void write_item(struct telegram_writer *w, const struct telegram_block *b)
{
    telegram_write(w, b->lead, 0, SPAN_ABSENT);
    telegram_write(w, b->number, 0, SPAN_ABSENT);
    if (b->task && b->number.len)
        telegram_write(w, SPAN_LITERAL(" "), 0, SPAN_ABSENT);
    if (b->task)
        telegram_write(w, b->task == 'x' ? SPAN_LITERAL("☑") : SPAN_LITERAL("☐"), 0, SPAN_ABSENT);
    else if (!b->number.len)
        telegram_write(w, SPAN_LITERAL("•"), 0, SPAN_ABSENT);
    telegram_write(w, SPAN_LITERAL(" "), 0, SPAN_ABSENT);
    telegram_inline(w, b->text, 0);
}

static void write_quote(struct telegram_writer *w, const struct telegram_block *b)
{
    struct telegram_block inside;
    if (!w->plain)
        buf_append_text(w->out, ">");
    telegram_classify(b->text, &inside);
    if (inside.kind != TELEGRAM_FENCE) // Telegram's quotes hold no code blocks, only its lines
        telegram_write_block(w, &inside);
}

void telegram_write_block(struct telegram_writer *w, const struct telegram_block *b)
{
    switch (b->kind) {
    case TELEGRAM_BLANK:
        break;
    case TELEGRAM_HEADING:
        telegram_inline(w, b->text, TELEGRAM_BOLD);
        break;
    case TELEGRAM_RULE:
        telegram_write(w, SPAN_LITERAL("———"), 0, SPAN_ABSENT);
        break;
    case TELEGRAM_ITEM:
        write_item(w, b);
        break;
    case TELEGRAM_QUOTE:
        write_quote(w, b);
        break;
    case TELEGRAM_PRE:
        telegram_write_pre(w, b->language, b->text, b->indent);
        break;
    case TELEGRAM_TABLE:
        telegram_table(w, b->head, b->text);
        break;
    case TELEGRAM_TEXT:
    case TELEGRAM_FENCE:
        telegram_inline(w, b->text, 0);
        break;
    }
}

static void write_text(struct telegram_writer *w, struct span markdown)
{
    size_t begin = w->out->len, end = begin; // the end without the blank lines behind it
    struct telegram_block block;
    while (telegram_next_block(&markdown, &block)) {
        size_t before = w->out->len;
        if (end > begin)
            buf_append_char(w->out, '\n');
        size_t at = w->out->len;
        telegram_write_block(w, &block);
        if (w->out->len > at)
            end = w->out->len;
        else if (end == begin || block.kind != TELEGRAM_BLANK)
            buf_truncate(w->out, before); // blank lines at the top, empty code blocks
    }
    buf_truncate(w->out, end);
}

void telegram_markdown(struct span markdown, struct buf *out)
{
    struct telegram_writer w = {.out = out};
    write_text(&w, markdown);
}

void telegram_plain(struct span markdown, struct buf *out)
{
    struct telegram_writer w = {.out = out, .plain = true};
    write_text(&w, markdown);
}

/* Preview */

static bool is_white_only(struct span text)
{
    return span_trim(text).len == 0;
}

// The longest beginning of `text` that has at most `units` UTF-16 code units.
static size_t prefix_of_units(struct span text, size_t units)
{
    size_t at = 0;
    uint32_t rune;
    for (size_t len; (len = utf8_decode(span_skip(text, at), &rune)) > 0; at += len) {
        size_t needs = rune >= 0x10000 ? 2 : 1;
        if (needs > units)
            break;
        units -= needs;
    }
    return at;
}

void telegram_preview(struct span markdown, struct buf *out)
{
    enum {
        UNITS = TELEGRAM_UNITS_MAX - 2,
        SOURCE_BYTES_MAX = 64 << 10,
        PLAIN_BYTES_MAX = 256 << 10
    };
    BUF_AUTO text = BUF_INIT(PLAIN_BYTES_MAX);
    bool cut = markdown.len > SOURCE_BYTES_MAX;
    if (cut)
        markdown.len = SOURCE_BYTES_MAX;
    markdown.len -= utf8_incomplete_tail(markdown);
    telegram_plain(markdown, &text);
    cut = cut || buf_is_full(&text) || telegram_units(buf_span(&text)) > UNITS;
    struct span shown = buf_span(&text);
    if (cut)
        shown.len = prefix_of_units(shown, UNITS - 1);
    buf_append_span(out, shown);
    if (cut || (is_white_only(shown) && !is_white_only(markdown)))
        buf_append_text(out, "…");
}
