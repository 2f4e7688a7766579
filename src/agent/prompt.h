#pragma once

#include "base/buf.h"

struct agent_config;

enum {
    SOUL_CHARACTERS_MAX = 20000, // as hermes-agent reads of SOUL.md
    PROMPT_MAX = 256 * 1024,     // bytes
};

/*
 * The system prompt of a new session: who the assistant is (agent.system_prompt, else SOUL.md of
 * the home, else a default), then what it should know of its tools. Stable text only: what changes,
 * like the time, is for tools to tell.
 */
void prompt_build(const struct agent_config *config, const char *home, struct buf *out);
