#pragma once

#include "codec/json.h"
#include "llm/chat.h"

/*
 * Failures as OpenAI-compatible servers report them. Seen in the field: {"error":{...}} with a
 * numeric or a string code, {"error":"text"}, the same inside an array (Gemini), in
 * choices[0].error, inside a 200, inside a stream, {"detail":...} and {"message":...} (FastAPI and
 * others), HTML, and nothing at all.
 */

// The error value inside a response or a stream chunk; absent when it reports none.
struct json_value openai_find_error(struct json_value root);

// `status` is HTTP's, or 0 when the error came inside a 200: then its own code counts.
void openai_read_error(struct json_value error, int status, struct chat_failure *ret_failure);

// A body under a status that is not 2xx, also one that is not JSON, or JSON without an error.
void openai_read_error_body(struct span body, int status, struct chat_failure *ret_failure);
