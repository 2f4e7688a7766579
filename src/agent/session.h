#pragma once

#include <stdbool.h>

#include "llm/chat.h"

struct clock;

// A conversation: its history, and the prompt it began with, which stays as it was (provider
// caches hit on it). Owned by the channel that opened it.
struct agent_session {
    char id[33]; // hex, unique
    char *channel, *chat;
    char *prompt; // frozen at the first turn; NULL until then
    struct chat_history history;
    bool stored; // its row is there
    bool busy;   // a turn runs
};

struct agent_session *agent_session_create(const char *channel, const char *chat);
void agent_session_destroy(struct agent_session *session); // no turn may run; accepts NULL
