#pragma once

#include "base/error.h"
#include "base/span.h"

struct store;
struct telegram_config;

// Where something goes that nobody waits for here and now: a chat, by the words of a person.
struct target {
    char channel[32];
    char chat[64], thread[24]; // thread: "" is none
};

struct target_env { // borrowed
    struct store *store;
    const char *home; // where channel_directory.json may lie
    const struct telegram_config *telegram;
};

/*
 * "telegram": its home channel, as /sethome chose it, else as configured, else the chat of the only
 * person who is answered. "telegram:CHAT" and
 * "telegram:CHAT:THREAD", by number; "telegram:NAME", by its name in the channel_directory.json
 * that a hermes-agent left in the home. Synchronous. -ENOENT, -EINVAL with a sentence that says
 * what to do; -EAGAIN until the store is ready.
 */
int target_resolve(const struct target_env *env, struct span text, struct target *ret_target,
                   struct error *err);
