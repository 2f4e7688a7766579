#pragma once

#include "store/session.h"
#include "store/turn.h"

// A turn as it is stored. Spans live during the call.
struct store_turn_row {
    int64_t number, started_ms, ended_ms; // 0: not ended
    struct span id, session, model, error;
    struct span channel, chat, thread, sender; // of its session
    enum store_turn_state state;
    int iteration, resumes;
    int64_t asked; // questions that are not answered yet
    struct store_usage usage;
    struct store_turn_terms terms;
};
typedef bool store_turn_fn(void *context, const struct store_turn_row *turn); // false stops

// Synchronous, each at most STORE_READ_ROWS_MAX, oldest first. The turns that have not ended, but
// for those that wait; and those, from the first number above `after` on.
int store_read_open_turns(struct store *store, store_turn_fn *row, void *context,
                          struct error *err);
int store_read_waiting_turns(struct store *store, int64_t after, store_turn_fn *row, void *context,
                             struct error *err);

// The newest one that waits in a conversation, whatever its session. STORE_NOT_FOUND.
int store_read_waiting_turn(struct store_view *view, const struct store_session_key *key,
                            store_turn_fn *row, void *context, struct error *err);

// STORE_NOT_FOUND.
int store_read_turn(struct store *store, struct span id, store_turn_fn *row, void *context,
                    struct error *err);

// The last question of a session's conversation and the turn that answers it. STORE_NOT_FOUND.
typedef void store_question_fn(void *context, struct span turn, struct span text);
int store_read_question(struct store_view *view, struct span session, store_question_fn *row,
                        void *context, struct error *err);

// The last word of a turn, unless it was taken out of the conversation. STORE_NOT_FOUND.
int store_read_answer(struct store_view *view, struct span turn, store_question_fn *row,
                      void *context, struct error *err);

// The tool calls of one iteration, by ordinal.
typedef bool store_tool_call_fn(void *context, const struct store_tool_call *call);
int store_read_tool_calls(struct store *store, struct span turn, int iteration,
                          store_tool_call_fn *row, void *context, struct error *err);

// Sums over the turns of a session ("" : of all), and how many there are in each final state.
struct store_turn_sums {
    int64_t turns, done, failed, cancelled, open;
    struct store_usage usage;
};
int store_read_turn_sums(struct store_view *view, struct span session,
                         struct store_turn_sums *ret_sums, struct error *err);
