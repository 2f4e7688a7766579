#pragma once

#include "agent/desk.h"
#include "base/list.h"
#include "base/span.h"
#include "loop/loop.h"
#include "store/inbox.h"
#include "store/settle.h"
#include "store/turn.h"

/*
 * Private to the desk. desk.c keeps the conversations and decides what is next for each,
 * desk_inbox.c reads the messages that wait, desk_turn.c lets the agent answer them, desk_command.c
 * obeys those that are commands, desk_resume.c takes up what the last process left.
 */
enum {
    DESK_WAITING_MAX = 128,      // messages in memory; the others wait in the store
    DESK_URGENT_MAX = 32,        // besides: /stop and its like are not kept waiting there
    DESK_TALKS_IDLE_MAX = 16,    // conversations kept for somebody who may say more
    DESK_IDLE_BYTES_MAX = 65536, // of their histories, but for what the store has not got
    DESK_PIECES_MAX = 32,        // of one text that came in pieces
    DESK_TEXT_MAX = 1024 * 1024, // bytes of one message, its pieces together
    DESK_REPLY_MAX = 64 * 1024,  // bytes of a command's reply
    DESK_CUT_WAIT_MS = 2000,     // for the rest of a text that a channel cut
    DESK_RETRY_MS = 2000,        // when the store would not take a message's effect
};

enum acting { ACTING_NOT, ACTING_TURN, ACTING_COMMAND };

struct waiting { // a message whose effect is not on disk yet
    struct list link;
    int64_t number; // in the inbox; 0: somebody waits for the answer himself
    char *text;
    size_t len;
    bool cut;           // the rest of the text may follow
    enum acting acting; // what is made of it, as long as that is not on disk
    bool patient;       // was there before the turn that runs: it interrupts nothing
    int64_t since_ms;   // monotonic, when the desk heard of it
};

struct attached { // a delivering channel
    struct list link;
    const struct desk_channel *channel;
    void *context;
};

struct talk { // one conversation: a chat of a channel
    struct list link;
    struct desk *desk;
    char *channel, *chat;
    struct attached *via;         // NULL: somebody waits himself, and is called back by `sink`
    const struct turn_sink *sink; // until on_end
    void *context;
    struct agent_session *session; // NULL: not loaded
    struct list waiting;           // struct waiting, in order
    struct list steered;           // those that were given to the running turn
    turn_id turn;                  // 0: none
    char turn_name[33];
    int64_t turn_ms, turn_wall_ms; // when it began
    int64_t job;                   // of the store, a command's; 0: none
    char *reply;                   // what that command says when its effect is on disk
    bool fresh;                    // that command began another session, or changed this one
    bool settled;                  // the rest of a cut text did not come
    bool waited;                   // the channel shows why nothing happens
    bool stop_wanted;              // before the turn began
    int attempts;                  // in a row that the store refused
    loop_id cut_timer, again, stopping, soon;
};

struct desk {
    struct desk_env env;
    struct list talks;
    struct list channels; // struct attached
    size_t waiting;       // messages in memory, of all talks
    int64_t last_number;  // of the inbox, up to which all was read
    bool behind;          // there is more in the store
    loop_id look;         // when it is read again
    bool resume_wanted;
    bool draining;
    loop_id drain_timer;
    void (*drained)(void *context);
    void *drained_context;
};

// desk.c
struct talk *desk_find(struct desk *desk, struct span channel, struct span chat);
struct talk *desk_talk(struct desk *desk, struct span channel, struct span chat); // made if new
struct attached *desk_channel_named(struct desk *desk, struct span name);
void desk_go_on(struct talk *talk);                 // what is next for it; may free it
void desk_acted(struct talk *talk, enum acting by); // the effect is on disk
// It would not go: it is tried again, or who waits is told.
void desk_retry(struct talk *talk, enum acting by, const struct error *err);
// Their numbers in the inbox, at most DESK_PIECES_MAX.
size_t desk_acting(const struct talk *talk, enum acting by, int64_t *numbers);
void desk_ended(struct desk *desk); // a turn
void desk_tell_outbox(struct talk *talk);

// desk_inbox.c
void desk_wait_for(struct talk *talk, int64_t number, struct span text, bool cut, bool patient);
void desk_catch_up(struct desk *desk);   // there is room again
void desk_read_again(struct desk *desk); // the whole inbox; soon, not at once

// desk_turn.c
int desk_open_session(struct talk *talk, struct error *err); // loaded, or new; -EAGAIN
void desk_close_session(struct talk *talk);
int desk_begin_turn(struct talk *talk, struct span text, struct span drop_turn, struct error *err);
void desk_interrupt(struct talk *talk); // the running turn is cancelled at the end of the pass
void desk_steer(struct talk *talk, struct waiting *message);
int desk_resume_turn(struct talk *talk, const struct store_turn_row *row, struct error *err);

// desk_command.c
bool desk_is_command(struct span text);
bool desk_knows_command(struct span text);           // and it is one of ours
bool desk_is_urgent(struct span text);               // obeyed at once, also in mid-turn
bool desk_ends_turn(struct span text);               // what runs is not to be finished first
void desk_obey(struct talk *talk, struct span text); // its message is marked

// desk_resume.c
void desk_take_up(struct desk *desk); // open turns of the last process
