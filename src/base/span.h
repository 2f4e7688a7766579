#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A borrowed run of bytes, not NUL-terminated. {NULL, 0} is "absent"; {"", 0} is "empty".
 * Whoever hands out a span says how long it lives.
 */
struct span {
    const char *data;
    size_t len;
};

#define SPAN_ABSENT ((struct span){NULL, 0})
#define SPAN_LITERAL(text) ((struct span){(text), sizeof(text) - 1})

static inline struct span span_of(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

static inline struct span span_make(const void *data, size_t len)
{
    return (struct span){data, len};
}

bool span_equal(struct span a, struct span b);
bool span_is(struct span span, const char *text);
bool span_starts_with(struct span span, const char *prefix);
bool span_ends_with(struct span span, const char *suffix);
struct span span_skip(struct span span, size_t bytes); // without its first `bytes`
struct span span_trim(struct span span);               // without ASCII white space at either end

// Cuts the text before the first `separator` off *rest and returns it; without one, all of it.
struct span span_cut(struct span *rest, char separator);

// Bytes at its beginning that are printable ASCII, the blank included.
size_t span_printable(struct span span);

// The UTF-8 character at the beginning of a text that is not empty; codec/utf8.h is made of it.
struct character {
    uint32_t rune; // U+FFFD unless it is whole
    size_t len;    // bytes; else of the longest run of bytes that could have become a character
    enum { CHARACTER_WHOLE, CHARACTER_INVALID, CHARACTER_UNFINISHED } state;
};
struct character span_character(struct span text);

// Would the code point do something to a terminal other than stand there? Controls, the separators
// of lines and paragraphs, and what sets the order in which text is shown (Bidi_Control).
bool rune_is_unsafe(uint32_t rune);

// Offset of the first `needle`, or -1.
ptrdiff_t span_find(struct span haystack, struct span needle);

// Whole-string decimal numbers; false on anything else, overflow included. No locale, no blanks.
bool span_to_u64(struct span span, uint64_t *ret_value);
bool span_to_i64(struct span span, int64_t *ret_value);

// A decimal fraction as an integer of 10^-digits: ("1.5", 3) is 1500. Digits beyond are cut.
bool span_to_fixed(struct span span, unsigned digits, int64_t *ret_value);

// true|false|yes|no|on|off|1|0, any case.
bool span_to_bool(struct span span, bool *ret_value);
