#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

// A text as a list of borrowed spans, in order, that need not be joined. Neighbours are.
struct pieces {
    struct span *spans;
    size_t count, capacity;
    size_t bytes; // of all of them
    bool last;    // nothing follows, and these stay until the call has ended
};

void pieces_clear(struct pieces *pieces); // keeps the memory
void pieces_finish(struct pieces *pieces);
void pieces_add(struct pieces *pieces, struct span piece);
