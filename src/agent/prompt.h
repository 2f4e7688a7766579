#pragma once

#include <stddef.h>

#include "base/buf.h"

struct agent_config;
struct memory_config;
struct skills;

enum {
    SOUL_CHARACTERS_MAX = 20000, // as hermes-agent reads of SOUL.md
    PROMPT_MAX = 256 * 1024,     // bytes
};

enum prompt_part {
    PROMPT_IDENTITY,
    PROMPT_RULES,
    PROMPT_SKILLS,
    PROMPT_MEMORY,
    PROMPT_USER,
    PROMPT_PARTS,
};

struct prompt_parts {
    size_t bytes[PROMPT_PARTS];
    const char *identity; // where it comes from: "config", "SOUL.md" or "default"
};

/*
 * The system prompt of a new session, what changes least first, so that a provider's cache hits:
 * who the assistant is (agent.system_prompt, else SOUL.md of the home, else a default), what it
 * should know of its tools, which skills there are, and what it keeps of its notes and of its user.
 * What changes by itself, like the time, is for tools to tell. `memory` and `skills` may be NULL.
 */
void prompt_build(const struct agent_config *config, const struct memory_config *memory,
                  struct skills *skills, const char *home, struct buf *out);

// The same, and what each part of it came to.
void prompt_build_parts(const struct agent_config *config, const struct memory_config *memory,
                        struct skills *skills, const char *home, struct buf *out,
                        struct prompt_parts *ret_parts);
