#pragma once

#include "config/option.h"

// Settings of the tools that ask servers.
struct web_config {
    struct option_list allow; // hosts and networks
    bool proxied;
    const char *search_provider, *search_url, *search_key; // NULL: not set
    struct option_map endpoints;                           // see web_endpoint.h
};

extern const struct option web_options[];
extern const size_t web_option_count;

int web_search_check(const struct web_config *config, struct error *err); // of them

// What a table cannot say of them. 0 or -EINVAL with a sentence that names the key.
int web_config_check(const struct web_config *config, struct error *err);
