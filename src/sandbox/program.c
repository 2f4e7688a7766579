#include "sandbox/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/landlock.h"
#include "sandbox/supervisor.h"
#include "sandbox/syscall_filter.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 }; // as a shell says it

struct message {
    int status; // 0: a descriptor comes along
    char text[ERROR_TEXT_MAX];
};

static void say(int talk, const struct message *message, int descriptor)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec bytes = {.iov_base = (void *)message, .iov_len = sizeof *message};
    struct msghdr all = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (descriptor >= 0) {
        all.msg_control = &control;
        all.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&all);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof descriptor);
        memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    (void)!sendmsg(talk, &all, MSG_NOSIGNAL);
}

int program_hear(int talk, int *ret_listener, struct error *err)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct message message = {0};
    struct iovec bytes = {.iov_base = &message, .iov_len = sizeof message};
    struct msghdr all = {.msg_iov = &bytes,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    if (recvmsg(talk, &all, MSG_CMSG_CLOEXEC) <= 0)
        return 0;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&all);
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_listener, CMSG_DATA(header), sizeof *ret_listener);
    if (message.status)
        error_set(err, -ECHILD, "%s", message.text);
    return message.status;
}

static _Noreturn void give_up(int talk, int status, const struct error *err)
{
    struct message message = {.status = status};
    snprintf(message.text, sizeof message.text, "%s%s",
             status == EXIT_SANDBOX ? "nothing was run: " : "", err->text);
    say(talk, &message, -1);
    _exit(status);
}

// The limit counts all tasks of a user, so those that there are come on top.
static int64_t count_tasks(void)
{
    int64_t count = 0;
    DIRECTORY_AUTO *proc = opendir("/proc");
    for (const struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[64];
        struct stat status;
        snprintf(path, sizeof path, "%.32s/task", entry->d_name);
        // Besides its entries a directory has two links.
        if (fstatat(dirfd(proc), path, &status, 0) == 0 && status.st_uid == getuid())
            count += (int64_t)status.st_nlink - 2;
    }
    return count;
}

// Beside it, the daemon must still answer, and see what the program grows to.
static int limit_tasks(int64_t tasks, struct error *err)
{
    enum { NICE = 10 };
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    if (!tasks)
        return 0;
    struct rlimit now;
    rlim_t wanted = (rlim_t)(count_tasks() + tasks);
    if (getrlimit(RLIMIT_NPROC, &now) < 0)
        return error_errno(err, errno, "cannot limit the number of processes");
    wanted = wanted < now.rlim_max ? wanted : now.rlim_max;
    struct rlimit limit = {wanted, wanted};
    return prlimit(0, RLIMIT_NPROC, &limit, NULL) < 0
               ? error_errno(err, errno, "cannot limit the number of processes")
               : 0;
}

static int load_filter(const struct program *program, int talk, struct error *err)
{
    bool landlock = program->isolation == ISOLATION_LANDLOCK;
    bool container = program->isolation == ISOLATION_CONTAINER;
    int abi = landlock ? landlock_abi(NULL) : 0;
    struct syscall_filter filter = {
        .paths_are_seen = !landlock && !container,
        .signals_are_kept = landlock ? abi >= LANDLOCK_SCOPES : !container,
        .truncate_is_seen = !landlock || abi >= LANDLOCK_TRUNCATE,
    };
    FD_AUTO listener = -1;
    int r = syscall_filter_load(&filter, &listener, err);
    if (r == 0 && listener >= 0)
        say(talk, &(struct message){0}, listener);
    return r;
}

static int put_on_layers(const struct program *program, int talk, struct error *err)
{
    unsigned without = program->grants->without;
    bool filters = !(without & LAYER_SECCOMP);
    int r = limit_tasks(program->grants->tasks, err);
    // Neither Landlock nor a filter is to be had by somebody who may still gain privileges.
    if (r == 0 && (!(without & LAYER_PRIVILEGES) || filters || program->isolation))
        r = privileges_seal(err);
    if (r == 0 && program->isolation == ISOLATION_LANDLOCK)
        r = landlock_enter(program->grants, program->tmp, err);
    if (r == 0 && chdir(program->directory) < 0)
        r = error_errno(err, errno, "cannot open %s", program->directory);
    if (r == 0 && !(without & LAYER_PRIVILEGES))
        r = privileges_drop(err);
    if (r == 0 && filters)
        r = load_filter(program, talk, err);
    return r;
}

// What it gets is what this process was given, but for the place of its temporary files.
static char **environment_of(const struct program *program)
{
    static const char name[] = "TMPDIR=";
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **variables = mem_zalloc((count + 2) * sizeof *variables);
    for (size_t i = 0; i < count; i++)
        if (!program->tmp || strncmp(environ[i], name, sizeof name - 1) != 0)
            variables[kept++] = environ[i];
    if (program->tmp)
        variables[kept] = mem_printf("%s%s", name, program->tmp);
    return variables;
}

void program_be_first_to_go(void)
{
    static const char most[] = "1000";
    FD_AUTO fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)fd_write_all(fd, most, sizeof most - 1);
}

static _Noreturn void become(const struct program *program, pid_t parent, int talk)
{
    struct error err = ERROR_INIT;
    setpgid(0, 0); // so that what it does to its group it does not do to the supervisor
    prctl(PR_SET_PDEATHSIG, program->grants->without & LAYER_SESSION ? 0 : SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_SANDBOX);
    program_be_first_to_go();
    if (put_on_layers(program, talk, &err) < 0)
        give_up(talk, EXIT_SANDBOX, &err);
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(program->argv[0], program->argv, environment_of(program));
    int cause = errno;
    error_errno(&err, cause, "cannot start %s", program->argv[0]);
    give_up(talk, cause == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, &err);
}

int program_start(const struct program *program, pid_t *ret_pid, int *ret_talk, struct error *err)
{
    int both[2];
    pid_t self = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) < 0)
        return error_errno(err, errno, "cannot talk to a process");
    FD_AUTO theirs = both[1];
    FD_AUTO ours = both[0];
    pid_t pid = fork();
    if (pid < 0)
        return error_errno(err, errno, "cannot start a process");
    if (pid == 0)
        become(program, self, theirs);
    *ret_pid = pid;
    *ret_talk = ours;
    ours = -1;
    return 0;
}
