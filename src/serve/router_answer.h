#pragma once

#include <stdint.h>

struct http_exchange;
struct router_answer;

// LiteLLM's response headers (x-litellm-..., llm_provider-...), and ours beside them.
void router_answer_headers(struct http_exchange *exchange, const struct router_answer *answer,
                           int64_t now_ms);
