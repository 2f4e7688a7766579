#pragma once

#include "base/error.h"
#include "llm/options.h"
#include "llm/provider.h"

struct http_client;
struct loop;

/*
 * Which provider the settings mean. "auto" takes the first that there is something to go by for:
 * model.base_url, an OpenRouter key, an OpenAI key or base URL, and else the offline model.
 */
enum endpoint_kind { ENDPOINT_OFFLINE, ENDPOINT_OPENAI };

struct endpoint {
    enum endpoint_kind kind;
    const char *provider; // for people: "openrouter", "custom", ...
    const char *base_url; // "" offline
    const char *api_key;  // "" is none
    const char *model;
    bool chosen; // false: offline only because nothing was set
};

// Strings are borrowed from `config`. The sentence in `err` says what to set.
int endpoint_choose(const struct llm_config *config, struct endpoint *ret_endpoint,
                    struct error *err);

int endpoint_open(const struct endpoint *endpoint, const struct llm_config *config,
                  struct loop *loop, struct http_client *http, struct chat_provider **ret_provider,
                  struct error *err);
