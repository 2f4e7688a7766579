#include "mcp/options.h"

#include "base/mem.h"
#include "mcp/server_config.h"

const struct option mcp_options[] = {
    {.key = "mcp_servers",
     .type = OPTION_TREE,
     .offset = offsetof(struct mcp_config, servers),
     .choices = mcp_server_places,
     .flags = OPTION_NAMED,
     .help =
         "servers of the Model Context Protocol, by name: a command or a url, and its settings"},
    {.key = "mcp_discovery_timeout",
     .type = OPTION_DURATION,
     .offset = offsetof(struct mcp_config, discovery_ms),
     .fallback = "1.5s",
     .min = 0,
     .max = 60 * 1000,
     .help = "how long the first question waits for MCP servers whose tools are not known yet"},
};

const size_t mcp_option_count = ARRAY_LEN(mcp_options);
