#pragma once

#include <stdbool.h>

#include "agent/compression.h"
#include "agent/turn_files.h"

struct side_call;
struct turn;

struct turn_compressing { // the conversation of a turn is being made to fit
    turn_next_fn *next;
    struct side_call *call; // for the summary; NULL: none runs
    size_t cut;
    int64_t room, tokens;       // what may be left of the history; what there was of all
    struct compression_row row; // on its way to the disk
    bool done;                  // in this turn: it is never done twice
};

// False: it fits, or nothing can be done. `too_long`: a provider has said that it does not fit.
// `next` may be called at once, and turn->error says why nothing could be written down.
bool turn_compress(struct turn *turn, bool too_long, turn_next_fn *next);
void turn_compress_forget(struct turn *turn);
