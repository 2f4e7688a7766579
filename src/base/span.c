#include "base/span.h"

#include <strings.h>

#include "base/mem.h"
#include "base/word.h"

enum { REPLACEMENT = 0xFFFD }; // the character that stands for invalid bytes

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_is(struct span span, const char *text)
{
    return span.data && span_equal(span, span_of(text));
}

bool span_starts_with(struct span span, const char *prefix)
{
    size_t len = strlen(prefix);
    return span.len >= len && span_equal(span_make(span.data, len), span_of(prefix));
}

bool span_ends_with(struct span span, const char *suffix)
{
    size_t len = strlen(suffix);
    return span.len >= len && span_equal(span_skip(span, span.len - len), span_of(suffix));
}

struct span span_skip(struct span span, size_t bytes)
{
    size_t n = bytes < span.len ? bytes : span.len;
    // Nothing may be added to NULL, not even nothing (C17 6.5.6).
    return (struct span){n ? span.data + n : span.data, span.len - n};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

struct span span_trim(struct span span)
{
    while (span.len && is_blank(span.data[0]))
        span = span_skip(span, 1);
    while (span.len && is_blank(span.data[span.len - 1]))
        span.len--;
    return span;
}

struct span span_cut(struct span *rest, char separator)
{
    const char *at = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    size_t len = at ? (size_t)(at - rest->data) : rest->len;
    struct span head = {rest->data, len};
    *rest = span_skip(*rest, at ? len + 1 : len);
    return head;
}

size_t span_printable(struct span span)
{
    size_t at = 0;
    for (; span.len - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word = word_load(span.data + at);
        if (word_any(word | word_below(word, 0x20) | word_equal(word, 0x7f)))
            break;
    }
    while (at < span.len && span.data[at] >= 0x20 && span.data[at] < 0x7f)
        at++;
    return at;
}

// How many bytes follow a lead byte and in which range the first of them must lie (table 3-7 of the
// Unicode standard); 0 for a byte that leads nothing.
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

struct character span_character(struct span text)
{
    const uint8_t *bytes = (const uint8_t *)text.data;
    if (bytes[0] < 0x80)
        return (struct character){bytes[0], 1, CHARACTER_WHOLE};

    uint8_t low, high;
    unsigned more = followers(bytes[0], &low, &high);
    if (more == 0)
        return (struct character){REPLACEMENT, 1, CHARACTER_INVALID};

    uint32_t rune = bytes[0] & (0x3Fu >> more);
    for (size_t i = 1; i <= more; i++, low = 0x80, high = 0xBF) {
        if (i == text.len)
            return (struct character){REPLACEMENT, i, CHARACTER_UNFINISHED};
        if (bytes[i] < low || bytes[i] > high)
            return (struct character){REPLACEMENT, i, CHARACTER_INVALID};
        rune = rune << 6 | (bytes[i] & 0x3F);
    }
    return (struct character){rune, more + 1, CHARACTER_WHOLE};
}

bool rune_is_unsafe(uint32_t rune)
{
    return rune < 0x20 || (rune >= 0x7F && rune < 0xA0) || rune == 0x61C || rune == 0x200E ||
           rune == 0x200F || (rune >= 0x2028 && rune <= 0x202E) ||
           (rune >= 0x2066 && rune <= 0x2069);
}

ptrdiff_t span_find(struct span haystack, struct span needle)
{
    if (needle.len == 0)
        return 0;
    const char *at =
        haystack.len ? memmem(haystack.data, haystack.len, needle.data, needle.len) : NULL;
    return at ? at - haystack.data : -1;
}

bool span_to_u64(struct span span, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (span.len == 0)
        return false;
    for (size_t i = 0; i < span.len; i++) {
        if (span.data[i] < '0' || span.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(span.data[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

// False when the number with its sign has no room.
static bool with_sign(uint64_t value, bool negative, int64_t *ret_value)
{
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool span_to_i64(struct span span, int64_t *ret_value)
{
    uint64_t value;
    bool negative = span.len && span.data[0] == '-';
    if (span.len && (span.data[0] == '-' || span.data[0] == '+'))
        span = span_skip(span, 1);
    return span_to_u64(span, &value) && with_sign(value, negative, ret_value);
}

bool span_to_fixed(struct span span, unsigned digits, int64_t *ret_value)
{
    bool negative = span.len && span.data[0] == '-';
    if (span.len && (span.data[0] == '-' || span.data[0] == '+'))
        span = span_skip(span, 1);
    struct span fraction = span;
    struct span whole = span_cut(&fraction, '.');
    bool has_point = whole.len < span.len;
    if (whole.len == 0 || (has_point && fraction.len == 0))
        return false;

    uint64_t value;
    if (!span_to_u64(whole, &value))
        return false;
    for (unsigned i = 0; i < digits; i++) {
        uint64_t digit = i < fraction.len ? (uint64_t)(fraction.data[i] - '0') : 0;
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    for (size_t i = digits; i < fraction.len; i++)
        if (fraction.data[i] < '0' || fraction.data[i] > '9')
            return false;
    return with_sign(value, negative, ret_value);
}

bool span_to_bool(struct span span, bool *ret_value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span.len == strlen(words[i]) && strncasecmp(span.data, words[i], span.len) == 0) {
            *ret_value = i % 2;
            return true;
        }
    return false;
}
