#include "sandbox/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/child.h"

const char worker_command[] = "worker";

enum { NUMBER_SIZE = 24 }; // bytes of a number as text

struct workers {
    struct loop *loop;
    struct list waiting; // by their rounds
    struct list running;
    uint64_t round; // of the last that began
    size_t waiting_count, waiting_bytes;
    struct worker_config config;
    int64_t used;   // bytes
    int64_t undead; // bytes of it that do not come back soon
    loop_id starter;
    worker_id last_id;
};

struct worker {
    struct list link; // workers::waiting or ::running
    struct workers *owner;
    worker_id id;
    uint64_t flow, round;
    char *directory;
    struct buf request;  // until it runs
    int64_t memory;      // bytes that it may take
    bool runs;           // its memory is part of workers::used
    int64_t begun_ms;    // when it does
    struct child *child; // NULL before it runs, and once it has exited
    int status;          // as from waitpid(2), then
    int output_fd;       // -1 once it was read to its end
    loop_id output_watch;
    loop_id deadline; // for its waiting, then its work, then its death
    struct buf output;
    bool undead;          // was killed and does not die: a part of workers::undead
    worker_done_fn *done; // NULL once it was called, or the worker cancelled
    void *context;
};

static void start_waiting(void *context);

const struct option worker_options[] = {
    {.key = "tools.memory_budget",
     .type = OPTION_BYTES,
     .offset = offsetof(struct worker_config, memory_budget),
     .fallback = "48Mi",
     .min = 16 << 20,
     .max = INT64_C(1) << 40,
     .help = "memory of all file tools that run; further calls wait"},
};

const size_t worker_option_count = ARRAY_LEN(worker_options);

struct workers *workers_create(struct loop *loop, const struct worker_config *config)
{
    struct workers *workers = mem_new(struct workers);
    workers->loop = loop;
    workers->config = *config;
    list_init(&workers->waiting);
    list_init(&workers->running);
    return workers;
}

static void start_soon(struct workers *workers)
{
    if (!workers->starter)
        workers->starter = loop_defer(workers->loop, start_waiting, workers);
}

void workers_configure(struct workers *workers, const struct worker_config *config)
{
    workers->config = *config;
    start_soon(workers);
}

static void close_output(struct worker *worker)
{
    loop_unwatch(worker->owner->loop, worker->output_watch);
    worker->output_watch = 0;
    fd_close(&worker->output_fd);
}

static void leave_queue(struct worker *worker)
{
    list_remove(&worker->link);
    worker->owner->waiting_count--;
    worker->owner->waiting_bytes -= worker->request.len;
}

static void worker_destroy(struct worker *worker)
{
    struct workers *workers = worker->owner;
    if (worker->runs) {
        list_remove(&worker->link);
        workers->used -= worker->memory;
    } else {
        leave_queue(worker);
    }
    if (worker->undead)
        workers->undead -= worker->memory;
    start_soon(workers);
    child_destroy(worker->child);
    close_output(worker);
    loop_cancel(workers->loop, worker->deadline);
    buf_finish(&worker->request);
    buf_finish(&worker->output);
    free(worker->directory);
    free(worker);
}

void workers_destroy(struct workers *workers)
{
    if (!workers)
        return;
    list_for_each(link, &workers->running)
        worker_destroy(list_entry(link, struct worker, link));
    list_for_each(other, &workers->waiting)
        worker_destroy(list_entry(other, struct worker, link));
    loop_cancel(workers->loop, workers->starter);
    free(workers);
}

static int result_of(const struct worker *worker, struct error *err)
{
    if (buf_is_full(&worker->output))
        return error_set(err, -EFBIG, "it answered with more than %d KiB",
                         WORKER_OUTPUT_MAX / 1024);
    if (WIFEXITED(worker->status) && WEXITSTATUS(worker->status) <= 1)
        return WEXITSTATUS(worker->status);
    if (WIFSIGNALED(worker->status) && WTERMSIG(worker->status) == SIGABRT)
        return error_set(err, -ECHILD,
                         "its process was stopped by signal %d (%s), as when it needs more than "
                         "%d MiB of memory",
                         SIGABRT, strsignal(SIGABRT), (int)(worker->memory >> 20));
    if (WIFSIGNALED(worker->status))
        return error_set(err, -ECHILD, "its process was stopped by signal %d (%s)",
                         WTERMSIG(worker->status), strsignal(WTERMSIG(worker->status)));
    return error_set(err, -ECHILD, "its process failed with status %d",
                     WEXITSTATUS(worker->status));
}

