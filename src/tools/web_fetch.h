#pragma once

#include "codec/json.h"

// What web_fetch and web_extract take for their URLs: a string, or an array. Who judges a call must
// look at the same.
struct json_value web_fetch_urls(struct json_value arguments);
