#pragma once

#include "agent/conversation.h"
#include "agent/mark_list.h"
#include "base/buf.h"
#include "store/approval.h"
#include "store/message.h"
#include "store/settle.h"

/*
 * The commands of a conversation. One looks at the conversation and the store, changes neither, and
 * returns its effect; conversation_command.c carries that out. The session is open.
 */
enum { COMMAND_REPLY_MAX = 64 * 1024 }; // bytes

struct command_effect {
    struct store_settlement settlement;
    struct store_session create; // these four are behind the settlement
    struct store_answer answer;
    struct store_cancellation cancel;
    struct store_message summary;
    const char *sender; // of the message, as the channel names them
    bool takes_up;      // the last question of a turn is answered: it goes on
    bool passed_on;     // a part of the message is somebody else's
    struct mark_list marks;
    struct store_mark *lifted; // owned; borrows from these
    struct buf reply;
    struct span buttons;  // borrowed from the conversation; absent: none
    bool changes;         // the store has something to do besides the reply
    bool session_changed; // it is to be read anew
    bool stop;            // the running turn ends
    bool refused;         // there is no such command, or it failed
    char session[STORE_ID_MAX + 1];
    char *title, *model, *prompt, *dropped, *asking, *words; // owned; behind the settlement's spans
    char *fact, *fact_text;
    char *again;        // a question that is to be answered anew
    bool again_tainted; // nobody vouches for a part of it
};

void command_effect_finish(struct command_effect *effect);

typedef int command_fn(const struct conversation *conversation, struct span rest,
                       struct command_effect *effect, struct error *err);

enum {
    COMMAND_URGENT = 1,        // runs at once, also in mid-turn
    COMMAND_ENDS_TURN = 2,     // the running turn is not to be finished first
    COMMAND_SUMS = 4,          // it shows conversation->sums
    COMMAND_WHILE_WAITING = 8, // also while a turn waits for approval
    COMMAND_OUTSIDE = 16,      // its reply is conversation->outside
    COMMAND_COMPRESSES = 32,   // it needs conversation->compressing
    COMMAND_BESIDE = 64,       // its text is said in a conversation of its own, in the same chat
    COMMAND_STOPS = 128,       // such conversations of the chat as well
    COMMAND_ASKS = 256,        // without a text it only tells something, and does so at once
};

struct slash_command {
    const char *name, *arguments;
    const char *help; // NULL: another name of the one before
    unsigned flags;
    command_fn *fn;
};

// command_session.c
command_fn command_list_sessions, command_resume, command_memory, command_queue;
// command_trust.c
command_fn command_trust;
// home_channel.c
command_fn command_sethome;
// command_approval.c
command_fn command_approve, command_deny, command_stop, command_answer;
// Is this text, which is no command, what a question waits for?
bool command_is_answer(const struct conversation *conversation, struct span text,
                       struct span sender, int64_t received_ms);

// conversation_command.c: has others carry out a COMMAND_OUTSIDE; host->next() follows.
void conversation_ask_outside(struct conversation *conversation,
                              const struct pending_message *message);

const struct slash_command *slash_command_find(
    struct span text); // whose name it begins with; NULL: none
bool slash_command_has_flag(struct span text, unsigned flag);
