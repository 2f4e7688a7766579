#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <strings.h>

#include "base/span.h"

/*
 * Header fields as both ends of a connection read them (RFC 9110 §5, RFC 9112 §5). Strict where two
 * readers could disagree about what a message is: blanks around a name, control characters, numbers
 * with a sign.
 */

bool http_is_token(struct span text);       // a method, a field name, a transfer coding; not empty
bool http_is_field_value(struct span text); // no control characters but the tab; may be empty

// Splits one line, without its line end, at the colon. The value comes trimmed. False when there is
// no colon, the name is no token (a blank before the colon included), or the value is none.
bool http_field_split(struct span line, struct span *ret_name, struct span *ret_value);

// ASCII letters in any case. Few names have the length of another.
static inline bool http_same_name(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}
bool http_same(struct span text, const char *word);

// Whether a comma-separated list (Connection, Transfer-Encoding) holds `word`, any case.
bool http_list_has(struct span list, const char *word);

// The next member of such a list, trimmed; false at its end. Empty members are passed over.
bool http_list_next(struct span *rest, struct span *ret_member);

// Content-Length: digits alone, below 2^63. A list of the same number several times is refused too:
// RFC 9110 §8.6 lets us.
bool http_content_length(struct span value, int64_t *ret_bytes);

static inline int http_hex_digit(char c) // its value, or -1
{
    char lower = (char)(c | 0x20);
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
