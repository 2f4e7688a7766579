#include "net/http_chunked.h"

#include <errno.h>
#include <string.h>

#include "net/http_field.h"

enum { SIZE_MAX_BITS = 60 }; // of a chunk; more hexadecimal digits than that are refused

static bool is_line_byte(unsigned char c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

// One byte of a line with a chunk's size. 0 or -EBADMSG.
static int take_size(struct http_chunked *chunked, unsigned char c)
{
    int digit = http_hex_digit((char)c);
    if (++chunked->line_bytes > HTTP_CHUNK_LINE_MAX)
        return -EBADMSG;
    if (chunked->state == HTTP_CHUNK_EXTENSION) {
        if (c == '\r')
            chunked->state = HTTP_CHUNK_SIZE_LF;
        return c == '\r' || is_line_byte(c) ? 0 : -EBADMSG;
    }
    if (digit >= 0) {
        if (chunked->left >> (SIZE_MAX_BITS - 4))
            return -EBADMSG;
        chunked->left = chunked->left << 4 | (unsigned)digit;
        chunked->state = HTTP_CHUNK_DIGITS;
        return 0;
    }
    if (chunked->state == HTTP_CHUNK_SIZE)
        return -EBADMSG;
    if (c == '\r')
        chunked->state = HTTP_CHUNK_SIZE_LF;
    else if (c == ';' || (!chunked->strict && (c == ' ' || c == '\t'))) // as some servers fill up
        chunked->state = HTTP_CHUNK_EXTENSION;
    else
        return -EBADMSG;
    return 0;
}

static int take_trailer(struct http_chunked *chunked, unsigned char c)
{
    bool begins = chunked->state == HTTP_CHUNK_TRAILER;
    bool in_name = chunked->state == HTTP_CHUNK_TRAILER_NAME || (begins && chunked->strict);
    if (++chunked->line_bytes > HTTP_CHUNK_TRAILER_MAX)
        return -EBADMSG;
    if (begins && c == '\r')
        chunked->state = HTTP_CHUNK_LAST_LF;
    else if (in_name && !begins && c == ':') // as http_field_split() has it
        chunked->state = HTTP_CHUNK_TRAILER_LINE;
    else if (in_name && http_is_token(span_make(&c, 1)))
        chunked->state = HTTP_CHUNK_TRAILER_NAME;
    else if (in_name)
        return -EBADMSG;
    else if (c == '\r')
        chunked->state = HTTP_CHUNK_TRAILER_LF;
    else if (is_line_byte(c))
        chunked->state = HTTP_CHUNK_TRAILER_LINE;
    else
        return -EBADMSG;
    return 0;
}

// A byte that can only be one thing.
static int take_fixed(struct http_chunked *chunked, unsigned char c)
{
    static const struct {
        unsigned char expected;
        enum http_chunked_state next;
    } fixed[] = {
        [HTTP_CHUNK_SIZE_LF] = {'\n', HTTP_CHUNK_DATA},
        [HTTP_CHUNK_DATA_CR] = {'\r', HTTP_CHUNK_DATA_LF},
        [HTTP_CHUNK_DATA_LF] = {'\n', HTTP_CHUNK_SIZE},
        [HTTP_CHUNK_TRAILER_LF] = {'\n', HTTP_CHUNK_TRAILER},
        [HTTP_CHUNK_LAST_LF] = {'\n', HTTP_CHUNK_DONE},
        [HTTP_CHUNK_DONE] = {0, HTTP_CHUNK_DONE},
    };
    enum http_chunked_state state = chunked->state;
    chunked->state = fixed[state].next;
    if (state == HTTP_CHUNK_SIZE_LF) {
        chunked->line_bytes = 0;
        if (chunked->left == 0)
            chunked->state = HTTP_CHUNK_TRAILER;
    }
    return c == fixed[state].expected && c ? 0 : -EBADMSG;
}

static int take(struct http_chunked *chunked, unsigned char c)
{
    switch (chunked->state) {
    case HTTP_CHUNK_SIZE:
    case HTTP_CHUNK_DIGITS:
    case HTTP_CHUNK_EXTENSION:
        return take_size(chunked, c);
    case HTTP_CHUNK_TRAILER:
    case HTTP_CHUNK_TRAILER_NAME:
    case HTTP_CHUNK_TRAILER_LINE:
        return take_trailer(chunked, c);
    default:
        return take_fixed(chunked, c);
    }
}

int http_chunked_decode(struct http_chunked *chunked, char *data, size_t len, size_t *ret_used,
                        size_t *ret_decoded)
{
    size_t at = 0, decoded = 0;
    int r = 0;
    while (r == 0 && at < len && chunked->state != HTTP_CHUNK_DONE) {
        if (chunked->state != HTTP_CHUNK_DATA) {
            r = take(chunked, (unsigned char)data[at++]);
            continue;
        }
        size_t piece = chunked->left < len - at ? (size_t)chunked->left : len - at;
        if (decoded != at)
            memmove(data + decoded, data + at, piece);
        decoded += piece;
        at += piece;
        chunked->left -= piece;
        if (chunked->left == 0)
            chunked->state = HTTP_CHUNK_DATA_CR;
    }
    *ret_used = at;
    *ret_decoded = decoded;
    return r < 0 ? r : chunked->state == HTTP_CHUNK_DONE;
}
