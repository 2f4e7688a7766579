#include "loop/child.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/mem.h"

enum { LOOK_EVERY_NS = 2 * 1000 * 1000 };

struct child {
    struct list link; // on `children`
    struct loop *loop;
    pid_t pid;
    int pidfd;
    loop_id watch;
    child_exit_fn *on_exit; // NULL once it was destroyed
    void *context;
};

// All that are not reaped yet. Of one thread, the loop's.
static struct list children = LIST_INIT(children);

bool child_is_ours(pid_t pid)
{
    list_for_each(link, &children)
        if (list_entry(link, struct child, link)->pid == pid)
            return true;
    return false;
}

static void forget(struct child *child)
{
    list_remove(&child->link);
    loop_unwatch(child->loop, child->watch);
    fd_close(&child->pidfd);
    free(child);
}

static int reap(struct child *child)
{
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    forget(child);
    return status;
}

static void on_pidfd(void *context, int fd, unsigned events)
{
    struct child *child = context;
    siginfo_t info = {.si_pid = 0};
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        info.si_pid != child->pid)
        return;
    // What it left behind in its group goes with it. Before it is reaped: until then nobody else
    // can have a group of that number.
    kill(-child->pid, SIGKILL);
    child_exit_fn *on_exit = child->on_exit;
    void *on_exit_context = child->context;
    int status = reap(child);
    if (on_exit)
        on_exit(on_exit_context, status);
}

static int spawn(const struct child_spec *spec, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, spec->stdin_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, spec->stdout_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, spec->stderr_fd, STDERR_FILENO);
    if (spec->fourth_fd)
        posix_spawn_file_actions_adddup2(&actions, spec->fourth_fd, STDERR_FILENO + 1);

    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    // Who started us may have had it ignored: the kernel would then reap, and nobody would be told.
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    // Ours are close-on-exec, those that our own parent left open may not be (Linux 5.11).
    syscall(SYS_close_range, STDERR_FILENO + 1u, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    int r = posix_spawn(ret_pid, spec->path, &actions, &attributes, spec->argv, spec->environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

int child_spawn(struct loop *loop, const struct child_spec *spec, child_exit_fn *on_exit,
                void *context, struct child **ret_child, struct error *err)
{
    pid_t pid;
    int r = spawn(spec, &pid);
    if (r < 0)
        return error_errno(err, -r, "cannot start %s", spec->path);

    struct child *child = mem_new(struct child);
    *child = (struct child){
        .loop = loop, .pid = pid, .pidfd = -1, .on_exit = on_exit, .context = context};
    list_append(&children, &child->link);
    // Not reaped by anybody else, so the pid still names our child.
    child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (child->pidfd < 0) {
        r = errno;
        kill(-pid, SIGKILL);
        reap(child);
        return error_errno(err, r, "cannot wait for %s (pidfd_open needs Linux 5.3)", spec->path);
    }
    child->watch = loop_watch(loop, child->pidfd, LOOP_READ, on_pidfd, child);
    *ret_child = child;
    return 0;
}

pid_t child_pid(const struct child *child)
{
    return child->pid;
}

void child_signal(struct child *child, int signal_number)
{
    kill(-child->pid, signal_number);
}

void child_destroy(struct child *child)
{
    if (!child)
        return;
    child->on_exit = NULL;
    kill(-child->pid, SIGKILL);
}

void child_reap_all(struct loop *loop)
{
    const struct timespec a_moment = {.tv_nsec = LOOK_EVERY_NS};
    int64_t deadline_ms = clock_monotonic_ms(&clock_system) + CHILD_REAP_MAX_MS;
    list_for_each(link, &children) {
        struct child *child = list_entry(link, struct child, link);
        if (child->loop != loop || child->on_exit)
            continue;
        while (waitpid(child->pid, NULL, WNOHANG) == 0 &&
               clock_monotonic_ms(&clock_system) < deadline_ms)
            nanosleep(&a_moment, NULL);
        forget(child);
    }
}
