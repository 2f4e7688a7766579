#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "llm/chat.h"

/*
 * What a call costs, and what it can cost at most. Money is int64_t in picodollars (10^-12 USD),
 * see codec/money.h; -1 is "not known" everywhere.
 */

struct router_price {
    int64_t input_pico;       // per prompt token; -1: the price is not known
    int64_t output_pico;      // per completion token; -1: the price is not known
    int64_t cache_read_pico;  // per prompt token found in a cache; -1: as input
    int64_t cache_write_pico; // per prompt token put into a cache; -1: as input
    int64_t reasoning_pico;   // per reasoning token; -1: as output
    int64_t request_pico;     // per call; -1: nothing
    int64_t image_pico;       // per image sent; -1: nothing, its tokens are all that counts
};

#define ROUTER_PRICE_UNKNOWN ((struct router_price){-1, -1, -1, -1, -1, -1, -1})

// What is known of a call before it is made.
struct router_size {
    int64_t body_bytes;        // of the request, as it is sent
    int64_t n;                 // answers wanted (the larger of n and best_of); -1 or 0 as 1
    int64_t images;            // image parts of any kind; -1 as 0
    int64_t remote_parts;      // files, videos that the provider fetches by itself; -1 as 0
    int64_t max_tokens;        // that the request allows each answer; 0: no output (embeddings)
    int64_t max_output_tokens; // that the model can write at most
    int64_t max_input_tokens;  // that the model can read at most
};

// How far the tokens of a prompt can exceed the bytes of its request.
enum {
    ROUTER_HIDDEN_TOKENS = 600,  // what a provider adds unseen: instructions for tools, templates
    ROUTER_IMAGE_TOKENS = 48169, // the costliest image known: 8 tiles of 5667 and 2833
};

// Are both prices per token known, or the one for output with 0 of them to come?
bool router_price_known(const struct router_price *price);

// In pico, with so many images in the request; -1 when the provider said no cost and too little
// usage, or a price that matters is not known. A count of which nothing was said costs nothing only
// where its price is 0. Saturates.
int64_t router_price_cost(const struct router_price *price, const struct chat_usage *usage,
                          int64_t images);

// An upper bound of what the call can cost, in pico; -1 when there is none: no price, no bound on
// the output (neither by the request nor by the model), or something of unknown size is read.
int64_t router_price_bound(const struct router_price *price, const struct router_size *size);

// The largest max_tokens with which the bound stays within `money_pico`, and not more than the
// request and the model allow. 0: not even one token, or no bound can be known. INT64_MAX: output
// costs nothing and nothing else limits it.
int64_t router_price_affordable_tokens(const struct router_price *price,
                                       const struct router_size *size, int64_t money_pico);
