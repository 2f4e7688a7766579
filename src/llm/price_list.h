#pragma once

#include "base/error.h"
#include "base/span.h"

/*
 * The list of models that OpenRouter publishes with their prices (GET .../models), read as it
 * comes: one model after the other is handed out, and what is kept of the text is never more than
 * the model that has not ended. A list that turns out to be broken has then been handed out in
 * part, so nothing of it counts until price_list_end() says so.
 */
enum {
    PRICE_LIST_BYTES_MAX = 16 << 20,  // of a list; it is about half a MiB
    PRICE_LIST_MODEL_MAX = 256 << 10, // bytes of one model; what is longer is left out
    PRICE_LIST_NAME_MAX = 200,        // bytes of a model's name; likewise
};

enum price_list_item {
    PRICE_LIST_PROMPT, // per token, as the next four
    PRICE_LIST_COMPLETION,
    PRICE_LIST_CACHE_READ,
    PRICE_LIST_CACHE_WRITE,
    PRICE_LIST_REASONING,
    PRICE_LIST_REQUEST,          // per call
    PRICE_LIST_IMAGE,            // per image
    PRICE_LIST_CACHE_WRITE_HOUR, // per token, into a cache that lasts longer
    PRICE_LIST_IMAGE_TOKEN,      // what follows is for what is not words
    PRICE_LIST_IMAGE_OUTPUT,
    PRICE_LIST_AUDIO,
    PRICE_LIST_AUDIO_OUTPUT,
    PRICE_LIST_AUDIO_CACHE,
    PRICE_LIST_WEB_SEARCH,
    PRICE_LIST_ITEMS
};

// Dollars as text, not judged: absent is not said, "" what is no text and no number.
struct price_list_entry {
    struct span model;
    struct span prices[PRICE_LIST_ITEMS];
};

/*
 * A model, with its usual prices. It follows again for each further set of prices that it has under
 * some condition (a long prompt, an hour of the day), in which what is as usual is absent.
 */
typedef void price_list_fn(void *context, const struct price_list_entry *entry);

struct price_list;

struct price_list *price_list_create(price_list_fn *fn, void *context);
void price_list_destroy(struct price_list *list); // accepts NULL

// The next bytes, cut anywhere. -EBADMSG: this is no such list; -EMSGSIZE: it is too long.
int price_list_feed(struct price_list *list, struct span bytes, struct error *err);

// After the last: was it whole? -EBADMSG: no.
int price_list_end(const struct price_list *list, struct error *err);
