#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "base/error.h"
#include "base/span.h"
#include "config/option.h"

struct desk;
struct loop;
struct metrics;

/*
 * The desk stands between the channels and the agent: which conversation a message belongs to,
 * what happens to one that arrives while another is being answered, what a command means, and what
 * is taken up again after a stop of the program.
 *
 * Two ways lead here. A channel that delivers (Telegram) writes what came in to the store's inbox
 * and says desk_wake(); its replies go through the store's outbox, so that neither is lost by a
 * crash. Somebody who waits for the answer himself (the console) says desk_say() and is called
 * back.
 */
struct desk_config {
    const char *busy_mode; // "interrupt", "queue" or "steer"
    int64_t drain_ms;      // what runs may take to end when the program is told to stop
};

extern const struct option desk_options[];
extern const size_t desk_option_count;

// What a delivering channel is told. All from the loop; every member may be NULL.
struct desk_channel {
    const char *name;    // "telegram"; as in the inbox and the outbox
    int64_t cut_wait_ms; // how long the rest of a text that was cut is waited for; 0: 2 s
    // A turn of this chat runs (or goes on after a stop). `turn` is its id from the channel to the
    // ledger, and lives until on_turn_end.
    void (*on_turn)(void *context, const char *chat, const char *turn);
    // Its answer as it is written. A new step of the turn begins the text anew: on_step.
    void (*on_text)(void *context, const char *chat, const char *turn, struct span delta);
    void (*on_step)(void *context, const char *chat, const char *turn);
    void (*on_turn_end)(void *context, const char *chat, const char *turn);
    void (*on_outbox)(void *context); // there is something new in the outbox
};

struct desk_env { // borrowed; outlives the desk
    struct loop *loop;
    struct store *store;
    struct agent *agent;
    struct metrics *metrics; // may be NULL
    const struct desk_config *config;
};

struct desk *desk_create(const struct desk_env *env);
void desk_destroy(struct desk *desk); // turns stay as they are in the store; accepts NULL

// One channel of a name. The struct is borrowed.
void desk_attach(struct desk *desk, const struct desk_channel *channel, void *context);
void desk_detach(struct desk *desk, const char *name);

/*
 * Takes up what the last process left: open turns first, then the messages that were not handled.
 * Called once, as soon as channels are attached; waits by itself until the store is ready.
 */
void desk_resume(struct desk *desk);

// There may be new messages in the inbox, or the store has become ready.
void desk_wake(struct desk *desk);

/*
 * A message from somebody who waits. `chat` names the conversation within the channel. The answer,
 * a command's as well, comes through the sink; negative, with a sentence, when it is not taken (a
 * turn of the chat runs already).
 */
int desk_say(struct desk *desk, const char *channel, const char *chat, struct span text,
             const struct turn_sink *sink, void *context, struct error *err);
// Ends the turn of that chat, or waits until it can; nothing happens when none runs.
void desk_stop(struct desk *desk, const char *channel, const char *chat);

// What a first message of a new conversation costs, part by part, as JSON.
void desk_context(const struct desk *desk, struct buf *ret_json);

unsigned desk_turns(const struct desk *desk); // that run now
bool desk_idle(const struct desk *desk);      // for tests: no turn runs and no message waits

/*
 * No further turn begins, messages are still taken down; `drained` is called when the last turn
 * ended or `limit_ms` passed: what runs then goes on after the next start.
 */
void desk_drain(struct desk *desk, int64_t limit_ms, void (*drained)(void *context), void *context);
void desk_configure(struct desk *desk, const struct desk_config *config); // after a reload
