#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/*
 * An HTTP server of raw sockets on 127.0.0.1 that answers whatever a test says, byte by byte: what
 * a real one would never send, and when it never would. A thread for each connection, so an answer
 * may take its time.
 */
struct http_peer;

enum { HTTP_PEER_REQUEST_MAX = 4 << 20, HTTP_PEER_CONNECTIONS_MAX = 256 };

// Answers one request (head and body) on `fd`. True when another may follow on the connection.
typedef bool http_peer_fn(void *context, int fd, struct span request);

struct http_peer *http_peer_create(http_peer_fn *answer, void *context);
void http_peer_destroy(struct http_peer *peer); // cuts all connections and ends their threads
unsigned http_peer_port(const struct http_peer *peer);
unsigned http_peer_connections(const struct http_peer *peer); // accepted until now
unsigned http_peer_open(const struct http_peer *peer);        // that the client has not closed
unsigned http_peer_requests(const struct http_peer *peer);

// For the answering function.
bool http_peer_send(int fd, const char *text); // false when the client is gone
void http_peer_pause(int ms);
void http_peer_hold(int fd);  // until the client closes, or the peer is destroyed
void http_peer_reset(int fd); // the connection will end with a reset rather than an end of file
