#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/span.h"
#include "llm/chat.h"
#include "store/session.h"

// How the sender begins, as none does, of a conversation that is beside the others of its chat;
// the message that began it follows.
#define SESSION_BESIDE "/bg "

// A conversation: its history, and the prompt it began with, which stays as it was (provider
// caches hit on it). Owned by whoever opened it.
struct agent_session {
    char id[64];                            // unique
    char *channel, *chat, *thread, *sender; // as in struct store_session_key
    char *title;                            // NULL: none yet
    char *model;                            // NULL: the configured one
    char *prompt;                           // frozen at the first turn; NULL until then
    struct chat_history history;
    char *instructions;    // of who asks, behind the prompt; not stored; NULL: none
    size_t seeded;         // messages of the history that are stored with its first turn
    int64_t prompt_tokens; // of the last call to a model; -1: not known
    size_t counted;        // messages of the history that were in it
    bool stored;           // its row is there
    bool unsaved;          // something of it is here alone: the disk refused it
    bool prompt_tainted;   // it has an entry of the memory files that nobody vouches for
    bool untitled;         // until the turn that runs, which called it by its first line
    bool busy;             // a turn runs
};

enum {
    SESSION_HISTORY_MAX = 400, // messages of the past that a model is shown
    SESSION_ID_SIZE = 33,      // bytes of an id that is made here, with its end
    SESSION_EPOCH = 100,       // messages by which the beginning of the window moves at once
};

struct agent_session *agent_session_create(const struct store_session_key *key);
void agent_session_destroy(struct agent_session *session); // no turn may run; accepts NULL

/*
 * From the store, on whichever thread has the view: the session of this id, or the last one of this
 * key. 0, STORE_NOT_FOUND, -EAGAIN while the store is not ready, or another failure. The history
 * begins with what a user said, and every call in it has its result.
 */
int agent_session_load(struct store_view *view, struct span id, struct agent_session **ret_session,
                       struct error *err);
int agent_session_load_latest(struct store_view *view, const struct store_session_key *key,
                              struct agent_session **ret_session, struct error *err);

// Gives every open call of the last message a result, so that a new turn can follow.
void agent_session_close(struct agent_session *session);

// A title for who has none yet: the first line of what was said, cut at a word.
void agent_session_title(struct span text, struct buf *out);
