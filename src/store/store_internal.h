#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/span.h"
#include "store/session.h"
#include "store/sql.h"
#include "store/store.h"
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
    struct list owned; // store.owned; the owner's
    struct list link;  // store.queued, the store thread's batch, or store.finished
    int64_t number;    // what store_forget() names
    size_t bytes;      // of the block
    size_t used;       // of it, by the struct and what was kept so far
    enum store_durability durability;
    bool reads_only;
    bool apart; // reads only, and may take long: run by itself, after the writes that came before
    bool forgotten; // the owner's
    bool settled;   // has failed on its own; not run again
    bool scrub;     // set by `run`: what it deletes leaves the file before `done`

    // Store thread, inside a savepoint: 0, a positive outcome, or a failure, which is undone.
    // Run again when the transaction around it failed, so it sets what it returns from scratch.
    store_run_fn *run;
    void (*finish)(struct store_job *job);  // owner's thread; NULL calls `done`
    void (*release)(struct store_job *job); // owner's thread: frees what `run` allocated; or NULL
    store_done_fn *done;
    void *context;

    int result;
    int64_t rowid;
    struct error err;
};

/*
 * `size` is that of the operation's struct (store_job first), `payload` what will be kept in it.
 * NULL with -E2BIG or -ENOMEM in `err`.
 */
void *store_job_create(size_t size, size_t payload, struct error *err);
void store_job_destroy(struct store_job *job);

// Copies into the job. Whatever has members is kept before the first text, for alignment.
void *store_job_keep(struct store_job *job, const void *data, size_t len);

/*
 * The spans of what an operation was given, listed once: their bytes are counted before there is a
 * job, and kept in it afterwards, when the spans are made to point there.
 */
#define STORE_SPANS(...) \
    (struct span *[]){__VA_ARGS__}, sizeof((struct span *[]){__VA_ARGS__}) / sizeof(struct span *)

size_t store_spans_bytes(struct span *const *spans, size_t count);
void store_job_keep_spans(struct store_job *job, struct span *const *spans, size_t count);

// Makes a job that keeps these spans and nothing else. Fails as store_job_create() does.
void *store_job_make(size_t size, struct span *const *spans, size_t count, struct error *err);

// How every operation ends: takes the job, also when it fails. Its number, or a failure.
int64_t store_job_submit(struct store *store, struct store_job *job, store_run_fn *run,
                         enum store_durability durability, store_done_fn *done, void *context,
                         struct error *err);

// For the ids of sessions and turns.
int store_id_check(struct span id, const char *what, struct error *err);

// Receives a row of a read: SQL_ROW to go on, 0 when that was enough, or a failure.
typedef int store_row_fn(void *context, sqlite3_stmt *stmt, struct error *err);

// All rows; 0 also when there are none. And the first row; STORE_NOT_FOUND without one.
int store_read_rows(struct store_view *view, const char *sql, const struct sql_value *values,
                    size_t count, store_row_fn *row, void *context, struct error *err);
int store_read_row(struct store_view *view, const char *sql, const struct sql_value *values,
                   size_t count, store_row_fn *row, void *context, struct error *err);

struct store_id {
    char text[STORE_ID_MAX];
    size_t len;
};

/*
 * The one id that begins so. `sql` selects at most two ids from ?1 on and before ?2, in order.
 * STORE_NOT_FOUND; -EINVAL when there are two and neither is the beginning itself.
 */
int store_find_id(struct store_view *view, const char *sql, struct span beginning, const char *what,
                  struct store_id *ret_id, struct error *err);

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

// Takes the turn's messages out of the conversation. -ENOENT: no such turn.
int store_turn_drop(sqlite3 *db, struct span id, struct error *err);

// What the states of turns and calls are called in the file; -1 for a word that is none of them.
const char *store_turn_word(enum store_turn_state state);
const char *store_call_word(enum store_call_state state);
int store_word_find(const char *const *words, size_t count, struct span word);
int store_turn_state_of(struct span word);
int store_call_state_of(struct span word);

// -E2BIG when one step has too many of these.
int store_step_check(size_t messages, size_t calls, size_t inbox, struct error *err);

// Messages within a turn's operations; with the insertion the session is used.
size_t store_messages_bytes(const struct store_message *messages, size_t count);
void store_messages_keep(struct store_job *job, struct store_message *messages, size_t count);
int store_messages_insert(sqlite3 *db, int64_t session, int64_t turn,
                          const struct store_message *messages, size_t count, int64_t now_ms,
                          struct error *err);

// 0 when none of them was handled; STORE_DUPLICATE, with the turn that did it or 0; -ENOENT.
int store_inbox_check(sqlite3 *db, const int64_t *numbers, size_t count, int64_t *ret_turn,
                      struct error *err);
int store_inbox_handle(sqlite3 *db, const int64_t *numbers, size_t count, int64_t turn,
                       int64_t now_ms, struct error *err); // turn 0: none

// A reply of its own (turn 0: none), and what the end of a turn does to the outbox; `reply` may be
// NULL.
int store_reply_insert(sqlite3 *db, int64_t turn, const struct store_reply *reply, int64_t now_ms,
                       int64_t *ret_number, struct error *err);
int store_reply_finish(sqlite3 *db, int64_t turn, const struct store_reply *reply, int64_t now_ms,
                       struct error *err);
