#include "codec/utf8.h"

#include "base/word.h"

static const char replacement[] = "\xEF\xBF\xBD";

// Nearly everything is ASCII, so that is skipped a word at a time.
static size_t ascii_prefix(const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (len - at >= sizeof(uint64_t) && !word_any(word_load(bytes + at)))
        at += sizeof(uint64_t);
    while (at < len && bytes[at] < 0x80)
        at++;
    return at;
}

size_t utf8_valid_prefix(struct span text)
{
    const uint8_t *bytes = (const uint8_t *)text.data;
    size_t at = 0;
    while (at < text.len) {
        at += ascii_prefix(bytes + at, text.len - at);
        if (at == text.len)
            break;
        struct character c = span_character(span_skip(text, at));
        if (c.state != CHARACTER_WHOLE)
            break;
        at += c.len;
    }
    return at;
}

bool utf8_valid(struct span text)
{
    return utf8_valid_prefix(text) == text.len;
}

size_t utf8_decode(struct span text, uint32_t *ret_rune)
{
    if (text.len == 0)
        return 0;
    struct character c = span_character(text);
    *ret_rune = c.rune;
    return c.len;
}

size_t utf8_encode(uint32_t rune, char *out)
{
    if (rune > UTF8_RUNE_MAX || (rune >= 0xD800 && rune <= 0xDFFF))
        rune = UTF8_INVALID;
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    size_t more = rune < 0x800 ? 1 : rune < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, rune >>= 6)
        out[i] = (char)(0x80 | (rune & 0x3F));
    out[0] = (char)((0xF0u << (3 - more) & 0xFF) | rune);
    return more + 1;
}

size_t utf8_incomplete_tail(struct span text)
{
    for (size_t back = 1; back < UTF8_BYTES_MAX && back <= text.len; back++) {
        struct span tail = span_skip(text, text.len - back);
        if ((tail.data[0] & 0xC0) != 0x80)
            return span_character(tail).state == CHARACTER_UNFINISHED ? back : 0;
    }
    return 0;
}

bool utf8_sanitize(struct span text, struct buf *out)
{
    size_t before = out->len;
    bool fits = true;
    while (fits && text.len) {
        size_t good = utf8_valid_prefix(text);
        fits = buf_append(out, text.data, good);
        text = span_skip(text, good);
        uint32_t rune;
        size_t bad = utf8_decode(text, &rune);
        if (fits && bad)
            fits = buf_append(out, replacement, sizeof replacement - 1);
        text = span_skip(text, bad);
    }
    if (!fits)
        buf_truncate(out, before);
    return fits;
}

void utf8_one_line(struct span text, char *out, size_t size)
{
    struct span rest = {text.data, text.len < size ? text.len : size};
    size_t n = 0;
    rest.len -= utf8_incomplete_tail(rest);
    while (rest.len && n + UTF8_BYTES_MAX < size) {
        uint32_t rune = 0;
        rest = span_skip(rest, utf8_decode(rest, &rune));
        rune = rune_is_unsafe(rune) ? ' ' : rune;
        if (rune != ' ' || (n > 0 && out[n - 1] != ' '))
            n += utf8_encode(rune, out + n);
    }
    out[n] = '\0';
}
