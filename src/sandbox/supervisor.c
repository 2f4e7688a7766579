/*
 * With namespaces there are two: one stays outside and waits, for its owner knows it by its number;
 * the other is the first process inside, so that its end is the end of all. It answers for the
 * program. With Landlock, one process does both.
 */
#include "sandbox/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/brokered_calls.h"
#include "sandbox/disk_watch.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/program.h"
#include "sandbox/refusals.h"
#include "sandbox/temporary.h"

struct supervisor {
    const struct grants *grants;
    enum isolation_kind isolation; // that holds; ISOLATION_AUTO: none
    const char *directory;
    char **argv;
    char *tmp;      // a directory of the program's own, where /tmp is not
    bool kills_all; // kill(-1) reaches the program and its children, and nobody else
    pid_t program;
    int status; // as from waitpid(2)
    int talk;   // what the program's process says until it is the program
    int listener;
    struct brokered_calls brokered;
    struct disk_watch disks;
    struct error full; // of a disk that ended it
    struct refusals refusals;
    uint64_t common; // of them, what is no sign of anything when the program ends well
};

static volatile sig_atomic_t asked_to_end;

static void on_signal(int number)
{
    asked_to_end = asked_to_end || number == SIGTERM;
}

// Both come only while poll() waits.
static void prepare_signals(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
}

static _Noreturn void fail(const struct error *err)
{
    dprintf(STDERR_FILENO, "hermes: nothing was run: %s\n", err->text);
    _exit(EXIT_SANDBOX);
}

// --- while it runs

static int decide(void *context, const struct syscall_call *call)
{
    struct supervisor *supervisor = context;
    int r = brokered_call_decide(&supervisor->brokered, call);
    if (r != CALL_IS_REFUSED)
        return r;
    bool is_path = call->number == SCMP_SYS(socket) && (int)call->arguments[0] == AF_UNIX;
    // Name lookups of the C library ask a service behind such a one for every user and host.
    supervisor->common += is_path;
    refusals_add(&supervisor->refusals, is_path ? "socket of a path" : call->name);
    return -EPERM;
}

static bool reap(struct supervisor *supervisor)
{
    int status;
    bool over = false;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == supervisor->program) {
            supervisor->status = status;
            over = true;
        }
    return over;
}

// Its end is that it was executed. What it says before is the listener, or why it was not.
static void hear(struct supervisor *supervisor)
{
    struct error err = ERROR_INIT;
    int listener = -1;
    int status = program_hear(supervisor->talk, &listener, &err);
    if (listener >= 0)
        supervisor->listener = supervisor->brokered.listener = listener;
    else
        fd_close(&supervisor->talk);
    if (status)
        dprintf(STDERR_FILENO, "hermes: %s\n", err.text);
}

// Whether it may go on. It is told later: whatever fills the disk may hold up who tells it.
static bool look_at_disks(struct supervisor *supervisor)
{
    int64_t now_ms = clock_monotonic_ms(&clock_system);
    if (disk_watch_look(&supervisor->disks, now_ms, &supervisor->full) == 0)
        return true;
    supervisor->status = SIGKILL;
    return false;
}

static void watch(struct supervisor *supervisor)
{
    const struct timespec patience = {.tv_nsec = DISK_WATCH_MS * 1000L * 1000};
    sigset_t all_come;
    sigemptyset(&all_come);
    while (!reap(supervisor) && look_at_disks(supervisor) && !asked_to_end) {
        struct pollfd fds[] = {{.fd = supervisor->talk, .events = POLLIN},
                               {.fd = supervisor->listener, .events = POLLIN}};
        if (ppoll(fds, ARRAY_LEN(fds), supervisor->disks.count ? &patience : NULL, &all_come) < 0)
            continue;
        if (fds[0].revents)
            hear(supervisor);
        if (fds[1].revents & POLLIN)
            syscall_filter_answer(supervisor->listener, decide, supervisor);
        else if (fds[1].revents)
            fd_close(&supervisor->listener); // nobody is left whom the filter is for
    }
}

// --- its end

static void kill_children(void)
{
    char path[64], pids[4096] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, pids, sizeof pids - 1) <= 0)
        return;
    struct span rest = span_of(pids);
    uint64_t pid;
    while (rest.len && span_to_u64(span_cut(&rest, ' '), &pid)) {
        pid_t group = getpgid((pid_t)pid);
        kill(group > 0 && group != getpgrp() ? -group : (pid_t)pid, SIGKILL);
    }
}

// Where all can be reached by one call no fork escapes it. Else group by group: those that lose
// their parent become children of this process, and then it is their turn.
static void kill_all(const struct supervisor *supervisor)
{
    do {
        if (supervisor->kills_all)
            kill(-1, SIGKILL);
        else
            kill_children();
    } while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
}

static _Noreturn void end_as(int status)
{
    if (WIFSIGNALED(status)) {
        sigset_t none;
        sigemptyset(&none);
        sigaction(WTERMSIG(status), &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        raise(WTERMSIG(status));
    }
    enum { KILLED = 128 }; // as a shell says it
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : KILLED + WTERMSIG(status));
}

