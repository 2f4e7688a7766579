#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

/*
 * One text under a name, for what must be known after a restart and has no table of its own. It is
 * written in the transaction of what it belongs to (see struct store_turn_step), or by itself.
 */
enum {
    STORE_FACT_MAX = 1024,            // bytes of a name, and of a text that belongs to a turn
    STORE_FACT_LONG_MAX = 256 * 1024, // bytes of one that is written by itself
};

// Synchronous; appends the text. STORE_NOT_FOUND; -EAGAIN until the store is ready.
int store_read_fact(struct store *store, struct span name, struct buf *ret_text, struct error *err);

// Sets it. The number of the job; -E2BIG, or as every job fails. `done` may be NULL.
int64_t store_write_fact(struct store *store, struct span name, struct span text,
                         enum store_durability durability, store_done_fn *done, void *context,
                         struct error *err);

// Private to store/: the same within a transaction, on the store's thread.
struct sqlite3;
int store_fact_set(struct sqlite3 *db, struct span name, struct span text, struct error *err);
