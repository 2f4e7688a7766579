#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

// How the bytes of a text from the Web stand for characters.
enum charset {
    CHARSET_UTF8,         // and whatever nobody knows: what is invalid becomes U+FFFD
    CHARSET_WINDOWS_1252, // and ISO 8859-1, which browsers take for the same
    CHARSET_UTF16,        // which is known of, and not read
};

// By its name, in any case: "utf-8", "latin1", ... False: none that is known.
bool charset_find(struct span name, enum charset *ret_charset);

// The value behind "charset=" in a Content-Type or a <meta> element; absent when there is none.
struct span charset_parameter(struct span text);

// Decodes the first character and returns its bytes, 0 for an empty span.
size_t charset_decode(enum charset charset, struct span text, uint32_t *ret_rune);

// What a byte from 0x80 to 0x9f stands for in windows-1252.
uint32_t charset_windows_1252(unsigned char byte);

/*
 * Appends a character of somebody else's text: no control character but tab and line end, none that
 * is not seen (tags, joiners, marks of direction): they hide words from whoever looks at a page.
 * False when it does not fit.
 */
bool charset_append(uint32_t rune, struct buf *out);
