#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "codec/json.h"

/*
 * What a model reads of the result of tools/call, resources/read or prompts/get: its texts, one
 * behind the other. What is no text (images, sound, kinds that nobody has heard of) is a line that
 * says what came. Structured content stands for the texts only where there are none, since servers
 * send both, and it keeps its bytes.
 */
void mcp_content_append(struct json_value result, struct buf *out);

// A page of resources/list or prompts/list: a line for each, a prompt's with its arguments.
void mcp_list_append(struct json_value result, struct buf *out);

bool mcp_result_failed(struct json_value result); // isError
