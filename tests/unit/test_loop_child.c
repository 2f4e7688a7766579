//
// The child is this program itself: started with a word, it does what that word says (see play()).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "loop/child.h"

enum { PATIENCE_MS = 20 * 1000, SAID_MAX = 64 * 1024, NOT_ENDED = -1, OUR_FD = 41 };

struct play {
    struct loop *loop;
    struct child *child;
    int output;
    int status;
    unsigned ends;
};

// --- in the child

static void tell_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir));) {
        char link[64], target[256];
        snprintf(link, sizeof link, "/proc/self/fd/%.16s", entry->d_name);
        ssize_t n = readlink(link, target, sizeof target - 1);
        if (n < 0 || entry->d_name[0] == '.')
            continue;
        target[n] = '\0';
        if (!strstr(target, "/fd")) // the directory that is being read
            printf("fd %s\n", entry->d_name);
    }
    closedir(dir);
}

// The two that libc keeps for itself are neither seen nor changed by anybody.
static void tell_signals(void)
{
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigismember(&mask, number) == 1)
            printf("blocked %d\n", number);
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            printf("ignored %d\n", number);
    }
}

static void tell_the_rest(void)
{
    int count = 0;
    while (environ && environ[count])
        printf("env %s\n", environ[count++]);
    char said[32] = "";
    ssize_t n = read(STDIN_FILENO, said, sizeof said - 1);
    printf("env count %d\nown group %d\nstdin %zd %s\n", count, getpgrp() == getpid(), n, said);
}

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

static int play(char *word)
{
    if (strcmp(word, "status") == 0)
        return 7;
    if (strcmp(word, "crash") == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        abort();
    }
    if (strcmp(word, "hang") == 0)
        hang();
    if (strcmp(word, "family") == 0) { // both hold the output open
        if (fork() == 0)
            hang();
        (void)!write(STDOUT_FILENO, "2", 1);
        hang();
    }
    tell_descriptors();
    tell_signals();
    tell_the_rest();
    fflush(stdout);
    return 0;
}

// --- in the parent

static void on_exit_status(void *context, int status)
{
    struct play *it = context;
    it->status = status;
    it->child = NULL;
    it->ends++;
    loop_stop(it->loop);
}

static void too_late(void *context)
{
    (void)context;
    fail_msg("nothing came in time");
}

static int start(struct play *it, const char *path, const char *word, char **environment,
                 struct error *err)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    it->output = ends[0];
    FD_AUTO output = ends[1];
    FD_AUTO input = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CLEANUP(mem_cleanup) char *argument = mem_strdup(word);
    char *argv[] = {argument, argument, NULL};
    struct child_spec spec = {path, argv, environment, input, output, STDERR_FILENO};
    return child_spawn(it->loop, &spec, on_exit_status, it, &it->child, err);
}

static void begin(struct play *it, const char *word)
{
    static char *none[] = {NULL};
    *it = (struct play){.output = -1, .status = NOT_ENDED};
    assert_int_equal(loop_create(&clock_system, &it->loop, NULL), 0);
    loop_timer_after(it->loop, PATIENCE_MS, too_late, NULL);
    assert_int_equal(start(it, "/proc/self/exe", word, none, NULL), 0);
}

static void end(struct play *it)
{
    child_destroy(it->child);
    child_reap_all(it->loop);
    loop_destroy(it->loop);
    fd_close(&it->output);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // no child is left, dead or alive
    assert_int_equal(errno, ECHILD);
}

static void until_it_ends(struct play *it)
{
    loop_run(it->loop);
    assert_null(it->child);
    assert_int_equal(it->ends, 1);
    loop_run_once(it->loop, 20);
    assert_int_equal(it->ends, 1);
}

static void tells_its_status(void **state)
{
    (void)state;
    struct play it;
    begin(&it, "status");
    assert_int_equal(it.ends, 0); // never from inside the call
    until_it_ends(&it);
    assert_true(WIFEXITED(it.status));
    assert_int_equal(WEXITSTATUS(it.status), 7);
    end(&it);
}

static void tells_the_signal_that_ended_it(void **state)
{
    (void)state;
    struct play it;
    begin(&it, "hang");
    loop_run_once(it.loop, 20);
    assert_int_equal(it.ends, 0);
    child_signal(it.child, SIGTERM);
    until_it_ends(&it);
    assert_true(WIFSIGNALED(it.status));
    assert_int_equal(WTERMSIG(it.status), SIGTERM);
    end(&it);
}

// End of file comes when nobody at all holds the other end.
static void await_end_of_output(struct play *it)
{
    BUF_AUTO rest = BUF_INIT(SAID_MAX);
    assert_int_equal(fd_read_all(it->output, &rest), 0);
}

static void destroying_kills_and_is_not_reported(void **state)
{
    (void)state;
    struct play it;
    begin(&it, "hang");
    child_destroy(it.child);
    it.child = NULL;
    await_end_of_output(&it);
    loop_run_once(it.loop, 20);
    assert_int_equal(it.ends, 0); // and is not reported
    end(&it);
    child_destroy(NULL);
}

// A process may take seconds to die, and the loop must not.
static void destroying_does_not_wait(void **state)
{
    (void)state;
    struct play it;
    siginfo_t info = {.si_pid = 0};
    begin(&it, "hang");
    child_destroy(it.child);
    it.child = NULL;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0); // was not waited for
    assert_true(child_is_ours(info.si_pid));
    while (child_is_ours(info.si_pid))
        loop_run_once(it.loop, PATIENCE_MS);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(it.ends, 0);
    end(&it);
}

