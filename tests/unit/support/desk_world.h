#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/desk.h"
#include "base/buf.h"
#include "support/agent_world.h"

/*
 * A desk with a channel that delivers, named "post": messages are put into the inbox, and what
 * leaves is read from the outbox.
 */
struct desk_world {
    struct agent_world world;
    struct desk *desk;
    struct desk_config config;
    struct desk_channel channel;
    struct buf heard; // what the channel was told
    int64_t cursor;
    int64_t sent_ms; // of what arrives next; 0: just now
};

void desk_world_make(struct desk_world *world, const char *vfs);
void desk_world_remove(struct desk_world *world);
void desk_world_open(struct desk_world *world);    // a desk in the place of none, with its channel
void desk_world_restart(struct desk_world *world); // a kill, and another process

// Into the inbox, and no word to the desk.
void desk_world_lands(struct desk_world *world, const char *chat, const char *text, bool cut);
void desk_world_arrives_in(struct desk_world *world, const char *chat, const char *text, bool cut);
void desk_world_arrives(struct desk_world *world, const char *text); // in chat 7
void desk_world_answers(struct desk_world *world, const char *text, const char *script);

void desk_world_passes(struct desk_world *world, int count);
void desk_world_until_idle(struct desk_world *world);
void desk_world_until_heard(struct desk_world *world, const char *what);
void desk_world_awaits_the_rest(struct desk_world *world); // of a text, however slow the machine
const char *desk_world_outbox(struct desk_world *world);   // texts, with | between them
int64_t desk_world_unhandled(struct desk_world *world);    // messages in the inbox
