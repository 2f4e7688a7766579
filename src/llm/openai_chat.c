#include "llm/openai_error.h"
#include "llm/openai_reply.h"
#include "llm/openai_request.h"
#include "llm/wire_format.h"

/*
 * The protocol of OpenRouter, OpenAI, LiteLLM, Ollama, llama.cpp, DeepSeek, Gemini's compatible
 * endpoint and the rest.
 */
const struct wire_format wire_openai_chat = {
    .name = "openai_chat",
    .paths =
        {
            [UPSTREAM_CHAT] = "chat/completions",
            [UPSTREAM_COMPLETIONS] = "completions",
            [UPSTREAM_EMBEDDINGS] = "embeddings",
        },
    .key_header = "Authorization: Bearer ",
    .write_request = openai_write_request,
    .reply_create = openai_reply_create,
    .reply_destroy = openai_reply_destroy,
    .reply_bytes = openai_reply_bytes,
    .reply_feed = openai_reply_feed,
    .reply_end = openai_reply_end,
    .read_error = openai_read_error_body,
};
