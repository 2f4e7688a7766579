#pragma once

#include "base/span.h"
#include "config/schema.h"

// Names that an unknown one is compared with.
struct names {
    char **array; // owned, and the names in it
    size_t count, capacity;
};
void names_add(struct names *names, struct span name);
const char *names_nearest(const struct names *names, struct span name); // NULL: none is near
void names_finish(struct names *names);

// The key that was probably meant by an unknown `key`: one of its siblings under the same section
// that is spelled like it, or one of that very name in another section. The caller's; NULL: none.
char *config_nearest_key(const struct config_schema *schema, struct span key);
