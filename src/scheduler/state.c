#include <string.h>

#include "scheduler/scheduler_internal.h"

// What there is, and what is going on: the file and the runs, whoever begins and ends those.

bool scheduler_is_running(const struct scheduler *scheduler, const char *job)
{
    list_for_each(link, &scheduler->runs) {
        if (strcmp(list_entry(link, struct run, link)->job->id, job) == 0)
            return true;
    }
    return false;
}

size_t scheduler_running(const struct scheduler *scheduler)
{
    size_t count = 0;
    list_for_each(link, &scheduler->runs)
        count++;
    return count;
}

void scheduler_save(struct scheduler *scheduler)
{
    struct error err = ERROR_INIT;
    if (job_file_save(&scheduler->file, &scheduler->env.zone, loop_wall(scheduler->env.loop), false,
                      &err) < 0)
        LOG_EVENT(LOG_ERROR, "cron.unsaved", "", LOG_TEXT("error", err.text));
}

// By what the store knows of each.
void scheduler_plan(struct scheduler *scheduler)
{
    int64_t now_ms = loop_wall(scheduler->env.loop);
    list_for_each(link, &scheduler->file.jobs) {
        struct job *job = list_entry(link, struct job, link);
        if (scheduler->started)
            store_read_run_streak(store_view(scheduler->env.store), span_of(job->id), &job->streak,
                                  &job->due_ms, NULL);
        if (!job->trouble)
            job_plan(job, &scheduler->env.zone, now_ms);
    }
}

// The file, if somebody else has written it; and the clock, if it was set back.
void scheduler_look_at_file(struct scheduler *scheduler)
{
    struct error err = ERROR_INIT;
    int64_t now_ms = loop_wall(scheduler->env.loop);
    bool back = now_ms < scheduler->seen_ms - 1000;
    bool known = scheduler->file.trouble != NULL;
    int r = job_file_load(&scheduler->file, &scheduler->env.zone, &err);
    if (r < 0 && !known)
        LOG_EVENT(LOG_ERROR, "cron.unread", "", LOG_TEXT("error", err.text));
    if (r > 0 || back)
        scheduler_plan(scheduler);
    scheduler->seen_ms = now_ms;
}

void scheduler_status(const struct scheduler *scheduler, struct scheduler_status *ret_status)
{
    struct scheduler_status status = {.trouble = scheduler->file.trouble};
    const struct job *worst = NULL; // one that cannot run, or has failed most often in a row
    status.running = (int64_t)scheduler_running(scheduler);
    list_for_each(link, &scheduler->file.jobs) {
        const struct job *job = list_entry(link, struct job, link);
        bool waits = job_is_waiting(job);
        status.jobs++;
        status.waiting += waits;
        if (waits && (!status.next_ms || job->next_ms < status.next_ms))
            status.next_ms = job->next_ms;
        if (!job->trouble && (!job->streak || job->completed))
            continue;
        status.failing++;
        if (worst && (worst->trouble || (!job->trouble && job->streak <= worst->streak)))
            continue;
        worst = job;
    }
    if (worst) {
        status.name = worst->name;
        status.error = worst->trouble      ? worst->trouble
                       : worst->last_error ? worst->last_error
                                           : "it did not run";
        status.streak = worst->trouble ? 0 : worst->streak;
    }
    *ret_status = status;
}
