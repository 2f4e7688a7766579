#pragma once

#include "agent/agent.h"
#include "agent/agent_use.h"
#include "agent/approval_policy.h"
#include "agent/model_health.h"
#include "agent/turn_compress.h"
#include "agent/turn_consult.h"
#include "agent/turn_files.h"
#include "agent/turn_marks.h"
#include "agent/turn_parts.h"
#include "agent/turn_steering.h"
#include "agent/turn_store.h"
#include "agent/turn_terms.h"
#include "base/buf.h"
#include "base/list.h"
#include "llm/provider.h"
#include "loop/loop.h"
#include "store/turn.h"
#include "tools/toolbox.h"

/*
 * Private to the agent: a turn and what its files share. turn.c moves it from state to state,
 * turn_store.c writes each transition down, turn_tools.c runs calls, turn_wait.c asks before,
 * turn_consult.c asks the approval model before that, and turn_compress.c makes room.
 */
enum {
    TURN_REPEATS_MAX = 3,         // the same call with the same result ends the turn
    TURN_RESUMES_MAX = 3,         // stops of the program in one turn, after which it is given up
    TURN_REPLY_MAX = 256 * 1024,  // bytes of a reply that is delivered
    TURN_NOTICES_MAX = 2,         // of a change and of the next: what was before is stale
    TURN_CALL_QUESTIONS_MAX = 32, // that one call asks while it runs
};

struct agent {
    struct agent_env env;
    struct list turns;
    struct list markings; // struct turn_marking
    struct list uses;     // struct agent_use
    turn_id last_id;
    struct model_health health;
};

struct turn_call { // one tool call of the present iteration
    struct turn *turn;
    size_t ordinal;
    unsigned flags;  // of its tool when it was asked for
    tool_run_id run; // 0: not running
    bool ended, failed;
    bool maybe_begun;                    // by the last process, which did not write down its end
    bool interrupted;                    // by the end of the turn, or of the program
    bool approved;                       // by somebody, or by the configuration
    struct approval_judgement judgement; // whether it may run
    bool allowed;                        // by the approval model
    bool marks;                          // what it writes is marked
    int64_t marks_ms;                    // monotonic, before it began
    bool tainted;                        // its result holds text that nobody vouches for
    char *bound;  // what was in its files when it was approved (tools/file_prints.h); or NULL
    char *result; // when ended
    int asked;    // questions so far, while it ran
    char *asks;   // the one that is open, as arguments of tools/clarify.h; NULL: none
    enum tool_reply reply; // to the last one, with which it goes on
    char *words;           // with TOOL_ANSWERED
    char *parts;           // the images and sound of that (part_list.h); NULL: none
};

struct turn {
    struct list link; // agent::turns
    struct agent *agent;
    struct agent_session *session;
    turn_id id;
    char name[33]; // the one id of this piece of work, from the channel to the ledger
    struct turn_terms terms;
    turn_event_fn *on_event;
    void *context;
    enum turn_state state;
    bool replaces;      // the last turn of the conversation
    bool waited;        // was taken up as one that waited: none of its calls has begun
    bool begun;         // its row and its message are on disk
    bool cancel_wanted; // while it waited for the disk
    int iteration;
    int64_t started_ms;             // monotonic
    char *text;                     // what the user said, until it is in the history
    struct chat_parts parts;        // and the images and sound of that
    bool tainted;                   // nobody vouches for a part of that
    struct tool_set *tools;         // that the model may use
    struct chat_provider *provider; // of the call that runs
    chat_call_id model_call;
    int64_t asked_ms; // when it was made
    loop_id limit;    // while it runs: when the turn's time is up
    struct turn_transition transition;
    struct turn_media media; // that the next request shows
    struct list steering;    // struct turn_steering
    struct buf partial;      // text of the reply that is coming in
    struct turn_call *calls;
    size_t call_count, calls_left;
    turn_next_fn *calls_ended;
    struct turn_question *questions; // of the present iteration; behind them, in the same form,
    size_t question_count, allowed_count; // what the approval model has allowed
    struct turn_consulting consulting;
    struct turn_compressing compressing;
    struct turn_looking looking;
    struct turn_marking *marking; // of what the calls have written, for which the turn waits
    char *marks_note;             // of marked files before the calls (changed_files.h); or NULL
    int64_t marks_since_ms;       // wall clock: when the first call began that marks; 0: none
    bool starting;                // inside the loop that starts the calls
    uint64_t last_fingerprint;    // of calls and results, to notice a model that repeats itself
    int repeats;
    struct chat_usage usage, unsaved; // of the whole turn; of it, what the store has not heard of
    struct error error;
    char remark[ERROR_TEXT_MAX];
    char *notices[TURN_NOTICES_MAX]; // of the replies, oldest first
    char *news;                      // of others, for whoever reads the answer; NULL: none
};

// turn_view.c
const struct turn *turn_named(const struct agent *agent, const char *name); // NULL: it does not run
const struct chat_message *turn_asking_message(const struct turn *turn);
char *turn_prompt(const struct turn *turn); // on the heap, with what the asker adds
// Where what the user said was asked for the last time, or the history's end.
size_t turn_find_question(const struct turn *turn);
const char *turn_answer(const struct turn *turn);       // what there is of it; "" is none
const char *turn_chosen_model(const struct turn *turn); // pinned, or the session's; NULL: neither
const char *turn_model(const struct turn *turn);        // that, or the configured one
void turn_report(struct turn *turn, struct turn_event event);  // adds its turn and address
int64_t turn_limit_ms(const struct turn *turn);                // of wall time; 0: none
int64_t turn_left_ms(const struct turn *turn);                 // of that
void turn_tell_time(struct turn *turn);                        // that none is left, in turn->error
bool turn_is_past_a_limit(struct turn *turn);                  // of which turn->error tells
struct turn *turn_find(const struct agent *agent, turn_id id); // NULL: no such turn

// turn_reply.c
void turn_add_usage(struct chat_usage *sum, const struct chat_usage *usage);
void turn_keep_notice(struct turn *turn, struct chat_reply *reply); // takes it from the reply
void turn_take_news(struct turn *turn); // of others, where a person reads the answer
void turn_tell_notices(struct turn *turn, struct buf *out); // and news, which count as told then
void turn_drop_notices(struct turn *turn);

// turn_tools.c
size_t turn_tools_listed(const struct turn *turn, struct chat_tool *tools); // those of a request
void turn_calls_prepare(struct turn *turn);
void turn_call_judge(struct turn_call *call, enum approval_verdict verdict); // may it run?
void turn_calls_run(struct turn *turn, turn_next_fn *next); // called when the last has ended
void turn_calls_interrupt(struct turn *turn); // the result of those that are not over says so
void turn_calls_append_results(struct turn *turn);
void turn_calls_finish(struct turn *turn); // frees them
uint64_t turn_calls_fingerprint(const struct turn *turn);

// turn_resume.c
int turn_restore_calls(struct turn *turn, struct error *err); // of the present iteration
