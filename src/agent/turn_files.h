#pragma once

#include <stdbool.h>
#include <stddef.h>

struct tool_process;
struct turn;

// The files that the calls of a turn name: an approval is bound to what was in them.
typedef void turn_next_fn(struct turn *turn);

struct turn_looking {             // at the files that calls name, in a process
    struct tool_process *process; // NULL: there is none
    size_t at;                    // the question, or the call, whose files they are
    bool asks;                    // for questions that are to be asked
    char *changed;                // why the call does not run; NULL: it may
    turn_next_fn *next;
};

void turn_files_ask(struct turn *turn, turn_next_fn *next); // what the questions are bound to
// Is one of the calls whose files are compared first still to be run? Then `next` follows once it
// is known whether the one at turn->looking.at may: turn->looking.changed.
bool turn_files_compare(struct turn *turn, turn_next_fn *next);
void turn_files_forget(struct turn *turn);
