// The filter of system calls, each time in a process of its own, and what is decided for it.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/brokered_calls.h"
#include "sandbox/privileges.h"
#include "sandbox/refusals.h"
#include "sandbox/syscall_filter.h"

enum { PATIENCE_MS = 10 * 1000, OTHER_LISTENER = 77 };

static const struct syscall_filter all_seen = {true, true, true};
static const struct syscall_filter as_landlock_1 = {false, false, false};

struct court {
    struct brokered_calls brokered;
    struct refusals refusals;
};

static int decide(void *context, const struct syscall_call *call)
{
    struct court *court = context;
    int r = brokered_call_decide(&court->brokered, call);
    if (r != CALL_IS_REFUSED)
        return r;
    refusals_add(&court->refusals, call->name);
    return -EPERM;
}

static void answer(struct court *court, int listener, int ready)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = listener, .events = POLLIN}, {.fd = ready, .events = POLLIN}};
        assert_true(poll(fds, 2, PATIENCE_MS) > 0);
        if (fds[0].revents & POLLIN)
            syscall_filter_answer(listener, decide, court);
        else if (fds[1].revents)
            return;
    }
}

// What `act` returns behind the filter, in a child whose listener this process inherits by its
// number: the child shares its descriptors.
static int behind(const struct syscall_filter *filter, struct court *court, int (*act)(void))
{
    int *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int both[2], pair[2], status;
    assert_int_equal(pipe2(both, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err = ERROR_INIT;
        int listener = -1;
        close(both[0]);
        if (privileges_seal(&err) < 0 || syscall_filter_load(filter, &listener, &err) < 0)
            _exit(OTHER_LISTENER);
        *shared = listener;
        // It waits until its listener has been fetched, which is by its number.
        char byte;
        (void)!write(pair[1], "!", 1);
        (void)!read(pair[1], &byte, 1);
        *shared = act();
        _exit(0);
    }
    char byte;
    close(both[1]);
    assert_int_equal(read(pair[0], &byte, 1), 1);
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    int listener = (int)syscall(SYS_pidfd_getfd, pidfd, *shared, 0);
    assert_true(listener >= 0);
    court->brokered.listener = listener;
    assert_int_equal(write(pair[0], "!", 1), 1);
    answer(court, listener, both[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    int result = *shared;
    munmap(shared, sizeof *shared);
    close(listener), close(pidfd), close(both[0]), close(pair[0]), close(pair[1]);
    return result;
}

static int result(long returned)
{
    return returned < 0 ? -errno : 0;
}

static int open_socket(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int make_namespace(void)
{
    return result(syscall(SYS_unshare, 0x10000000));
}

static int use_clone3(void)
{
    return result(syscall(SYS_clone3, NULL, 0));
}

static int begin_session(void)
{
    pid_t before = getsid(0);
    return setsid() >= 0 && getsid(0) == before ? 0 : -1;
}

static int call_nothing(void)
{
    return result(syscall(0x7ffff));
}

static void what_is_refused_is_told(void **state)
{
    struct court court = {0};
    assert_int_equal(behind(&all_seen, &court, open_socket), -EPERM);
    assert_int_equal(behind(&all_seen, &court, make_namespace), -EPERM);
    char text[REFUSALS_TEXT_MAX];
    assert_true(refusals_describe(&court.refusals, text));
    assert_string_equal(text, "socket, unshare");
}

static void what_is_not_known_is_not_there(void **state)
{
    struct court court = {0};
    assert_int_equal(behind(&all_seen, &court, use_clone3), -ENOSYS);
    assert_int_equal(behind(&all_seen, &court, call_nothing), -ENOSYS);
    assert_int_equal(refusals_count(&court.refusals), 0);
}

static void a_session_begins_only_in_name(void **state)
{
    struct court court = {0};
    assert_int_equal(behind(&all_seen, &court, begin_session), 0);
}

// --- signals, as a Landlock that does not keep them in has them decided

static pid_t outside;

static int signal_outside(void)
{
    return result(kill(outside, 0));
}

static int signal_all(void)
{
    return result(kill(-1, 0));
}

static int signal_self(void)
{
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    raise(SIGUSR1);
    const struct timespec moment = {.tv_nsec = 1};
    return sigtimedwait(&usr1, NULL, &moment) == SIGUSR1 ? result(kill(getpid(), 0)) : -1;
}

static int signal_nobody(void)
{
    return result(kill(0x3fffffff, 0));
}

static int signal_by_kernel(void)
{
    int both[2];
    return pipe(both) < 0 ? -1 : result(fcntl(both[0], F_SETOWN, outside));
}

static void signals_stay_in_the_session(void **state)
{
    struct court court = {.brokered.session = getsid(0)};
    outside = fork();
    if (outside == 0) {
        setsid();
        for (;;)
            pause();
    }
    while (getsid(outside) != outside)
        usleep(1000);
    assert_int_equal(behind(&as_landlock_1, &court, signal_outside), -EPERM);
    assert_int_equal(behind(&as_landlock_1, &court, signal_by_kernel), -EPERM);
    assert_int_equal(behind(&as_landlock_1, &court, signal_all), -EPERM);
    assert_int_equal(refusals_count(&court.refusals), 3);
    assert_int_equal(behind(&as_landlock_1, &court, signal_self), 0);
    assert_int_equal(behind(&as_landlock_1, &court, signal_nobody), -ESRCH);
    assert_int_equal(behind(&all_seen, &court, signal_outside), 0);
    kill(outside, SIGKILL);
    waitpid(outside, NULL, 0);
}

// --- changes of what is behind a path

static int change_inside(void)
{
    return result(chmod("granted/file", 0600));
}

static int change_outside(void)
{
    return result(chmod("file", 0600));
}

static int change_by_link(void)
{
    return result(chmod("granted/link", 0600));
}

static int change_by_dots(void)
{
    return result(chmod("granted/../file", 0600));
}

static int change_neighbour(void)
{
    return result(chmod("granted-not/file", 0600));
}

static int change_nothing(void)
{
    return result(chmod("granted/none", 0600));
}

static int change_by_null(void)
{
    return result(syscall(SYS_fchmodat, AT_FDCWD, NULL, 0600));
}

static int truncate_file(void)
{
    return result(truncate("granted/file", 0));
}

static void make_file(const char *path)
{
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0640), 0);
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void modes_change_where_it_may_write(void **state)
{
    char place[] = "/tmp/hermes-unit-XXXXXX";
    assert_non_null(mkdtemp(place));
    assert_int_equal(chdir(place), 0);
    mkdir("granted", 0700), mkdir("granted-not", 0700);
    make_file("granted/file"), make_file("granted-not/file"), make_file("file");
    assert_int_equal(symlink("../file", "granted/link"), 0);
    CLEANUP(mem_cleanup) char *granted = mem_printf("%s/granted", place);
    const char *const write[] = {granted, NULL};
    struct court court = {.brokered = {.session = getsid(0), .write = write}};
    assert_int_equal(behind(&as_landlock_1, &court, change_inside), 0);
    assert_int_equal(mode_of("granted/file"), 0600);
    assert_int_equal(refusals_count(&court.refusals), 0);
    assert_int_equal(behind(&as_landlock_1, &court, change_outside), -EPERM);
    assert_int_equal(behind(&as_landlock_1, &court, change_by_link), -EPERM);
    assert_int_equal(behind(&as_landlock_1, &court, change_by_dots), -EPERM);
    assert_int_equal(behind(&as_landlock_1, &court, change_neighbour), -EPERM);
    assert_int_equal(mode_of("file"), 0640);
    assert_int_equal(mode_of("granted-not/file"), 0640);
    assert_int_equal(refusals_count(&court.refusals), 4);
    assert_int_equal(behind(&as_landlock_1, &court, change_nothing), -ENOENT);
    assert_int_equal(behind(&as_landlock_1, &court, change_by_null), -EFAULT);
    assert_int_equal(behind(&as_landlock_1, &court, truncate_file), -EPERM);
    assert_int_equal(behind(&all_seen, &court, truncate_file), 0);
    unlink("granted/file"), unlink("granted/link"), unlink("granted-not/file"), unlink("file");
    rmdir("granted"), rmdir("granted-not");
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(place), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_is_told),
        cmocka_unit_test(what_is_not_known_is_not_there),
        cmocka_unit_test(a_session_begins_only_in_name),
        cmocka_unit_test(signals_stay_in_the_session),
        cmocka_unit_test(modes_change_where_it_may_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
