#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "config/option.h"

struct loop;

/*
 * Workers: short-lived processes of this same program that handle files which somebody else wrote.
 * The parent holds the secrets and must never wait for a disk, so it parses none of them; a worker
 * has an empty environment, three descriptors, resource limits, and dies with its parent.
 *
 * The request is the worker's standard input, what it prints is the answer, and its exit status
 * tells an answer from a refusal.
 *
 * Together they have a budget of memory: each may take what its limit of address space is, and what
 * does not fit waits in a queue: each flow in order, the flows in turn. One that was cancelled or
 * late counts until it is dead. Whatever would have to wait for one that does not die, since a disk
 * is silent, is refused.
 */
struct workers;
typedef uint64_t worker_id; // 0 is none

enum {
    WORKER_OUTPUT_MAX = 256 * 1024, // bytes of an answer
    WORKER_REQUEST_MAX = 8 << 20,   // bytes
    WORKER_TIME_MAX_MS = 30 * 1000, // wall time, then it is killed
    WORKER_DEATH_MAX_MS = 10 * 1000,
    WORKER_WAIT_MAX_MS = 5 * 60 * 1000, // in the queue
    WORKER_CPU_MAX_S = 20,              // processor time
    WORKER_MEMORY = 12 << 20,           // bytes of address space
    WORKER_MEMORY_PER_BYTE = 4, // bytes more for each byte of a request above WORKER_REQUEST_SMALL
    WORKER_REQUEST_SMALL = 64 * 1024,
    WORKERS_WAITING_MAX = 1024,
    WORKERS_WAITING_BYTES_MAX = 16 << 20, // of their requests, which are not part of the budget
};

struct worker_config {
    int64_t memory_budget; // bytes that all may take together
};

extern const struct option worker_options[];
extern const size_t worker_option_count;

// `result` is 0 (an answer), 1 (a refusal in the worker's words) or negative with a sentence. `ms`
// is how long it worked, without its waiting.
typedef void worker_done_fn(void *context, int result, struct span output, int64_t ms,
                            const struct error *err);

struct workers *workers_create(struct loop *loop, const struct worker_config *config); // copied
void workers_destroy(struct workers *workers); // kills those that run; accepts NULL
void workers_configure(struct workers *workers, const struct worker_config *config);

// It works in `directory`, and begins when there is memory for it and its `flow` has its turn. Both
// texts are copied. `done` comes from the loop, never from inside this call.
int worker_start(struct workers *workers, uint64_t flow, const char *directory, struct span request,
                 worker_done_fn *done, void *context, worker_id *ret_id, struct error *err);
// Killed; no callback comes after this. Had it begun?
bool worker_cancel(struct workers *workers, worker_id id);

/*
 * The other side, which the command line calls with the arguments that worker_start() gave: takes
 * the limits, reads the request and prints what `work` answers (0) or refuses (negative, `err`).
 * Returns the exit status.
 */
typedef int worker_fn(int directory_fd, struct span request, struct buf *out, struct error *err);

extern const char worker_command[]; // the hidden sub-command
int worker_main(const char *directory, const char *memory, worker_fn *work);
