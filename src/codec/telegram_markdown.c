// A text as a whole, and a beginning of it that fits into one message.
#include "codec/telegram_parse.h"
#include "codec/telegram_text.h"
#include "codec/utf8.h"

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

size_t telegram_prefix(struct span text, size_t units)
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

void telegram_write_block(struct telegram_writer *w, const struct telegram_block *b)
{
    struct telegram_block inside;
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
        if (!w->plain)
            buf_append_text(w->out, ">");
        telegram_classify(b->text, &inside);
        if (inside.kind != TELEGRAM_FENCE) // Telegram's quotes hold no code blocks, only its lines
            telegram_write_block(w, &inside);
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
        shown.len = telegram_prefix(shown, UNITS - 1);
    buf_append_span(out, shown);
    if (cut || (span_trim(shown).len == 0 && span_trim(markdown).len))
        buf_append_text(out, "…");
}
