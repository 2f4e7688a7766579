#pragma once

#include "agent/turn_files.h"
#include "llm/chat.h"
#include "loop/loop.h"
#include "store/turn.h"

struct turn_call;
struct turn_request;

struct turn_transition { // a change that is on its way to the disk
    int64_t job;         // of the store; 0: none
    loop_id again;       // when the disk refused it: the next attempt
    int attempts;
    enum store_turn_state state;
    size_t new_messages;
    bool final;
    bool resume;             // no change, but that the turn is taken up again
    bool without_payload;    // its messages and calls are too large
    bool summary;            // its only message is turn::compressing's
    struct chat_usage usage; // that it adds
    turn_next_fn *next;
};

// `next` is called when the transition is on disk, or can never be: turn->error.
// While the disk refuses, an interactive turn goes on, and turn->remark says so; others try again.
int turn_store_begin(struct turn *turn, const struct turn_request *request, turn_next_fn *next,
                     struct error *err);
void turn_store_model(struct turn *turn, size_t new_messages, turn_next_fn *next);
void turn_store_tools(struct turn *turn, turn_next_fn *next);          // with questions, it waits
void turn_store_questions(struct turn *turn, turn_next_fn *next);      // of calls that have begun
void turn_store_call(struct turn *turn, const struct turn_call *call); // nobody waits
void turn_store_summary(struct turn *turn, turn_next_fn *next);
void turn_store_end(struct turn *turn, size_t new_messages, turn_next_fn *next);
void turn_store_resume(struct turn *turn, turn_next_fn *next);
void turn_store_forget(struct turn *turn);
bool turn_stored_soon(const struct turn *turn); // a transition is on its way
