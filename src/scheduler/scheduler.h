#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "codec/json.h"
#include "codec/zone.h"
#include "config/option.h"

struct agent;
struct dispatcher;
struct loop;
struct metrics;
struct shells;
struct skills;
struct store;
struct target_env;
struct toolbox;

/*
 * The scheduler runs jobs at their time: cron/jobs.json of the home says which there are
 * (job_file.h), the store what became of each run (store/run.h). A run is a turn of the agent in a
 * session of its own, or a script in the sandbox, or both; what it answers goes into the outbox in
 * the transaction that ends it.
 *
 * One timer waits for the next job. The wall clock may be set and the machine may sleep, so it is
 * looked at once a minute at least; without a job that waits there is no timer.
 */
struct scheduler;

struct scheduler_config {
    bool catch_up;      // what was due while the program did not run, if that is not long ago
    bool wrap;          // answers have a head that names the job
    const char *model;  // of runs whose job names none; NULL: that of the slot "cron"
    int64_t parallel;   // runs at a time
    int64_t timeout_ms; // of the turn of a run
    int64_t script_ms;  // of its script
    int64_t retries, retry_ms; // of a run whose model could not be reached; the first pause
    int64_t outputs;           // files that are kept of each job
};

extern const struct option scheduler_options[];
extern const size_t scheduler_option_count;

struct scheduler_env { // borrowed; outlives the scheduler
    struct loop *loop;
    struct store *store;
    struct agent *agent; // NULL, and the four that follow: jobs are changed, and none runs
    struct dispatcher *dispatcher;
    struct shells *shells;
    struct toolbox *toolbox;
    struct skills *skills;
    struct metrics *metrics;          // may be NULL
    const struct target_env *targets; // where answers may go
    const struct scheduler_config *config;
    struct zone zone; // by whose clock people here live
    const char *home;
};

struct scheduler *scheduler_create(const struct scheduler_env *env); // copies env
void scheduler_destroy(struct scheduler *scheduler); // runs go on in the next process; accepts NULL
// After a reload; the borrowed ones may have changed.
void scheduler_configure(struct scheduler *scheduler, const struct scheduler_env *env);

// The store is ready: takes up the runs of the last process, and waits for jobs.
void scheduler_start(struct scheduler *scheduler);
void scheduler_stop(struct scheduler *scheduler); // no further run begins

// Where something was asked from, for jobs that answer there. Borrowed; NULL: in no chat.
struct scheduler_origin {
    const char *channel, *chat, *thread;
    const char *command; // whose effect it is, by a name of its own; NULL: of none
};

/*
 * What people and models ask: {"action": "create"|"list"|..., ...} as the parameters of the tool
 * `cronjob`. Appends a text for whoever asked; negative with a sentence.
 */
int scheduler_ask(struct scheduler *scheduler, struct json_value request,
                  const struct scheduler_origin *origin, struct buf *out, struct error *err);
// A line as "/cron" is followed by.
int scheduler_ask_words(struct scheduler *scheduler, struct span words,
                        const struct scheduler_origin *origin, struct buf *out, struct error *err);

struct scheduler_status {
    int64_t jobs, waiting, running, failing; // failing: whose last run failed
    int64_t next_ms;                         // wall clock; 0: none waits
    const char *trouble;                     // why there are no jobs; NULL: none
    const char *name, *error;                // of one that fails
    int64_t streak;                          // of that
};
void scheduler_status(const struct scheduler *scheduler, struct scheduler_status *ret_status);
