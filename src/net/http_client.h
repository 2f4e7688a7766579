#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct loop;
struct trust;

/*
 * Outbound HTTP/1.1 on the loop (libcurl's multi-socket interface). Requests run side by side and
 * share connections; each is named by an id, and nothing one of them does or suffers, a name
 * server that never answers included, delays another or its own cancellation.
 *
 * Redirects are never followed: a request carries a key, and the key is for one host.
 */
struct http_client;
typedef uint64_t http_id; // 0 is none

enum {
    HTTP_HEAD_MAX = 64 * 1024,     // bytes of response header that are kept
    HTTP_REQUEST_HEADERS_MAX = 32, // lines
};

struct http_timeouts {  // milliseconds; 0 is no limit
    int64_t connect;    // name resolution and TLS included; 0: 300 s
    int64_t first_byte; // from the start to the first byte of the body
    int64_t idle;       // between two pieces of the body
    int64_t total;
};

struct http_request {
    const char *method;         // "GET", "POST"
    const char *url;            // http or https
    const char *const *headers; // "Name: value" lines; NULL-terminated, or NULL
    struct span body;           // copied
    struct http_timeouts timeouts;
    bool once; // not repeated by libcurl itself when a kept connection breaks: HTTP_CUT says it
    const char *unix_socket; // path of the socket to ask there; NULL: the URL's host
};

enum http_failure {
    HTTP_OK,
    HTTP_UNRESOLVED,  // no such name, or no answer from the name server
    HTTP_UNREACHABLE, // refused, no route
    HTTP_UNTRUSTED,   // TLS: certificate or handshake
    HTTP_TIMED_OUT,   // one of http_timeouts
    HTTP_CUT,         // the connection ended before the response did, or it was not HTTP
    HTTP_STOPPED,     // on_body said so
    HTTP_MISUSED,     // the URL or a header cannot be sent
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

// The callbacks come from the loop, never from inside this call. Of them only on_done may start a
// further request: libcurl takes none while it hands over data.
int http_client_start(struct http_client *client, const struct http_request *request,
                      const struct http_handler *handler, void *context, http_id *ret_id,
                      struct error *err);

// No callback of this request comes after this; may be called from inside one of them.
void http_client_cancel(struct http_client *client, http_id id);
