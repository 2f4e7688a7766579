#pragma once

#include <stdbool.h>

#include "base/span.h"

struct http_exchange;

// Was the key shown: as "Authorization: Bearer ...", or in one of the headers that LiteLLM takes it
// from as well (`own_header` may be NULL)? Never when `key` is empty.
bool key_shown(const struct http_exchange *exchange, const char *own_header, struct span key);
