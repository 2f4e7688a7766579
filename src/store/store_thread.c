#include "store/store_thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/file.h"
#include "store/store_internal.h"

/*
 * The store thread: opens the file, then takes whatever is queued, commits it, and hands it back.
 *
 * No state of the file ends the program or keeps it from starting. Damage is found (a header, a
 * schema that cannot be read, a check that fails), the file is renamed, and a new one is started;
 * once, for if that one is damaged too, it is the disk. What a person can mend (a full disk, a
 * read-only directory) leaves the store failed and is tried again; what only another program can
 * read is left alone.
 *
 * Checkpoints come after the completions were handed over, so that nobody who waits for a commit
 * waits for one of those.
 */

// The lock is held, so that whoever saw the news does not find the descriptor readable afterwards.
static void tell_owner(struct store *store)
{
    uint64_t one = 1;
    (void)!write(store->event_fd, &one, sizeof one); // full only when it is readable already
    pthread_cond_broadcast(&store->idle);
}

int64_t store_now_ms(void)
{
    return clock_monotonic_ms(&clock_system);
}

void store_wait_until(struct store *store, pthread_cond_t *cond, int64_t deadline_ms)
{
    struct timespec deadline = {deadline_ms / 1000, (long)(deadline_ms % 1000) * 1000000};
    pthread_cond_timedwait(cond, &store->lock, &deadline);
}

static void publish(struct store *store, enum store_state state, const struct error *description)
{
    pthread_mutex_lock(&store->lock);
    store->state_changed = store->state_changed || store->state != state;
    store->check_untold = store->check_untold || state == STORE_CHECKING;
    store->state = state;
    store->description = *description;
    tell_owner(store);
    pthread_mutex_unlock(&store->lock);
}

static void add_note(struct store *store, const char *text)
{
    pthread_mutex_lock(&store->lock);
    char *note = store->note.text;
    size_t used = strlen(note);
    snprintf(note + used, sizeof store->note.text - used, "%s%s", used ? "; " : "", text);
    pthread_mutex_unlock(&store->lock);
}

static void set_interruptible(struct store *store, sqlite3 *db)
{
    pthread_mutex_lock(&store->lock);
    store->interruptible = db;
    pthread_mutex_unlock(&store->lock);
}

static int use_file(struct store *store, const struct store_file *file, struct error *err)
{
    if (file->kind == STORE_FILE_DAMAGED)
        return error_set(err, -EUCLEAN, "%s is not a database, or only the log of one is there",
                         file->path);
    int r = store_schema_check(file->path, file->version, store->schema, err);
    if (r == 0)
        r = store_file_prepare(file->path, err);
    if (r == 0)
        r = store_connection_open(&store->conn, file->path, store->vfs, store->schema, err);
    if (r == 0 && store->conn.unclean) {
        struct error text = ERROR_INIT;
        error_set(&text, 0, "unclean shutdown; %s is being checked",
                  sqlite3_db_filename(store->conn.db, "main"));
        publish(store, STORE_CHECKING, &text);
        set_interruptible(store, store->conn.db);
        r = store_connection_check(&store->conn, err);
        set_interruptible(store, NULL);
    }
    return r;
}

static int set_aside(struct store *store, const struct store_file *file, struct error *err)
{
    struct error damage = *err;
    CLEANUP(mem_cleanup) char *aside = NULL;
    store->conn.damaged = true;
    store_connection_close(&store->conn, false);
    int r = store_file_set_aside(file->path, clock_wall_ms(store->clock), &aside, err);
    if (r < 0)
        return r;
    struct error note = ERROR_INIT;
    error_set(&note, 0, "%.300s; it was set aside as %s, and a new one was started", damage.text,
              strrchr(aside, '/') + 1);
    add_note(store, note.text);
    return 0;
}

