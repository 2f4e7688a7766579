/*
 * What waits for memory, in which order, and for how long. The process is this program itself:
 * asked to hang it does, and else it answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "support/fake_clock.h"
#include "support/process_world.h"

enum {
    PATIENCE = 4000, // passes of the loop, of a few milliseconds each
    FLOW_JOBS = 7,
};

static int work(int directory_fd, struct span request, struct buf *out, struct error *err)
{
    (void)directory_fd, (void)err;
    if (span_is(request, "hang"))
        pause();
    buf_append_text(out, "done");
    return 0;
}

static bool kill_is_deaf; // as of a process that waits for a disk

int kill(pid_t pid, int signal_number)
{
    return kill_is_deaf ? 0 : (int)syscall(SYS_kill, pid, signal_number);
}

static size_t children(void)
{
    char path[64], pids[4096] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, pids, sizeof pids - 1) >= 0);
    size_t count = 0;
    for (const char *at = pids; (at = strchr(at, ' ')); at++)
        count++;
    return count;
}

// As many as there is memory for; the others follow in order, also behind one that was cancelled.
static void those_without_memory_wait(void **state)
{
    struct process_world *world = *state;
    struct job jobs[6];
    for (int i = 0; i < 6; i++) {
        jobs[i] = job_of(world);
        job_begin(&jobs[i], span_of(i < 4 ? "hang" : "hello"));
    }
    assert_false(process_cancel(world->processes, jobs[5].id)); // never began
    process_world_pass(world, 20);
    assert_int_equal(children(), 4);
    assert_int_equal(jobs[4].dones, 0);
    assert_true(process_cancel(world->processes, jobs[2].id));
    job_wait(&jobs[4]);
    assert_int_equal(jobs[4].result, 0);

    JOB_AUTO more = job_of(world);
    JOB_AUTO last = job_of(world);
    job_begin(&more, span_of("hang"));
    job_begin(&last, span_of("hello"));
    process_world_pass(world, 20);
    assert_int_equal(last.dones, 0);
    processes_configure(world->processes, &(struct process_config){.memory = 64 << 20});
    job_wait(&last);
    assert_int_equal(last.result, 0);
    for (int i = 0; i < 6; i++) {
        process_cancel(world->processes, jobs[i].id);
        assert_int_equal(jobs[i].dones, i == 4);
        job_finish(&jobs[i]);
    }
}

static void one_that_needs_no_memory_does_not_wait(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO first = job_of(world);
    JOB_AUTO second = job_of(world);
    JOB_AUTO third = job_of(world);
    processes_configure(world->processes, &(struct process_config){.memory = 16 << 20});
    job_begin(&first, span_of("hang"));
    job_begin(&second, span_of("hello"));
    process_world_pass(world, 5);
    struct process_spec spec = job_spec(&third, span_of("hello"));
    spec.limits.memory = 0;
    job_start(&third, &spec, &job_events);
    job_wait(&third);
    assert_int_equal(third.result, 0);
    assert_int_equal(second.dones, 0);
    process_cancel(world->processes, first.id);
    job_wait(&second);
}

// What waits is in the parent's memory, which the budget does not cover.
static void not_too_much_waits(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO first = job_of(world);
    JOB_AUTO second = job_of(world);
    JOB_AUTO third = job_of(world);
    CLEANUP(mem_cleanup) char *bulk = mem_zalloc(PROCESS_INPUT_MAX);
    struct span large = span_make(bulk, PROCESS_INPUT_MAX);
    struct error err = ERROR_INIT;
    process_id id;
    struct process_spec spec = job_spec(&third, span_of("x"));
    job_begin(&first, large);
    job_begin(&second, large);
    assert_int_equal(2 * PROCESS_INPUT_MAX, PROCESSES_WAITING_BYTES_MAX);
    assert_int_equal(process_start(world->processes, &spec, &job_events, NULL, &id, &err), -EAGAIN);
    assert_string_equal(err.text, "2 others wait for memory already; try again later");
    process_cancel(world->processes, second.id);
    job_begin(&third, span_of("hello"));
    job_wait(&first);
    job_wait(&third);
    job_begin(&second, large);
    job_wait(&second);
}

// One at a time; a chat with few calls does not wait for all those of another one.
static void flows_take_turns(void **state)
{
    struct process_world *world = *state;
    static const struct {
        uint64_t flow;
        unsigned place;
    } cases[FLOW_JOBS] = {{1, 0}, {1, 1}, {1, 4}, {1, 6}, {2, 2}, {2, 5}, {3, 3}};
    struct job jobs[FLOW_JOBS];
    processes_configure(world->processes, &(struct process_config){.memory = 16 << 20});
    for (size_t i = 0; i < FLOW_JOBS; i++) {
        jobs[i] = job_of(world);
        jobs[i].flow = cases[i].flow;
        job_begin(&jobs[i], span_of(i ? "hello" : "hang"));
        process_world_pass(world, i ? 0 : 5);
    }
    process_cancel(world->processes, jobs[0].id);
    for (size_t i = 1; i < FLOW_JOBS; i++) {
        job_wait(&jobs[i]);
        assert_int_equal(jobs[i].place, cases[i].place);
        job_finish(&jobs[i]);
    }
}

static void one_that_cannot_fit_is_refused(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO job = job_of(world);
    JOB_AUTO next = job_of(world);
    CLEANUP(mem_cleanup) char *bulk = mem_zalloc(2 << 20);
    processes_configure(world->processes, &(struct process_config){.memory = 16 << 20});
    job_begin(&job, span_make(bulk, 2 << 20));
    job_begin(&next, span_of("hello"));
    job_wait(&next);
    assert_int_equal(next.result, 0);
    assert_int_equal(job.result, -ENOMEM);
    assert_string_equal(job.err.text,
                        "it needs 20 MiB of memory, and sandbox.memory is "
                        "16 MiB; raise that setting, or write the file in smaller pieces");
}

static unsigned warnings;

static void count_warnings(void *context, const struct log_record *record)
{
    (void)context;
    warnings += record->level == LOG_WARNING && strstr(record->text, "network drive of /proc/self");
}

// Their callers are told in time; then nobody waits for what they hold, and at last it comes back.
static void some_that_do_not_die(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct process_world world = {0};
    process_world_make(&world, fake_clock_init(&clock, 1000));
    log_set_sink(count_warnings, NULL, NULL, false);
    warnings = 0;
    struct job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = job_of(&world);
        job_begin(&jobs[i], span_of("hang"));
    }
    process_world_pass(&world, 20);
    assert_int_equal(children(), 4);
    kill_is_deaf = true;
    process_cancel(world.processes, jobs[0].id);
    clock.now_ms += JOB_TIME_MAX_MS;
    process_world_pass(&world, 5);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jobs[i].dones, i > 0);
    assert_int_equal(jobs[1].result, -ETIMEDOUT);
    assert_int_equal(warnings, 1);

    JOB_AUTO waits = job_of(&world);
    JOB_AUTO refused = job_of(&world);
    JOB_AUTO fits = job_of(&world);
    job_begin(&waits, span_of("hello"));
    process_world_pass(&world, 5);
    assert_int_equal(waits.dones, 0);
    clock.now_ms += PROCESS_DEATH_MAX_MS;
    job_wait(&waits);
    job_begin(&refused, span_of("hello"));
    job_wait(&refused);
    assert_int_equal(waits.result, -ENOMEM);
    assert_string_equal(refused.err.text,
                        "48 of the 48 MiB of sandbox.memory are held by file tools that were "
                        "stopped and do not end, as when a disk does not answer; try again later");
    assert_int_equal(warnings, 4);
    log_set_sink(NULL, NULL, NULL, false);

    kill_is_deaf = false;
    kill(process_world_first_child(), SIGKILL); // which was deaf to it
    for (int i = 0; i < PATIENCE && children() == 4; i++)
        process_world_pass(&world, 1);
    job_begin(&fits, span_of("hello"));
    job_wait(&fits);
    assert_int_equal(fits.result, 0);
    for (int i = 0; i < 4; i++)
        job_finish(&jobs[i]);
    process_world_remove(&world);
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct process_world world = {0};
    process_world_make(&world, fake_clock_init(&clock, 1000));
    JOB_AUTO first = job_of(&world);
    JOB_AUTO second = job_of(&world);
    processes_configure(world.processes, &(struct process_config){.memory = 16 << 20});
    job_begin(&first, span_of("hang"));
    job_begin(&second, span_of("hello"));
    process_world_pass(&world, 5);
    clock.now_ms += PROCESS_WAIT_MAX_MS;
    process_world_pass(&world, 5);
    assert_int_equal(second.dones, 1);
    assert_int_equal(second.result, -EAGAIN);
    assert_int_equal(second.ms, 0);
    assert_int_equal(first.ms, PROCESS_WAIT_MAX_MS); // on a clock that jumped over its time
    assert_string_equal(second.err.text,
                        "it waited 300 seconds for memory and did not begin; try again later, or "
                        "with fewer calls at a time");
    process_world_remove(&world);
}

#define WORLD(name) \
    cmocka_unit_test_setup_teardown(name, process_world_set_up, process_world_tear_down)

int main(int argc, char **argv)
{
    PROCESS_WORLD_MAIN(argc, argv, work);
    const struct CMUnitTest tests[] = {
        WORLD(those_without_memory_wait),
        WORLD(one_that_needs_no_memory_does_not_wait),
        WORLD(not_too_much_waits),
        WORLD(flows_take_turns),
        WORLD(one_that_cannot_fit_is_refused),
        cmocka_unit_test(some_that_do_not_die),
        cmocka_unit_test(nobody_waits_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
