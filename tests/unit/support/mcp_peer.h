#pragma once

#include "base/buf.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "support/http_peer.h"

/*
 * A server for transports of MCP that answers what a test has laid down: for each method its
 * answers in their order, as they are on the wire. What is not laid down is answered with 500.
 */
enum mcp_then { THEN_CLOSE, THEN_KEEP, THEN_HOLD };

struct mcp_step {
    const char *method;
    const char *answer; // NULL: none
    enum mcp_then then;
    bool bytewise;     // each byte by itself
    const char *often; // behind it, again and again until nobody reads it; or NULL
    int wait_ms;       // before it
};

struct mcp_peer {
    struct loop *loop;
    struct http_client *client;
    struct http_peer *peer;
};

#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n\r\n"
// Which ends before its answer does, unlike the two above, whose end is that of the connection.
#define CUT_SSE_HEAD                                         \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
    "Content-Length: 100000\r\n\r\n"
#define ACCEPTED "HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\nAccepted"
#define ANSWER(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{}}"
#define ASK(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"x\"}"
#define NOTE "{\"jsonrpc\":\"2.0\",\"method\":\"note\"}"

int mcp_peer_set_up(void **state);
int mcp_peer_tear_down(void **state);
void mcp_peer_lay(struct mcp_peer *world, const struct mcp_step *steps, size_t count);
#define LAY(world, ...)                                     \
    mcp_peer_lay((world), (struct mcp_step[]){__VA_ARGS__}, \
                 sizeof((struct mcp_step[]){__VA_ARGS__}) / sizeof(struct mcp_step))
const char *mcp_peer_url(struct mcp_peer *world, const char *path); // until the next call
void mcp_peer_pass(struct mcp_peer *world, int ms);

// The request of that number, from 0, of a method: head and body; "" until it has come.
const char *mcp_peer_asked(const char *method, unsigned number);
int64_t mcp_peer_asked_ms(const char *method, unsigned number); // when
void mcp_peer_await(struct mcp_peer *world, const char *method, unsigned number);
