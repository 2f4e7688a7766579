#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "net/http_server.h"
#include "net/sse_stream.h"

/*
 * The HTTP server on a real loop with real sockets, for test_net_http_*.c. The clients are plain
 * non-blocking sockets in the same thread, so every test decides in which order the two ends move.
 *
 * /echo... answers with what it saw, /later after 30 ms; /hold never does, /stream begins. The last
 * three leave their exchange in `held`. /sse begins an event stream, /abort cuts.
 */
#define HEAD "Host: x\r\n"

enum {
    PATIENCE_MS = 10 * 1000,
    ANSWER_MAX = 8 * 1024 * 1024,
    EVENTS = 1000,
    GONE_MAX = 16,
};

struct world {
    struct loop *loop;
    struct http_server *server;
    unsigned requests, gone_count, drains;
    uint64_t held, gone[GONE_MAX];
    struct sse_stream sse;
    unsigned events_sent;
    size_t most_pending;
};

void reply_held(void *ctx);
void pump_events(struct world *w);
struct world *world_create(struct http_server_options options);
void world_destroy(struct world *w);
int64_t now_ms(void);
int client_open(struct world *w);
void client_send(struct world *w, int fd, const char *data, size_t len);
void client_text(struct world *w, int fd, const char *text);
// Reads what is there: 1 more may come, 0 end of file, negative errno (a reset).
int client_read(int fd, struct buf *into, size_t most);
// Until `text` came `times` times, or (NULL) until the connection is closed; returns how it ended.
int client_await(struct world *w, int fd, struct buf *into, const char *text, int times);
void pass_ms(struct world *w, int64_t ms);
void until_count(struct world *w, const unsigned *count, unsigned value);
// Until the server holds no connection.
void until_idle(struct world *w);
