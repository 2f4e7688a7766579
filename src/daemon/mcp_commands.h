#pragma once

#include "agent/outside.h"
#include "base/list.h"

struct mcp_servers;

/*
 * /mcp and /reload-mcp of a conversation, by the servers that this process has. A login takes two
 * of them: one that shows the page, and one with the address to which that has led.
 */
struct mcp_commands {
    struct mcp_servers *servers; // borrowed
    struct list logins;          // that are waited for
    struct outside outside;      // for the dispatcher
};

void mcp_commands_init(struct mcp_commands *commands, struct mcp_servers *servers);
