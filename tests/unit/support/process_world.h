#pragma once

#include "base/buf.h"
#include "loop/loop.h"
#include "sandbox/process.h"

/*
 * Processes with a budget for four functions at a time, and jobs that tell what became of them. The
 * function is the test's own, which is its own program: see PROCESS_WORLD_MAIN().
 */
enum {
    JOB_TIME_MAX_MS = 30 * 1000,
    JOB_OUTPUT_MAX = 256 * 1024, // bytes
    JOB_CPU_MAX_S = 20,
    JOB_FILE_MAX = 64 << 20, // bytes
    JOB_MEMORY = 12 << 20,   // bytes, and some more for each of a large request:
    JOB_MEMORY_PER_BYTE = 4,
    JOB_REQUEST_SMALL = 64 * 1024,
};

#define PROCESS_WORLD_MAIN(argc, argv, work)                                                  \
    if ((argc) > 1 && strcmp((argv)[1], process_command) == 0)                                \
    return process_main((argc)-2, (argv) + 2,                                                 \
                        (struct process_function[]){{"work", work, JOB_OUTPUT_MAX, false},    \
                                                    {"explain", work, JOB_OUTPUT_MAX, true}}, \
                        2)

struct process_world {
    struct loop *loop;
    struct processes *processes;
    unsigned ended; // jobs
};

struct job {
    struct process_world *world;
    const char *directory;
    uint64_t flow;
    process_id id;
    unsigned dones;
    unsigned place; // in the order in which they ended
    int result, status;
    int64_t ms;
    struct buf output, error_output;
    struct error err;
};

void process_world_make(struct process_world *world, const struct clock *clock);
void process_world_remove(struct process_world *world);
pid_t process_world_first_child(void);                           // of this process, dead or alive
void process_world_pass(struct process_world *world, int count); // so many passes of the loop

// For cmocka: *state is a world on the system's clock; no child may be left in the end.
int process_world_set_up(void **state);
int process_world_tear_down(void **state);

struct job job_of(struct process_world *world);
void job_finish(struct job *job);
#define JOB_AUTO CLEANUP(job_finish) struct job
void job_begin(struct job *job, struct span request); // the function
void job_wait(struct job *job);                       // for its end, with patience
void job_run(struct job *job, const char *request);

// What job_begin() starts. With `events`, whose context is a struct job, anything else can be.
struct process_spec job_spec(const struct job *job, struct span request);
extern const struct process_events job_events;
void job_start(struct job *job, const struct process_spec *spec,
               const struct process_events *events);
