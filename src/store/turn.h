#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/message.h"
#include "store/settle.h"
#include "store/store.h"
#include "store/turn_terms.h"

/*
 * A turn, one row that follows its state machine: queued, prompt, model, tools (where calls need
 * somebody's approval, waiting before that; where they ask, in between), model, ..., and one of the
 * last three. Each transition
 * is one job: the new state, the messages and the tool calls that belong to it are on disk together
 * or not at all.
 */
enum store_turn_state {
    STORE_TURN_QUEUED,
    STORE_TURN_PROMPT,
    STORE_TURN_MODEL,
    STORE_TURN_TOOLS,
    STORE_TURN_WAITING, // none of the iteration's calls runs
    STORE_TURN_DONE,
    STORE_TURN_FAILED,
    STORE_TURN_CANCELLED,
    STORE_TURN_UNKNOWN, // of a row alone: another version's word, or damage
};

enum store_call_state {
    STORE_CALL_PENDING,
    STORE_CALL_DONE,
    STORE_CALL_INTERRUPTED,
};

struct store_approval;

struct store_turn {
    struct span id;      // chosen by the caller; the one id from the channel to the ledger
    struct span session; // exists, or was submitted before
    struct span model;   // absent: not known yet
    int64_t started_ms;
    const int64_t *inbox; // numbers of the messages in the inbox that it answers
    size_t inbox_count;
    struct span drop_turn; // whose messages it takes the place of (/retry); absent: none
    struct store_turn_terms terms;
};

struct store_tool_call {
    int ordinal;         // place among the calls of its iteration
    struct span call_id; // the model's
    struct span name;
    struct span arguments; // the model's own bytes, whatever they are
    enum store_call_state state;
    int64_t flags; // of the tool when the call began; only whoever wrote them knows what they mean
    bool failed;   // the tool reported an error
    bool tainted;
    struct span result; // absent until done
    struct span parts;  // of that, as of a message
};

// What one step used up; added to the turn.
struct store_usage {
    int64_t input_tokens, cached_tokens, output_tokens, cost_pico;
};

struct store_turn_step {
    struct span turn;
    enum store_turn_state state;
    int iteration; // calls to the model so far; with an ordinal it names a tool call
    struct store_usage usage;
    int64_t prompt_tokens; // of the last call to a model; 0: as it was; -1: not known any more
    struct span error;     // a failed turn's sentence
    int64_t now_ms;
    // Appended in this order, all in the turn's session: `session` and `turn` are not read.
    const struct store_message *messages;
    size_t message_count;
    // Written, or where (iteration, ordinal) exists, their state, result and marks updated.
    const struct store_tool_call *calls;
    size_t call_count;
    const int64_t *inbox; // messages in the inbox that this step takes into the turn
    size_t inbox_count;
    const struct store_approval *questions; // that a turn which waits asks
    size_t question_count;
    const struct store_reply *files; // that its calls send; they go out before `reply`
    size_t file_count;
    const struct store_reply *reply; // of the end, or with questions: what goes out; NULL: nothing
};

enum { STORE_STEP_ROWS_MAX = 256 }; // messages, and tool calls, of one step

/*
 * All three submit, copy, and return as store_session_create() does.
 * begin: a queued turn and the messages that triggered it (whose `session` and `turn` are not
 * read). The completion's rowid is the turn's number. Outcome STORE_DUPLICATE when the id or a
 * message of the inbox was seen before: nothing is written, rowid is the turn that has it, or 0.
 * -ENOENT: no such session, turn to drop, or message in the inbox.
 */
int64_t store_turn_begin(struct store *store, const struct store_turn *turn,
                         const struct store_message *messages, size_t message_count,
                         enum store_durability durability, store_done_fn *done, void *context,
                         struct error *err);

// advance: to a state that is not final. -ENOENT: no such turn, -EALREADY: it has ended, or a
// message of the inbox was handled before; then nothing of the step is written.
int64_t store_turn_advance(struct store *store, const struct store_turn_step *step,
                           enum store_durability durability, store_done_fn *done, void *context,
                           struct error *err);

// finish: to done, failed or cancelled. The same failures.
int64_t store_turn_finish(struct store *store, const struct store_turn_step *step,
                          enum store_durability durability, store_done_fn *done, void *context,
                          struct error *err);

/*
 * Submits, durable: the turn is taken up again. One that waited runs its calls; of any other it is
 * counted, since the program was stopped in it. The completion's rowid is that count. -ENOENT,
 * -EALREADY as above; -EBUSY while a question of it is asked.
 */
int64_t store_turn_resume(struct store *store, struct span turn, store_done_fn *done, void *context,
                          struct error *err);
