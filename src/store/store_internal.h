#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/span.h"
#include "store/store.h"

/*
 * Private to store/ and its tests: how the typed operations reach the store thread.
 *
 * A job is one heap block: the operation's struct, which begins with a struct store_job, and behind
 * it copies of all that it was given. It is made and submitted by the owner's thread, run (perhaps
 * more than once) by the store thread, and finished and freed by the owner's.
 */
struct store_job {
    struct list owned; // store.owned; the owner's
    struct list link;  // store.queued, the store thread's batch, or store.finished
    int64_t number;    // what store_forget() names
    size_t bytes;      // of the block
    size_t used;       // of it, by the struct and what was kept so far
    enum store_durability durability;
    bool reads_only;
    bool forgotten; // the owner's
    bool settled;   // has failed on its own; not run again

    // Store thread, inside a savepoint: 0, a positive outcome, or a failure, which is undone.
    // Run again when the transaction around it failed, so it sets what it returns from scratch.
    int (*run)(struct store_job *job, sqlite3 *db, struct error *err);
    void (*finish)(struct store_job *job); // owner's thread; NULL calls `done`
    void (*release)(
        struct store_job *job); // either thread: frees what `run` allocated; may be NULL
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
struct span store_job_keep_span(struct store_job *job, struct span span);

// Takes the job, also when it fails. Its number, or a failure.
int64_t store_submit(struct store *store, struct store_job *job, struct error *err);

// For the ids of sessions and turns.
int store_id_check(struct span id, const char *what, struct error *err);

// The loop's own connection, opened when first asked for; -EAGAIN until the store is ready.
int store_reader(struct store *store, sqlite3 **ret_db, struct error *err);

// The numbers behind ids: 0, or -ENOENT.
int store_session_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err);
int store_turn_number(sqlite3 *db, struct span id, int64_t *ret_number, struct error *err);

struct store_message;

// Parts of the messages' own operation that a turn's steps share.
size_t store_message_bytes(const struct store_message *message);
void store_message_keep(struct store_job *job, struct store_message *message); // in place
int store_message_insert(sqlite3 *db, int64_t session, int64_t turn,
                         const struct store_message *message, struct error *err);
