#pragma once

#include "base/error.h"
#include "llm/model_list.h"
#include "llm/options.h"
#include "llm/wire_format.h"

struct http_client;
struct loop;

/*
 * Which server a model's name means. A name of model_list means what stands there; any other what
 * model.provider says, of which "auto" takes the first that there is something to go by for:
 * model.base_url, an OpenRouter key, an OpenAI key or base URL, and else the offline model.
 */
struct endpoint {
    const struct wire_format *format; // that its server speaks; NULL: the offline model
    const char *provider;             // for people: "openrouter", "custom", ...
    const char *base_url;             // "" offline
    const char *path;         // that follows it where it ends before the protocol begins; or ""
    const char *api_key;      // "" is none
    const char *name;         // of the model, as it was asked for
    const char *model;        // as the server knows it
    const char *organization; // of OpenAI's header for it; NULL
    bool chosen;              // false: offline only because nothing was set
    bool listed;              // it stands in model_list,
    size_t deployment;        // at this place
};

// Strings are borrowed from `config`. The sentence in `err` says what to set.
int endpoint_choose(const struct llm_config *config, struct endpoint *ret_endpoint,
                    struct error *err);

// The same for another name than config->model, borrowed as well.
int endpoint_choose_model(const struct llm_config *config, const char *name,
                          struct endpoint *ret_endpoint, struct error *err);

// The meaning of an entry of model_list, whatever its name. The sentence says what it lacks.
int endpoint_of_deployment(const struct llm_config *config, const struct deployment *deployment,
                           struct endpoint *ret_endpoint, struct error *err);

// Does the vendor's server refuse max_tokens with this model, and want max_completion_tokens?
bool endpoint_wants_completion_bound(const char *provider, struct span model);

// Is it known of a model, as its server knows it, that nobody pays for it?
bool endpoint_is_free(const char *provider, const char *model);

// The base URL with its path; on the heap.
char *endpoint_url(const struct endpoint *endpoint);

// The headers that are sent along, but for the key: "Name: value" lines on the heap,
// NULL-terminated.
char **endpoint_headers(const struct endpoint *endpoint, const struct llm_config *config);
void endpoint_headers_free(char **headers); // accepts NULL
