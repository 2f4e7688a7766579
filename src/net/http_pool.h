#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/span.h"
#include "loop/loop.h"

/*
 * Connections, and the servers that they lead to. One that is idle stays watched, so that the
 * server's end of it is seen when it comes, and is taken again last in, first out: what is not
 * needed any more grows old at the other end of the list.
 */
struct dial;

enum {
    HTTP_IDLE_MAX = 256,          // connections, whomever they lead to
    HTTP_IDLE_FEW = 8,            // which may stay
    HTTP_IDLE_FEW_MS = 25 * 1000, // for so long: proxies and servers close after 30 s and more
    HTTP_IDLE_MANY_MS = 1000,     // the others: the next one of a busy moment comes at once
    HTTP_ORIGINS_MAX = 64,        // servers that are remembered while nobody talks to them
};

struct http_origin {  // scheme, host and port
    struct list link; // http_pool::origins, newest first
    char *prefix;     // of a URL, up to the path
    size_t prefix_len;
    char *host;      // without brackets
    char *authority; // for messages and the Host field
    bool secure;
    uint16_t port;
    unsigned users; // connections and transfers
};

struct http_wire {
    struct list link; // http_pool::idle
    struct http_pool *pool;
    struct http_origin *origin; // NULL: a Unix socket, never kept
    struct dial *dial;
    int fd; // the dial's
    loop_id watch;
    unsigned events; // what is watched for
    bool secure;
    bool used;      // an answer has come over it
    bool long_poll; // kept for requests of that kind
    void *transfer; // NULL: idle
    int64_t idle_since_ms;
};

struct http_pool {
    struct loop *loop;
    struct list origins;
    unsigned origin_count;
    struct list idle; // connections, oldest first
    unsigned idle_count;
    loop_watch_fn *on_busy; // events of connections that are not idle; context: the connection
};

void http_pool_init(struct http_pool *pool, struct loop *loop, loop_watch_fn *on_busy);
void http_pool_finish(struct http_pool *pool); // no connection may be busy

// Whom `url` names, and what is asked for there (from the path on, "" included). NULL when it is no
// URL that url_parse() takes. To be released.
struct http_origin *http_origin_of(struct http_pool *pool, struct span url, struct span *ret_rest);
void http_origin_release(struct http_pool *pool, struct http_origin *origin); // accepts NULL

// Owns the dial, which is connected; holds the origin on its own.
struct http_wire *http_wire_create(struct http_pool *pool, struct http_origin *origin,
                                   struct dial *dial);
void http_wire_destroy(struct http_wire *connection); // accepts NULL

void http_wire_watch(struct http_wire *connection, unsigned events); // 0: not at all

// The youngest idle one of this kind, or NULL.
struct http_wire *http_pool_take(struct http_pool *pool, struct http_origin *origin,
                                 bool long_poll);
void http_pool_keep(struct http_pool *pool, struct http_wire *connection);

// Closes what has been idle for too long. When to look again, or INT64_MAX.
int64_t http_pool_expire(struct http_pool *pool, int64_t now_ms);
