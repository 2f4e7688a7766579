#pragma once

#include "agent/conversation.h"
#include "agent/dispatcher.h"
#include "store/inbox.h"

/*
 * Private to the dispatcher, lowest first: dispatcher_registry.c knows its conversations and
 * channels, dispatcher_inbox.c reads messages into conversations, dispatcher_resume.c takes up the
 * turns of the last process, and dispatcher.c decides what is next for each conversation.
 */
enum {
    DISPATCHER_PENDING_MAX = 128,  // messages in memory; the others wait in the store
    DISPATCHER_URGENT_MAX = 32,    // besides: /stop and its like are not kept waiting there
    DISPATCHER_UNSAVED_MAX = 16,   // conversations kept of which the store has not got all
    DISPATCHER_ALBUM_MS = 800,     // for the rest of an album
    DISPATCHER_CUT_WAIT_MS = 2000, // for the rest of a text that a channel cut
};

struct dispatcher {
    struct dispatcher_env env;
    struct conversation_host host;
    struct list conversations;
    int64_t last_number; // of the inbox, up to which all was read
    bool behind;         // there is more in the store
    loop_id look;        // when it is read again
    bool resume_wanted;
    bool look_at_waiting;
    loop_id expiry;   // of the first question
    int64_t expiring; // job of the store; 0: none
    bool held;        // no turn begins
    bool draining;
    loop_id drain_timer;
    void (*drained)(void *context);
    void *drained_context;
};

// dispatcher_registry.c
struct conversation *dispatcher_find(struct dispatcher *dispatcher,
                                     const struct store_session_key *key);
struct conversation *dispatcher_conversation(struct dispatcher *dispatcher,
                                             const struct store_session_key *key); // made if new
// It has nothing to do: it is destroyed, unless something of it would be lost or somebody waits.
void dispatcher_rest(struct dispatcher *dispatcher, struct conversation *conversation);

// dispatcher_inbox.c: the unhandled messages that there is room for, into their conversations.
int dispatcher_read_inbox(struct dispatcher *dispatcher, struct error *err);

// dispatcher_resume.c
int dispatcher_take_up(struct dispatcher *dispatcher); // open turns of the last process
// The turns that wait: those whose questions are answered go on, the others' conversations wait.
void dispatcher_look_at_waiting(struct dispatcher *dispatcher);
