#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct address_guard;
struct loop;
struct trust;

/*
 * Outbound HTTP/1.1 on the loop. Requests run side by side and share connections; each is named by
 * an id, and nothing one of them does or suffers, a name server that never answers included, delays
 * another or its own cancellation. Proxies are those of the environment (http_proxy.h).
 *
 * Redirects are never followed: a request carries a key, and the key is for one host.
 */
struct http_client;
typedef uint64_t http_id; // 0 is none

enum {
    HTTP_HEAD_MAX = 64 * 1024,     // bytes of response header that are kept
    HTTP_REQUEST_HEADERS_MAX = 32, // lines
    HTTP_BODY_PARTS_MAX = 64,
    HTTP_FILE_PIECE = 64 * 1024, // bytes of a file that are in memory while it is sent
};

/*
 * Milliseconds; 0 is no limit. `first_byte` is counted from http_client_start(), so that it covers
 * name resolution, connecting, TLS and sending as well; `idle` takes its place when the body has
 * begun. While a transfer is paused neither counts, and the one that is due begins anew when it is
 * resumed; `total` counts always.
 */
struct http_timeouts {
    int64_t connect;    // name resolution and TLS included; 0: 300 s
    int64_t first_byte; // from the start to the first byte of the body; the head is none
    int64_t idle;       // between two pieces of the body
    int64_t total;
};

/*
 * A part of a body that is read while it is sent, piece by piece and by its place, so that a
 * request that goes out again begins with its first byte. The descriptor is the caller's: it must
 * stay open until on_done or http_client_cancel(), and may be shared, for its position is not used.
 * A disk that is silent is waited for by the loop's timer where the kernel can say that it is.
 * What cannot be read, or ends before `len`, ends the request: HTTP_UNREADABLE. It is not padded.
 */
struct http_file {
    int fd;
    int64_t offset;
    size_t len;
    size_t after; // how many of body_parts come before it
};

/*
 * A body is one piece that is copied, or several that are not: their bytes must stay until on_done
 * or http_client_cancel(), the array itself only during the call. What is named as parts or as a
 * file is the body, and `body` is then not looked at.
 */
struct http_request {
    const char *method;         // "GET", "POST"
    const char *url;            // http or https
    const char *const *headers; // "Name: value" lines; NULL-terminated, or NULL
    struct span body;           // absent: none
    const struct span *body_parts;
    size_t body_part_count;       // at most HTTP_BODY_PARTS_MAX, a file included; 0: `body`
    const struct http_file *file; // between the parts; copied; NULL: none
    struct http_timeouts timeouts;
    bool once;               // never sent twice; see HTTP_CUT
    bool long_poll;          // asked again and again: its connection is kept for long polls alone
    const char *unix_socket; // path of the socket to ask there; NULL: the URL's host
    // Where it may go (address_guard.h); must stay as `body_parts`. Such a request has a connection
    // of its own: one that is kept was made without a look at its address. NULL: anywhere.
    const struct address_guard *guard;
};

/*
 * A kept connection may end just as a request is sent over it, because its server has tired of
 * waiting. If no byte of an answer came, the request goes out again on a new connection, once: when
 * the server's own end of it (a FIN, no reset) left some of the request unacknowledged, so that it
 * cannot have been acted on, or when its method is idempotent (RFC 9110 §9.2.2). A POST that may
 * have been read is not repeated.
 *
 * HTTP_CUT has two causes that differ in what may be done next, told apart by the error's code.
 * -ESTALE: such a request, never acknowledged, that was not repeated because it said `once`.
 * Anything else: the server had begun, or nobody knows.
 */
enum http_failure {
    HTTP_OK,
    HTTP_UNRESOLVED,  // no such name, or no answer from the name server
    HTTP_UNREACHABLE, // refused, no route
    HTTP_EXHAUSTED,   // no descriptor or memory left for a connection here: no word on the server
    HTTP_UNTRUSTED,   // TLS: certificate or handshake
    HTTP_TIMED_OUT,   // one of http_timeouts
    HTTP_CUT,         // the connection ended before the response did, or it was not HTTP
    HTTP_STOPPED,     // on_body said so
    HTTP_MISUSED,     // the URL or a header cannot be sent
    HTTP_FORBIDDEN,   // its guard does not let it go there
    HTTP_UNREADABLE,  // the file of its body: see http_file
};

struct http_head {
    int status;
    struct span lines; // header lines, CRLF between them
};

// The value of a response header, any case; absent when it is not there. Lives as long as `head`.
struct span http_head_get(const struct http_head *head, const char *name);

struct http_handler {
    void (*on_head)(void *context, const struct http_head *head); // once, before the body
    int (*on_body)(void *context, struct span chunk);             // negative stops the transfer
    // Last, exactly once, unless cancelled. `err` holds a sentence when failure is not HTTP_OK.
    void (*on_done)(void *context, enum http_failure failure, const struct error *err);
};

int http_client_create(struct loop *loop, struct trust *trust, struct http_client **ret_client,
                       struct error *err);
void http_client_destroy(struct http_client *client); // ends all transfers without callbacks

// The callbacks come from the loop, never from inside this call, which any of them may make. The
// length of the body is not for the caller's headers to say.
int http_client_start(struct http_client *client, const struct http_request *request,
                      const struct http_handler *handler, void *context, http_id *ret_id,
                      struct error *err);

// No callback of this request comes after this; may be called from inside one of them.
void http_client_cancel(struct http_client *client, http_id id);

// Was all of a request handed to its server? Of one that runs, or in its on_done. Else nobody can
// have acted on it.
bool http_client_was_sent(const struct http_client *client, http_id id);

// How often a request went out again by itself is added to `counter`, which outlives the client.
void http_client_count_repeats(struct http_client *client, int64_t *counter);

/*
 * Paused, a transfer hands over no more of its body, and its peer is held back by TCP: what is kept
 * here is less than one piece. May be called from inside the callbacks; what waited comes from the
 * loop, never from inside this call. The head and the end may still be told. A stale id does
 * nothing.
 */
void http_client_pause(struct http_client *client, http_id id, bool paused);
