#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "base/list.h"
#include "loop/loop.h"
#include "net/http_chunked.h"
#include "net/http_parse.h"
#include "net/http_server.h"

// What the files of the HTTP server share. Nobody else includes this.

// One accepted socket. Between two requests it owns no other memory.
struct http_connection {
    struct http_server *server;
    struct http_exchange *exchange; // NULL between two requests
    loop_id watch;
    int64_t deadline_ms; // of what is waited for
    struct list all;     // http_server.all
    struct list waiting; // http_server.waiting, while the client owes us something
    struct list todo;    // http_server.todo
    struct http_parse parse;
    struct buf input;   // a head that is not whole, or requests that came too early
    uint64_t discarded; // bytes that were read and thrown away
    size_t progress;    // bytes of a body since its deadline was set
    size_t counted;     // bytes of `input` that are in http_server.head_bytes
    int fd;
    unsigned watched; // the events that the loop was told
    bool busy;        // its own event is being handled: what it needs is seen to at the end of that
    bool held;        // more came before the answer was out; it stays in the kernel meanwhile
    bool blocked;     // the socket took less than there was
    bool lingering;   // the last answer is out, what still comes is thrown away
    bool closing;     // to be closed as soon as nobody is using it
    char peer[INET6_ADDRSTRLEN];
};

enum http_state {
    HTTP_RECEIVING, // the request is not whole yet
    HTTP_OPEN,      // the handler's turn
    HTTP_STREAMING, // the handler has begun an answer
    HTTP_DONE,      // the answer is ours to finish
};

struct http_exchange {
    struct http_server *server;
    struct http_connection *connection;
    uint64_t id; // 0: in nobody's hands
    enum http_state state;
    unsigned refusal; // status of a request that no handler will see
    bool is_1_0, keep_alive, is_chunked;
    bool is_head;     // an answer without its body
    bool half_closed; // the client sends no more, and may be reading
    uint8_t probes;   // that asked whether it does
    loop_id probe;    // the next one
    bool unread;      // it is answered before its body was read
    bool unwanted;    // the handler sees it, and not its body
    bool in_chunks;   // the answer
    bool chunk_begun; // its size is in `lead` or sent
    bool last_begun;  // the chunk that ends the answer is in `lead` or sent
    bool above_pause; // the producer was told to wait
    struct list open; // http_server.open
    uint64_t left;    // bytes of the body that Content-Length announced
    struct http_chunked chunks;
    struct buf body;
    struct buf headers; // of the answer, as they are sent
    struct buf lead;    // bytes that go out before the stream's: the head, chunk sizes
    struct buf stream;  // bytes for the client, the first `stream_sent` of them gone
    size_t stream_sent;
    size_t chunk_left; // bytes of the stream that belong to the chunk that has begun
    struct span method, target, path, fields; // of `text`
    char *decoded; // room for the decoded target, after the head in `text`
    size_t room;   // bytes of `text`
    char text[];   // the head as it came
};

struct http_server {
    struct loop *loop;
    struct http_server_options options; // defaults filled in
    int listen_fd;
    uint16_t port;
    bool is_unix;
    bool closing;
    loop_id listen_watch, run, timer;
    loop_id retry; // until it comes, the listening socket is not looked at
    unsigned connections, open_exchanges;
    size_t body_bytes;            // of all exchanges
    size_t head_bytes;            // that the inputs of all connections take
    struct list all;              // connections
    struct list waiting;          // connections, by deadline
    struct list todo;             // connections that are looked at at the end of this pass
    struct list open;             // exchanges in the handler's hands, by arrival
    struct http_exchange **slots; // by the low bits of the id
    uint16_t *free_slots;
    unsigned free_count;
    uint64_t next_serial;
    struct http_exchange *free_exchanges[16]; // see http_request.c
    unsigned free_exchange_count;
    int64_t date_until_ms; // monotonic
    char date[sizeof "Date: Sat, 21 Nov 2026 11:00:00 GMT\r\n"];
};

// http_listener.c
int http_listener_open(struct http_server *server, loop_watch_fn *fn, struct error *err);
void http_listener_rest(struct http_server *server);   // there is no room, for a while
void http_listener_resume(struct http_server *server); // there is

// http_connection.c
void http_connection_open(struct http_server *server, int fd, const struct sockaddr *peer);
void http_connection_close(struct http_connection *connection); // at once
void http_connection_await(struct http_connection *connection); // a deadline from now
void http_connection_reset(struct http_connection *connection); // so that it cannot look complete
void http_connection_touch(struct http_connection *connection); // it is looked at soon
void http_connection_expire(struct http_connection *connection);
bool http_connection_is_dispensable(const struct http_connection *connection);
// Sends what the socket takes and returns how much that was. Marks the connection blocked when it
// was not all, and closing when the client is lost.
size_t http_connection_send(struct http_connection *connection, struct iovec *parts, int count);
// The answer is out: the next request, or the end.
void http_connection_answered(struct http_connection *connection);

// http_request.c
// Uses what it can of the bytes that came; returns the rest, which is to be kept.
struct span http_request_take(struct http_connection *connection, struct span data);
// The same straight from the socket, for a body whose length is known.
void http_request_receive(struct http_connection *connection);
void http_request_send_continue(struct http_connection *connection);
// Of what was not whole in time (408), or is no request.
void http_request_refuse(struct http_connection *connection, unsigned status);
void http_exchange_free(struct http_exchange *exchange); // accepts NULL
void http_server_free_kept(struct http_server *server);

// http_answer.c
void http_answer_flush(struct http_connection *connection);
void http_answer_flush_ended(struct http_connection *connection); // only what no handler still has
void http_exchange_gone(struct http_exchange *exchange, bool reset); // cut, and the handler is told
