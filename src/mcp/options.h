#pragma once

#include "config/option.h"

// `mcp_servers`: a mapping of names, each as mcp/server_config.h reads it.
struct mcp_config {
    struct option_map servers;
    int64_t discovery_ms;
};

extern const struct option mcp_options[];
extern const size_t mcp_option_count;
