#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "codec/json.h"
#include "tools/tool_source.h"

// The images and sounds of a result, with their bytes.
struct mcp_media {
    struct tool_part parts[TOOL_PARTS_MAX];
    struct buf bytes[TOOL_PARTS_MAX]; // that those borrow
    size_t count, size;               // and bytes together
};
void mcp_media_finish(struct mcp_media *media); // accepts zeroed

/*
 * What a model reads of the result of tools/call, resources/read or prompts/get: its texts, one
 * behind the other. What is no text (images, sound, kinds that nobody has heard of) is a line that
 * says what came; images and sound are added to `media` besides, as far as their bytes are what
 * they should be and there is room. Structured content stands for the texts only where there are
 * none, since servers send both, and it keeps its bytes.
 */
void mcp_content_append(struct json_value result, struct buf *out, struct mcp_media *media);

// A page of resources/list or prompts/list: a line for each, a prompt's with its arguments.
void mcp_list_append(struct json_value result, struct buf *out);

bool mcp_result_failed(struct json_value result); // isError
