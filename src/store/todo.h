#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

// What a session has to do: a list in an order, of steps that are named by ids.
struct store_todo {
    struct span id;
    struct span content, status; // absent in a change: as they are
    bool tainted;                // came of text that nobody vouches for
};

enum {
    STORE_TODOS_MAX = 200,            // of a session
    STORE_TODO_BYTES_MAX = 32 * 1024, // of all its ids and contents
};

struct store_todo_change {
    struct span session;
    const struct store_todo *todos;
    size_t count;
    bool replace;              // the whole list; otherwise only these, and the others stay
    struct span status_of_new; // of one that is new and says none
};

// `rows` (the whole list as it is now, in order) live during the call; result and err as for
// store_done_fn.
typedef void store_todo_fn(void *context, int result, const struct error *err,
                           const struct store_todo *rows, size_t count);

/*
 * Submits, durable; a change of nothing only reads. Returns as store_session_create() does.
 * -ENOENT: no such session; -EINVAL: one that is new has no content; -E2BIG: the list would be too
 * long. Then nothing is changed.
 */
int64_t store_todos_change(struct store *store, const struct store_todo_change *change,
                           store_todo_fn *found, void *context, struct error *err);