// A tracer that does not look keeps the dead from their parent, as a silent disk keeps them alive.
static void one_that_does_not_die_is_not_waited_for(void **state)
{
    (void)state;
    struct play it;
    int ready[2];
    char byte = 0;
    begin(&it, "hang");
    pid_t traced = child_pid(it.child);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t tracer = fork();
    if (tracer == 0) {
        byte = ptrace(PTRACE_SEIZE, traced, NULL, NULL) == 0;
        (void)!write(ready[1], &byte, 1);
        hang();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    if (byte) {
        child_destroy(it.child);
        it.child = NULL;
        int64_t begun_ms = clock_monotonic_ms(&clock_system);
        child_reap_all(it.loop);
        assert_in_range(clock_monotonic_ms(&clock_system) - begun_ms, CHILD_REAP_MAX_MS,
                        CHILD_REAP_MAX_MS + 2000);
        assert_false(child_is_ours(traced));
    }
    assert_int_equal(kill(tracer, SIGKILL), 0);
    assert_int_equal(waitpid(tracer, NULL, 0), tracer);
    if (byte)
        assert_int_equal(waitpid(traced, NULL, 0), traced);
    fd_close(&ready[0]);
    fd_close(&ready[1]);
    end(&it);
    if (!byte)
        skip(); // tracing is forbidden here
}

static void signals_go_to_the_group(void **state)
{
    (void)state;
    struct play it;
    char ready;
    begin(&it, "family");
    assert_int_equal(read(it.output, &ready, 1), 1);
    child_signal(it.child, SIGTERM);
    until_it_ends(&it);
    await_end_of_output(&it);
    end(&it);
}

static void destroying_takes_the_group_along(void **state)
{
    (void)state;
    struct play it;
    char ready;
    begin(&it, "family");
    assert_int_equal(read(it.output, &ready, 1), 1);
    child_destroy(it.child);
    it.child = NULL;
    await_end_of_output(&it);
    end(&it);
}

// The parent has everything that must not get through: descriptors, environment, mask, handlers.
static void only_what_was_named_gets_through(void **state)
{
    (void)state;
    sigset_t mask, kept;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigaddset(&mask, SIGTERM);
    sigprocmask(SIG_BLOCK, &mask, &kept);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigaction(SIGHUP, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    assert_true(environ && environ[0]);
    assert_int_equal(dup2(STDERR_FILENO, OUR_FD), OUR_FD); // not close-on-exec, as from our parent

    struct play it;
    begin(&it, "tell");
    until_it_ends(&it);
    BUF_AUTO said = BUF_INIT(SAID_MAX);
    assert_int_equal(fd_read_all(it.output, &said), 0);
    sigprocmask(SIG_SETMASK, &kept, NULL);
    close(OUR_FD);
    end(&it);

    assert_true(WIFEXITED(it.status) && WEXITSTATUS(it.status) == 0);
    static const char *const wanted[] = {
        "fd 0\n", "fd 1\n", "fd 2\n", "env count 0\n", "own group 1\n", "stdin 31 ",
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strstr(buf_text(&said), wanted[i]))
            fail_msg("no %sin %s", wanted[i], buf_text(&said));
    assert_null(strstr(buf_text(&said), "blocked"));
    assert_null(strstr(buf_text(&said), "ignored"));
    const char *third = strstr(buf_text(&said), "fd 2\n");
    assert_null(strstr(third + 5, "fd ")); // and no other
}

static void the_environment_is_what_was_said(void **state)
{
    (void)state;
    char one[] = "ONE=1";
    char *environment[] = {one, NULL};
    struct play it;
    begin(&it, "status");
    until_it_ends(&it);
    fd_close(&it.output);
    assert_int_equal(start(&it, "/proc/self/exe", "tell", environment, NULL), 0);
    loop_run(it.loop);
    BUF_AUTO said = BUF_INIT(SAID_MAX);
    assert_int_equal(fd_read_all(it.output, &said), 0);
    assert_non_null(strstr(buf_text(&said), "env ONE=1\nenv count 1\n"));
    end(&it);
}

static void a_program_that_is_not_there(void **state)
{
    (void)state;
    struct play it = {.output = -1};
    struct error err = ERROR_INIT;
    assert_int_equal(loop_create(&clock_system, &it.loop, NULL), 0);
    assert_int_equal(start(&it, "/nowhere/at/all", "x", environ, &err), -ENOENT);
    assert_string_equal(err.text, "cannot start /nowhere/at/all: No such file or directory");
    assert_null(it.child);
    end(&it);
}

static void a_crash(void **state)
{
    (void)state;
    struct play it;
    begin(&it, "crash");
    until_it_ends(&it);
    assert_true(WIFSIGNALED(it.status));
    assert_int_equal(WTERMSIG(it.status), SIGABRT);
    end(&it);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return play(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_its_status),
        cmocka_unit_test(tells_the_signal_that_ended_it),
        cmocka_unit_test(destroying_kills_and_is_not_reported),
        cmocka_unit_test(destroying_does_not_wait),
        cmocka_unit_test(one_that_does_not_die_is_not_waited_for),
        cmocka_unit_test(signals_go_to_the_group),
        cmocka_unit_test(destroying_takes_the_group_along),
        cmocka_unit_test(only_what_was_named_gets_through),
        cmocka_unit_test(the_environment_is_what_was_said),
        cmocka_unit_test(a_program_that_is_not_there),
        cmocka_unit_test(a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
