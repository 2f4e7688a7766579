#pragma once

#include "base/list.h"

struct agent;
struct chat_provider;

// Somebody beside the turns who asks a provider, which stays while a call of theirs runs.
struct agent_use {
    struct list link;
    struct chat_provider *provider; // NULL: no call runs
};

void agent_list_use(struct agent *agent, struct agent_use *use); // until list_remove()
