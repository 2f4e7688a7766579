#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "daemon/app.h"
#include "daemon/command.h"
#include "daemon/page.h"

/*
 * Whoever has the MCP servers. A running hermes is asked over its socket; without one this process
 * is it, from the first question to the end: it connects the servers itself.
 */
struct mcp_owner {
    const struct arguments *arguments; // borrowed, as is the next
    const char *server;                // NULL: all
    bool connects;                     // them itself: else it is asked when they are connected
    struct app app;                    // while `here`
    bool here;
};

// What /mcp-servers/SERVER of serve/control.h answers; an absent body: GET.
int mcp_owner_ask(struct mcp_owner *owner, struct span body, struct buf *ret_body,
                  struct json *values, struct error *err);
void mcp_owner_finish(struct mcp_owner *owner);

// mcp_login.c: "hermes mcp login SERVER".
int mcp_login(const struct arguments *arguments, struct error *err);
