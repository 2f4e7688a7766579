#pragma once

#include "base/buf.h"
#include "llm/provider.h"
#include "loop/loop.h"

// The model of support/agent_world.h. *script is read line by line, and moved on; *asked counts.
struct scripted_model_hooks {
    const char **script;
    int *asked;
    struct buf *prompt;
    char *asked_as;               // of 64 bytes: "SLOT MODEL", without the model if none is named
    enum chat_priority *priority; // that it was asked with
    int *told;                    // set at the end of each work: did its notices reach the user?
};

struct chat_provider *scripted_model_create(struct loop *loop, struct scripted_model_hooks hooks);

// Writes messages as lines, and checks that every tool call has its result, in order.
void scripted_model_write(const struct chat_message *messages, size_t count, struct buf *out);
