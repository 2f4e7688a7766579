#pragma once

#include "base/span.h"
#include "llm/chat.h"

/*
 * The `usage` object of an answer or a chunk, as JSON that was checked. A figure that it does
 * not say, or says in a way that cannot be, stays as it is in *usage.
 */
void openai_read_usage(struct span object, struct chat_usage *usage);