static int open_chosen(struct store *store, bool may_set_aside, struct error *err)
{
    struct store_file file = {0};
    int r = store_file_choose(store->home_dir, &file, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&store->lock);
    free(store->path);
    store->path = mem_strdup(file.path);
    pthread_mutex_unlock(&store->lock);
    r = use_file(store, &file, err);
    if (r == -EUCLEAN && may_set_aside) {
        r = set_aside(store, &file, err);
        if (r == 0)
            r = open_chosen(store, false, err);
    } else if (r == 0 && file.displaced) {
        struct error note = ERROR_INIT;
        error_set(&note, 0,
                  "%s/state.db belongs to another program and is left as it is; %s is used",
                  store->home_dir, file.path);
        add_note(store, note.text);
    }
    free(file.path);
    return r;
}

static void try_open(struct store *store)
{
    static const struct error ready = {0, "ready"};
    struct error err = ERROR_INIT;
    int r = open_chosen(store, true, &err);
    if (r == 0) {
        publish(store, STORE_READY, &ready);
        return;
    }
    store_connection_close(&store->conn, false);
    store->hopeless = r == -ENOTSUP || r == -EEXIST || r == -ECANCELED;
    publish(store, STORE_FAILED, &err);
}

// Grouped jobs wait a little for company; whoever is waited for, or a full house, ends that.
static void wait_for_company(struct store *store)
{
    int64_t deadline = store->oldest_ms + STORE_GROUP_WAIT_MS;
    while (!store->urgent && !store->closing && store->state == STORE_READY &&
           store->queued_jobs < STORE_GROUP_ENOUGH && store_now_ms() < deadline)
        store_wait_until(store, &store->wake, deadline);
}

enum next { NEXT_BATCH, NEXT_READ, NEXT_OPEN, NEXT_SCRUB, NEXT_END };

// Work that is due although nobody asked, and from when on; false when there is none.
static bool has_plan(const struct store *store, enum next *ret_next, int64_t *ret_ms)
{
    bool open = store->state == STORE_FAILED && !store->hopeless;
    bool scrub = store->state == STORE_READY && store->conn.scrub;
    *ret_next = open ? NEXT_OPEN : NEXT_SCRUB;
    *ret_ms = open ? store->failed_ms + STORE_REOPEN_MS : store->scrub_ms;
    return !store->closing && (open || scrub);
}

// A file that would not open comes before the queue, which fails without it; the rest after it.
static enum next wait_for_work(struct store *store)
{
    enum next next = NEXT_END, planned;
    int64_t planned_ms;
    pthread_mutex_lock(&store->lock);
    for (;;) {
        bool plans = has_plan(store, &planned, &planned_ms), idle = list_empty(&store->queued);
        if (plans && store_now_ms() >= planned_ms && (idle || planned == NEXT_OPEN)) {
            next = planned;
            break;
        }
        if (!idle || store->closing || !list_empty(&store->apart)) {
            next = !idle ? NEXT_BATCH : store->closing ? NEXT_END : NEXT_READ;
            break;
        }
        if (plans)
            store_wait_until(store, &store->wake, planned_ms);
        else
            pthread_cond_wait(&store->wake, &store->lock);
    }
    if (next == NEXT_BATCH)
        wait_for_company(store);
    pthread_mutex_unlock(&store->lock);
    return next;
}

static void hand_over(struct store *store, bool ready, struct list *jobs)
{
    pthread_mutex_lock(&store->lock);
    if (ready) {
        // A failure of the disk is told of until something was written again.
        const struct error *failure = NULL;
        bool wrote = false;
        store_batch_outcome(jobs, &failure, &wrote);
        if (failure)
            store->trouble = *failure;
        else if (wrote)
            store->trouble = (struct error)ERROR_INIT;
    }
    for (struct list *link; (link = list_shift(jobs)); store->unfinished_jobs--)
        list_append(&store->finished, link);
    tell_owner(store);
    pthread_mutex_unlock(&store->lock);
}

