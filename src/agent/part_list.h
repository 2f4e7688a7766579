#pragma once

#include "base/buf.h"
#include "base/span.h"
#include "llm/chat.h"

// The images and sound of a message as the store has them: [{"type", "name", "id", "size"}, ...].
enum { PART_LIST_MAX = 16 * 1024 }; // bytes

void part_list_write(const struct chat_parts *parts, struct buf *out); // nothing where none is
// Adds them; what is not understood is left out, as another version may have written it.
void part_list_read(struct span text, struct chat_parts *parts);
