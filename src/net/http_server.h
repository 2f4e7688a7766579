#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

/*
 * HTTP/1.1 server on the loop. One request and its answer are an exchange. The handler gets it when
 * the whole request is there, and may answer at once or later; whoever waits keeps the exchange's
 * id and asks http_server_find() again after every wait, because the client may have left.
 *
 * A pointer to an exchange is good until the function that got it returns to the loop, or until it
 * is ended by http_exchange_reply(), _end() or _abort(): after one of these the exchange is the
 * server's, its id names nothing any more, and no callback mentions it again.
 */
struct buf_pool;
struct http_exchange;
struct http_server;
struct loop;

struct http_server_options {
    const char *address;      // numeric: "127.0.0.1", "::1", "::" (both families), or "unix:/path"
    uint16_t port;            // 0: any free one, see http_server_port()
    unsigned max_connections; // see below; 0: 256
    size_t max_body;          // bytes of a request body, beyond it 413; 0: 1 MiB
    size_t max_bodies;        // bytes of all bodies held together, beyond it 503; 0: 32 MiB
    size_t max_header;        // bytes of request line and headers; beyond it 431, 414; 0: 16 KiB
    size_t max_heads;         // bytes of all heads that are not whole, see below; 0: 4 MiB
    size_t max_pending;       // bytes of a streamed answer that wait for a slow reader; 0: 256 KiB
    size_t pause_at;          // of them, beyond which a producer should pause; 0: half of them
    int64_t idle_timeout_ms;  // see below; 0: 60 s
    struct buf_pool *bodies;  // borrowed; their memory, NULL: none is kept

    // Asked of every request when its head is there. False: on_request gets it without its body, of
    // which nothing is kept. NULL: all are wanted.
    bool (*wants_body)(void *ctx, const struct http_exchange *exchange);
    // The whole request is there. Called from the loop, never from inside another call below.
    void (*on_request)(void *ctx, struct http_exchange *exchange);
    // The client left (or stalled too long) before the answer was ended, or the server is being
    // destroyed. `id` already names nothing. May be NULL.
    void (*on_gone)(void *ctx, uint64_t id);
    // A streamed answer whose pending bytes were above pause_at is below half of that now.
    // May be NULL.
    void (*on_drain)(void *ctx, struct http_exchange *exchange);
    // The client of a streamed answer will send no more: it has left, or reads on. Write something
    // that a reader skips: one that left answers by a reset, and on_gone follows. NULL: it counts
    // as gone. Never called for a Unix socket, where nobody has to be asked.
    void (*on_half_closed)(void *ctx, struct http_exchange *exchange);
    // Tells a refusal that reaches no handler (see below) in the listener's own format: appends the
    // body, up to 4 KiB, and returns its content type, a literal. NULL: plain text.
    const char *(*write_refusal)(void *ctx, const struct http_exchange *exchange, unsigned status,
                                 const char *sentence, struct buf *body);
    void *ctx;
};

/*
 * "unix:/path" is a socket that is a file (net/unix_socket.h), for our own user and root; it has no
 * port, and who ends the server removes the file.
 *
 * idle_timeout_ms bounds four waits: for the first byte of the next request on a connection and
 * its request line together, for the rest of its head, for each 256 KiB of its body, however the
 * bytes drip in; and for a reader that takes nothing at all. It does not run while the handler
 * thinks. A client that shuts down its sending half is found out (see http_connection.c): one that
 * left is gone a round trip later, one that still reads gets its answer. HTTP/1.0 counts as gone.
 *
 * When max_connections are open, or no descriptor is to be had, the next client gets the place of
 * the one that waits longest between two requests, in a head (408), or in a request whose body is
 * not wanted, with the rest of it or with taking the answer; never of another request that is under
 * way. Without such a one it waits in the listen queue. Incomplete heads make room for each other.
 *
 * What is answered here and never reaches a handler: 400 for what is not well-formed or could be
 * read in two ways (RFC 9112: two lengths, a length beside chunks, a bare line feed, ...), 408,
 * 413, 414, 417, 431, 501 for CONNECT and for codings other than chunked, 503, 505. After those
 * that leave open where the next request begins the connection ends.
 */

