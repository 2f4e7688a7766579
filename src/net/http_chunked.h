#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A chunked body (RFC 9112 §7.1), in pieces of any size, decoded where it lies: what is left of a
 * piece is its data, moved together. Extensions and trailer fields are checked for what a line may
 * hold and dropped. Strict about line ends and sizes, where two readers could disagree; a request,
 * which may come through a program that reads it in its own way, is read without any leniency.
 */
enum {
    HTTP_CHUNK_LINE_MAX = 4096,    // bytes of a chunk's size and extensions
    HTTP_CHUNK_TRAILER_MAX = 8192, // bytes of all trailer fields
};

enum http_chunked_state {
    HTTP_CHUNK_SIZE, // before the first digit
    HTTP_CHUNK_DIGITS,
    HTTP_CHUNK_EXTENSION,
    HTTP_CHUNK_SIZE_LF,
    HTTP_CHUNK_DATA,
    HTTP_CHUNK_DATA_CR,
    HTTP_CHUNK_DATA_LF,
    HTTP_CHUNK_TRAILER,      // at the beginning of a line
    HTTP_CHUNK_TRAILER_NAME, // strict only
    HTTP_CHUNK_TRAILER_LINE,
    HTTP_CHUNK_TRAILER_LF,
    HTTP_CHUNK_LAST_LF,
    HTTP_CHUNK_DONE,
};

struct http_chunked {
    enum http_chunked_state state;
    bool strict;       // a request's: no blanks behind a size, trailers that are fields
    uint64_t left;     // bytes of this chunk
    size_t line_bytes; // of this line, or of the trailer
};

/*
 * Decodes as much of the `len` bytes at `data` as belongs to the body: *ret_used of them, of which
 * *ret_decoded are left at `data`. Positive when the body is complete, 0 when more is to come, and
 * -EBADMSG when this is no chunked body (*ret_decoded bytes came before that).
 */
int http_chunked_decode(struct http_chunked *chunked, char *data, size_t len, size_t *ret_used,
                        size_t *ret_decoded);
