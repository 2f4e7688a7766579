#pragma once

#include "agent/agent.h"
#include "agent/memory_block.h"
#include "base/buf.h"
#include "base/clock.h"
#include "llm/provider.h"
#include "store/store.h"
#include "support/store_fixture.h"
#include "support/tool_world.h"

/*
 * An agent with everything real but the model, the clock and the channel. The model follows a
 * script, one line per call to it:
 *
 *     say TEXT              text in two deltas, and the end
 *     cut TEXT              the same, ended by the token limit
 *     flood NUMBER          a text of so many bytes
 *     call NAME ARGS; ...   tool calls with the ids c0, c1, ...; in ARGS ' stands for "
 *     allow MORE            what lets a call run about which the approval model is asked, and more
 *     hang TEXT             text, and then nothing more
 *     fail TEXT SENTENCE    one word of text, then a failure
 *     long IT SENTENCE      the conversation is too long for it
 *     refuse SENTENCE       fails at once
 *     paid WHO LINE         one of these that ends, with the notice "WHO is paid"
 *
 * What is asked of it must be a history that a provider would accept, or the test fails.
 */
struct agent_world {
    char home[FIXTURE_PATH_MAX];
    struct tool_world tools;
    struct clock clock;
    int64_t ahead_ms; // of the real clock; a test adds to it
    struct loop *loop;
    struct processes *processes;
    struct store *store;
    struct toolbox *toolbox;
    struct chat_provider *model;
    struct agent_config config;
    struct memory_config memory; // both files are switched off
    struct agent *agent;
    struct agent_session *session;

    const char *script;
    int asked;                   // calls to the model
    int told;                    // the last turn's notices have reached the user
    struct buf prompt;           // the last request, as "role: text" lines
    char asked_as[64];           // its slot, and the model if it names one
    enum chat_priority priority; // of the last request
    struct turn_request request; // what agent_world_start() begins with, but for the text
};

void agent_world_make(struct agent_world *world, const char *vfs);
void agent_world_remove(struct agent_world *world);

// One turn, heard. `log` has lines "text ...", "call NAME ARGS", "result NAME ok|failed ...",
// "wait ...".
struct heard_turn {
    struct agent_world *world;
    turn_id id;
    int ends;
    enum turn_state state;
    struct chat_usage usage;
    int iterations;
    char text[512], error[512], remark[512];
    struct buf log;
    void (*at_end)(struct heard_turn *heard); // inside the last event; may be NULL
    void *context;                            // of at_end
};

void heard_turn_finish(struct heard_turn *heard);
#define HEARD_AUTO CLEANUP(heard_turn_finish) struct heard_turn

// Starts a turn, following `script` from its begin. Negative as agent_turn_start().
int agent_world_start(struct agent_world *world, const char *text, const char *script,
                      struct heard_turn *heard);
turn_event_fn agent_world_heard;                      // its context is a struct heard_turn
void agent_world_loop(struct agent_world *world);     // a pass that does not look at the store
void agent_world_dispatch(struct agent_world *world); // waits for the store's answers
void agent_world_wait(struct agent_world *world, struct heard_turn *heard); // for its end
void agent_world_until(struct agent_world *world, struct heard_turn *heard, const char *logged);

// A whole turn, which must end as `state`.
void agent_world_turn(struct agent_world *world, const char *text, const char *script,
                      enum turn_state state, struct heard_turn *heard);

// The session's history as "role: text" lines, calls as "assistant: text +name(args)#id".
void agent_world_history(struct agent_world *world, struct buf *out);
int64_t agent_world_number(struct agent_world *world, const char *sql);
const char *agent_world_text(struct agent_world *world, const char *sql);
