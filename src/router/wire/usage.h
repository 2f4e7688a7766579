#pragma once

#include <stdint.h>

/*
 * What a provider said that a call used, by OpenAI's convention: cached and cache-write tokens are
 * among the prompt tokens, reasoning tokens among the completion tokens. Whoever translates from a
 * convention that counts them beside each other adds them up first. An operation without output
 * (embeddings) has 0 completion tokens, not -1.
 */
struct router_usage {
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t cached_tokens;
    int64_t cache_write_tokens;
    int64_t reasoning_tokens;
    int64_t cost_pico; // the provider's own figure; wins over any computation
    int64_t images;    // that were sent with the request; of no matter without a price per image
};

#define ROUTER_USAGE_UNKNOWN       \
    {                              \
        -1, -1, -1, -1, -1, -1, -1 \
    }
