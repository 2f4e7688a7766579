#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * UTF-8 as the Unicode standard defines it (table 3-7): no overlong forms, no surrogates, nothing
 * above U+10FFFF. An invalid byte is replaced the way browsers do it: one U+FFFD for each "maximal
 * subpart", the longest run of bytes that could still have become a character.
 */

enum {
    UTF8_BYTES_MAX = 4,    // of one character
    UTF8_INVALID = 0xFFFD, // what stands for invalid bytes
    UTF8_RUNE_MAX = 0x10FFFF,
};

bool utf8_valid(struct span text);
size_t utf8_valid_prefix(struct span text); // bytes before the first invalid or unfinished one

// Decodes the first character and returns its bytes, 0 for an empty span. Invalid or unfinished
// bytes give UTF8_INVALID and the length of the maximal subpart.
size_t utf8_decode(struct span text, uint32_t *ret_rune);

// Writes up to UTF8_BYTES_MAX bytes and returns how many; what is no character becomes U+FFFD.
size_t utf8_encode(uint32_t rune, char *out);

// How many bytes at the end belong to a character that has begun but is not finished (0 to 3): a
// stream holds them back until its next piece.
size_t utf8_incomplete_tail(struct span text);

// Appends `text` with U+FFFD for what is invalid; all or nothing, false when it does not fit.
bool utf8_sanitize(struct span text, struct buf *out);

// The beginning of somebody else's text as one line of a sentence, in `size` bytes with its NUL.
// What could move a terminal's cursor or turn the line around becomes a blank, and blanks in a row
// become one.
void utf8_one_line(struct span text, char *out, size_t size);

// Terminal columns: 0 for control and combining characters, 2 for wide East Asian ones and emoji.
unsigned utf8_rune_width(uint32_t rune);
size_t utf8_width(struct span text); // of all its characters; escape sequences are not understood
