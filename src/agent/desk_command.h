#pragma once

#include "agent/desk_internal.h"
#include "base/buf.h"

// Private to the desk: what a command does. desk_command.c obeys, desk_commands.c has the commands.

struct effect {
    struct store_settlement settlement;
    struct store_session create;
    struct buf reply;
    bool changes; // the store has something to do besides the reply
    bool fresh;   // the session is to be read anew
    char session[STORE_ID_MAX + 1];
    char *title, *model, *prompt, *dropped; // owned; behind the settlement's spans
    char *again;                            // a question that is to be answered anew
};

typedef int command_fn(struct talk *talk, struct span rest, struct effect *effect,
                       struct error *err);

enum { COMMAND_URGENT = 1, COMMAND_ENDS_TURN = 2 };

struct command_entry {
    const char *name, *arguments;
    const char *help; // NULL: another name of the one before
    unsigned flags;
    command_fn *fn;
};

const struct command_entry *desk_command_table(size_t *ret_count);
struct span desk_first_word(struct span text);
