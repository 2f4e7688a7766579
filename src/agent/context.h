#pragma once

#include <stdint.h>

#include "agent/prompt.h"
#include "base/buf.h"

struct agent;
struct agent_session;
struct chat_history;
struct tool_set;

/*
 * What a conversation costs before anybody has said anything, part by part, and what its history
 * adds. Bytes are counted; tokens are bytes / 4, which is what English text comes to, and are
 * marked as approximate wherever they are shown. The provider's own count, where one is known,
 * stands beside them.
 */
struct context_report { // borrowed; filled by whoever knows the session
    struct prompt_parts prompt;
    const struct tool_set *tools;
    const struct chat_history *history; // of a session; NULL: none is meant
    int64_t prompt_tokens;              // of the last call, as the provider counted; -1: not known
};

// Of an agent as it is now, with a session or (NULL) without.
struct context_report context_measure(const struct agent *agent,
                                      const struct agent_session *session);
void context_render_text(const struct context_report *report, struct buf *out); // for a person
void context_render_json(const struct context_report *report, struct buf *out);
