#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct store;

/*
 * One text under a name, for what must be known after a restart and has no table of its own. It is
 * written in the transaction of what it belongs to: see struct store_turn_step.
 */
enum { STORE_FACT_MAX = 1024 }; // bytes of a name, and of a text

// Synchronous; appends the text. STORE_NOT_FOUND; -EAGAIN until the store is ready.
int store_read_fact(struct store *store, struct span name, struct buf *ret_text, struct error *err);
