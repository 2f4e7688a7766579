#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "store/connection.h"
#include "store/store.h"

// Private to store/: the two sides of struct store. store.c is the owner's, store_thread.c the
// other.

enum {
    STORE_GROUP_ENOUGH = 128, // jobs for which no more company is waited for
    STORE_REOPEN_MS = 5000,   // between two attempts to open a file that would not open
    STORE_CLOSE_WAIT_MS = 5000,
    STORE_INTERRUPT_EVERY_MS = 10,
    STORE_CHECKPOINT_PAGES = 256,
};

// Whose connection a read goes through: the owner's (`db` is NULL), or the store thread's.
struct store_view {
    struct store *store;
    sqlite3 *db;
};

struct store {
    // Set before the thread starts, never changed.
    char *home_dir;
    char *vfs;
    const struct clock *clock;
    const struct store_migrations *schema;
    int checkpoint_pages;
    int event_fd; // written by the thread, read by the owner
    pthread_t thread;

    // The owner's alone.
    void (*on_state)(void *context, enum store_state state);
    void *context;
    sqlite3 *reader;
    struct store_view view; // through `reader`
    struct error shown_description, shown_note, shown_trouble;
    char *shown_path;
    struct list owned; // struct store_job.owned: every job that was not dispatched
    size_t jobs;       // on that list
    size_t bytes;      // of them
    int64_t last_number;

    // Under `lock`.
    pthread_mutex_t lock;
    pthread_cond_t wake;  // for the thread: something to do
    pthread_cond_t idle;  // for the owner: the thread has done something
    struct list queued;   // struct store_job.link
    struct list finished; // struct store_job.link
    size_t queued_jobs;
    size_t unfinished_jobs; // queued, or with the thread
    int64_t oldest_ms;      // monotonic, when the queue became not empty
    bool urgent;            // somebody waits for what is queued
    bool closing;
    enum store_state state;
    bool state_changed;
    bool check_untold; // there was a check, which the owner has not heard of
    struct error description, note;
    struct error trouble;   // why the last writes failed; "" once something was written again
    char *path;             // owned; NULL until it is decided
    sqlite3 *interruptible; // while a check or a read runs

    // The thread's alone.
    struct store_connection conn;
    struct list apart;       // struct store_job.link: reads, each run by itself
    bool hopeless;           // opening will not be tried again
    int64_t failed_ms;       // monotonic, when opening failed last
    int64_t scrub_ms;        // monotonic, before which it is not tried again
    unsigned scrub_failures; // in a row
};

void *store_thread_main(void *store);

// store_open() with another schema, for the tests of two generations of a file.
int store_open_schema(const char *home_dir, const struct store_options *opt,
                      const struct store_migrations *schema, struct store **ret_store,
                      struct error *err);

// CLOCK_MONOTONIC; the queue's own patience is the machine's and not a replayed clock's.
int64_t store_now_ms(void);

// Waits for `cond` until then at most. The lock is held.
void store_wait_until(struct store *store, pthread_cond_t *cond, int64_t deadline_ms);
