#pragma once

#include "config/option.h"

// Settings of tools, but for those that stand with what they are about (memory).
struct tools_config {
    struct option_list web_allow; // hosts and networks
    bool web_proxied;
    const char *search_provider, *search_url, *search_key; // NULL: not set
    struct option_map endpoints;                           // see web_endpoint.h
};

extern const struct option tools_options[];
extern const size_t tools_option_count;

int web_search_check(const struct tools_config *config, struct error *err); // of them

// What a table cannot say of them. 0 or -EINVAL with a sentence that names the key.
int tools_config_check(const struct tools_config *config, struct error *err);
