#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

// One text under a name, for what must be known after a restart and has no table of its own.
enum {
    STORE_KEY_MAX = 1024,         // bytes of a name
    STORE_VALUE_MAX = 256 * 1024, // bytes of a text
};

// Synchronous; appends the text. STORE_NOT_FOUND; -EAGAIN until the store is ready.
int store_read_key_value(struct store *store, struct span name, struct buf *ret_text,
                         struct error *err);

// Sets it. The number of the job; -E2BIG, or as every job fails. `done` may be NULL.
int64_t store_write_key_value(struct store *store, struct span name, struct span text,
                              enum store_durability durability, store_done_fn *done, void *context,
                              struct error *err);
