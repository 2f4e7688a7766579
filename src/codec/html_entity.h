#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

// Decodes a character reference at the beginning of `text` ("&amp;", "&#8364;", "&#x20ac;") and
// returns its bytes, 0 where there is none. In an attribute a name wants its semicolon, since
// "?a=1&copy=2" means no copyright.
size_t html_entity(struct span text, bool in_attribute, uint32_t *ret_rune);
