#include "channels/line_text.h"

#include <string.h>

#include "codec/utf8.h"

void line_text_init(struct line_text *text, size_t max)
{
    buf_init(&text->bytes, max);
    buf_init(&text->killed, max);
    text->cursor = 0;
}

void line_text_finish(struct line_text *text)
{
    buf_finish(&text->bytes);
    buf_finish(&text->killed);
}

// Line feed and tab are shown as one character each.
static unsigned rune_columns(uint32_t rune)
{
    return rune == '\n' || rune == '\t' ? 1 : utf8_rune_width(rune);
}

size_t line_cell(struct span text, unsigned *ret_columns)
{
    uint32_t rune = 0;
    size_t len = utf8_decode(text, &rune);
    *ret_columns = len ? rune_columns(rune) : 0;
    for (;;) {
        size_t more = utf8_decode(span_skip(text, len), &rune);
        if (more == 0 || rune_columns(rune) > 0)
            return len;
        len += more;
    }
}

static bool insert(struct line_text *text, struct span piece)
{
    struct buf *bytes = &text->bytes;
    size_t behind = bytes->len - text->cursor;
    if (!buf_reserve(bytes, piece.len))
        return false;
    char *at = bytes->data + text->cursor;
    memmove(at + piece.len, at, behind);
    if (piece.len)
        memcpy(at, piece.data, piece.len);
    buf_grow_by(bytes, piece.len);
    text->cursor += piece.len;
    return true;
}

bool line_text_insert(struct line_text *text, uint32_t rune)
{
    char bytes[UTF8_BYTES_MAX];
    bool is_control = rune != '\n' && rune != '\t' && rune_is_unsafe(rune);
    bool without_base = text->cursor == 0 && rune_columns(rune) == 0;
    if (is_control || without_base)
        return true;
    return insert(text, span_make(bytes, utf8_encode(rune, bytes)));
}

bool line_text_yank(struct line_text *text)
{
    return insert(text, buf_span(&text->killed));
}

void line_text_set(struct line_text *text, struct span content)
{
    buf_clear(&text->bytes);
    text->cursor = 0;
    uint32_t rune;
    bool fits = true;
    for (size_t len; fits && (len = utf8_decode(content, &rune)); content = span_skip(content, len))
        fits = line_text_insert(text, rune);
}

static size_t cell_before(const struct line_text *text, size_t at)
{
    struct span bytes = buf_span(&text->bytes);
    uint32_t rune = 0;
    while (at > 0 && rune_columns(rune) == 0) {
        do
            at--;
        while (at > 0 && ((unsigned char)bytes.data[at] & 0xc0) == 0x80);
        utf8_decode(span_skip(bytes, at), &rune);
    }
    return at;
}

static size_t cell_after(const struct line_text *text, size_t at)
{
    unsigned columns;
    return at + line_cell(span_skip(buf_span(&text->bytes), at), &columns);
}

size_t line_text_start(const struct line_text *text)
{
    return 0;
}

size_t line_text_end(const struct line_text *text)
{
    return text->bytes.len;
}

size_t line_text_left(const struct line_text *text)
{
    return cell_before(text, text->cursor);
}

size_t line_text_right(const struct line_text *text)
{
    return cell_after(text, text->cursor);
}

// By the first byte of a cell: all that is not ASCII belongs to a word.
static bool in_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c & 0x80;
}

static bool is_not_blank(char c)
{
    return c != ' ' && c != '\t' && c != '\n';
}

static size_t run_left(const struct line_text *text, bool (*belongs)(char c))
{
    const char *bytes = buf_text(&text->bytes);
    size_t at = text->cursor;
    bool inside = false;
    while (at > 0) {
        size_t before = cell_before(text, at);
        if (inside && !belongs(bytes[before]))
            break;
        inside = belongs(bytes[before]);
        at = before;
    }
    return at;
}

size_t line_text_word_left(const struct line_text *text)
{
    return run_left(text, in_word);
}

size_t line_text_blank_left(const struct line_text *text)
{
    return run_left(text, is_not_blank);
}

size_t line_text_word_right(const struct line_text *text)
{
    const char *bytes = buf_text(&text->bytes);
    size_t at = text->cursor;
    bool inside = false;
    while (at < text->bytes.len && (!inside || in_word(bytes[at]))) {
        inside = in_word(bytes[at]);
        at = cell_after(text, at);
    }
    return at;
}

void line_text_move(struct line_text *text, size_t offset)
{
    text->cursor = offset;
}

void line_text_delete(struct line_text *text, size_t offset)
{
    size_t from = offset < text->cursor ? offset : text->cursor;
    size_t to = offset < text->cursor ? text->cursor : offset;
    if (from == to)
        return;
    memmove(text->bytes.data + from, text->bytes.data + to, text->bytes.len - to);
    buf_truncate(&text->bytes, text->bytes.len - (to - from));
    text->cursor = from;
}

void line_text_kill(struct line_text *text, size_t offset)
{
    size_t from = offset < text->cursor ? offset : text->cursor;
    size_t to = offset < text->cursor ? text->cursor : offset;
    if (from == to)
        return;
    buf_clear(&text->killed);
    buf_append(&text->killed, text->bytes.data + from, to - from);
    line_text_delete(text, offset);
}
