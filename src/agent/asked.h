#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "llm/chat.h"

struct agent_session;

/*
 * What somebody who waits wants besides an answer to their text: how its turn is to be done, and
 * what was said before, as they tell it.
 */
enum { ASKED_ID_SIZE = 64, ASKED_HISTORY_MAX = 200 }; // bytes of an id; messages that are told

struct asked {
    char turn[33]; // the id of the turn; "": any
    char
        session[ASKED_ID_SIZE]; // the id of the session, also of a new one; "": the chat's last one
    bool compares;              // that one only if it says the same as `given`
    bool lasts;                 // the turn goes on when nobody waits any more, and after a restart
    bool unattended;            // nobody can be asked anything
    int priority;               // enum chat_priority
    struct asked_part {
        const struct media_type *type;
        struct buf bytes;
    } parts[CHAT_PARTS_MAX]; // images and sound of the text
    size_t part_count;
    struct chat_history given; // begins a session that is new
    char *origin;              // NULL: the channel
    char *instructions;        // behind our own prompt, for this turn; NULL: none
    char *tools;               // as in struct store_turn_terms
    char *reply_channel, *reply_chat, *reply_thread;
};

void asked_destroy(struct asked *asked); // accepts NULL

void asked_drop_parts(struct asked *asked);

// Does the session's history say what they tell, and nothing more?
bool asked_goes_on(const struct chat_history *stored, const struct chat_history *given);

// Puts what they tell into a new session, to be stored with its first turn. Answers that `known`
// has as well are as tainted as there; of any other nobody knows where it comes from.
void asked_seed(struct asked *asked, const struct chat_history *known,
                struct agent_session *session);
