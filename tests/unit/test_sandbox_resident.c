// Sessions that are looked at: what counts, and those that cannot be looked at, or not be killed.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sandbox/resident.h"

enum {
    NOBODY = 65534,
    PATIENCE_MS = 20 * 1000,
    LOOKS = 1000, // ms, in which there are some
    DESCRIPTORS = 64,
};

struct scene {
    struct loop *loop;
    struct resident *resident;
    struct resident_watch watch;
    unsigned looks;
};

static void on_count(void *context)
{
    struct scene *scene = context;
    scene->looks++;
}

// A process with a session of its own, which waits to be killed.
static pid_t start_session(void)
{
    int both[2];
    assert_true(pipe(both) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        (void)!write(both[1], "!", 1);
        for (;;)
            pause();
    }
    assert_true(pid > 0 && read(both[0], &(char){0}, 1) == 1);
    close(both[0]);
    close(both[1]);
    return pid;
}

static void begin(struct scene *scene, pid_t session)
{
    *scene = (struct scene){.watch = {.session = session, .on_count = on_count, .context = scene}};
    assert_true(loop_create(&clock_system, &scene->loop, NULL) == 0);
    scene->resident = resident_create(scene->loop);
    resident_add(scene->resident, &scene->watch);
}

static void end(struct scene *scene)
{
    resident_remove(&scene->watch);
    resident_destroy(scene->resident);
    loop_destroy(scene->loop);
}

static void until_it_looked(struct scene *scene)
{
    int64_t deadline_ms = clock_monotonic_ms(&clock_system) + PATIENCE_MS;
    while (!scene->looks) {
        assert_true(clock_monotonic_ms(&clock_system) < deadline_ms);
        loop_run_once(scene->loop, 100);
    }
}

static void run_for(struct scene *scene, int64_t ms)
{
    int64_t deadline_ms = clock_monotonic_ms(&clock_system) + ms;
    while (clock_monotonic_ms(&clock_system) < deadline_ms)
        loop_run_once(scene->loop, 10);
}

static void bury(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void says_who_lives(void **state)
{
    (void)state;
    pid_t session;
    int64_t pages;
    assert_true(resident_parse(
        "7 (a) b ) R 1 7 6 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99 4096 12 18", &session, &pages));
    assert_int_equal(session, 6);
    assert_int_equal(pages, 12);
    // All of it is swapped out, or the kernel has not counted yet.
    assert_true(resident_parse("7 (a) S 1 7 6 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99 4096 0 18",
                               &session, &pages));
    assert_int_equal(session, 6);
    assert_int_equal(pages, 0);
    assert_true(!resident_parse("7 (a) Z 1 7 6 0 -1 4227084 1 0 0 0 0 0 0 0 20 0 1 0 99 0 0 18",
                                &session, &pages));
    assert_true(!resident_parse("7 (a) X 1 7 6", &session, &pages));
    assert_true(!resident_parse("", &session, &pages));
}

static void counts_a_session(void **state)
{
    (void)state;
    pid_t pid = start_session();
    struct scene scene;
    begin(&scene, pid);
    until_it_looked(&scene);
    assert_int_equal(scene.watch.processes, 1);
    assert_true(scene.watch.bytes > 0);
    end(&scene);
    bury(pid);
}

// With one descriptor left, the directory can be opened, and nothing in it.
static void a_shortage_is_no_death(void **state)
{
    (void)state;
    pid_t pid = start_session();
    struct scene scene;
    begin(&scene, pid);
    struct rlimit limit, few;
    assert_true(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    few = (struct rlimit){.rlim_cur = DESCRIPTORS, .rlim_max = limit.rlim_max};
    assert_true(setrlimit(RLIMIT_NOFILE, &few) == 0);
    int taken[DESCRIPTORS], count = 0;
    while ((taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    close(taken[--count]);
    run_for(&scene, LOOKS);
    assert_int_equal(scene.looks, 0);
    while (count)
        close(taken[--count]);
    assert_true(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    until_it_looked(&scene);
    assert_int_equal(scene.watch.processes, 1);
    end(&scene);
    bury(pid);
}

static void kills_a_session(void **state)
{
    (void)state;
    pid_t pid = start_session(), other = start_session();
    struct scene scene;
    begin(&scene, pid);
    scene.watch.kills = true;
    until_it_looked(&scene);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    scene.looks = 0;
    until_it_looked(&scene);
    assert_int_equal(scene.watch.processes, 0);
    end(&scene);
    assert_int_equal(waitpid(other, &status, WNOHANG), 0);
    bury(other);
}

static void kills_without_the_loop(void **state)
{
    (void)state;
    pid_t pid = start_session();
    struct scene scene;
    begin(&scene, pid);
    resident_kill(scene.resident);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(scene.looks, 0);
    end(&scene);
}

static _Noreturn void watch_as_nobody(pid_t session)
{
    if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        _exit(2);
    struct scene scene;
    begin(&scene, session);
    scene.watch.kills = true;
    until_it_looked(&scene);
    int64_t processes = scene.watch.processes;
    end(&scene);
    _exit(processes == 0 ? 0 : 1);
}

// Nothing can be done about it, and nobody looks at it for ever.
static void leaves_what_it_may_not_kill(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return;
    pid_t pid = start_session(), watcher = fork();
    if (watcher == 0)
        watch_as_nobody(pid);
    int status = 0;
    assert_int_equal(waitpid(watcher, &status, 0), watcher);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    bury(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_who_lives),         cmocka_unit_test(counts_a_session),
        cmocka_unit_test(a_shortage_is_no_death), cmocka_unit_test(kills_a_session),
        cmocka_unit_test(kills_without_the_loop), cmocka_unit_test(leaves_what_it_may_not_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
