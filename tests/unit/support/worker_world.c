#include "support/worker_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "loop/child.h"

enum {
    PATIENCE_MS = 20 * 1000,
    PASS_MS = 5,
    SAID_MAX = 1 << 20,
};

static const struct worker_config config = {.memory_budget = 48 << 20};

void worker_world_make(struct worker_world *world, const struct clock *clock)
{
    *world = (struct worker_world){0};
    assert_int_equal(loop_create(clock, &world->loop, NULL), 0);
    world->workers = workers_create(world->loop, &config);
}

void worker_world_remove(struct worker_world *world)
{
    workers_destroy(world->workers);
    child_reap_all(world->loop);
    loop_destroy(world->loop);
}

void worker_world_pass(struct worker_world *world, int count)
{
    for (int i = 0; i < count; i++)
        loop_run_once(world->loop, PASS_MS);
}

int worker_world_set_up(void **state)
{
    struct worker_world *world = mem_new(struct worker_world);
    worker_world_make(world, &clock_system);
    *state = world;
    return 0;
}

int worker_world_tear_down(void **state)
{
    worker_world_remove(*state);
    free(*state);
    bool none_left = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD; // dead or alive
    return none_left ? 0 : -1;
}

struct job job_of(struct worker_world *world)
{
    return (struct job){.world = world, .directory = "/proc/self", .output = BUF_INIT(SAID_MAX)};
}

void job_finish(struct job *job)
{
    buf_finish(&job->output);
}

void job_done(void *context, int result, struct span output, int64_t ms, const struct error *err)
{
    struct job *job = context;
    job->dones++;
    job->place = ++job->world->ended;
    job->result = result;
    job->ms = ms;
    buf_append_span(&job->output, output);
    job->err = *err;
}

void job_begin(struct job *job, struct span request)
{
    struct error err = ERROR_INIT;
    if (worker_start(job->world->workers, job->flow, job->directory, request, job_done, job,
                     &job->id, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(job->id != 0);
    assert_int_equal(job->dones, 0);
}

void job_wait(struct job *job)
{
    int64_t deadline = clock_monotonic_ms(&clock_system) + PATIENCE_MS;
    while (!job->dones) {
        if (clock_monotonic_ms(&clock_system) > deadline)
            fail_msg("nothing came in time");
        loop_run_once(job->world->loop, 100);
    }
}

void job_run(struct job *job, const char *request)
{
    job_begin(job, span_of(request));
    job_wait(job);
    loop_run_once(job->world->loop, 20);
    assert_int_equal(job->dones, 1);
}