// `loop` must outlive the server. Callbacks must not destroy the server.
int http_server_create(struct loop *loop, const struct http_server_options *options,
                       struct http_server **ret_server, struct error *err);

// Cuts every open exchange, in the order of their arrival (on_gone is called for each), closes all
// connections. Answers already ended are sent as far as the sockets take them without waiting.
void http_server_destroy(struct http_server *server); // accepts NULL

uint16_t http_server_port(const struct http_server *server);

// Stops accepting; what is open goes on. For an orderly end: stop, wait for 0 exchanges, destroy.
void http_server_stop_accepting(struct http_server *server);
unsigned http_server_open_exchanges(const struct http_server *server); // not yet ended
unsigned http_server_connections(const struct http_server *server);
unsigned http_server_at_work(const struct http_server *server); // of them must stay; walks over all

struct http_exchange *http_server_find(struct http_server *server, uint64_t id); // NULL: it is over

// The request. Spans live as long as the exchange is open. `name` of a header is matched without
// regard to case; an absent header or parameter is SPAN_ABSENT.
uint64_t http_exchange_id(const struct http_exchange *exchange); // never 0, never used twice
struct span http_exchange_method(const struct http_exchange *exchange);
struct span http_exchange_path(const struct http_exchange *exchange); // percent-decoded
struct span http_exchange_query(const struct http_exchange *exchange, const char *name); // decoded
struct span http_exchange_header(const struct http_exchange *exchange, const char *name);
struct span http_exchange_body(const struct http_exchange *exchange);
bool http_exchange_body_wanted(const struct http_exchange *exchange); // what wants_body() said
// Moves the body's memory to the caller, for whoever needs it beyond the exchange; `ret_body` must
// be empty. The body is empty afterwards and counts no more towards max_bodies.
void http_exchange_take_body(struct http_exchange *exchange, struct buf *ret_body);
struct span http_exchange_peer(
    const struct http_exchange *exchange); // "192.0.2.1" or "2001:db8::1"; absent: a file's
void http_exchange_each_header(const struct http_exchange *exchange,
                               void (*fn)(void *ctx, struct span name, struct span value),
                               void *ctx);

// Adds a header to the answer; before reply or begin. -EINVAL when name or value could split the
// answer (control characters, or a name that is not a token), or the header is the server's own
// (Content-Length, Transfer-Encoding, Connection, Date), -ENOBUFS past 8 KiB of headers.
int http_exchange_add_header(struct http_exchange *exchange, const char *name, const char *value);
// For a name that the program spells itself: only the value is looked at.
int http_exchange_add_own(struct http_exchange *exchange, struct span name, struct span value);

// The whole answer at once. The bytes are sent, or copied. `content_type` may be NULL; one that
// could split the answer is left out.
void http_exchange_reply(struct http_exchange *exchange, unsigned status, const char *content_type,
                         struct span body);
// The same, never copying: takes the buffer's memory and leaves it empty.
void http_exchange_reply_take(struct http_exchange *exchange, unsigned status,
                              const char *content_type, struct buf *body);
// Plain text, one sentence with a line feed: for errors where no listener's own format applies.
void http_exchange_reply_text(struct http_exchange *exchange, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// A streamed answer: begin, write as often as needed, end. The head goes out with what is written
// in the same pass of the loop, at the end of it; of the bytes of one pass one chunk is made.
void http_exchange_begin(struct http_exchange *exchange, unsigned status, const char *content_type);

// Takes the bytes and returns how many wait to be sent, so that a producer can pause and go on in
// on_drain. -ENOBUFS and nothing taken when max_pending would be passed: abort, or pause and retry.
ssize_t http_exchange_write(struct http_exchange *exchange, struct span data);
size_t http_exchange_pending(const struct http_exchange *exchange); // bytes not yet sent

// What was written goes out, then the answer is complete. Must follow begin.
void http_exchange_end(struct http_exchange *exchange);

// Cuts the connection by a reset, pending bytes included, so that no client takes the answer for
// complete. Also before begin.
void http_exchange_abort(struct http_exchange *exchange);
