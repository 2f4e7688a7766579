//
// Each test runs in a process of its own, which is made a subreaper: orphans of its children become
// its own, as they do with the first process of a container.
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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "loop/child.h"
#include "loop/reaper.h"

enum { PATIENCE_MS = 20 * 1000, MANY = 50 };

// A failed check ends the test's process, with the line as its last word.
#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                               \
        }                                                                           \
    } while (0)

struct world {
    struct loop *loop;
    struct reaper *reaper;
    struct child *child;
    int status;
    unsigned ends;
};

static void on_exit_status(void *context, int status)
{
    struct world *world = context;
    world->child = NULL;
    world->status = status;
    world->ends++;
}

static void begin(struct world *world)
{
    *world = (struct world){.status = -1};
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    CHECK(loop_create(&clock_system, &world->loop, NULL) == 0);
    CHECK(reaper_create(world->loop, &world->reaper, NULL) == 0);
}

static void end(struct world *world)
{
    reaper_destroy(world->reaper);
    loop_destroy(world->loop);
}

static void run_for(struct world *world, int64_t ms)
{
    int64_t until = clock_monotonic_ms(&clock_system) + ms;
    while (clock_monotonic_ms(&clock_system) < until)
        loop_run_once(world->loop, 10);
}

static void start(struct world *world, const char *word, int output)
{
    FD_AUTO null = open("/dev/null", O_RDWR | O_CLOEXEC);
    CLEANUP(mem_cleanup) char *argument = mem_strdup(word);
    char *argv[] = {argument, argument, NULL}, *none[] = {NULL};
    struct child_spec spec = {.path = "/proc/self/exe",
                              .argv = argv,
                              .environment = none,
                              .stdin_fd = null,
                              .stdout_fd = output >= 0 ? output : null,
                              .stderr_fd = STDERR_FILENO};
    CHECK(child_spawn(world->loop, &spec, on_exit_status, world, &world->child, NULL) == 0);
}

static bool nobody_is_left(void)
{
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

// A grandchild whose parent is gone, and that ends after `ms`.
static void leave_orphan(unsigned ms)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (fork() == 0) {
            struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
            nanosleep(&pause, NULL);
        }
        _exit(0);
    }
}

static void until_nobody_is_left(struct world *world)
{
    int64_t until = clock_monotonic_ms(&clock_system) + PATIENCE_MS;
    siginfo_t info;
    // Looked at without reaping: that is what is being tested.
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        CHECK(clock_monotonic_ms(&clock_system) < until);
        loop_run_once(world->loop, 50);
    }
    CHECK(errno == ECHILD);
}

static void in_a_process(void (*test)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        test();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void reap_orphans(void)
{
    struct world world;
    begin(&world);
    for (unsigned i = 0; i < MANY; i++)
        leave_orphan(i % 7);
    until_nobody_is_left(&world);
    end(&world);
}

static void reap_those_who_died_before(void)
{
    leave_orphan(0);
    struct timespec pause = {0, 50 * 1000000};
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    nanosleep(&pause, NULL);
    struct world world;
    begin(&world);
    until_nobody_is_left(&world);
    end(&world);
}

static void leave_children_alone(void)
{
    struct world world;
    begin(&world);
    for (unsigned round = 0; round < 20; round++) {
        leave_orphan(0);
        start(&world, "status", -1);
        leave_orphan(1);
        while (world.ends <= round)
            loop_run_once(world.loop, 50);
        CHECK(WIFEXITED(world.status) && WEXITSTATUS(world.status) == 7);
    }
    until_nobody_is_left(&world);
    end(&world);
}

// The dead child is offered first, again and again, as long as its callback has not come.
static void see_past_a_dead_child(void)
{
    struct world world;
    begin(&world);
    start(&world, "status", -1);
    siginfo_t info;
    CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0); // it is dead
    CHECK(child_is_ours(info.si_pid));
    leave_orphan(0);
    until_nobody_is_left(&world);
    CHECK(world.ends == 1 && WEXITSTATUS(world.status) == 7);
    CHECK(!child_is_ours(info.si_pid));
    end(&world);
}

// The leader ends by itself and leaves one of its group behind, who holds the pipe.
static void take_the_group_along(void)
{
    struct world world;
    int ends[2];
    begin(&world);
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    start(&world, "leave", ends[1]);
    close(ends[1]);
    while (world.ends == 0)
        loop_run_once(world.loop, 50);
    CHECK(WIFEXITED(world.status) && WEXITSTATUS(world.status) == 5);
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    CHECK(read(ends[0], &byte, 1) == 0); // end of file: nobody holds it
    until_nobody_is_left(&world);
    end(&world);
}

static double seconds_of_cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void count_pass(void *context)
{
    ++*(unsigned *)context;
}

static void sleep_while_nobody_dies(void)
{
    struct world world;
    begin(&world);
    start(&world, "hang", -1);
    run_for(&world, 50);
    double before = seconds_of_cpu();
    unsigned passes = 0;
    loop_timer_after(world.loop, 300, count_pass, &passes);
    loop_run_once(world.loop, 2000); // one pass: nothing woke it before
    CHECK(passes == 1);
    CHECK(seconds_of_cpu() - before < 0.05);
    child_destroy(world.child);
    run_for(&world, 100);
    CHECK(world.ends == 0 && nobody_is_left());
    end(&world);
}

static void know_whether_needed(void)
{
    CHECK(!reaper_is_needed());
    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    CHECK(reaper_is_needed());
    reaper_destroy(NULL);
}

#define IN_A_PROCESS(name)                \
    static void test_##name(void **state) \
    {                                     \
        (void)state;                      \
        in_a_process(name);               \
    }
IN_A_PROCESS(reap_orphans)
IN_A_PROCESS(reap_those_who_died_before)
IN_A_PROCESS(leave_children_alone)
IN_A_PROCESS(see_past_a_dead_child)
IN_A_PROCESS(take_the_group_along)
IN_A_PROCESS(sleep_while_nobody_dies)
IN_A_PROCESS(know_whether_needed)

// What a child of this program does, by its word.
static int play(const char *word)
{
    if (strcmp(word, "status") == 0)
        return 7;
    if (strcmp(word, "leave") == 0) {
        if (fork() == 0) {
            (void)!write(STDOUT_FILENO, "2", 1);
            for (;;)
                pause();
        }
        struct timespec wait = {0, 100 * 1000000};
        nanosleep(&wait, NULL);
        _exit(5);
    }
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return play(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reap_orphans),
        cmocka_unit_test(test_reap_those_who_died_before),
        cmocka_unit_test(test_leave_children_alone),
        cmocka_unit_test(test_see_past_a_dead_child),
        cmocka_unit_test(test_take_the_group_along),
        cmocka_unit_test(test_sleep_while_nobody_dies),
        cmocka_unit_test(test_know_whether_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
