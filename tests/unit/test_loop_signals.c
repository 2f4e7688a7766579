#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop/signals.h"

struct heard {
    struct signals signals;
    int count[NSIG], total;
    bool finish;
};

static void on_signal(void *context, int number)
{
    struct heard *heard = context;
    heard->count[number]++;
    heard->total++;
    if (heard->finish)
        signals_finish(&heard->signals);
}

static void begin(struct heard *heard, struct loop **ret_loop)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2};
    *heard = (struct heard){0};
    assert_int_equal(loop_create(&clock_system, ret_loop, NULL), 0);
    assert_int_equal(signals_init(&heard->signals, *ret_loop, numbers, 2, on_signal, heard, NULL),
                     0);
}

static void passes(struct loop *loop, int count)
{
    while (count--)
        loop_run_once(loop, 0);
}

static void signals_are_events(void **state)
{
    (void)state;
    struct heard heard;
    struct loop *loop;
    begin(&heard, &loop);
    passes(loop, 2);
    assert_int_equal(heard.total, 0);
    kill(getpid(), SIGUSR1); // would end the process if it were not blocked
    kill(getpid(), SIGUSR2);
    passes(loop, 4);
    assert_int_equal(heard.count[SIGUSR1], 1);
    assert_int_equal(heard.count[SIGUSR2], 1);
    assert_int_equal(heard.total, 2);
    kill(getpid(), SIGUSR1);
    loop_run_once(loop, 5000); // wakes it up
    assert_int_equal(heard.count[SIGUSR1], 2);
    assert_int_equal(fcntl(heard.signals.fd, F_GETFD), FD_CLOEXEC);
    signals_finish(&heard.signals);
    loop_destroy(loop);
}

static void only_those_that_were_named_are_blocked(void **state)
{
    (void)state;
    struct heard heard;
    struct loop *loop;
    begin(&heard, &loop);
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    assert_true(sigismember(&mask, SIGUSR1));
    assert_true(sigismember(&mask, SIGUSR2));
    assert_false(sigismember(&mask, SIGTERM));
    int fd = heard.signals.fd;
    signals_finish(&heard.signals);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    kill(getpid(), SIGUSR1); // stays blocked, and nobody is told
    passes(loop, 2);
    assert_int_equal(heard.total, 0);
    signals_finish(&heard.signals);
    loop_destroy(loop);

    // What waited meanwhile is heard by the next that asks.
    begin(&heard, &loop);
    passes(loop, 2);
    assert_int_equal(heard.count[SIGUSR1], 1);
    signals_finish(&heard.signals);
    loop_destroy(loop);
}

static void finished_from_its_own_callback(void **state)
{
    (void)state;
    struct heard heard;
    struct loop *loop;
    begin(&heard, &loop);
    heard.finish = true;
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    passes(loop, 4);
    assert_int_equal(heard.total, 1);
    loop_destroy(loop);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    assert_int_equal(sigtimedwait(&mask, NULL, &(struct timespec){0}), SIGUSR2); // left for others
}

static void never_begun(void **state)
{
    (void)state;
    struct signals signals = {0};
    signals_finish(&signals);
    signals_finish(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_events),
        cmocka_unit_test(only_those_that_were_named_are_blocked),
        cmocka_unit_test(finished_from_its_own_callback),
        cmocka_unit_test(never_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