// Once for attempts that fail one after the other, and where nobody waits for the first of them.
static void tell_scrub_failure(struct store *store, const struct error *err)
{
    struct error note = ERROR_INIT;
    error_set(&note, 0, "what was deleted is still in the database's file: %.300s; %s", err->text,
              err->code == -EUCLEAN ? "the next start checks it and sets it aside"
                                    : "it is tried again, at least every hour");
    add_note(store, note.text);
    pthread_mutex_lock(&store->lock);
    store->state_changed = true; // for the owner to look at the note
    tell_owner(store);
    pthread_mutex_unlock(&store->lock);
}

// `deletions` are the jobs that wait for it.
static void scrub(struct store *store, struct list *deletions)
{
    struct error err = ERROR_INIT;
    int r = store_scrub(&store->conn, &err);
    store->conn.scrub = r < 0;
    if (r == -EUCLEAN) {
        store_connection_mark_damaged(&store->conn);
        store->conn.scrub = false; // as long as nobody has looked at the file
    }
    store->scrub_failures = r < 0 ? store->scrub_failures + 1 : 0;
    store->scrub_ms = store_now_ms() + store_scrub_wait_ms(store->scrub_failures);
    if (r < 0 && store->scrub_failures == 1 && list_empty(deletions))
        tell_scrub_failure(store, &err);
    list_for_each(link, deletions) {
        struct store_job *job = list_entry(link, struct store_job, link);
        if (r < 0) {
            job->result = STORE_LEFT_OVER;
            job->err = err;
        }
    }
}

// A read by itself, so that no write waits for more than one of them. None begins once the owner
// closes: it would not be told.
static void run_read(struct store *store)
{
    struct list only = LIST_INIT(only);
    pthread_mutex_lock(&store->lock);
    struct list *link = store->closing ? NULL : list_shift(&store->apart);
    bool ready = store->state == STORE_READY;
    store->interruptible = link && ready ? store->conn.db : NULL;
    pthread_mutex_unlock(&store->lock);
    if (!link)
        return;
    list_append(&only, link);
    if (ready) {
        struct store_job *job = list_entry(link, struct store_job, link);
        store_batch_read(&store->conn, job);
        set_interruptible(store, NULL);
        store_batch_read_end(&store->conn, job);
    } else {
        store_batch_fail(&only, &store->description); // changed by this thread alone
    }
    hand_over(store, ready, &only);
}

static void run_batch(struct store *store)
{
    struct list batch = LIST_INIT(batch);
    pthread_mutex_lock(&store->lock);
    for (struct list *link; (link = list_shift(&store->queued));)
        list_append(list_entry(link, struct store_job, link)->apart ? &store->apart : &batch, link);
    store->queued_jobs = 0;
    store->urgent = false;
    struct error failure = store->description;
    bool ready = store->state == STORE_READY;
    pthread_mutex_unlock(&store->lock);

    if (ready)
        store_batch_run(&store->conn, &batch);
    else
        store_batch_fail(&batch, &failure);

    struct list deletions = LIST_INIT(deletions);
    // Nobody else waits for the file to be written anew.
    list_for_each(link, &batch) {
        const struct store_job *job = list_entry(link, struct store_job, link);
        if (job->result != 0 || !job->scrub)
            continue;
        list_remove(link);
        list_append(&deletions, link);
    }
    hand_over(store, ready, &batch);
    if (!list_empty(&deletions)) {
        scrub(store, &deletions);
        hand_over(store, ready, &deletions);
    }
    store_connection_checkpoint(&store->conn, store->checkpoint_pages);
}

void *store_thread_main(void *argument)
{
    struct store *store = argument;
    struct list nobody = LIST_INIT(nobody);
    enum next next = NEXT_OPEN;
    do {
        if (next == NEXT_OPEN) {
            try_open(store);
            store->failed_ms = store_now_ms();
        } else if (next == NEXT_SCRUB) {
            scrub(store, &nobody);
        } else {
            if (next == NEXT_BATCH)
                run_batch(store);
            run_read(store);
        }
        next = wait_for_work(store);
    } while (next != NEXT_END);
    store_connection_close(&store->conn, store->state == STORE_READY);
    return NULL;
}
