#pragma once

#include "agent/dispatcher.h"
#include "base/list.h"
#include "base/span.h"
#include "loop/loop.h"
#include "store/session.h"
#include "store/turn.h"

/*
 * Private to the dispatcher: a conversation as it is in memory, and the messages that wait in it.
 *
 * Nothing in here decides what is next. What happens to a conversation is marked in it, and
 * conversation_wake() has the dispatcher look at it later in the same pass of the loop; so no
 * callback of a turn, of the store or of a timer ever returns into something that was freed.
 */
enum {
    CONVERSATION_PIECES_MAX = 32,   // messages that are one text, as it came in pieces
    CONVERSATION_RETRY_MS = 2000,   // when the store would not take a message's effect
    CONVERSATION_TEXT_MAX = 1 << 20 // bytes of one message, its pieces together
};

enum message_state { MESSAGE_PENDING, MESSAGE_IN_TURN, MESSAGE_IN_COMMAND };

enum message_wish { WISH_NONE, WISH_QUEUE, WISH_STEER }; // of its sender: /queue, /steer

struct pending_message { // a message whose effect is not on disk yet
    struct list link;
    int64_t number; // in the inbox; 0: somebody waits for the answer themselves
    int64_t place;  // among the others: its number before it was edited
    char *external_id;
    char *sender; // as the channel names them; "": who is in the chat
    char *text;
    size_t len;
    struct attachment *attachment; // what came with it; NULL: nothing
    bool tainted;                  // nobody vouches for a part of it
    bool cut;                      // the rest of the text may follow
    enum message_state state;      // what is in progress for it
    bool marked;                   // as the edit of a message that has begun, or was answered
    enum message_wish wish;
    bool no_interrupt;   // was there before the turn that runs: it interrupts nothing
    bool plain, answers; // no command, whatever it is; what a turn waits for: a question in words
    int64_t since_ms, received_ms; // monotonic, when it came to memory; wall clock, 0: not known
};

struct asked;
struct conversation;

struct conversation_host { // what all conversations share
    struct loop *loop;
    struct store *store;
    struct agent *agent;
    const struct outside *outside;                   // borrowed; NULL: none
    void (*next)(struct conversation *conversation); // decides what is next; may free it
    struct list channels, titlings; // struct attached_channel; of conversation_title.h
    size_t pending;                 // messages in memory, of all conversations
    bool reread;   // the store is not as it is remembered: the inbox is to be read from its begin
    bool answered; // or asked: the turns that wait are to be looked at, and the inbox read anew
};

struct conversation { // a chat of a channel, a thread of it, or one sender in either
    struct list link;
    struct conversation_host *host;
    char *channel, *chat, *thread, *sender; // its key; the last two may be ""
    struct attached_channel *via; // NULL: somebody waits themselves, and `on_event` is called
    turn_event_fn *on_event;      // until TURN_EVENT_END
    void *context;
    struct asked *asked;           // by who waits, or waited; NULL: nothing besides the text
    struct agent_session *session; // NULL: not loaded
    struct list pending, steered;  // struct pending_message, in order; what the running turn has
    turn_id turn;                  // 0: none
    char turn_name[33];
    int64_t turn_ms, turn_wall_ms; // when it began
    int64_t job;                   // of the store, a command's or a read; 0: none
    char *reply, *stopped;         // a command's, when its effect is on disk; a turn it ends
    struct store_turn_sums *sums;  // of the session, and of all; for the command that is next
    struct conversation_compressing *compressing; // for that as well; NULL: not asked
    char *outside, *outside_buttons;              // what others say to that; NULL: not asked
    bool asking;                                  // them
    bool session_changed;                         // by that command: it is to be read anew
    bool answered, takes_up, refused; // by that command: a question; the last of its turn; itself
    bool waiting;          // its last turn waits for approval: what else is said stays in the inbox
    bool waited;           // before the turns that wait were looked at
    bool resumed;          // the turn was taken up: its session may not be the latest any more
    bool resume_due;       // a turn is to be taken up as soon as nothing runs here
    bool awaited, settled; // the session was read for what was pending; the rest did not come
    bool stop_wanted, beside_ended; // before the turn began; by /stop, which came last
    int attempts;                   // in a row that the store refused
    loop_id cut_timer, again, stopping, soon;
};

struct conversation *conversation_create(struct conversation_host *host,
                                         const struct store_session_key *key);
void conversation_destroy(struct conversation *conversation); // a turn stays as it is in the store
struct store_session_key conversation_key(const struct conversation *conversation);

struct store_inbound;
void conversation_add_message(struct conversation *conversation, const struct store_inbound *row,
                              bool no_interrupt);
// An edit. False when no message waits whose text it could replace.
bool conversation_edit_message(struct conversation *conversation, const struct store_inbound *row);
// What came with it is there, and so is the conversation's session; else that wakes it.
bool conversation_message_is_whole(struct conversation *conversation,
                                   struct pending_message *message);
// Whether the row came to this message, itself or as what was edited since.
bool conversation_message_is(const struct pending_message *message,
                             const struct store_inbound *row);
void conversation_drop_message(struct conversation *conversation, struct pending_message *message);
void conversation_wake(struct conversation *conversation);         // host->next() in this pass
void conversation_mark_pending(struct conversation *conversation); // none of it interrupts
void conversation_close_session(struct conversation *conversation);

// Numbers in the inbox of what is in progress, at most CONVERSATION_PIECES_MAX.
size_t conversation_in_progress(const struct conversation *conversation, enum message_state state,
                                int64_t *numbers);
void conversation_progress(struct conversation *conversation, enum message_state from,
                           enum message_state to);
void conversation_done(struct conversation *conversation, enum message_state state); // is on disk
// It would not go to the disk: it is tried again, or reported to whoever waits.
void conversation_retry(struct conversation *conversation, enum message_state state,
                        const struct error *err);

void conversation_take_up_later(struct conversation *conversation); // is looked for in a while

void conversation_notify_outbox(struct conversation *conversation);
// The channel of this name that delivers, or NULL.
struct attached_channel *conversation_channel(const struct conversation_host *host,
                                              struct span name);
// The end, for somebody who waits, of what is no turn.
void conversation_report(struct conversation *conversation, const struct turn_outcome *outcome);

// conversation_read.c: false, or nothing, until the store's thread has read it; then host->next()
// follows, or conversation_resume_turn(). A turn with a `why` cannot go on, for that reason.
bool conversation_open_session(struct conversation *conversation);
void conversation_read_sums(struct conversation *conversation);
void conversation_read_turn(struct conversation *conversation, struct span turn,
                            struct span session, bool waited, const char *why);

// conversation_turn.c: its turns. The session is open.
int conversation_begin_turn(struct conversation *conversation, struct span text,
                            struct span drop_turn, struct error *err);
void conversation_taint(struct conversation *conversation);     // what is in the turn
void conversation_interrupt(struct conversation *conversation); // at the end of the pass
bool conversation_steer(struct conversation *conversation, struct pending_message *message);
void conversation_resume_turn(struct conversation *conversation, const char *turn, const char *why);

// conversation_command.c: runs the command of a message, which is marked MESSAGE_IN_COMMAND, in an
// open session.
void conversation_run_command(struct conversation *conversation,
                              const struct pending_message *message);
