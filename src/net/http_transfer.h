#pragma once

#include "base/buf_pool.h"
#include "net/dialer.h"
#include "net/http_client.h"
#include "net/http_pool.h"
#include "net/http_proxy.h"
#include "net/http_response.h"
#include "net/unix_socket.h"

/*
 * What http_client.h promises, kept. Internal to net/. http_transfer.c is the state that all share;
 * on top of it http_client_send.c and http_client_receive.c are what happens on a connection, and
 * http_client.c begins transfers, finds connections for them and does what was put off.
 */
enum {
    HTTP_PIECE_MAX = 16 * 1024, // bytes that are read, and handed over, at once
    HTTP_PARTS_FEW = 8,         // of a body, that need no memory of their own
    HTTP_FREE_MAX = 16,         // transfers whose memory is kept
    HTTP_INTERIM_MAX = 32,      // informational heads before the final one
    HTTP_SLOT_BITS = 16,        // of an id
    HTTP_TRANSFERS_MAX = 1 << HTTP_SLOT_BITS,
};

struct http_client {
    struct loop *loop;
    struct dialer *dialer;
    struct http_proxies proxies;
    struct http_pool pool;
    struct list transfers;
    struct http_transfer **slots; // by number: the low bits of an id
    size_t slot_count, slot_capacity;
    struct http_transfer *free_list[HTTP_FREE_MAX]; // zeroed
    size_t free_count;
    struct buf_pool heads;
    uint64_t last_serial;
    http_id ended; // last; and whether its request had gone out
    bool ended_was_sent;
    int64_t *repeats; // a counter's slot, or NULL
    loop_id timer, deferred;
    struct list put_off;        // transfers, until
    loop_timer_fn *on_deferred; // is called
    char piece[HTTP_PIECE_MAX]; // what is being read, by whomever it is for
};

enum http_transfer_state {
    HTTP_DIALING,
    HTTP_EXCHANGING,
    HTTP_FAILED, // to be ended in a deferred call
};

struct http_transfer {
    struct list link;     // http_client::transfers
    struct list deferred; // http_client::put_off
    struct http_client *client;
    http_id id;
    enum http_transfer_state state;
    struct http_handler handler;
    void *context;
    struct http_timeouts timeouts;
    int64_t start_ms, active_ms; // the last piece, or the end of a pause
    int64_t connect_ms;          // since when this connection is looked for
    bool once, long_poll, idempotent, cancelled, paused, in_callback;

    struct http_origin *origin;        // NULL only with HTTP_FAILED
    const struct http_proxy *proxy;    // NULL: none
    const struct address_guard *guard; // NULL: none, or its host is granted
    bool over_unix;
    struct unix_socket_address socket;
    struct dial *dial; // while HTTP_DIALING
    struct http_wire *connection;
    bool fresh; // no kept connection for this one: the last was stale

    struct buf head;    // of the request, and a body that was copied
    struct span *parts; // owned, or
    struct span parts_few[HTTP_PARTS_FEW];
    size_t part_count;
    size_t part_at, part_offset; // what is sent next; part 0 is `head`
    bool sent, send_failed;      // all of it left this process, TLS's part of it too
    struct http_file file;       // in the place of
    size_t file_part;            // this part, whose span is what was read last; 0: none
    size_t file_read;            // bytes
    char *file_piece;            // owned
    unsigned file_pieces;        // read in the present event
    unsigned file_waits;         // for the disk, in a row, and
    loop_id file_timer;          // the present one

    struct http_response response;
    struct buf kept;  // of a head that has not come whole, or a body that nobody wants yet
    unsigned interim; // informational heads
    bool heard, head_told, body_seen;

    enum http_failure failure; // with HTTP_FAILED
    struct error *err;
};

/* Between the files. "Gone" means that the transfer was ended and its memory freed. */

// http_transfer.c

// Ends it: on_done, with how it failed if it did. The connection is kept when `keep`.
void http_transfer_end(struct http_transfer *transfer, bool keep);
void http_transfer_destroy(struct http_transfer *transfer);        // without a callback
void http_transfer_look_at_limits(struct http_transfer *transfer); // one has changed
// The proxy that takes this request instead of its server, whole (RFC 9112 §3.2.2); NULL: none.
const struct http_proxy *http_transfer_forwarder(const struct http_transfer *transfer);
// Neither takes a connection that is kept, nor leaves one.
bool http_transfer_is_alone(const struct http_transfer *transfer);
void http_client_free_kept(struct http_client *client);

// In a deferred call, from wherever it is: it is received on; it ends; and the request goes out on
// a new connection, because the kept one broke before an answer. The last happens once at most: the
// new one was never used.
void http_transfer_put_off(struct http_transfer *transfer);
void http_transfer_fail(struct http_transfer *transfer, enum http_failure failure, int code,
                        const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void http_transfer_repeat(struct http_transfer *transfer);

// http_client_send.c
int http_transfer_compose(struct http_transfer *transfer, const struct http_request *request,
                          struct span target, struct error *err);
void http_transfer_send(struct http_transfer *transfer); // as much as goes

// http_client_receive.c; it may be gone afterwards
void http_transfer_receive(struct http_transfer *transfer);
void http_transfer_resume(struct http_transfer *transfer);
