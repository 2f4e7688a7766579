#include "sandbox/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/mem.h"
#include "loop/child.h"

const char worker_command[] = "worker";

struct workers {
    struct loop *loop;
    char *directory;
    struct list running;
    worker_id last_id;
};

struct worker {
    struct list link; // workers::running
    struct workers *owner;
    worker_id id;
    struct child *child; // NULL once it has exited
    int status;          // as from waitpid(2), then
    int output_fd;       // -1 once it was read to its end
    loop_id output_watch, deadline;
    struct buf output;
    bool late;
    worker_done_fn *done;
    void *context;
};

struct workers *workers_create(struct loop *loop, const char *directory)
{
    struct workers *workers = mem_new(struct workers);
    workers->loop = loop;
    workers->directory = mem_strdup(directory);
    list_init(&workers->running);
    return workers;
}

static void close_output(struct worker *worker)
{
    loop_unwatch(worker->owner->loop, worker->output_watch);
    worker->output_watch = 0;
    fd_close(&worker->output_fd);
}

static void worker_destroy(struct worker *worker)
{
    list_remove(&worker->link);
    child_destroy(worker->child);
    close_output(worker);
    loop_cancel(worker->owner->loop, worker->deadline);
    buf_finish(&worker->output);
    free(worker);
}

void workers_destroy(struct workers *workers)
{
    if (!workers)
        return;
    list_for_each(link, &workers->running)
        worker_destroy(list_entry(link, struct worker, link));
    free(workers->directory);
    free(workers);
}

static int result_of(const struct worker *worker, struct error *err)
{
    if (worker->late)
        return error_set(err, -ETIMEDOUT, "it took longer than %d seconds and was stopped",
                         WORKER_TIME_MAX_MS / 1000);
    if (buf_is_full(&worker->output))
        return error_set(err, -EFBIG, "it answered with more than %d KiB",
                         WORKER_OUTPUT_MAX / 1024);
    if (WIFEXITED(worker->status) && WEXITSTATUS(worker->status) <= 1)
        return WEXITSTATUS(worker->status);
    if (WIFSIGNALED(worker->status))
        return error_set(err, -ECHILD, "its process was stopped by signal %d (%s)",
                         WTERMSIG(worker->status), strsignal(WTERMSIG(worker->status)));
    return error_set(err, -ECHILD, "its process failed with status %d",
                     WEXITSTATUS(worker->status));
}

// Done when the process has exited and all it printed was read, in whichever order.
static void finish_if_over(struct worker *worker)
{
    if (worker->child || worker->output_fd >= 0)
        return;
    struct error err = ERROR_INIT;
    int result = result_of(worker, &err);
    BUF_AUTO output = worker->output;
    worker->output = (struct buf)BUF_INIT(0);
    worker_done_fn *done = worker->done;
    void *context = worker->context;
    worker_destroy(worker);
    done(context, result, buf_span(&output), &err);
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

static void on_deadline(void *context)
{
    struct worker *worker = context;
    worker->deadline = 0;
    worker->late = true;
    if (worker->child)
        child_signal(worker->child, SIGKILL);
    close_output(worker); // something that it left behind may hold it open for ever
    finish_if_over(worker);
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

static int spawn(struct worker *worker, struct span request, struct error *err)
{
    FD_AUTO input = request_file(request, err);
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
    char *argv[] = {program, command, worker->owner->directory, NULL};
    char *environment[] = {NULL};
    struct child_spec spec = {.path = "/proc/self/exe",
                              .argv = argv,
                              .environment = environment,
                              .stdin_fd = input,
                              .stdout_fd = output,
                              .stderr_fd = STDERR_FILENO};
    return child_spawn(worker->owner->loop, &spec, on_exit_status, worker, &worker->child, err);
}

int worker_start(struct workers *workers, struct span request, worker_done_fn *done, void *context,
                 worker_id *ret_id, struct error *err)
{
    if (request.len > WORKER_REQUEST_MAX)
        return error_set(err, -E2BIG, "the request is larger than %d MiB",
                         WORKER_REQUEST_MAX >> 20);
    struct worker *worker = mem_new(struct worker);
    worker->owner = workers;
    worker->id = ++workers->last_id;
    worker->output_fd = -1;
    worker->done = done;
    worker->context = context;
    buf_init(&worker->output, WORKER_OUTPUT_MAX);
    list_append(&workers->running, &worker->link);

    int r = spawn(worker, request, err);
    if (r < 0) {
        worker_destroy(worker);
        return r;
    }
    worker->output_watch =
        loop_watch(workers->loop, worker->output_fd, LOOP_READ, on_output, worker);
    worker->deadline = loop_timer_after(workers->loop, WORKER_TIME_MAX_MS, on_deadline, worker);
    *ret_id = worker->id;
    return 0;
}

void worker_cancel(struct workers *workers, worker_id id)
{
    list_for_each(link, &workers->running) {
        struct worker *worker = list_entry(link, struct worker, link);
        if (worker->id == id) {
            worker_destroy(worker);
            return;
        }
    }
}
