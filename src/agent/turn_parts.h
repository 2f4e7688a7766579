#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/turn_files.h"
#include "base/buf.h"
#include "llm/chat.h"

struct tool_result;
struct turn;
struct turn_call;

/*
 * The images and sound of a turn. Their bytes go into the store as soon as a tool has given them,
 * and a message only names them; of those, the newest are read for each request, and are gone with
 * it. What could not be written is a sentence to the model, as what is too old.
 */
struct turn_media {
    int64_t job;                  // of the store, which reads; 0: none
    struct turn_showing *showing; // what was read; NULL: nothing
    turn_next_fn *next;
};

struct turn_request;

// Of what the user said: turn->parts names them, and their bytes go to the store before the turn
// does, for whose row `text` is. A question that is asked again has those that it had.
void turn_parts_begin(struct turn *turn, const struct turn_request *request, struct buf *text);

// Of a call that has ended: call->parts names them.
void turn_parts_keep(struct turn_call *call, const struct tool_result *result);

// Reads what the next request shows. False: that is nothing; else `next` follows.
bool turn_parts_load(struct turn *turn, turn_next_fn *next);

// Puts them into a request, which borrows them until turn_parts_forget(); `messages` is a copy of
// the history's, and what that owns stays as it is.
void turn_parts_show(struct turn *turn, struct chat_message *messages,
                     struct chat_request *request);
void turn_parts_forget(struct turn *turn);
