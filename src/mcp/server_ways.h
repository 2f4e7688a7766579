#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct http_exchange;
struct http_server;
struct mcp_server;

/*
 * The standard streams, once for each server. `on_end` comes when the client has closed `in` and
 * all that it asked is answered, or when it no longer reads. The descriptors are borrowed.
 */
int mcp_server_open_stdio(struct mcp_server *server, int in, int out, void (*on_end)(void *context),
                          void *context, struct error *err);

/*
 * Takes over an exchange of Streamable HTTP: POST, and of legacy clients GET and DELETE. Whether
 * its sender may ask at all has been decided before. A page that some browser shows must not reach
 * a server of its reader's network by a name of its own; so Host is an address, localhost or one
 * of `hosts`, and an Origin the same or Host's.
 */
struct mcp_http_rules {
    const char *const *hosts; // names besides; host_count of them
    size_t host_count;
    bool bridge; // the sender repeats somebody's messages without the headers that a client adds
};
void mcp_server_take(struct mcp_server *server, struct http_server *http,
                     struct http_exchange *exchange, const struct mcp_http_rules *rules);
void mcp_server_gone(struct mcp_server *server, struct http_server *http, uint64_t exchange);
// Before that server is destroyed: nothing goes to it any more.
void mcp_server_forget(struct mcp_server *server, struct http_server *http);
