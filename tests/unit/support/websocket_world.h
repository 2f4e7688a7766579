#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "net/websocket.h"

/*
 * WebSockets against websocket_servers.py: a real server, one that misbehaves, and proxies. A
 * session keeps what came, as one text: a line for each message.
 */
enum { SOCKET_PATIENCE_MS = 20 * 1000, SOCKET_LOG_MAX = 16 << 20 };

struct socket_world {
    struct loop *loop;
    struct trust *trust;
    struct http_client *client;
};

enum socket_place { AT_NONE, AT_OPEN, AT_MESSAGE, AT_ROOM, AT_CLOSE };

struct session {
    struct socket_world *world;
    struct websocket *ws;
    enum socket_place destroy_at;
    unsigned opens, messages, rooms, closes;
    size_t last_len;     // bytes of the last message
    struct buf log;      // "text:hello\n", "binary:..." with those that are long cut short
    struct buf last;     // the last message
    struct buf protocol; // that the server chose
    bool gone;           // destroyed: nothing may come any more
    enum http_failure failure;
    int status;
    uint16_t code;
    struct buf reason, sentence;
};

#define SESSION_AUTO CLEANUP(session_finish) struct session

int socket_set_up(void **state); // of a group
int socket_tear_down(void **state);

const char *socket_url(bool secure, const char *path); // valid until the next call
// "http_proxy" or "https_proxy", for the client that takes the place of the world's; NULL: none.
void socket_use_proxy(struct socket_world *world, const char *variable, bool secure_proxy);
const char *socket_proxy_heads(void); // what the proxies were asked, until now
// What the server says that the client did last, on a connection for this path.
const char *socket_server_said(const char *path);

struct session session_of(struct socket_world *world);
void session_finish(struct session *session);
int session_try(struct session *session, struct websocket_request request); // websocket_open()
void session_begin(struct session *session, const char *url);
void session_until(struct session *session, const unsigned *count, unsigned value);
void session_end(struct session *session); // waits for on_close
void socket_pass_ms(struct socket_world *world, int ms);
int64_t socket_clock_ms(void);