// Tells the result; the worker stays as long as its process does.
static void finish(struct worker *worker, int result, const struct error *err)
{
    BUF_AUTO output = worker->output;
    worker->output = (struct buf)BUF_INIT(0);
    worker_done_fn *done = worker->done;
    void *context = worker->context;
    int64_t ms = worker->runs ? loop_now(worker->owner->loop) - worker->begun_ms : 0;
    worker->done = NULL;
    if (!worker->child)
        worker_destroy(worker);
    if (done)
        done(context, result, buf_span(&output), ms, err);
}

// Done when the process has exited and all it printed was read, in whichever order.
static void finish_if_over(struct worker *worker)
{
    if (worker->child || worker->output_fd >= 0)
        return;
    struct error err = ERROR_INIT;
    int result = result_of(worker, &err);
    finish(worker, result, &err);
}

static void on_exit_status(void *context, int status)
{
    struct worker *worker = context;
    worker->child = NULL;
    worker->status = status;
    finish_if_over(worker);
}

static void on_output(void *context, int fd, unsigned events)
{
    (void)events;
    struct worker *worker = context;
    char chunk[16 * 1024];
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n > 0 && buf_append(&worker->output, chunk, (size_t)n))
        return;
    if (n > 0 && worker->child)
        child_signal(worker->child, SIGKILL);
    close_output(worker);
    finish_if_over(worker);
}

static void on_undead(void *context)
{
    struct worker *worker = context;
    struct workers *workers = worker->owner;
    worker->deadline = 0;
    worker->undead = true;
    workers->undead += worker->memory;
    log_warning("the process of a file tool was killed %d seconds ago and does not end; until it "
                "does, it holds %lld MiB of tools.memory_budget. Check the disk or network drive "
                "of %s",
                WORKER_DEATH_MAX_MS / 1000, (long long)(worker->memory >> 20), worker->directory);
    start_soon(workers);
}

// A process that waits for a disk may outlive SIGKILL for as long as the disk is silent.
static void stop(struct worker *worker)
{
    struct loop *loop = worker->owner->loop;
    close_output(worker); // something that it left behind may hold it open for ever
    loop_cancel(loop, worker->deadline);
    worker->deadline = 0;
    if (!worker->child)
        return;
    child_signal(worker->child, SIGKILL);
    if (!worker->undead)
        worker->deadline = loop_timer_after(loop, WORKER_DEATH_MAX_MS, on_undead, worker);
}

static void on_deadline(void *context)
{
    struct worker *worker = context;
    worker->deadline = 0;
    stop(worker);
    struct error err = ERROR_INIT;
    int r = error_set(&err, -ETIMEDOUT, "it took longer than %d seconds and was stopped",
                      WORKER_TIME_MAX_MS / 1000);
    finish(worker, r, &err);
}

