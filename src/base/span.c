#include "base/span.h"

#include <strings.h>

#include "base/mem.h"
#include "base/word.h"

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

size_t span_character(struct span span)
{
    const unsigned char *text = (const unsigned char *)span.data;
    static const struct {
        unsigned char first, last, low, high; // of the first byte; of the second
        size_t length;
    } forms[] = {
        {0x00, 0x7F, 0x00, 0x00, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    size_t i = 0;
    if (span.len == 0)
        return 0;
    while (i < ARRAY_LEN(forms) && (text[0] < forms[i].first || text[0] > forms[i].last))
        i++;
    if (i == ARRAY_LEN(forms) || forms[i].length > span.len)
        return 0;
    if (forms[i].length > 1 && (text[1] < forms[i].low || text[1] > forms[i].high))
        return 0;
    for (size_t k = 2; k < forms[i].length; k++)
        if ((text[k] & 0xC0) != 0x80)
            return 0;
    return forms[i].length;
}

uint32_t span_rune(struct span character)
{
    const unsigned char *bytes = (const unsigned char *)character.data;
    if (character.len == 1)
        return bytes[0];
    uint32_t rune = bytes[0] & (0x7Fu >> character.len);
    for (size_t i = 1; i < character.len; i++)
        rune = rune << 6 | (bytes[i] & 0x3F);
    return rune;
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
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (int value = 0; value < 2; value++)
            if (span.len == strlen(words[i][value]) &&
                strncasecmp(span.data, words[i][value], span.len) == 0) {
                *ret_value = value;
                return true;
            }
    return false;
}
