#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "llm/endpoint.h"
#include "router/plan/price.h"

/*
 * What can be asked: a deployment is one entry of model_list, a group is all entries of one name.
 * Part of a plan (plan.h), which owns it all.
 */

#define ROUTER_NONE SIZE_MAX // no such group or deployment

struct router_deployment {
    size_t index, group;
    const char *id;                   // model_info.id, else a digest of what it is, without its key
    const char *trouble;              // NULL; else why it cannot be asked, as a sentence
    const struct wire_format *format; // NULL: the offline model is a deployment as well
    const char *provider;             // "openrouter", "openai", ...
    const char *litellm_name;         // as in the file: "openrouter/vendor/model:free"
    const char *model;                // upstream; may hold a "*", see router_plan_model()
    const char *base_url;             // with its path, without "/chat/completions"; "" offline
    const char *api_key;              // "": none
    const char *const *headers;       // "Name: value", NULL-terminated; none is not NULL
    const char *params;               // JSON object: members to be added where the client has none
    const char *mode;                 // "chat", "embedding", ...; NULL: not said
    int64_t order;                    // lower is asked first; 1 where it is not said
    int64_t weight_micro;             // millionths; 1000000 where it is not said; 0: last resort
    int64_t rpm, tpm, max_parallel;   // -1: no limit
    int64_t timeout_ms;               // of a whole answer, or between two events; always said
    int64_t first_byte_ms;            // until anything of an answer comes; -1: no limit of its own
    int64_t stream_timeout_ms;        // of a stream, instead of timeout_ms; -1: not said
    int64_t stream_total_ms;          // of a whole stream; -1: no limit
    int64_t cooldown_ms;              // -1: the plan's
    int64_t num_retries;              // -1: the plan's
    int64_t max_tokens;               // model_info: of an answer; -1: not known
    int64_t max_input_tokens;         // the context; -1: not known
    unsigned media;                   // model_info: what it takes, bits of enum chat_media
    struct router_price price;        // -1: not known
};

// One model_name. A wildcard's name holds one "*".
struct router_group {
    const char *name;
    bool wildcard;
    bool internal;         // the agent's alone: not in the list of models, and no client can ask it
    bool usable;           // some deployment of it has no trouble
    const size_t *members; // deployments, in the order of the file
    size_t count;
};

// The configuration does not say what it costs, and its provider does.
bool router_deployment_price_is_listed(const struct router_deployment *deployment);
