#pragma once

#include "config/option.h"

// The settings that decide which model answers, and where it is. endpoint.h says what follows.
struct llm_config {
    const char *model, *provider;
    const char *base_url, *api_key;
    const char *openrouter_base_url, *openrouter_api_key;
    const char *openai_base_url, *openai_api_key;
    const char *openrouter_site_url, *openrouter_app_name; // what it shows of who asks
    const char *gemini_api_key, *deepseek_base_url, *deepseek_api_key, *groq_api_key;
    const char *ollama_base_url;
    const char *lm_studio_base_url, *lm_studio_api_key;
    const char *hosted_vllm_base_url, *hosted_vllm_api_key;
    const char *litellm_proxy_base_url, *litellm_proxy_api_key;
    struct option_map extra_headers;
    struct option_map model_list; // see model_list.h
    int64_t max_tokens;
    bool streaming;
    int64_t connect_timeout_ms, first_byte_timeout_ms, idle_timeout_ms, total_timeout_ms;
};

extern const struct option llm_options[];
extern const size_t llm_option_count;
