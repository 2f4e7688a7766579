#pragma once

#include "base/span.h"
#include "config/schema.h"

// The key that was probably meant by an unknown `key`: one of its siblings under the same section
// that is spelled like it, or one of that very name in another section. The caller's; NULL: none.
char *config_nearest_key(const struct config_schema *schema, struct span key);
