#pragma once

#include "llm/provider.h"
#include "net/http_client.h"

struct loop;

/*
 * Every server that speaks OpenAI's chat completions: OpenRouter, OpenAI, LiteLLM, Ollama,
 * llama.cpp, DeepSeek, Gemini's compatible endpoint and the rest, told apart by base URL alone.
 */
struct openai_options {
    const char *base_url;             // without "/chat/completions"
    const char *api_key;              // NULL or "": none is sent (a local server)
    const char *const *extra_headers; // "Name: value" lines, NULL-terminated, or NULL
    struct http_timeouts timeouts;
};

extern const char openai_default_base_url[];
extern const char openrouter_default_base_url[];

// Copies the options. The sentence in `err` says what is wrong with the URL or the key.
int openai_provider_create(struct loop *loop, struct http_client *http,
                           const struct openai_options *options,
                           struct chat_provider **ret_provider, struct error *err);
