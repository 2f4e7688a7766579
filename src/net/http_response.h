#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "net/http_chunked.h"

/*
 * What a server answers (RFC 9112 §4 to §7), in pieces of any size: first the head, looked at where
 * it lies until it is whole, then the body, decoded where it lies. No I/O, no memory of its own.
 *
 * Strict, because whatever two readers could take differently is a way to slip one answer into
 * another: several lengths, a transfer coding that is not "chunked" alone, folded lines, a blank
 * before a colon. A length beside a transfer coding is ignored and the connection not used again.
 * One leniency, which the RFC permits: a line of the head may end with a bare LF.
 */
enum http_framing {
    HTTP_BODY_LENGTH, // 0 where there is none
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, // the end of the connection is that of the response
};

struct http_response { // zeroed, but for
    bool to_head;      // the request's method was HEAD: no body, whatever the head says
    int status;        // 0 until a head was read
    bool keep;         // the connection may be used again when the response is complete
    enum http_framing framing;
    int64_t left; // bytes, with HTTP_BODY_LENGTH
    struct http_chunked chunked;
    size_t scanned; // bytes of a head in which its end is not
};

/*
 * Looks for a head at the beginning of `bytes`, which hold all that came since the last one. 1 when
 * there is one: *ret_len bytes of it, *ret_lines being the header lines without the status line. An
 * informational one (status below 200) is followed by another. 0 when it is not whole yet. Negative
 * when this is no HTTP; the sentence begins with "it", the server.
 */
int http_response_head(struct http_response *response, struct span bytes, size_t *ret_len,
                       struct span *ret_lines, struct error *err);

// After the final head: 1 when the body is complete, 0 when more is to come, -EBADMSG when it is
// not what the head promised. See http_chunked_decode() for the rest.
int http_response_body(struct http_response *response, char *data, size_t len, size_t *ret_used,
                       size_t *ret_decoded);
