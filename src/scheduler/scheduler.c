#include "scheduler/scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "scheduler/scheduler_internal.h"

static void scheduler_look(struct scheduler *scheduler);

struct scheduler *scheduler_create(const struct scheduler_env *env)
{
    struct scheduler *scheduler = mem_new(struct scheduler);
    scheduler->env = *env;
    list_init(&scheduler->runs);
    scheduler->look = scheduler_look;
    job_file_init(&scheduler->file, env->home);
    if (env->metrics)
        run_counter(env->metrics, STORE_RUN_OK); // so that it is there from the start
    if (env->toolbox)
        scheduler_add_tool(scheduler);
    return scheduler;
}

void scheduler_destroy(struct scheduler *scheduler)
{
    if (!scheduler)
        return;
    loop_cancel(scheduler->env.loop, scheduler->timer);
    list_for_each(link, &scheduler->runs)
        run_destroy(list_entry(link, struct run, link));
    scheduler_remove_tool(scheduler);
    job_file_finish(&scheduler->file);
    free(scheduler);
}

void scheduler_stop(struct scheduler *scheduler)
{
    scheduler->stopping = true;
    loop_cancel(scheduler->env.loop, scheduler->timer);
    scheduler->timer = 0;
}

// What is due is run, unless the one before still runs, or it is too late for that.
static void take_due(struct scheduler *scheduler, struct job *job, int64_t now_ms)
{
    int64_t was_ms = job->next_ms, due_ms;
    bool runs =
        job_take_due(job, &scheduler->env.zone, now_ms, scheduler->env.config->catch_up, &due_ms);
    bool late = now_ms - was_ms > RUN_LATE_MS;
    job->due_ms = due_ms;
    job->taken_ms = was_ms; // others may write the file before this has its row
    if (!runs)
        run_note(scheduler, job, due_ms, STORE_RUN_MISSED,
                 "Hermes did not run when it was due, or its machine slept");
    else if (scheduler_is_running(scheduler, job->id))
        run_note(scheduler, job, due_ms, STORE_RUN_SKIPPED, "the run before has not ended");
    else
        run_begin(scheduler, job, due_ms, late);
}

static void on_timer(void *context)
{
    struct scheduler *scheduler = context;
    scheduler->timer = 0;
    scheduler_look(scheduler);
}

static void wait_for_next(struct scheduler *scheduler, int64_t now_ms)
{
    int64_t next_ms = SCHEDULE_NEVER;
    bool full = (int64_t)scheduler_running(scheduler) >= scheduler->env.config->parallel;
    list_for_each(link, &scheduler->file.jobs) {
        const struct job *job = list_entry(link, struct job, link);
        if (job_is_waiting(job) && job->next_ms < next_ms)
            next_ms = job->next_ms;
    }
    loop_cancel(scheduler->env.loop, scheduler->timer);
    scheduler->timer = 0;
    if (next_ms == SCHEDULE_NEVER)
        return;
    int64_t delay = next_ms <= now_ms ? (full ? SCHEDULER_LOOK_MS : 0) : next_ms - now_ms;
    scheduler->timer =
        loop_timer_after(scheduler->env.loop, delay < SCHEDULER_LOOK_MS ? delay : SCHEDULER_LOOK_MS,
                         on_timer, scheduler);
}

static void scheduler_look(struct scheduler *scheduler)
{
    if (!scheduler->started || scheduler->stopping)
        return;
    scheduler_look_at_file(scheduler);
    int64_t now_ms = scheduler->seen_ms;
    list_for_each(link, &scheduler->file.jobs) {
        struct job *job = list_entry(link, struct job, link);
        if (job_is_due(job, now_ms) &&
            (int64_t)scheduler_running(scheduler) < scheduler->env.config->parallel)
            take_due(scheduler, job, now_ms);
    }
    wait_for_next(scheduler, now_ms);
}

static bool on_row(void *context, const struct store_run *row)
{
    struct scheduler *scheduler = context;
    CLEANUP(mem_cleanup) char *id = mem_strndup(row->job.data, row->job.len);
    run_resume(scheduler, row, job_file_find(&scheduler->file, id, NULL));
    return true;
}

void scheduler_start(struct scheduler *scheduler)
{
    enum { RUNS_MAX = 256 };
    struct error err = ERROR_INIT;
    if (scheduler->started)
        return;
    scheduler->started = true;
    scheduler_look_at_file(scheduler);
    scheduler_plan(scheduler); // it may have been read before the store could be
    run_recall_ends(scheduler);
    if (store_read_runs(store_view(scheduler->env.store), SPAN_LITERAL(""), STORE_RUN_RUNNING,
                        RUNS_MAX, on_row, scheduler, &err) < 0)
        LOG_EVENT(LOG_ERROR, "cron.unread", "", LOG_TEXT("error", err.text));
    list_for_each(link, &scheduler->file.jobs) {
        struct job *job = list_entry(link, struct job, link);
        if (job->asked_ms && !job->trouble && !scheduler_is_running(scheduler, job->id))
            run_begin(scheduler, job, 0, false);
    }
    scheduler_look(scheduler);
}

void scheduler_configure(struct scheduler *scheduler, const struct scheduler_env *env)
{
    scheduler->env.config = env->config;
    scheduler->env.zone = env->zone;
    if (scheduler->started) {
        scheduler_plan(scheduler);
        scheduler_look(scheduler);
    }
}
