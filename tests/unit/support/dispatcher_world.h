#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/dispatcher.h"
#include "base/buf.h"
#include "support/agent_world.h"

/*
 * A dispatcher with a channel that delivers, named "post": messages are put into the inbox, and
 * what leaves is read from the outbox.
 */
struct dispatcher_world {
    struct agent_world world;
    struct dispatcher *dispatcher;
    struct dispatcher_config config;
    struct dispatcher_channel channel;
    const struct outside *outside; // of a dispatcher that is opened next
    struct buf heard;              // what the channel was told
    int64_t cursor;                // also the id of what arrived last
    int64_t edits;
    const char *thread, *sender; // of what arrives next; with a sender it is a chat of several
    bool tainted;                // what arrives next is quoted, or passed on
    int64_t received_ms;         // of what arrives next; 0: just now
    int64_t sent_ms;             // of what arrives next; 0: just now
};

void dispatcher_world_make(struct dispatcher_world *world, const char *vfs);
void dispatcher_world_remove(struct dispatcher_world *world);
void dispatcher_world_open(
    struct dispatcher_world *world); // a dispatcher in the place of none, with its channel
void dispatcher_world_restart(struct dispatcher_world *world); // a kill, and another process

// Into the inbox, and no word to the dispatcher.
void dispatcher_world_lands(struct dispatcher_world *world, const char *chat, const char *text,
                            bool cut);
void dispatcher_world_arrives_in(struct dispatcher_world *world, const char *chat, const char *text,
                                 bool cut);
void dispatcher_world_arrives(struct dispatcher_world *world, const char *text); // in chat 7
// The message of that id in chat 7, one of those that arrived, says this now.
void dispatcher_world_edits(struct dispatcher_world *world, int64_t id, const char *text);
void dispatcher_world_answers(struct dispatcher_world *world, const char *text, const char *script);

void dispatcher_world_passes(struct dispatcher_world *world, int count);
void dispatcher_world_until_idle(struct dispatcher_world *world);
void dispatcher_world_until_heard(struct dispatcher_world *world, const char *what);
void dispatcher_world_awaits_the_rest(
    struct dispatcher_world *world); // of a text, however slow the machine
const char *dispatcher_world_outbox(struct dispatcher_world *world); // texts, with | between them
int64_t dispatcher_world_unhandled(struct dispatcher_world *world);  // messages in the inbox