static void report(const struct supervisor *supervisor)
{
    char text[REFUSALS_TEXT_MAX];
    bool is_worth_it =
        supervisor->status != 0 || refusals_count(&supervisor->refusals) > supervisor->common;
    if (is_worth_it && refusals_describe(&supervisor->refusals, text))
        dprintf(STDERR_FILENO, "hermes: refused: %s\n", text);
    if (*supervisor->full.text)
        dprintf(STDERR_FILENO, "hermes: %s\n", supervisor->full.text);
    if (WIFSIGNALED(supervisor->status) && WTERMSIG(supervisor->status) == SIGSYS)
        dprintf(STDERR_FILENO, "hermes: ended by a system call of another architecture\n");
}

// --- its beginning

static void start(struct supervisor *supervisor)
{
    struct program program = {
        .grants = supervisor->grants,
        .isolation = supervisor->isolation,
        .directory = supervisor->directory,
        .argv = supervisor->argv,
        .tmp = supervisor->tmp,
    };
    struct error err = ERROR_INIT;
    if (program_start(&program, &supervisor->program, &supervisor->talk, &err) < 0)
        fail(&err);
    // What it does for the program it does as nobody special.
    if (!(supervisor->grants->without & LAYER_PRIVILEGES))
        privileges_drop(NULL);
    prctl(PR_SET_DUMPABLE, 0);
}

static void run(struct supervisor *supervisor)
{
    if (!(supervisor->grants->without & LAYER_LIMITS))
        disk_watch_begin(&supervisor->disks, supervisor->grants, supervisor->brokered.tmp);
    start(supervisor);
    watch(supervisor);
    if (!(supervisor->grants->without & LAYER_SESSION))
        kill_all(supervisor);
    while (supervisor->talk >= 0)
        hear(supervisor);
    report(supervisor);
}

// The first process inside: what becomes of it becomes of all.
static _Noreturn void run_inside(struct supervisor *supervisor, int answer)
{
    struct error err = ERROR_INIT;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    program_be_first_to_go(); // inside, what says so can only be read
    if (namespaces_enter(supervisor->grants, &err) < 0)
        fail(&err);
    supervisor->kills_all = true;
    run(supervisor);
    (void)!write(answer, &supervisor->status, sizeof supervisor->status);
    _exit(0);
}

static _Noreturn void supervise_namespaces(struct supervisor *supervisor)
{
    int both[2], status = 0;
    struct error err = ERROR_INIT;
    if (pipe2(both, O_CLOEXEC) < 0 || (supervisor->program = fork()) < 0) {
        error_errno(&err, errno, "cannot start a process");
        fail(&err);
    }
    if (supervisor->program == 0)
        run_inside(supervisor, both[1]);
    fd_close(&both[1]);
    prctl(PR_SET_DUMPABLE, 0);
    watch(supervisor);
    if (asked_to_end) {
        kill(supervisor->program, SIGKILL);
        waitpid(supervisor->program, &supervisor->status, 0);
    }
    if (read(both[0], &status, sizeof status) != (ssize_t)sizeof status)
        status = supervisor->status;
    end_as(status);
}

static _Noreturn void supervise_here(struct supervisor *supervisor)
{
    if (!(supervisor->grants->without & LAYER_SESSION))
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (supervisor->isolation == ISOLATION_LANDLOCK)
        supervisor->kills_all = landlock_enclose_signals();
    if (supervisor->isolation)
        supervisor->brokered.tmp = supervisor->tmp = temporary_make();
    if (supervisor->isolation != ISOLATION_LANDLOCK) // /tmp is that of others, too
        supervisor->brokered.tmp = temporary_place();
    run(supervisor);
    temporary_remove(supervisor->tmp);
    end_as(supervisor->status);
}

// With "auto" namespaces come first: they also hide what Landlock leaves to be seen.
static enum isolation_kind choose_isolation(const struct grants *grants)
{
    struct error err = ERROR_INIT, first = ERROR_INIT;
    if (grants->without & LAYER_FILES)
        return ISOLATION_AUTO;
    enum isolation_kind wanted = grants->isolation;
    if (wanted == ISOLATION_CONTAINER)
        return wanted;
    bool any = wanted == ISOLATION_AUTO;
    if ((any || wanted == ISOLATION_NAMESPACES) && namespaces_probe(&first) == 0)
        return ISOLATION_NAMESPACES;
    if ((any || wanted == ISOLATION_LANDLOCK) && landlock_abi(&err) > 0)
        return ISOLATION_LANDLOCK;
    if (wanted == ISOLATION_HANDS)
        error_set(&err, -ENOSYS, "no socket is named that leads to the hands container");
    else if (any)
        error_wrap(&err, "no isolation of files holds: %s; and", first.text);
    else if (wanted == ISOLATION_NAMESPACES)
        err = first;
    fail(&err);
}

_Noreturn void supervise(const struct grants *grants, const char *directory, char **argv)
{
    struct error err = ERROR_INIT;
    struct supervisor supervisor = {
        .grants = grants, .directory = directory, .argv = argv, .talk = -1, .listener = -1};
    supervisor.brokered.session = getsid(0);
    supervisor.brokered.write = grants->write;
    prctl(PR_SET_PDEATHSIG, SIGTERM); // unlike SIGKILL it leaves time to kill the others
    prepare_signals();
    supervisor.isolation = choose_isolation(grants);
    if (supervisor.isolation != ISOLATION_NAMESPACES)
        supervise_here(&supervisor);
    if (namespaces_create(&err) < 0)
        fail(&err);
    supervise_namespaces(&supervisor);
}
