#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct http_exchange;
struct router_answer;

// What the router's clients say in headers; absent where they do not. Lives as the exchange does.
struct router_headers {
    struct span slot, session, job, priority; // x-hermes-...
    struct span call_id;                      // x-litellm-call-id
    struct span coding;                       // Content-Encoding, which nobody undoes here
    struct span origin;                       // of a page in a browser
};

void router_headers_read(const struct http_exchange *exchange, struct router_headers *ret_headers);

/*
 * For pages in browsers, as LiteLLM does it: any may ask, because it takes the key to be answered,
 * and no cookie counts here. True when it was but the question whether one may ask (a preflight,
 * which can show no key), and is answered. For others the headers of the answer are set.
 */
bool router_headers_welcome(struct http_exchange *exchange, const struct router_headers *headers);

// LiteLLM's response headers (x-litellm-..., llm_provider-...), and ours beside them.
void router_answer_headers(struct http_exchange *exchange, const struct router_answer *answer,
                           int64_t now_ms);
