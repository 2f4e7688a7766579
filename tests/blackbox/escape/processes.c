#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "escape.h"

static int signal_victim(void)
{
    return result(kill(scene.victim, SIGCONT));
}

static int signal_parent(void)
{
    return result(kill(getppid(), 0));
}

static int signal_by_pidfd(void)
{
    int fd = (int)syscall(SYS_pidfd_open, scene.victim, 0);
    return fd < 0 ? -errno : result(syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0));
}

static int signal_by_queue(void)
{
    return result(sigqueue(scene.victim, SIGCONT, (union sigval){0}));
}

static int signal_by_thread(void)
{
    return result(syscall(SYS_tgkill, scene.victim, scene.victim, SIGCONT));
}

// The kernel sends it for whoever asked, when there is something to read. The victim has SIGUSR1
// put into a file, which the test looks for.
static int signal_by_kernel(void)
{
    int both[2];
    if (pipe(both) < 0)
        return UNSTAGED;
    if (fcntl(both[0], F_SETOWN, scene.victim) < 0 || fcntl(both[0], F_SETSIG, SIGUSR1) < 0 ||
        fcntl(both[0], F_SETFL, O_ASYNC) < 0)
        return -errno;
    (void)!write(both[1], "!", 1);
    usleep(300 * 1000);
    return read_some(outside("signalled"));
}

static int trace_victim(void)
{
    if (ptrace(PTRACE_ATTACH, scene.victim, NULL, NULL) < 0)
        return -errno;
    waitpid(scene.victim, NULL, 0);
    ptrace(PTRACE_DETACH, scene.victim, NULL, NULL);
    return 0;
}

static int trace_child(void)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0);
    waitpid(child, &status, 0);
    return status ? -EPERM : 0;
}

static unsigned long address_of_victim(void)
{
    char path[64];
    unsigned long address = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", scene.victim);
    FILE *maps = fopen(path, "r");
    if (maps && fscanf(maps, "%lx", &address) != 1)
        address = 0;
    if (maps)
        fclose(maps);
    return address ? address : 0x400000;
}

static int read_victim(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)address_of_victim(), 1};
    return result(process_vm_readv(scene.victim, &here, 1, &there, 1, 0));
}

static int write_victim(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)address_of_victim(), 1};
    int r = result(process_vm_writev(scene.victim, &here, 1, &there, 1, 0));
    return r == -EFAULT ? 0 : r; // it was let in, and the page is not to be written
}

static int take_descriptor(void)
{
    int fd = (int)syscall(SYS_pidfd_open, scene.victim, 0);
    return fd < 0 ? -errno : result(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static int limit_victim(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    return result(prlimit(scene.victim, RLIMIT_CPU, &limit, NULL));
}

static int limit_parent(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    return result(prlimit(getppid(), RLIMIT_CPU, &limit, NULL));
}

static int bind_victim(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    return result(sched_setaffinity(scene.victim, sizeof set, &set));
}

static int schedule_victim(void)
{
    struct sched_param parameter = {0};
    return result(syscall(SYS_sched_setscheduler, scene.victim, SCHED_BATCH, &parameter));
}

static int renice_victim(void)
{
    return result(setpriority(PRIO_PROCESS, (id_t)scene.victim, 5));
}

static int renice_user(void)
{
    return result(setpriority(PRIO_USER, 0, 11));
}

static int slow_victims_disk(void)
{
    enum { PROCESS = 1, IDLE = 3 << 13 };
    return result(syscall(SYS_ioprio_set, PROCESS, scene.victim, IDLE));
}

static int compare_victim(void)
{
    return result(syscall(SYS_kcmp, getpid(), scene.victim, 1, 0, 0));
}

static int move_victims_pages(void)
{
    unsigned long page = address_of_victim() & ~4095UL;
    void *pages[] = {(void *)page};
    int status;
    return result(syscall(SYS_move_pages, scene.victim, 1UL, pages, NULL, &status, 0));
}

static int see_victim(void)
{
    return result(syscall(SYS_pidfd_open, scene.victim, 0));
}

// Left behind, it makes a file when nothing should run any more.
static _Noreturn void haunt(void)
{
    close(0), close(1), close(2);
    sleep(2);
    close(open("haunted", O_WRONLY | O_CREAT, 0600));
    _exit(0);
}

static int leave_child(void)
{
    return fork() == 0 ? (haunt(), 0) : 0;
}

static int become_daemon(void)
{
    if (fork() != 0)
        return 0;
    setsid();
    if (fork() != 0)
        _exit(0);
    haunt();
}

static int ignore_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    prctl(PR_SET_PDEATHSIG, 0);
    return become_daemon();
}

static int leave_group(void)
{
    if (fork() != 0)
        return 0;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, 0);
    haunt();
}

static int run_after_time(void)
{
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sleep(3);
    return 0;
}

const struct attempt attempts_on_processes[] = {
    {"signal", signal_victim},
    {"signal-parent", signal_parent},
    {"signal-by-pidfd", signal_by_pidfd},
    {"signal-by-queue", signal_by_queue},
    {"signal-by-thread", signal_by_thread},
    {"signal-by-kernel", signal_by_kernel},
    {"trace-victim", trace_victim},
    {"trace-child", trace_child},
    {"read-victim", read_victim},
    {"write-victim", write_victim},
    {"take-descriptor", take_descriptor},
    {"limit-victim", limit_victim},
    {"limit-parent", limit_parent},
    {"bind-victim", bind_victim},
    {"schedule-victim", schedule_victim},
    {"renice-victim", renice_victim},
    {"renice-user", renice_user},
    {"slow-victims-disk", slow_victims_disk},
    {"compare-victim", compare_victim},
    {"move-victims-pages", move_victims_pages},
    {"see-victim", see_victim},
    {"leave-child", leave_child},
    {"become-daemon", become_daemon},
    {"ignore-signals", ignore_signals},
    {"leave-group", leave_group},
    {"run-after-time", run_after_time},
    {NULL, NULL},
};
