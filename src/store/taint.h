#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

// What was written with text in mind that nobody vouches for, by its name, so that whoever reads it
// later knows.
enum store_taint_kind {
    STORE_TAINT_FILE,   // of the workspace: its path, or a directory's with "/" behind it
    STORE_TAINT_MEMORY, // an entry of the memory files: its text
    STORE_TAINT_HANDLE, // of kept output, of a command in the background
};

// Of each kind. When there would be more, the empty name stands for all of that kind.
enum { STORE_TAINTS_MAX = STORE_READ_ROWS_MAX };

struct store_taint {
    enum store_taint_kind kind;
    struct span name;
};

struct store_taint_change {
    const struct store_taint *taints;
    size_t count;
    bool remove;     // somebody wrote it anew
    struct span why; // "tainted by web_fetch of call 3"
    int64_t now_ms;
};

// Submits, durable. Returns as store_session_create() does.
int64_t store_taint_change(struct store *store, const struct store_taint_change *change,
                           store_done_fn *done, void *context, struct error *err);

// Synchronous. False stops the reading.
typedef bool store_taint_fn(void *context, struct span name);
int store_read_taints(struct store_view *view, enum store_taint_kind kind, store_taint_fn *row,
                      void *context, struct error *err);
