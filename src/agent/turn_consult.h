#pragma once

#include <stddef.h>

#include "agent/turn_files.h"
#include "loop/loop.h"

struct turn;

// The approval model: of calls that a rule asks for, it says which somebody has to be asked about.
struct turn_consulting {
    turn_next_fn *next; // NULL: it is asked nothing
    size_t at;          // the call that it looks at
    loop_id limit;
};

void turn_consult(struct turn *turn, turn_next_fn *next); // `next` may be called at once
void turn_consult_stop(struct turn *turn); // of what it has not answered somebody has to be asked
void turn_consult_forget(struct turn *turn);
