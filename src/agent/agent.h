#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/session.h"
#include "base/error.h"
#include "base/span.h"
#include "config/option.h"
#include "llm/chat.h"

struct chat_provider;
struct clock;
struct store;
struct toolbox;

/*
 * The agent runs turns. A turn begins with a message and is an explicit state machine:
 *
 *     queued -> prompt -> model -> tools -> model -> ... -> done | failed | cancelled
 *
 * What it has never seen: a socket, a wire format, a channel. Replies leave through a turn_sink.
 */
struct agent;
typedef uint64_t turn_id; // 0 is none

struct agent_config {
    int64_t max_turns;         // calls to the model in one turn
    int64_t turn_limit_ms;     // wall time of one turn, looked at between its steps; 0: none
    const char *system_prompt; // replaces SOUL.md and the default identity; NULL: not set
};

extern const struct option agent_options[];
extern const size_t agent_option_count;

struct agent_env { // borrowed; outlives the agent
    const struct clock *clock;
    struct store *store;
    struct chat_provider *provider;
    struct toolbox *toolbox;
    const struct agent_config *config;
    const char *home;   // where SOUL.md may lie
    const char *model;  // as the provider knows it
    int64_t max_tokens; // of one reply; 0: the provider's default
    bool stream;
};

enum turn_state {
    TURN_QUEUED,
    TURN_PROMPT,
    TURN_MODEL,
    TURN_TOOLS,
    TURN_DONE,
    TURN_FAILED,
    TURN_CANCELLED,
};

struct turn_outcome {      // borrowed; lives during the call
    enum turn_state state; // one of the last three
    const char *text;      // the whole answer when done; what there was of it when not; "" is none
    const char *error;     // a sentence, when failed
    const char *remark;    // something the user should know besides, or ""
    struct chat_usage usage; // of the whole turn; -1 where nothing was said
    int iterations;          // calls to the model
};

struct turn_sink {
    void (*on_text)(void *context, struct span delta); // UTF-8, whole characters
    void (*on_call)(void *context, const char *name, const char *arguments);
    void (*on_result)(void *context, const char *name, bool failed, struct span text);
    void (*on_end)(void *context, const struct turn_outcome *outcome); // last, exactly once
};

struct agent *agent_create(const struct agent_env *env); // copies env
void agent_destroy(struct agent *agent);                 // ends turns without callbacks

/*
 * Begins a turn with what the user said; the message is on disk before anything is done about it.
 * One turn at a time in a session. Negative, with a sentence, when it could not even be queued.
 * The callbacks come from the loop, never from inside this call.
 */
int agent_turn_start(struct agent *agent, struct agent_session *session, struct span text,
                     const struct turn_sink *sink, void *context, turn_id *ret_id,
                     struct error *err);

// Ends it; on_end follows with TURN_CANCELLED. Stale ids and 0 do nothing. Not from inside a
// callback of the same turn: whoever wants that defers it.
void agent_turn_cancel(struct agent *agent, turn_id id);
