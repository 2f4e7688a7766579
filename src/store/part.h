#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

/*
 * The bytes of images and sound that messages name (struct store_message: parts). They are a row of
 * their own, so that reading a conversation does not read them, and go with their session. Of each
 * the newest are kept: more than a model is shown, so that /undo finds some.
 */
enum { STORE_PARTS_KEPT = 16 };

struct store_part {
    struct span session;
    struct span id; // unique within it: a digest of the data
    struct span data;
};

// One that is there already becomes the newest. As of store_session_create().
int64_t store_part_add(struct store *store, const struct store_part *part,
                       enum store_durability durability, store_done_fn *done, void *context,
                       struct error *err);

// Appends the data. STORE_NOT_FOUND: it is not kept any more; -E2BIG: no room in `out`.
int store_read_part(struct store_view *view, struct span session, struct span id, struct buf *out,
                    struct error *err);
