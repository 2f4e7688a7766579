#pragma once

#include <stddef.h>

#include "base/mem.h"
#include "config/schema.h"

// A schema with an option of every kind, in two sections.

struct sample {
    struct {
        const char *name, *base_url, *api_key;
        struct option_map headers;
        int64_t max_tokens, timeout_ms, buffer_bytes;
        bool stream;
    } model;
    struct {
        int64_t turns;
        const char *progress;
        struct option_list toolsets;
        struct option_map places, rules;
    } agent;
};

static const struct option model_options[] = {
    {.key = "model.default",
     .aliases = "model.model,model",
     .env = "HERMES_MODEL,HERMES_INFERENCE_MODEL",
     .flags = OPTION_ENV_WINS,
     .offset = offsetof(struct sample, model.name),
     .help = "the model"},
    {.key = "model.base_url",
     .env = "OPENAI_BASE_URL",
     .fallback = "https://example.org/v1",
     .offset = offsetof(struct sample, model.base_url),
     .help = "where it is"},
    {.key = "model.api_key",
     .env = "OPENAI_API_KEY",
     .flags = OPTION_SECRET,
     .offset = offsetof(struct sample, model.api_key),
     .help = "its key"},
    {.key = "model.extra_headers",
     .type = OPTION_MAP,
     .offset = offsetof(struct sample, model.headers),
     .help = "sent along"},
    {.key = "model.max_tokens",
     .type = OPTION_INT,
     .env = "MAX_TOKENS",
     .min = 1,
     .max = 100000,
     .fallback = "4096",
     .offset = offsetof(struct sample, model.max_tokens),
     .help = "of one answer"},
    {.key = "model.timeout",
     .type = OPTION_DURATION,
     .fallback = "30",
     .offset = offsetof(struct sample, model.timeout_ms),
     .help = "of one call"},
    {.key = "model.buffer",
     .type = OPTION_BYTES,
     .fallback = "1Mi",
     .offset = offsetof(struct sample, model.buffer_bytes),
     .help = "for one answer"},
    {.key = "model.streaming",
     .type = OPTION_BOOL,
     .fallback = "true",
     .offset = offsetof(struct sample, model.stream),
     .help = "as it is written"},
};
static const size_t model_count = ARRAY_LEN(model_options);

#define AGENT_OFFSET(field) (offsetof(struct sample, agent.field) - offsetof(struct sample, agent))

static const struct option agent_options[] = {
    {.key = "agent.max_turns",
     .type = OPTION_INT,
     .fallback = "60",
     .offset = AGENT_OFFSET(turns),
     .help = "steps"},
    {.key = "agent.tool_progress",
     .choices = "off,new,all",
     .fallback = "new",
     .offset = AGENT_OFFSET(progress),
     .help = "what is told"},
    {.key = "agent.disabled_toolsets",
     .type = OPTION_LIST,
     .env = "DISABLED",
     .offset = AGENT_OFFSET(toolsets),
     .help = "not offered"},
    {.key = "places",
     .type = OPTION_TREE,
     .choices = "*.name, *.params.api_key, *.params.url, *.box, *.box.size",
     .offset = AGENT_OFFSET(places),
     .help = "where to ask"},
    {.key = "rules",
     .type = OPTION_TREE,
     .choices = "tries, inner.times, chain{}, extra{}",
     .flags = OPTION_STRICT,
     .offset = AGENT_OFFSET(rules),
     .help = "what then"},
};
static const size_t agent_count = ARRAY_LEN(agent_options);

static const struct config_section sample_sections[] = {
    {model_options, &model_count, 0},
    {agent_options, &agent_count, offsetof(struct sample, agent)},
};
static const struct config_schema sample_schema = {sample_sections, ARRAY_LEN(sample_sections),
                                                   sizeof(struct sample)};
