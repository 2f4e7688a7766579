#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"
#include "net/http_client.h"

struct address_guard;
struct http_proxy;
struct loop;
struct trust;

/*
 * Outbound connections, made by libcurl (CURLOPT_CONNECT_ONLY on a multi handle): names, addresses
 * of both families side by side (RFC 8305), proxies, TLS and its sessions. What goes over them is
 * somebody else's: http_client.h has an HTTP/1.1 of its own, websocket.h lets libcurl speak.
 *
 * A name server that never answers delays nobody but those who ask for its names: libcurl resolves
 * on threads, and here it is seen to that a name is looked up once for all who want it meanwhile,
 * and that no more than DIALER_LOOKUPS_MAX threads look for names.
 */
enum {
    DIALER_LOOKUPS_MAX = 32,  // names at a time, those that nobody waits for any more included
    DIALER_NAMES_KEPT_S = 10, // seconds; a server that has moved is found again after that
};

struct dialer;
struct dial; // a connection, from the first attempt to its end

struct dial_target {
    const char *host;      // a name, or an address in figures without brackets
    const char *authority; // host and port, for messages
    uint16_t port;
    bool secure;                       // TLS with `host`
    const struct http_proxy *proxy;    // that tunnels; NULL: none
    bool is_proxy;                     // `host` itself is one: for messages
    const char *unix_socket;           // a path that fits a socket's address; NULL: none
    const struct address_guard *guard; // of the addresses that are connected to; NULL: any
    int64_t timeout_ms;                // how long the addresses may take together
    // Gets the CURL * before it starts, with the context of `fn`: libcurl then speaks as well, and
    // `fn` hears of it when it has done so. NULL: it connects and no more.
    void (*prepare)(void *context, void *easy);
};

// From the loop, once: HTTP_OK, or why there is no connection.
typedef void dial_fn(void *context, enum http_failure failure, const struct error *err);

int dialer_create(struct loop *loop, struct trust *trust, struct dialer **ret_dialer,
                  struct error *err);       // `trust` borrowed; NULL: no TLS
void dialer_destroy(struct dialer *dialer); // accepts NULL; every dial was closed

// What `target` points at must stay until `fn` is called or the dial closed; its proxy until that.
struct dial *dialer_dial(struct dialer *dialer, const struct dial_target *target, dial_fn *fn,
                         void *context);
void dial_close(struct dial *dial); // accepts NULL; `fn` is not called any more
bool dial_is_resolving(const struct dial *dial);

/* Once it is connected. Whoever watches the socket takes its watch away before dial_close(). */

int dial_fd(const struct dial *dial);
bool dial_is_secure(const struct dial *dial);

// Bytes read; 0 at the end, which TLS announces; -EAGAIN; -ECONNABORTED at an end that TLS should
// have announced; another negative when the connection broke. An edge of the socket may stand for
// more than one read: read until -EAGAIN.
ssize_t dial_receive(struct dial *dial, char *data, size_t size);

// Only where it is secure: bytes taken over. After -EAGAIN the same bytes must be given again.
ssize_t dial_send(struct dial *dial, struct span data);
