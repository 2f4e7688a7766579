#pragma once

#include <stddef.h>

#include "codec/json.h"

// How spending is shown, from the control socket's JSON; to standard output.
void cost_page_show(struct json_value costs, size_t columns);
void cost_page_csv(struct json_value costs); // RFC 4180
void cost_page_why(struct json_value call);
