#pragma once

#include "agent/turn.h"

// What a turn that waits asks, and what became of that.
extern const char turn_asked_result[]; // of a call that asks, should it not go on
struct turn_call_id {
    char hash[SHA256_HEX_SIZE]; // of name and arguments
    char code[9];               // of this call of this turn, for people
};
// `ordinal`: of the call, or of a question that it asks itself.
void turn_call_identify(const struct turn *turn, size_t ordinal, struct turn_call_id *ret);
void turn_wait_prepare(struct turn *turn);         // the questions, before the calls begin
void turn_wait_prepare_running(struct turn *turn); // those that calls ask which have begun
bool turn_wait_is_too_long(const struct turn *turn, size_t ordinal); // to be shown in a question
void turn_wait_finish(struct turn *turn);
struct store_approval *turn_wait_rows(const struct turn *turn); // on the heap; borrow from the turn
void turn_wait_write(const struct turn *turn, struct buf *text, struct buf *buttons);
// "allowed by the approval model: ...", of the whole turn; nothing where it allowed nothing.
void turn_wait_tell_allowed(const struct turn *turn, struct buf *out);
int turn_wait_restore(struct turn *turn, struct error *err); // what became of the questions
