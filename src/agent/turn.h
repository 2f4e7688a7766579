#pragma once

#include "agent/agent.h"
#include "base/buf.h"
#include "base/list.h"
#include "llm/provider.h"
#include "tools/toolbox.h"

/*
 * Private to the agent: a turn and what its files share. turn.c moves it from state to state,
 * turn_store.c writes each move down, turn_tools.c runs what the model asked for.
 */
enum {
    TURN_TOOLS_MAX = 128, // tools offered to a model
    TURN_REPEATS_MAX = 3, // the same call with the same result ends the turn
};

struct turn;

struct agent {
    struct agent_env env;
    struct chat_tool tools[TURN_TOOLS_MAX];
    size_t tool_count;
    struct list turns;
    turn_id last_id;
};

typedef void turn_next_fn(struct turn *turn);

struct turn_call { // one tool call of the present iteration
    struct turn *turn;
    size_t ordinal;
    tool_run_id run; // 0: not running
    bool ended, failed;
    bool interrupted; // by the end of the turn
    char *result;     // when ended
};

struct turn {
    struct list link; // agent::turns
    struct agent *agent;
    struct agent_session *session;
    turn_id id;
    char name[33]; // the one id of this piece of work, from the channel to the ledger
    const struct turn_sink *sink;
    void *context;
    enum turn_state state;
    bool begun;         // its row and its message are on disk
    bool cancel_wanted; // while it waited for the disk
    int iteration;
    int64_t started_ms; // monotonic
    char *text;         // what the user said, until it is in the history
    chat_call_id model_call;
    int64_t job;        // of the store, that is waited for; 0: none
    turn_next_fn *next; // what follows it
    struct buf partial; // text of the reply that is coming in
    struct turn_call *calls;
    size_t call_count, calls_left;
    bool starting;             // inside the loop that starts the calls
    uint64_t last_fingerprint; // of calls and results, to notice a model that repeats itself
    int repeats;
    struct chat_usage usage;
    struct error error;
    char remark[ERROR_TEXT_MAX];
};

// The message of the present iteration that asked for the calls.
const struct chat_message *turn_asking_message(const struct turn *turn);

// turn.c
void turn_enter_tools(struct turn *turn);
void turn_tools_ended(struct turn *turn);
void turn_fail(struct turn *turn); // turn->error says why
void turn_end(struct turn *turn, enum turn_state state);

// turn_tools.c
void turn_calls_prepare(struct turn *turn);
void turn_calls_run(struct turn *turn);
void turn_calls_interrupt(struct turn *turn); // those that still run get "interrupted" as result
void turn_calls_append_results(struct turn *turn);
void turn_calls_finish(struct turn *turn); // frees them
uint64_t turn_calls_fingerprint(const struct turn *turn);

// turn_store.c; `next` is called when the move is on disk, or cannot be and turn->remark says so.
int turn_store_begin(struct turn *turn, turn_next_fn *next, struct error *err);
void turn_store_model(struct turn *turn, size_t new_messages);
void turn_store_tools(struct turn *turn, turn_next_fn *next);
void turn_store_end(struct turn *turn, size_t new_messages, turn_next_fn *next);
void turn_remark(struct turn *turn, const struct error *err); // that something was not saved
