#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "router/wire/request_scan.h"

// Things besides words that a request asks for: they cost money that no token counts.

// The owner's own word on that. Part of a plan, which owns it.
struct request_terms {
    const char *const *tool_types; // types of tools that cost tokens alone, besides the known ones
    size_t tool_type_count;
    bool strict_members; // a member that is not known here may cost money
};

enum { REQUEST_UNBOUNDED_SIZE = 256 }; // bytes of a sentence

/*
 * Is there a member, a tool or a part that can make the call dearer than its bytes, its max_tokens
 * and its price tell, or lead it to another model? `ret_sentence` (or NULL) then says which and
 * what to do about it, in REQUEST_UNBOUNDED_SIZE bytes: "plugins can make it cost more than its
 * price says: omit it".
 */
bool request_has_unbounded_cost(const struct request_scan *scan, const struct request_terms *terms,
                                char *ret_sentence);
