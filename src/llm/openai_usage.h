#pragma once

#include "codec/json.h"
#include "llm/chat.h"

/*
 * The `usage` object of an answer or a chunk. What it does not say, or says in a way that cannot
 * be, stays as it is in *usage.
 */
void openai_read_usage(struct json_value object, struct chat_usage *usage);
