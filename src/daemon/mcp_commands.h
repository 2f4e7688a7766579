#pragma once

#include "agent/outside.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"

struct mcp_servers;

/*
 * /mcp, /reload-mcp and /reload of a conversation, by the servers that this process has. A login
 * takes two of them: one that shows the page, and one with the address to which that has led.
 */
struct mcp_commands {
    struct mcp_servers *servers; // borrowed
    struct list logins;          // that are waited for
    struct outside outside;      // for the dispatcher
    // /reload; NULL: this process has no such thing.
    int (*reload)(void *context, struct buf *ret_text, struct error *err);
    void *reload_context;
};

void mcp_commands_init(struct mcp_commands *commands, struct mcp_servers *servers);
