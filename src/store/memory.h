#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

// Something to remember, found again by its words.
struct store_memory {
    int64_t id; // given by the store
    struct span content;
    bool tainted;
    int64_t created_ms;
};

enum {
    STORE_MEMORY_ROWS_MAX = 100,       // rows of one search
    STORE_MEMORY_BYTES_MAX = 32 << 10, // bytes of one memory
};

// Submits; the completion's rowid is the id. Returns as store_session_create() does; without
// content -EINVAL.
int64_t store_memory_add(struct store *store, const struct store_memory *memory,
                         enum store_durability durability, store_done_fn *done, void *context,
                         struct error *err);

// `rows` (best match first) live during the call; result and err as for store_done_fn.
typedef void store_memory_found_fn(void *context, int result, const struct error *err,
                                   const struct store_memory *rows, size_t count);

/*
 * Submits a search for any of the words in `text`, which is a person's or a model's and not query
 * syntax. Without a word in it: the newest. At most `limit` rows. Returns as above.
 */
int64_t store_memory_search(struct store *store, struct span text, int limit,
                            store_memory_found_fn *found, void *context, struct error *err);
