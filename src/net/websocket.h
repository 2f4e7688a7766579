#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "net/http_client.h"

/*
 * WebSocket (RFC 6455), the client's end. libcurl connects, asks for the upgrade and makes and
 * reads frames; messages are put together here. Names, trust and connections are those of an HTTP
 * client, and so are proxies: ws takes that of http_proxy and wss that of https_proxy, as libcurl
 * does where ws_proxy and wss_proxy, which are not read here, are not set. Every proxy tunnels,
 * also for ws (RFC 6455 §4.1).
 *
 * Redirects are refused, as any answer but 101; extensions are not offered. A length that is not
 * written in the shortest form (§5.2) is let through, because libcurl does; a frame that announces
 * more than WEBSOCKET_MESSAGE_MAX fails the connection with the first byte of its payload.
 */
enum {
    WEBSOCKET_MESSAGE_MAX = 4 << 20,  // bytes of one, in and out
    WEBSOCKET_QUEUE_MAX = 4 << 20,    // bytes that wait to be sent
    WEBSOCKET_QUEUE_FRAMES_MAX = 256, // that wait to be sent
    WEBSOCKET_REASON_MAX = 123,       // bytes of a close frame's (§5.5)
    WEBSOCKET_OPEN_MS = 30 * 1000,    // from the name to the server's 101, by default
    WEBSOCKET_CLOSE_MS = 2 * 1000,    // for the server's close frame, and again for its FIN
};

// Status codes of close frames (§7.4).
enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_NO_CODE = 1005,  // never sent: a close frame without one
    WEBSOCKET_ABNORMAL = 1006, // never sent: there was no close frame
    WEBSOCKET_NOT_UTF8 = 1007,
    WEBSOCKET_TOO_BIG = 1009,
};

struct websocket;

struct websocket_request {
    const char *url;            // ws or wss, without a fragment
    const char *const *headers; // "Name: value" lines; NULL-terminated, or NULL
    const char *protocols;      // subprotocols that are offered, "a, b"; NULL: none
    int64_t open_ms;            // how long it may take to open; 0: WEBSOCKET_OPEN_MS
    // How long it may be that no byte comes, or that none goes of those that wait to. After half of
    // it the server is sent a ping. 0: for ever.
    int64_t idle_ms;
};

struct websocket_end {
    // HTTP_OK: a close frame came. HTTP_CUT: the connection ended without one, the server broke the
    // protocol, or refused. The others as http_client.h says.
    enum http_failure failure;
    int status;         // of an answer that refuses, such as 403; 0: there was none
    uint16_t code;      // the server's or, where it broke the protocol, the one that it was sent
    struct span reason; // the server's, UTF-8
    const struct error *err; // a sentence, where it failed
};

// All from the loop, never from inside a call of this header. Each may destroy the WebSocket.
struct websocket_handler {
    void (*on_open)(void *context, const struct http_head *head); // the answer's; may be NULL
    // A whole one. Text is UTF-8.
    void (*on_message)(void *context, bool is_text, struct span message);
    void (*on_room)(void *context); // after -EAGAIN: the queue is empty; may be NULL
    // Last, exactly once. The connection is gone; websocket_destroy() is still to be called.
    void (*on_close)(void *context, const struct websocket_end *end);
};

// `client` is borrowed and must outlive it. Fails only on what the request says.
int websocket_open(struct http_client *client, const struct websocket_request *request,
                   const struct websocket_handler *handler, void *context,
                   struct websocket **ret_websocket, struct error *err);

// Accepts NULL. No callback comes after this; the server sees the connection end without a close
// frame where none was sent.
void websocket_destroy(struct websocket *websocket);

// 0: a copy is queued. -ENOTCONN: it is not open, or is being closed. -EMSGSIZE: it never fits.
// -EILSEQ: the text is not UTF-8. -EAGAIN: the queue is full; on_room says when to go on.
int websocket_send(struct websocket *websocket, bool is_text, struct span message);

// Behind what is queued; messages may still come until on_close. 0, -ENOTCONN, or -EINVAL: a code
// that nobody may send, or a reason too long or not UTF-8.
int websocket_close(struct websocket *websocket, uint16_t code, struct span reason);
