#pragma once

#include "base/buf.h"
#include "loop/loop.h"
#include "sandbox/worker.h"

// Workers with a budget for four at a time, and jobs that tell what became of them.
struct worker_world {
    struct loop *loop;
    struct workers *workers;
    unsigned ended; // jobs
};

struct job {
    struct worker_world *world;
    const char *directory;
    uint64_t flow;
    worker_id id;
    unsigned dones;
    unsigned place; // in the order in which they ended
    int result;
    int64_t ms;
    struct buf output;
    struct error err;
};

void worker_world_make(struct worker_world *world, const struct clock *clock);
void worker_world_remove(struct worker_world *world);
void worker_world_pass(struct worker_world *world, int count); // so many passes of the loop

// For cmocka: *state is a world on the system's clock; no child may be left in the end.
int worker_world_set_up(void **state);
int worker_world_tear_down(void **state);

struct job job_of(struct worker_world *world);
void job_finish(struct job *job);
#define JOB_AUTO CLEANUP(job_finish) struct job
void job_begin(struct job *job, struct span request);
void job_wait(struct job *job); // for its end, with patience
void job_run(struct job *job, const char *request);
worker_done_fn job_done; // its context is a struct job
