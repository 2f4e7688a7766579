#pragma once

#include "config/option.h"

/*
 * The router's settings: LiteLLM's sections as they stand in its config.yaml, and our own beneath
 * `router`. plan.h makes of them what the router runs by.
 */
struct router_config {
    struct option_map router_settings, litellm_settings, general_settings; // by place
    const char *host;
    int64_t port;
    const char *master_key;  // LITELLM_MASTER_KEY; the file's general_settings.master_key is before
    struct option_map slots; // name -> model
    struct option_map auxiliary; // hermes-agent's, by place
    struct option_map budgets;
    const char *timezone, *unpriced, *oversized;
    struct option_list tool_types;
    bool strict_members;
    int64_t max_body, buffers; // bytes
    int64_t queue_timeout_ms, first_content_timeout_ms, keep_alive_ms;
    int64_t ledger_days;
};

extern const struct option router_options[];
extern const size_t router_option_count;
