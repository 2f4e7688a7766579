#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"
#include "llm/chat.h"

struct json_writer;

/*
 * Images and sound as parts of a content: image_url with a data: URL, input_audio. `media` is what
 * the model takes, in bits of enum chat_media.
 */
bool openai_parts_any(const struct chat_message *message, unsigned media); // is any of them sent?

// The others, as sentences behind the message's text.
void openai_parts_tell(const struct chat_message *message, unsigned media, struct buf *text);

// Into an open array. Of a tool's result, each with the name of what has shown it.
void openai_parts_write(struct json_writer *w, const struct chat_message *message, unsigned media);

// Adds one to the message. -ENOTSUP: of another kind, or not in the request itself; -EBADMSG.
int openai_part_read(struct json_value part, struct chat_message *message, struct error *err);
