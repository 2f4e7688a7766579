#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/span.h"
#include "store/approval.h"
#include "store/session.h"
#include "store/sql.h"
#include "store/store.h"
#include "store/taint.h"
#include "store/turn.h"

/*
 * Private to store/ and its tests: how the typed operations reach the store thread.
 *
 * A job is one heap block: the operation's struct, which begins with a struct store_job, and behind
 * it copies of all that it was given. It is made and submitted by the owner's thread, run (perhaps
 * more than once) by the store thread, and finished and freed by the owner's.
 */
struct store_job;
typedef int store_run_fn(struct store_job *job, sqlite3 *db, struct error *err);

struct store_job {
    // Store thread, inside a savepoint: 0, a positive outcome, or a failure, which is undone.
    // Run again when the transaction around it failed, so it sets what it returns from scratch.
    store_run_fn *run;
    enum store_durability durability;
    store_done_fn *done;
    void *context;
    void (*finish)(struct store_job *job);  // owner's thread; NULL calls `done`
    void (*release)(struct store_job *job); // owner's thread: frees what `run` allocated; or NULL
    bool reads_only;
    bool apart; // reads only, and may take long: run by itself, after the writes that came before

    struct list owned; // store.owned; the owner's
    struct list link;  // store.queued, the store thread's batch, or store.finished
    int64_t number;    // what store_forget() names
    size_t bytes;      // of the block
    bool forgotten;    // the owner's
    bool settled;      // has failed on its own; not run again
    bool scrub;        // set by `run`: what it deletes leaves the file before `done`

    int result;
    int64_t rowid;
    struct error err;
};

/*
 * What an operation was given by pointer: its job keeps a copy. `at` is the address of a pointer to
 * `count` things of that shape; the pointer is made to point to the copy, as are their texts.
 */
struct store_shape {
    size_t size, texts;
    size_t offsets[9]; // of the texts, which are spans
};
struct store_given {
    void *at;
    size_t count;
    const struct store_shape *shape;
};
extern const struct store_shape store_number_shape, store_message_shape, store_reply_shape,
    store_session_shape, store_mark_shape;

// The same for the texts of an operation's own struct.
#define STORE_SPANS(...) \
    (struct span *[]){__VA_ARGS__}, sizeof((struct span *[]){__VA_ARGS__}) / sizeof(struct span *)

/*
 * How every operation ends. `job` begins its struct of `size` bytes, on the stack: `run`,
 * `durability`, `done`, `context` and what else it needs are set. A copy on the heap is submitted,
 * with copies of what was given. Its number; or a failure, and then `release` was called.
 */
int64_t store_job_submit(struct store *store, struct store_job *job, size_t size,
                         const struct store_given *given, size_t given_count,
                         struct span *const *spans, size_t count, struct error *err);
void store_job_destroy(struct store_job *job);

// For the ids of sessions and turns.
int store_id_check(struct span id, const char *what, struct error *err);

// A read's first step: SQL_ROW, or 0 when there is no row.
int store_read_first(struct store_view *view, const char *sql, const struct sql_value *values,
                     size_t count, sqlite3_stmt **ret_stmt, struct error *err);

// The first column of its first row; STORE_NOT_FOUND without one.
int store_read_number(struct store_view *view, const char *sql, const struct sql_value *values,
                      size_t count, int64_t *ret_number, struct error *err);

// The rest is of the store's thread. The numbers behind ids: 0, or -ENOENT.
int store_session_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err);
int store_turn_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err);

// 0, or STORE_DUPLICATE and nothing written; *ret_number in both cases.
int store_session_insert(sqlite3 *db, const struct store_session *session, int64_t *ret_number,
                         struct error *err);
int store_session_touch(sqlite3 *db, int64_t session, int64_t now_ms, struct error *err);

// A turn that goes on: -ENOENT, or -EALREADY when it has ended.
int store_turn_open(sqlite3 *db, struct span id, int64_t *ret_turn, int64_t *ret_session,
                    struct error *err);

// 0, or STORE_NOT_FOUND when it is not as it was read.
int store_key_value_set(sqlite3 *db, struct span name, struct span text, struct error *err);
int store_mark_lift(sqlite3 *db, const struct store_mark *mark, struct error *err);

// Takes the turn's messages out of the conversation. -ENOENT: no such turn.
int store_turn_drop(sqlite3 *db, struct span id, struct error *err);

// What the states of turns and calls are called in the file; -1 for a word that is none of them.
extern const char *const store_turn_words[STORE_TURN_UNKNOWN];
extern const char *const store_call_words[STORE_CALL_INTERRUPTED + 1];
int store_word_find(const char *const *words, size_t count, struct span word);
// The same for what was read, or -EINVAL: "a message is of the kind", which is unknown.
int store_word_read(const char *const *words, size_t count, struct span word, const char *what,
                    struct error *err);

// -E2BIG when one step has too many of these.
int store_step_check(size_t messages, size_t calls, size_t inbox, struct error *err);

// Messages within a turn's operations; the session is used by it.
int store_messages_insert(sqlite3 *db, int64_t session, int64_t turn,
                          const struct store_message *messages, size_t count, int64_t now_ms,
                          struct error *err);

// 0 when none of them was handled; STORE_DUPLICATE, with the turn that did it or 0; -ENOENT.
int store_inbox_check(sqlite3 *db, const int64_t *numbers, size_t count, int64_t *ret_turn,
                      struct error *err);
int store_inbox_handle(sqlite3 *db, const int64_t *numbers, size_t count, int64_t turn,
                       int64_t now_ms, struct error *err); // turn 0: none

// What other transactions do with questions. -EALREADY: one was answered before,
// or has expired; the turn does not wait any more.
int store_approval_insert(sqlite3 *db, int64_t turn, int iteration, const struct store_approval *a,
                          struct error *err);
int store_approval_answer(sqlite3 *db, const struct store_answer *answer, int64_t now_ms,
                          struct error *err);
int store_approvals_end(sqlite3 *db, int64_t turn, int64_t now_ms, struct error *err);
int store_turn_cancel(sqlite3 *db, const struct store_cancellation *c, int64_t now_ms,
                      struct error *err);

// A reply of its own (turn 0: none), and what the end of a turn does to the outbox; `reply` may be
// NULL.
int store_reply_insert(sqlite3 *db, int64_t turn, const struct store_reply *reply, int64_t now_ms,
                       int64_t *ret_number, struct error *err);
int store_reply_finish(sqlite3 *db, int64_t turn, const struct store_reply *reply, int64_t now_ms,
                       struct error *err);
