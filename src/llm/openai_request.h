#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "llm/chat.h"

/*
 * The body of POST /chat/completions (OpenAI API reference, "Create chat completion"), with the
 * fields that every compatible server takes. -E2BIG when it does not fit into `out`.
 */
int openai_write_request(const struct chat_request *request, struct buf *out, struct error *err);
