#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/span.h"

/*
 * The head of an HTTP/1.1 request (RFC 9112). Pure: bytes in, offsets out. What two programs could
 * read in two ways is refused, because one of them stands in front of the other: a bare line feed,
 * blanks before a colon, a folded line, two lengths, a length beside chunks, anything but digits
 * where a number belongs.
 */

// Offsets count from the first byte of the head. Zeroed, it is ready for the next one.
struct http_parse {
    size_t at;       // the first line that is not parsed yet
    size_t searched; // no line ends in the bytes between `at` and here
    size_t method_at, method_len;
    size_t target_at, target_len; // origin-form or absolute-form, or "*" of OPTIONS
    size_t fields_at;
    uint64_t content_length;
    unsigned refusal; // when parsing failed: the status that says why
    bool line_seen;   // the request line is whole
    bool blank_seen;  // an empty line before it (RFC 9112 §2.2)
    bool is_1_0;      // HTTP/1.0
    bool has_host, has_length, is_chunked;
    bool says_close, says_keep_alive; // Connection
    bool expects_continue, expects_more;
};

/*
 * `head` is everything since the first byte of the head, in one piece, at each call with more at
 * its end (and maybe at another place). Each line is looked at once. Returns the bytes of the head
 * with its empty line, 0 when more is needed, or -EBADMSG with `refusal` set: where the next
 * request would begin is then not known.
 */
ssize_t http_parse_head(struct http_parse *parse, struct span head);

// Takes the next field off *rest, which begins as the head from `fields_at` on. False at the end.
bool http_parse_field(struct span *rest, struct span *ret_name, struct span *ret_value);

// Decodes %XX, and + as a blank when `form`, into `out`, which has room for text.len bytes; returns
// how many it wrote. A broken escape is kept as it is and *ret_broken set; so does %00.
size_t http_parse_decode(struct span text, bool form, char *out, bool *ret_broken);

// "/path" of an origin-form or absolute-form target, without the query. It points into `target` or
// is a literal.
struct span http_parse_path(struct span target);
struct span http_parse_query(struct span target); // after the ?; absent without one
