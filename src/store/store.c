#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "store/store_internal.h"
#include "store/store_thread.h"

/*
 * The owner's side: submitting, dispatching, waiting.
 *
 * A job is on the owner's list from submission to dispatch, which is what the limits count and what
 * store_forget() looks through; on which of the lists between the two threads it is, only the lock
 * knows. The lock is never held over anything slower than moving links.
 */

#if defined(__SANITIZE_ADDRESS__)
enum { THREAD_STACK_BYTES = 2 << 20 };
#else
enum { THREAD_STACK_BYTES = 256 << 10 };
#endif

static void destroy(struct store *store)
{
    while (!list_empty(&store->owned)) {
        struct store_job *job = list_entry(list_shift(&store->owned), struct store_job, owned);
        store_job_destroy(job);
    }
    fd_close(&store->event_fd);
    pthread_cond_destroy(&store->wake);
    pthread_cond_destroy(&store->idle);
    pthread_mutex_destroy(&store->lock);
    free(store->home_dir);
    free(store->vfs);
    free(store->path);
    free(store->shown_path);
    free(store);
}

// Signals are the loop's; a thread that took one would leave it unseen there.
static int start_thread(struct store *store, struct error *err)
{
    sigset_t all, before;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&store->thread, &attr, store_thread_main, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc ? error_errno(err, rc, "starting the store's thread") : 0;
}

static struct store *create(const char *home_dir, const struct store_options *opt,
                            const struct store_migrations *schema)
{
    struct store *store = mem_new(struct store);
    store->home_dir = mem_strdup(home_dir);
    store->vfs = opt->vfs ? mem_strdup(opt->vfs) : NULL;
    store->clock = opt->clock ? opt->clock : &clock_system;
    store->checkpoint_pages =
        opt->checkpoint_pages ? opt->checkpoint_pages : STORE_CHECKPOINT_PAGES;
    store->on_state = opt->on_state;
    store->context = opt->context;
    store->schema = schema;
    store->event_fd = -1;
    store->state = STORE_OPENING;
    error_set(&store->description, 0, "the database is being opened");
    list_init(&store->owned);
    list_init(&store->queued);
    list_init(&store->finished);
    list_init(&store->apart);
    store->view.store = store;

    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attr);
    pthread_cond_init(&store->idle, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

int store_open_schema(const char *home_dir, const struct store_options *opt,
                      const struct store_migrations *schema, struct store **ret_store,
                      struct error *err)
{
    static const struct store_options defaults = {0};
    struct store *store = create(home_dir, opt ? opt : &defaults, schema);
    int r = 0;
    store->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->event_fd < 0)
        r = error_errno(err, errno, "making the store's event descriptor");
    if (r == 0)
        r = start_thread(store, err);
    if (r < 0)
        destroy(store);
    else
        *ret_store = store;
    return r;
}

int store_open(const char *home_dir, const struct store_options *opt, struct store **ret_store,
               struct error *err)
{
    return store_open_schema(home_dir, opt, &store_schema, ret_store, err);
}

static bool is_opening(const struct store *store)
{
    return store->state == STORE_OPENING || store->state == STORE_CHECKING;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    sqlite3_close(store->reader); // before the writer, whose close writes the log back
    pthread_mutex_lock(&store->lock);
    store->closing = true;
    pthread_cond_signal(&store->wake);
    // A check of a large file may take minutes, and a read long; whoever stops the program does not
    // wait for those. An interrupt ends only the statement that runs just then, hence more than
    // one.
    int64_t deadline = store_now_ms() + STORE_CLOSE_WAIT_MS;
    while (is_opening(store) && store_now_ms() < deadline)
        store_wait_until(store, &store->idle, deadline);
    while (store->interruptible) {
        sqlite3_interrupt(store->interruptible);
        store_wait_until(store, &store->idle, store_now_ms() + STORE_INTERRUPT_EVERY_MS);
    }
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
    destroy(store);
}

int store_event_fd(const struct store *store)
{
    return store->event_fd;
}

void store_forget(struct store *store, int64_t number)
{
    list_for_each(link, &store->owned) {
        struct store_job *job = list_entry(link, struct store_job, owned);
        if (job->number == number)
            job->forgotten = true;
    }
}

static void finish(struct store *store, struct store_job *job)
{
    list_remove(&job->owned);
    store->jobs--;
    store->bytes -= job->bytes;
    if (job->result >= 0 && job->result != STORE_LEFT_OVER)
        job->err = (struct error)ERROR_INIT; // of a run that was repeated
    if (!job->forgotten && job->finish)
        job->finish(job);
    else if (!job->forgotten && job->done)
        job->done(job->context, job->result, &job->err, job->rowid);
    store_job_destroy(job);
}

static struct store_job *take_finished(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    struct list *link = list_shift(&store->finished);
    pthread_mutex_unlock(&store->lock);
    return link ? list_entry(link, struct store_job, link) : NULL;
}

void store_dispatch(struct store *store)
{
    uint64_t count = 0;
    (void)!read(store->event_fd, &count, sizeof count);
    pthread_mutex_lock(&store->lock);
    bool state_changed = store->state_changed;
    bool check_untold = store->check_untold;
    store->state_changed = store->check_untold = false;
    enum store_state state = store->state;
    pthread_mutex_unlock(&store->lock);

    if (check_untold && state != STORE_CHECKING && store->on_state)
        store->on_state(store->context, STORE_CHECKING);
    if (state_changed && store->on_state)
        store->on_state(store->context, state);
    for (struct store_job *job; (job = take_finished(store));)
        finish(store, job);
}

void store_wait(struct store *store)
{
    do {
        pthread_mutex_lock(&store->lock);
        store->urgent = true;
        pthread_cond_signal(&store->wake);
        while (is_opening(store) || store->unfinished_jobs > 0)
            pthread_cond_wait(&store->idle, &store->lock);
        store->urgent = false;
        pthread_mutex_unlock(&store->lock);
        store_dispatch(store);
    } while (store->jobs > 0);
}

enum store_state store_state(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    enum store_state state = store->state;
    pthread_mutex_unlock(&store->lock);
    return state;
}

static const char *show(struct store *store, const struct error *text, struct error *shown)
{
    pthread_mutex_lock(&store->lock);
    *shown = *text;
    pthread_mutex_unlock(&store->lock);
    return shown->text;
}

const char *store_describe(struct store *store)
{
    return show(store, &store->description, &store->shown_description);
}

const char *store_note(struct store *store)
{
    return show(store, &store->note, &store->shown_note);
}

const char *store_trouble(struct store *store)
{
    return show(store, &store->trouble, &store->shown_trouble);
}

const char *store_path(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    char *path = mem_strdup(store->path ? store->path : "");
    pthread_mutex_unlock(&store->lock);
    free(store->shown_path);
    return store->shown_path = path;
}
