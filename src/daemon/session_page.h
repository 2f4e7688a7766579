#pragma once

#include "codec/json.h"

// How sessions are shown, from the control socket's JSON; to standard output.
void session_page_list(struct json_value sessions, size_t columns);
void session_page_head(struct json_value session);
void session_page_show(struct json_value session);     // head and messages, for a terminal
void session_page_markdown(struct json_value session); // the same as a document
