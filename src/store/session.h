#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/store.h"

// A conversation. Its id is chosen by the caller (unique, at most STORE_ID_MAX bytes), so that
// messages and turns can be submitted without waiting for the session's own completion.
struct store_session {
    struct span id;
    struct span channel;   // "console", "telegram", ...
    struct span chat;      // the channel's own name of the chat; "" where it has only one
    struct span thread;    // of the chat; absent or "": none
    struct span sender;    // whose own it is, in a chat of several; absent or "": everybody's
    struct span title;     // absent: none yet
    struct span model;     // absent: the configured one
    struct span prompt;    // the frozen system prompt; absent: none
    int64_t created_ms;    // wall clock, milliseconds since 1970; shown, never used to order
    int64_t updated_ms;    // set by messages; ignored when creating
    int64_t prompt_tokens; // of the last call to a model; 0: not known; ignored when creating
};

enum { STORE_ID_MAX = 128 }; // bytes of an id of a session or turn

// How many bytes of an id name it to people: `columns` of a random one, as ours are, and all of one
// that says something, such as hermes-agent's, which begin with the day.
int store_id_shown(struct span id, int columns);

/*
 * Submits. Returns the job's number (> 0) for store_forget(), or -EAGAIN when the queue is full,
 * -E2BIG, -EINVAL; then `done` is not called. All bytes are copied. `done` may be NULL.
 * Outcomes: 0, STORE_DUPLICATE when a session of this id exists (it is left as it is).
 */
int64_t store_session_create(struct store *store, const struct store_session *session,
                             enum store_durability durability, store_done_fn *done, void *context,
                             struct error *err);

// Receives one row; its spans live during the call.
typedef void store_session_fn(void *context, const struct store_session *session);

// Synchronous reads: 0, STORE_NOT_FOUND, -EAGAIN while the store is not ready, or another failure.
int store_read_session(struct store_view *view, struct span id, store_session_fn *row,
                       void *context, struct error *err);

// What a session belongs to. Absent is the same as "".
struct store_session_key {
    struct span channel, chat, thread, sender;
};

// The session of a key that was picked last: created, or resumed (store_settlement).
int store_read_session_latest(struct store_view *view, const struct store_session_key *key,
                              store_session_fn *row, void *context, struct error *err);

// As a list shows them. Spans live during the call; false stops the reading.
struct store_session_row {
    struct store_session session; // without the prompt
    int64_t messages, turns;
};
typedef bool store_session_row_fn(void *context, const struct store_session_row *row);

// Synchronous: the sessions that were used last, newest first.
int store_read_sessions(struct store_view *view, int limit, store_session_row_fn *row,
                        void *context, struct error *err);

// Those of a key, the one that goes on first, then as they were picked.
int store_read_sessions_of(struct store_view *view, const struct store_session_key *key, int limit,
                           store_session_row_fn *row, void *context, struct error *err);

// Of the last sessions of each key, those that may show a model text that nobody vouches for: in a
// message, or (STORE_TAINT_MEMORY) in the prompt. Newest first.
int store_read_tainted_sessions(struct store_view *view, int limit, store_session_fn *row,
                                void *context, struct error *err);

// The full id behind an unambiguous beginning of one: 0, STORE_NOT_FOUND, -EINVAL when ambiguous.
int store_find_session(struct store_view *view, struct span beginning, store_session_fn *row,
                       void *context, struct error *err);

/*
 * Submits, durable: the session, its turns and messages are gone, and nothing of them is left in
 * the file. STORE_LEFT_OVER: they are gone, but could not be removed from the file's free space,
 * for the reason in `err`; that is tried again, also by the next process. STORE_NOT_FOUND; -EBUSY
 * while a turn of it runs. One that waits for approval goes too, and is not asked about any more. A
 * reply that waits is sent, and then gone in the same way.
 */
int64_t store_session_delete(struct store *store, struct span id, store_done_fn *done,
                             void *context, struct error *err);

/*
 * Submits: some of the sessions that were not used since then are deleted like that, but for those
 * that go on in their chat, and those with a turn that has not ended. Runs of jobs, tasks that were
 * handed on and terminals' chats go on nowhere. Only those of the channel; absent: of all. The
 * completion's rowid is their number.
 * STORE_LEFT_OVER: there may be more; also when they are still in the file's free space.
 */
enum { STORE_PRUNED_MAX = 20 };
int store_count_ended(struct store_view *view, int64_t before_ms, struct span channel,
                      int64_t *ret_count, struct error *err); // synchronous: how many that would be
int64_t store_sessions_prune(struct store *store, int64_t before_ms, struct span channel,
                             store_done_fn *done, void *context, struct error *err);
