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
};

const size_t mcp_option_count = ARRAY_LEN(mcp_options);
