#pragma once

#include <stdint.h>

#include "base/error.h"

struct clock;
struct store;
struct store_view;

/*
 * The database of one home, behind a queue.
 *
 * A thread of its own opens, checks and writes it; the thread that called store_open() (the loop)
 * never waits for a disk. It submits jobs (store/session.h, message.h, turn.h, memory.h), watches
 * store_event_fd(), and gets completions from store_dispatch(). Its synchronous reads go through a
 * second, read-only connection. All functions here belong to that one thread.
 *
 * A read that may take long (a history, a list, a sum over everything) is given to store_read(): it
 * goes through a view of the database, on the store's thread.
 */

enum store_state {
    STORE_OPENING,  // being opened or migrated; jobs wait in the queue, reads say -EAGAIN
    STORE_CHECKING, // the last stop was not clean; as above, for as long as reading the file takes
    STORE_READY,
    STORE_FAILED, // jobs are answered with the reason; opening is tried again every few seconds
};

enum store_durability {
    STORE_GROUPED, // on disk soon, together with others; a power cut may take it
    STORE_PROMPT,  // the same, but at once: no company is waited for
    STORE_DURABLE, // on disk before the completion is called
};

enum {
    STORE_QUEUE_MAX = 1024,           // jobs submitted and not yet dispatched
    STORE_QUEUE_BYTES_MAX = 32 << 20, // bytes of all of them
    STORE_JOB_BYTES_MAX = 16 << 20,   // bytes of one
    STORE_GROUP_WAIT_MS = 50,         // how long a grouped job may wait for company
    STORE_READ_ROWS_MAX = 2000,       // rows of one synchronous read
};

// Positive outcomes of jobs and reads; each function says which of them it can have.
enum { STORE_NOT_FOUND = 1, STORE_DUPLICATE = 2, STORE_LEFT_OVER = 3 };

/*
 * How a job ended: `result` is 0, negative with a sentence in `err`, or a positive outcome. `rowid`
 * is the number of the row that was written, where there is one. `err` lives during the call.
 */
typedef void store_done_fn(void *context, int result, const struct error *err, int64_t rowid);

struct store_options {
    const char *vfs;           // name of a SQLite VFS; NULL is the system's. Copied.
    const struct clock *clock; // NULL is clock_system; else outlives the store
    int checkpoint_pages;      // log pages after which they are written back; 0 is the default
    // Called from store_dispatch() after the state changed or a note was added, with the state that
    // then holds; before it with STORE_CHECKING when there was a check that is over already.
    void (*on_state)(void *context, enum store_state state);
    void *context;
};

/*
 * Starts opening the database in `home_dir` (which exists) and returns at once. Fails only when no
 * thread or descriptor can be had; everything about the file comes as a state. `opt` may be NULL.
 * The caller holds the home's lock. On success *ret_store is the caller's to store_close().
 */
int store_open(const char *home_dir, const struct store_options *opt, struct store **ret_store,
               struct error *err);

// Writes what is queued, marks the file as cleanly closed, joins, frees. Interrupts a read, and
// after some seconds a check. Completions that were not dispatched are not called. Accepts NULL.
void store_close(struct store *store);

// An eventfd, owned by the store: readable while store_dispatch() has something to do.
int store_event_fd(const struct store *store);

// Calls the completions (and on_state) that wait. A completion may submit and forget jobs.
void store_dispatch(struct store *store);

// Blocks until everything submitted is committed, and dispatches it. For command-line programs and
// tests; the loop never calls it.
void store_wait(struct store *store);

// The completion of `job` will not be called; the job itself still runs. Unknown jobs are ignored.
void store_forget(struct store *store, int64_t job);

enum store_state store_state(struct store *store);

/*
 * One sentence for a human: why it failed, or what is going on. And a note that stays for the life
 * of the store when there is something its owner should know: a damaged file was set aside, a file
 * of another program was met, or what was deleted could not be taken out of the file; "" without
 * one. Each is valid until it is asked for again.
 */
const char *store_describe(struct store *store);
const char *store_note(struct store *store);

// Why the disk did not take the last of what was to be written ("the disk ... is full"); "" when it
// did. While this lasts the store can be STORE_READY. Valid until it is asked for again.
const char *store_trouble(struct store *store);

/*
 * Submits a read. `read` runs on the store's thread, after what was submitted before is written,
 * and sees what is committed; it touches nothing but its view and its context, which is nobody
 * else's until then. Its result is that of the completion. `release` is called last, once, also
 * when the completion was forgotten or the store closed; it frees the context. Returns the job's
 * number, or -EAGAIN when the queue is full; then neither is called.
 */
typedef int store_view_fn(void *context, struct store_view *view, struct error *err);
struct store_reading {
    store_view_fn *read;
    store_done_fn *done;
    void (*release)(void *context); // may be NULL
};
int64_t store_read(struct store *store, const struct store_reading *reading, void *context,
                   struct error *err);

// The owner's own view, for reads that are small and for programs that may wait for a disk.
struct store_view *store_view(struct store *store);

// Path of the file in use ("" until that is decided); valid until it is asked for again.
const char *store_path(struct store *store);
