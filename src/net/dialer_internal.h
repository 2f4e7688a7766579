#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "net/dialer.h"
#include "net/tls_peer.h"

// What the files of the dialer share: dialer.c drives libcurl's multi handle and decides when a
// dial may begin, dial.c makes one connection, dialer_failure.c says why there is none. Of the
// others only the files of websocket.h include this, whose frames libcurl reads and writes.

struct dialer {
    struct loop *loop;
    struct trust *trust; // borrowed
    void *multi;         // CURLM *
    loop_id timer;       // libcurl's
    struct list lookups; // that run
    struct list over;    // lookups whose followers have not been told
    struct list queue;   // dials that wait for a place
    loop_id deferred;
    loop_timer_fn *on_resolved; // lets those begin that waited for a name
};

struct lookup {
    struct list link;      // dialer.lookups, then dialer.over
    struct list followers; // dials that want the same name
    char *name;
    uint16_t port;
    struct dial *leader; // that libcurl resolves for, as long as it runs
    bool failed;         // there is no such name
};

struct dial {
    struct list link; // dialer.queue or lookup.followers
    struct dialer *dialer;
    struct dial_target target;
    dial_fn *fn; // NULL: an orphan, which is closed but for its lookup
    void *context;
    struct lookup *lookup; // that it leads
    const char *name;      // that is to be looked up; NULL: none, or no more
    uint16_t port;         // that belongs to it
    bool resolves_late;    // the name is the server's, and the proxy's comes first
    void *easy;            // CURL *
    void *headers;         // struct curl_slist *
    int fd;                // libcurl's; before it is connected, the last that was opened
    const void *ssl;       // mbedtls_ssl_context *, where it is secure and was read from
    int socket_errno;      // why no socket could be had, or 0
    struct error *guarded; // the first address that the guard refused; NULL: none
    struct tls_peer proxy_peer, server_peer;
    struct tls_peer *peer;  // whose handshake began last; NULL: none did
    bool proxy_answered;    // to CONNECT
    bool proxy_speaks_http; // and in HTTP
    bool blocked;           // a record is half sent
    int broken;             // what broke the connection, -errno; 0: nothing
};

// dial.c
void dial_start(struct dial *dial);
void dial_connected(struct dial *dial);
// Calls `fn`, at the end: afterwards the dial may be gone.
void dial_fail(struct dial *dial, int curl_code);
void dial_free(struct dial *dial);
// After CURLE_AGAIN: whether libcurl is to be asked again at once. *tries is 0 at first.
bool dial_hides_more(struct dial *dial, unsigned *tries);

// dialer_failure.c
enum http_failure dial_describe(const struct dial *dial, int curl_code, struct error *err);
