#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"

struct store;

// The chat of a channel that gets what was asked for nowhere in particular, as /sethome chose it:
// appends "CHAT\nTHREAD". STORE_NOT_FOUND; or as reads fail.
int home_channel_read(struct store *store, struct span channel, struct buf *out, struct error *err);
