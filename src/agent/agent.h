#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/session.h"
#include "agent/turn_event.h"
#include "base/error.h"
#include "base/span.h"
#include "config/option.h"
#include "llm/chat.h"
#include "store/turn_terms.h"

struct chat_provider;
struct clock;
struct llm_config;
struct loop;
struct memory_config;
struct metrics;
struct outside;
struct skills;
struct speech_config;
struct store;
struct tool_part;
struct tool_set;
struct toolbox;

/*
 * The agent runs turns. A turn begins with a message and is an explicit state machine:
 *
 *     queued -> prompt -> model -> tools -> model -> ... -> done | failed | cancelled
 *
 * Where a call of an iteration needs approval, none of them begins: the turn is written down with
 * its questions, its last event says TURN_WAITING, and nothing of it is left in memory. Once all is
 * answered agent_turn_resume() goes on with it.
 *
 * What it has never seen: a socket, a wire format, a channel. Replies leave as turn_events.
 */
struct agent;
typedef uint64_t turn_id; // 0 is none

struct agent_config {
    int64_t max_turns;          // calls to the model in one turn
    int64_t turn_limit_ms;      // wall time of one turn; its calls of tools end with it. 0: none
    int64_t approval_ms;        // how long a question may stay open
    int64_t consult_ms;         // for the approval model, and all calls of one reply
    const char *approvals_mode; // "manual", "smart", "off"
    const char *approvals_cron, *approvals_api; // "deny", "smart", "approve": where nobody is asked
    struct option_list approvals_deny, approvals_allow; // globs (tools/command_rules.h)
    const char *image_input_mode;                       // "auto", "native", "text"
    bool compression;           // earlier messages are summed up where they do not fit
    int64_t compression_share;  // of a model's context from which on, in thousandths
    int64_t compression_tokens; // from which on, whatever the model; 0: not set
    int64_t compression_target; // of these, what stays as it was said; in thousandths
    int64_t compression_last;   // messages that stay
    int64_t compression_ms;     // for the summary
    int64_t context_length;     // tokens of the configured model; 0: not set
    const char *system_prompt;  // replaces SOUL.md and the default identity; NULL: not set
    const char *language;       // that the owner is answered in, such as "de"; "", "en", NULL: any
    // Of a turn that another turn begins (agent/delegate.h).
    int64_t children_max;                                  // of one turn, at once
    int64_t child_iterations, child_limit_ms, child_cents; // its limits; 0: of the turn; none
    int64_t child_answer_max;                              // characters that come back
    const char *child_model;                               // NULL: its parent's
};

extern const struct option agent_options[];
extern const size_t agent_option_count;

struct agent_env { // borrowed; outlives the agent
    struct loop *loop;
    const struct clock *clock;
    struct store *store;
    struct metrics *metrics; // may be NULL
    struct chat_provider *provider;
    struct toolbox *toolbox;
    const struct agent_config *config;
    const struct memory_config *memory;
    struct skills *skills; // NULL: none
    const char *home;      // where SOUL.md and memories/ may lie
    const char *model;     // as the provider knows it
    int64_t max_tokens;    // of one reply; 0: the provider's default
    bool stream;
    const struct outside *outside;      // NULL: nobody has news
    const struct speech_config *speech; // NULL: voice messages are kept as files
    const struct llm_config *llm;       // of its server
    bool titles;                        // the slot "title" has a model of its own
    bool describes;                     // the slot "vision" has a model of its own
    bool consults;                      // the slot "approval" has a model of its own
    bool replays;                       // no call has an effect, so nobody is asked for one
};

extern const char turn_silence[]; // the assistant's last word where there is no other

// What begins a turn. Borrowed during the call.
struct turn_request {
    struct agent_session *session; // until the turn has ended
    const char *name;              // never used before; NULL or "": a new one
    struct store_turn_terms terms; // what triggered it, slot, model, tools, limits, where the
                                   // answer goes; its priority is an enum chat_priority
    struct span text;              // what the user said
    bool tainted;                  // nobody vouches for a part of that
    // Images and sound that came with it, which the text says; at most CHAT_PARTS_MAX.
    const struct tool_part *parts;
    size_t part_count;
    const int64_t *inbox; // numbers of the messages in the store's inbox that it answers
    size_t inbox_count;
    struct span drop_turn; // whose messages it takes the place of; absent: none
};

struct agent *agent_create(const struct agent_env *env);                // copies env
void agent_configure(struct agent *agent, const struct agent_env *env); // from the next call on
const struct agent_env *agent_env(const struct agent *agent);
const struct tool_set *agent_tools(const struct agent *agent); // that a turn would get now
// A call runs, of a turn, or of somebody who is listed (agent_use.h).
bool agent_uses(const struct agent *agent, const struct chat_provider *provider);
void agent_destroy(struct agent *agent); // ends turns without callbacks

/*
 * Begins a turn with what the user said; the message is on disk before anything is done about it.
 * One turn at a time in a session. Negative, with a sentence, when it could not even be queued.
 */
int agent_turn_start(struct agent *agent, const struct turn_request *request,
                     turn_event_fn *on_event, void *context, turn_id *ret_id, struct error *err);

/*
 * Goes on with a turn that waited, or that the last process did not end: `session` is loaded from
 * the store, and so is all else. One that cannot go on, because the caller says `why`, its record
 * is damaged, or the program stopped in it too often, ends as failed. Callbacks as above. -ENOENT:
 * no such turn.
 */
int agent_turn_resume(struct agent *agent, struct agent_session *session, struct span turn,
                      const char *why, turn_event_fn *on_event, void *context, turn_id *ret_id,
                      struct error *err);

// Puts a message into the running turn: the model reads it with the next results of tools. A turn
// that ends before leaves it in the inbox and says so in its outcome. -ENOENT: no such turn runs.
int agent_turn_steer(struct agent *agent, turn_id id, struct span text, bool tainted,
                     int64_t inbox);

const char *agent_turn_name(const struct agent *agent, turn_id id); // NULL: no such turn
enum turn_state agent_turn_state(const struct agent *agent, turn_id id, int *ret_iteration);

// Lets go of it: no callback comes after this, and in the store it stays as it is, to be resumed.
void agent_turn_park(struct agent *agent, turn_id id);

// Ends it; its last event follows, with TURN_CANCELLED. Stale ids and 0 do nothing. From inside an
// event of the same turn it must be deferred.
void agent_turn_cancel(struct agent *agent, turn_id id);
