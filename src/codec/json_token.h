#pragma once

#include "codec/json.h"

// Shared by json.c, which builds the tokens, and json_value.c, which reads them.

struct json_token {
    uint32_t start, len; // bytes of the text
    uint32_t next;       // index of the token behind this one and all that it holds
    uint32_t count : 27; // members or elements
    uint32_t type : 4;   // enum json_type
    uint32_t plain : 1;  // a string of ASCII without escapes: its bytes are its text
};

_Static_assert(JSON_TOKENS_MAX < 1 << 27, "the count of an array must fit its field");