// The request in a file of memory: the worker reads it at its own pace and we wait for nothing.
static int request_file(struct span request, struct error *err)
{
    FD_AUTO fd = memfd_create("request", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : fd_write_all(fd, request.data, request.len);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    if (r < 0)
        return error_errno(err, -r, "cannot hand over the request");
    int kept = fd;
    fd = -1;
    return kept;
}

static int spawn(struct worker *worker, struct error *err)
{
    FD_AUTO input = request_file(buf_span(&worker->request), err);
    if (input < 0)
        return input;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_errno(err, errno, "cannot create a pipe");
    worker->output_fd = ends[0];
    FD_AUTO output = ends[1];
    fcntl(output, F_SETFL, 0); // the worker's end blocks

    char program[] = "hermes"; // posix_spawn() takes strings that it promises not to change
    CLEANUP(mem_cleanup) char *command = mem_strdup(worker_command);
    char memory[NUMBER_SIZE];
    snprintf(memory, sizeof memory, "%lld", (long long)worker->memory);
    char *argv[] = {program, command, worker->directory, memory, NULL};
    char *environment[] = {NULL};
    struct child_spec spec = {.path = "/proc/self/exe",
                              .argv = argv,
                              .environment = environment,
                              .stdin_fd = input,
                              .stdout_fd = output,
                              .stderr_fd = STDERR_FILENO};
    return child_spawn(worker->owner->loop, &spec, on_exit_status, worker, &worker->child, err);
}

static void run(struct worker *worker)
{
    struct workers *workers = worker->owner;
    struct error err = ERROR_INIT;
    leave_queue(worker);
    list_append(&workers->running, &worker->link);
    workers->round = worker->round;
    workers->used += worker->memory;
    worker->runs = true;
    worker->begun_ms = loop_now(workers->loop);
    int r = spawn(worker, &err);
    if (r < 0) {
        finish(worker, r, &err);
        return;
    }
    buf_finish(&worker->request);
    loop_cancel(workers->loop, worker->deadline);
    worker->output_watch =
        loop_watch(workers->loop, worker->output_fd, LOOP_READ, on_output, worker);
    worker->deadline = loop_timer_after(workers->loop, WORKER_TIME_MAX_MS, on_deadline, worker);
}

static void on_waited_too_long(void *context)
{
    struct worker *worker = context;
    worker->deadline = 0;
    struct error err = ERROR_INIT;
    int r = error_set(&err, -EAGAIN,
                      "it waited %d seconds for memory and did not begin; try again later, or with "
                      "fewer calls at a time",
                      WORKER_WAIT_MAX_MS / 1000);
    finish(worker, r, &err);
}

static void refuse(struct worker *worker)
{
    const struct workers *workers = worker->owner;
    long long budget = workers->config.memory_budget >> 20;
    struct error err = ERROR_INIT;
    int r = -ENOMEM;
    if (worker->memory > workers->config.memory_budget)
        error_set(&err, r,
                  "it needs %lld MiB of memory, and tools.memory_budget is %lld MiB; raise that "
                  "setting, or write the file in smaller pieces",
                  (long long)(worker->memory >> 20), budget);
    else
        error_set(&err, r,
                  "%lld of the %lld MiB of tools.memory_budget are held by file tools that were "
                  "stopped and do not end, as when a disk does not answer; try again later",
                  (long long)(workers->undead >> 20), budget);
    finish(worker, r, &err);
}

// The first that waits, and in another pass the next: its callback may do anything.
static void start_waiting(void *context)
{
    struct workers *workers = context;
    workers->starter = 0;
    if (list_empty(&workers->waiting))
        return;
    struct worker *worker = list_entry(workers->waiting.next, struct worker, link);
    int64_t room = workers->config.memory_budget - worker->memory;
    bool fits = workers->used <= room;
    if (!fits && workers->undead <= room)
        return; // when one that runs has ended
    start_soon(workers);
    if (fits)
        run(worker);
    else
        refuse(worker);
}

// In each round one of every flow begins, so that many calls of one chat do not hold up another's.
static void enqueue(struct worker *worker)
{
    struct workers *workers = worker->owner;
    worker->round = workers->round;
    list_for_each(link, &workers->waiting) {
        const struct worker *other = list_entry(link, struct worker, link);
        if (other->flow == worker->flow)
            worker->round = other->round + 1;
    }
    struct list *next = workers->waiting.next;
    while (next != &workers->waiting &&
           list_entry(next, struct worker, link)->round <= worker->round)
        next = next->next;
    list_append(next, &worker->link); // before it
    workers->waiting_count++;
    workers->waiting_bytes += worker->request.len;
}

int worker_start(struct workers *workers, uint64_t flow, const char *directory, struct span request,
                 worker_done_fn *done, void *context, worker_id *ret_id, struct error *err)
{
    if (request.len > WORKER_REQUEST_MAX)
        return error_set(err, -E2BIG, "the request is larger than %d MiB",
                         WORKER_REQUEST_MAX >> 20);
    if (workers->waiting_count >= WORKERS_WAITING_MAX ||
        workers->waiting_bytes + request.len > WORKERS_WAITING_BYTES_MAX)
        return error_set(err, -EAGAIN, "%zu others wait for memory already; try again later",
                         workers->waiting_count);
    struct worker *worker = mem_new(struct worker);
    worker->owner = workers;
    worker->id = ++workers->last_id;
    worker->flow = flow;
    worker->directory = mem_strdup(directory);
    worker->memory = WORKER_MEMORY;
    if (request.len > WORKER_REQUEST_SMALL)
        worker->memory += WORKER_MEMORY_PER_BYTE * (int64_t)request.len;
    worker->output_fd = -1;
    worker->done = done;
    worker->context = context;
    buf_init(&worker->request, WORKER_REQUEST_MAX);
    buf_append_span(&worker->request, request);
    buf_init(&worker->output, WORKER_OUTPUT_MAX);
    enqueue(worker);
    worker->deadline =
        loop_timer_after(workers->loop, WORKER_WAIT_MAX_MS, on_waited_too_long, worker);
    start_soon(workers);
    *ret_id = worker->id;
    return 0;
}

static struct worker *find(const struct list *workers, worker_id id)
{
    list_for_each(link, workers) {
        struct worker *worker = list_entry(link, struct worker, link);
        if (worker->id == id)
            return worker;
    }
    return NULL;
}

bool worker_cancel(struct workers *workers, worker_id id)
{
    struct worker *worker = find(&workers->waiting, id);
    if (worker) {
        worker_destroy(worker);
        return false;
    }
    worker = find(&workers->running, id);
    if (!worker)
        return false;
    worker->done = NULL;
    stop(worker);
    finish_if_over(worker); // else when it is dead: until then it takes memory
    return true;
}
