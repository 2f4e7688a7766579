#pragma once

#include "llm/wire_format.h"

// Puts a reply together from what a server sends, stream or not: the part of wire_openai_chat that
// reads (wire_format.h).
struct wire_reply *openai_reply_create(struct span content_type);
void openai_reply_destroy(struct wire_reply *wire);
size_t openai_reply_bytes(const struct wire_reply *wire);
int openai_reply_feed(struct wire_reply *wire, struct span bytes);
int openai_reply_end(struct wire_reply *wire, struct chat_reply *ret_reply);
