#include "support/process_world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "loop/child.h"

enum {
    PATIENCE_MS = 20 * 1000,
    PASS_MS = 5,
    SAID_MAX = 1 << 20,
};

static const struct process_config config = {.memory = 48 << 20};

void process_world_make(struct process_world *world, const struct clock *clock)
{
    *world = (struct process_world){0};
    assert_int_equal(loop_create(clock, &world->loop, NULL), 0);
    world->processes = processes_create(world->loop, &config);
}

void process_world_remove(struct process_world *world)
{
    processes_destroy(world->processes);
    child_reap_all(world->loop);
    loop_destroy(world->loop);
}

pid_t process_world_first_child(void)
{
    char path[64], pids[4096] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, pids, sizeof pids - 1) > 0);
    struct span rest = span_of(pids);
    uint64_t pid = 0;
    assert_true(span_to_u64(span_cut(&rest, ' '), &pid));
    return (pid_t)pid;
}

void process_world_pass(struct process_world *world, int count)
{
    for (int i = 0; i < count; i++)
        loop_run_once(world->loop, PASS_MS);
}

int process_world_set_up(void **state)
{
    struct process_world *world = mem_new(struct process_world);
    process_world_make(world, &clock_system);
    *state = world;
    return 0;
}

int process_world_tear_down(void **state)
{
    process_world_remove(*state);
    free(*state);
    bool none_left = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD; // dead or alive
    return none_left ? 0 : -1;
}

struct job job_of(struct process_world *world)
{
    return (struct job){.world = world,
                        .directory = "/proc/self",
                        .output = BUF_INIT(SAID_MAX),
                        .error_output = BUF_INIT(SAID_MAX)};
}

void job_finish(struct job *job)
{
    buf_finish(&job->output);
    buf_finish(&job->error_output);
}

static void on_end(void *context, const struct process_end *end)
{
    struct job *job = context;
    job->dones++;
    job->place = ++job->world->ended;
    job->result = end->result;
    job->status = end->status;
    job->ms = end->ms;
    buf_append_span(&job->output, end->output[PROCESS_STDOUT]);
    buf_append_span(&job->error_output, end->output[PROCESS_STDERR]);
    job->err = *end->err;
}

const struct process_events job_events = {.on_end = on_end};

struct process_spec job_spec(const struct job *job, struct span request)
{
    int64_t memory = JOB_MEMORY;
    if (request.len > JOB_REQUEST_SMALL)
        memory += JOB_MEMORY_PER_BYTE * (int64_t)request.len;
    return (struct process_spec){
        .function = "work",
        .directory = job->directory,
        .flow = job->flow,
        .limits = {.wall_ms = JOB_TIME_MAX_MS,
                   .cpu_s = JOB_CPU_MAX_S,
                   .memory = memory,
                   .file_size = JOB_FILE_MAX},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_BUFFER, .bytes = request},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = JOB_OUTPUT_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
}

void job_begin(struct job *job, struct span request)
{
    struct process_spec spec = job_spec(job, request);
    job_start(job, &spec, &job_events);
}

void job_start(struct job *job, const struct process_spec *spec,
               const struct process_events *events)
{
    struct error err = ERROR_INIT;
    if (process_start(job->world->processes, spec, events, job, &job->id, &err) != 0)
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
