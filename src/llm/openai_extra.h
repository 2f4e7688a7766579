#pragma once

#include "base/buf.h"
#include "codec/json.h"

struct json_writer;

/*
 * The extras that a provider attaches to a message or a call that asks for tools, and wants to see
 * again when the results come: Gemini's thought signatures (extra_content of a call), DeepSeek's
 * reasoning_content, OpenRouter's reasoning_details. They are kept as members of the wire format.
 */

// Appends one member.
void openai_extra_add(struct json_value name, struct json_value value, struct buf *extra);

// Appends the members of a call that are not OpenAI's; the first fragment that has any counts.
void openai_extra_add_call(struct json_value fragment, struct buf *extra);

// Adds the elements of reasoning_details in a delta or message to those that came before.
void openai_extra_add_details(struct json_value message, struct buf *details);

// The members of a message, on the heap; NULL when there are none. One that did not fit into its
// buffer is left out whole, since half a signature is refused.
char *openai_extra_take(const struct buf *reasoning, const struct buf *details);

// Writes what one of the others gave, into an open object. NULL writes nothing.
void openai_extra_write(struct json_writer *w, const char *extra);
