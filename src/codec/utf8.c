#include "codec/utf8.h"

#include "base/word.h"

static const char replacement[] = "\xEF\xBF\xBD";

enum status { VALID, INVALID, UNFINISHED };

struct character {
    uint32_t rune;
    size_t len; // bytes; of the maximal subpart when it is not valid
    enum status status;
};

// How many bytes follow a lead byte and in which range the first of them must lie (table 3-7);
// 0 for a byte that leads nothing.
static unsigned followers(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 1;
    if (lead >= 0xE0 && lead <= 0xEF)
        return 2;
    return lead >= 0xF0 && lead <= 0xF4 ? 3 : 0;
}

// `len` is at least 1.
static struct character decode(const uint8_t *bytes, size_t len)
{
    if (bytes[0] < 0x80)
        return (struct character){bytes[0], 1, VALID};

    uint8_t low, high;
    unsigned more = followers(bytes[0], &low, &high);
    if (more == 0)
        return (struct character){UTF8_INVALID, 1, INVALID};

    uint32_t rune = bytes[0] & (0x3Fu >> more);
    for (size_t i = 1; i <= more; i++, low = 0x80, high = 0xBF) {
        if (i == len)
            return (struct character){UTF8_INVALID, i, UNFINISHED};
        if (bytes[i] < low || bytes[i] > high)
            return (struct character){UTF8_INVALID, i, INVALID};
        rune = rune << 6 | (bytes[i] & 0x3F);
    }
    return (struct character){rune, more + 1, VALID};
}

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
        struct character c = decode(bytes + at, text.len - at);
        if (c.status != VALID)
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
    struct character c = decode((const uint8_t *)text.data, text.len);
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
        const uint8_t *at = (const uint8_t *)text.data + text.len - back;
        if (*at < 0x80)
            return 0;
        if (*at >= 0xC0) {
            struct character c = decode(at, back);
            return c.status == UNFINISHED ? back : 0;
        }
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
