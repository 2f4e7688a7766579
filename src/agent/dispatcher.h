#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "agent/attachment.h"
#include "base/error.h"
#include "base/span.h"
#include "config/option.h"

struct asked;
struct dispatcher;
struct loop;
struct metrics;
struct outside;

/*
 * The dispatcher stands between the channels and the agent: which conversation a message belongs
 * to, what happens to one that arrives while another is being answered, what a command means, and
 * what is taken up again after a stop of the program.
 *
 * Two ways lead here. A channel that delivers (Telegram) writes what came in to the store's inbox
 * and says dispatcher_wake(); its replies go through the store's outbox, so that neither is lost by
 * a crash. Somebody who waits for the answer himself (the console) says dispatcher_say() and is
 * called back.
 */
struct dispatcher_config {
    const char *busy_mode; // "interrupt", "queue" or "steer"
    int64_t drain_ms;      // what runs may take to end when the program is told to stop
    // Whether each sender has a conversation of their own, in a chat of several and in its threads.
    bool group_sessions_per_user, thread_sessions_per_user;
    bool prunes; // conversations that have ended, so many days after their last use
    int64_t retention_days;
};

extern const struct option dispatcher_options[];
extern const size_t dispatcher_option_count;

// What a delivering channel is told. All from the loop; every member may be NULL.
struct dispatcher_channel {
    const char *name;        // "telegram"; as in the inbox and the outbox
    int64_t cut_wait_ms;     // how long the rest of a text that was cut is waited for; 0: 2 s
    turn_event_fn *on_event; // of a turn that answers there
    void (*on_outbox)(void *context); // there is something new in the outbox
    // Fetches what a message's `media` names; `done` follows once, from the loop, unless leave() is
    // called before, or the channel is detached. Both, or neither.
    uint64_t (*fetch)(void *context, struct span media, attachment_found_fn *done, void *of);
    void (*leave)(void *context, uint64_t fetch);
};

struct dispatcher_env { // borrowed; outlives the dispatcher
    struct loop *loop;
    struct store *store;
    struct agent *agent;
    struct metrics *metrics; // may be NULL
    const struct dispatcher_config *config;
    const struct outside *outside; // NULL: the commands for it are told so
};

struct dispatcher *dispatcher_create(const struct dispatcher_env *env);
void dispatcher_destroy(
    struct dispatcher *dispatcher); // turns stay as they are in the store; accepts NULL

// One channel of a name. The struct is borrowed.
void dispatcher_attach(struct dispatcher *dispatcher, const struct dispatcher_channel *channel,
                       void *context);
void dispatcher_detach(struct dispatcher *dispatcher, const char *name);

/*
 * The file that a row of the outbox promises, by the first two lines of its text. `done` comes from
 * the loop, once, and then nothing is left to be left. `why` NULL: `fd` is the file, for reading,
 * and the callee's to close; `first` is how it begins.
 */
struct sent_file;
int dispatcher_open_file(struct dispatcher *dispatcher, struct span what,
                         void (*done)(void *context, int fd, int64_t size, struct span first,
                                      const char *why),
                         void *context, struct sent_file **ret_file, struct error *err);
void dispatcher_leave_file(struct sent_file *file); // accepts NULL

// There is something new in the outbox that no turn of a conversation has put there.
void dispatcher_outbox_grew(struct dispatcher *dispatcher);

/*
 * Takes up what the last process left: open turns first, then the messages that were not handled.
 * Called once, as soon as channels are attached; waits by itself until the store is ready.
 */
void dispatcher_resume(struct dispatcher *dispatcher);
// It waits, or open turns could not be read: a conversation may have one that nobody knows of.
bool dispatcher_resumes_later(const struct dispatcher *dispatcher);

// While it is held no turn begins. Commands do, and turns of the last process go on.
void dispatcher_hold(struct dispatcher *dispatcher, bool held);

// There may be new messages in the inbox, or the store has become ready.
void dispatcher_wake(struct dispatcher *dispatcher);
// A session was deleted, and perhaps a question with it for whose answer its conversation waits.
void dispatcher_session_deleted(struct dispatcher *dispatcher, const char *session);

/*
 * A message from somebody who waits. `chat` names the conversation within the channel. The answer,
 * a command's as well, comes as events, never from inside this call; negative, with a sentence,
 * when it is not taken (a turn of the chat runs already).
 */
int dispatcher_say(struct dispatcher *dispatcher, const char *channel, const char *chat,
                   struct span text, turn_event_fn *on_event, void *context, struct error *err);
/*
 * The same with wishes, which are the dispatcher's once this returns 0. No command is seen in the
 * text, TURN_EVENT_BEGIN is told of as well, and a turn that waits for an answer has one end for
 * that: dispatcher_listen() takes up listening then. False: nothing is to be heard there.
 */
int dispatcher_ask(struct dispatcher *dispatcher, const char *channel, const char *chat,
                   struct span text, struct asked *asked, turn_event_fn *on_event, void *context,
                   struct error *err);
bool dispatcher_listen(struct dispatcher *dispatcher, const char *channel, const char *chat,
                       turn_event_fn *on_event, void *context);
// The id of the session that is open there; "": none is.
const char *dispatcher_session(struct dispatcher *dispatcher, const char *channel,
                               const char *chat);
bool dispatcher_delivers(const struct dispatcher *dispatcher, struct span channel);
void dispatcher_answered(struct dispatcher *dispatcher); // a question, or there are fewer of them
// Ends the turn of that chat, or waits until it can; nothing happens when none runs.
void dispatcher_stop(struct dispatcher *dispatcher, const char *channel, const char *chat);

// What a first message of a new conversation costs, part by part, as JSON.
void dispatcher_context(const struct dispatcher *dispatcher, struct buf *ret_json);

unsigned dispatcher_turns(const struct dispatcher *dispatcher); // that run now
bool dispatcher_idle(
    const struct dispatcher *dispatcher); // for tests: no turn runs and no message waits

/*
 * No further turn begins, messages are still taken down; `drained` is called when the last turn
 * ended or `limit_ms` passed: what runs then goes on after the next start.
 */
void dispatcher_drain(struct dispatcher *dispatcher, int64_t limit_ms,
                      void (*drained)(void *context), void *context);
void dispatcher_configure(struct dispatcher *dispatcher,
                          const struct dispatcher_config *config); // after a reload
