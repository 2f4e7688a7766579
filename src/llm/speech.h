#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "config/option.h"

struct http_client;
struct llm_config;

/*
 * Speech to text: one request to a server that has OpenAI's /audio/transcriptions, such as
 * OpenAI's, Groq's, or a whisper server of one's own.
 */
struct speech;

struct speech_config {
    bool enabled;                   // else sound is kept as a file
    const char *provider;           // "openai", "groq", "local": that at `base_url`
    const char *base_url, *api_key; // NULL, "": those of the provider
    const char *openai_model, *groq_model, *language;
};

extern const struct option speech_options[];
extern const size_t speech_option_count;

enum { SPEECH_TEXT_MAX = 64 * 1024 }; // bytes

// One of the two is absent: what was said, or why it is not known.
typedef void speech_fn(void *context, struct span text, const char *trouble);

// `done` comes from the loop, once. `sound` must stay until then. The sentence in `err` says what
// its owner can set.
int speech_start(struct http_client *http, const struct speech_config *config,
                 const struct llm_config *llm, struct span sound, const char *name, speech_fn *done,
                 void *context, struct speech **ret_speech, struct error *err);
void speech_cancel(struct speech *speech); // nothing follows; accepts NULL
