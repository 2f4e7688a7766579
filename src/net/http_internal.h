#pragma once

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "base/list.h"
#include "loop/loop.h"
#include "net/http_server.h"

// What the files of the HTTP server share. Nobody else includes this.

// One accepted socket.
struct http_connection {
    struct http_server *server;
    int fd;              // libmicrohttpd's
    loop_id departure;   // watches for the client leaving; kept from one exchange to the next
    int64_t deadline_ms; // when the request being waited for must be whole
    bool refused;        // it is not a user's who may speak: nothing it sent is read
    struct list waiting; // http_server.waiting, while it owes us a request
    struct http_exchange *exchange;
};

enum http_state {
    HTTP_RECEIVING, // the request is not whole yet
    HTTP_OPEN,      // the handler's turn
    HTTP_STREAMING, // the handler has begun an answer
    HTTP_DONE,      // the answer is ours to finish
    HTTP_CUT,       // the connection is to be closed, whatever was sent
};

struct http_exchange {
    struct http_server *server;
    struct http_connection *connection;
    struct MHD_Connection *mhd;
    uint64_t id;
    enum http_state state;
    bool head_seen;
    bool suspended; // libmicrohttpd leaves the connection alone until resumed
    bool queued;    // `response` was handed over
    bool flushed;   // see read_stream()
    bool above_half;
    unsigned refusal; // status of a request that no handler will see
    unsigned status;
    uint64_t discarded;   // bytes of a refused body
    struct list open;     // http_server.open
    struct list draining; // http_server.draining
    const char *method;   // libmicrohttpd's
    char *path;           // decoded; in the same allocation as `target`
    struct buf body;
    struct buf headers; // of the answer: name NUL value NUL ...
    struct MHD_Response *response;
    struct buf stream; // bytes for the client, the first `stream_sent` of them gone
    size_t stream_sent;
    char peer[INET6_ADDRSTRLEN];
    char target[];
};

struct http_server {
    struct loop *loop;
    struct http_server_options options; // defaults filled in
    struct MHD_Daemon *daemon;
    uint16_t port;
    bool is_unix;
    bool stopped, closing;
    loop_id epoll_watch, run, timer;
    int64_t timer_at_ms;
    unsigned connections, open_exchanges;
    size_t body_bytes;            // of all exchanges
    struct list waiting;          // connections, by deadline
    struct list open;             // exchanges in the handler's hands, by arrival
    struct list draining;         // exchanges whose producer is to be told
    struct http_exchange **slots; // by the low bits of the id
    uint16_t *free_slots;
    unsigned free_count;
    uint64_t next_serial;
};

// http_server.c
void http_server_kick(struct http_server *server); // runs libmicrohttpd at the end of this pass
void http_connection_await(struct http_connection *connection); // a deadline from now
void http_connection_watch(struct http_connection *connection); // until the client has left
void http_connection_reset(struct http_connection *connection); // so that it cannot look complete

// http_request.c: callbacks of libmicrohttpd, `ctx` is the server.
void *http_request_started(void *ctx, const char *target, struct MHD_Connection *mhd);
enum MHD_Result http_request_received(void *ctx, struct MHD_Connection *mhd, const char *url,
                                      const char *method, const char *version, const char *data,
                                      size_t *data_len, void **exchange);
void http_request_completed(void *ctx, struct MHD_Connection *mhd, void **exchange,
                            enum MHD_RequestTerminationCode how);

// http_answer.c
void http_exchange_gone(struct http_exchange *exchange);  // out of the handler's hands, told so
void http_exchange_leave(struct http_exchange *exchange); // the same, not told
enum MHD_Result http_answer_settle(struct http_exchange *exchange); // from within received()
