#pragma once

#include <stdbool.h>

#include "base/span.h"

/*
 * Which image or sound bytes are, by how they begin: a server that says "text/html" of a PNG, or
 * "image/png" of a page, is not believed, since a model's server refuses a conversation for it.
 */
struct media_type {
    const char *name; // "image/png"
    bool is_image;    // else it is sound
};

const struct media_type *media_type_of(struct span bytes);   // NULL: none of those that are known
const struct media_type *media_type_named(struct span name); // the same
const char *media_type_word(const struct media_type *type);  // behind its "/"
