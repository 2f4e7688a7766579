#include "scheduler/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    GRACE_LEAST_MS = 120 * 1000, // by which a run may be late, at least and at most
    GRACE_MOST_MS = 2 * 3600 * 1000,
    CLOCK_WRONG_MS = 24 * 3600 * 1000, // a last run so far ahead was made by a clock that was wrong
};

struct job *job_create(void)
{
    struct job *job = mem_new(struct job);
    list_init(&job->link);
    job->references = 1;
    job->enabled = true;
    return job;
}

struct job *job_ref(struct job *job)
{
    job->references++;
    return job;
}

void job_unref(struct job *job)
{
    if (!job || --job->references)
        return;
    char *const texts[] = {job->raw,
                           job->name,
                           job->prompt,
                           job->script,
                           job->monitor,
                           job->model,
                           job->workdir,
                           job->deliver,
                           job->skills,
                           job->tools,
                           job->context,
                           job->platform,
                           job->chat,
                           job->thread,
                           job->display,
                           job->trouble,
                           job->seen,
                           job->seen_now,
                           job->last_error,
                           job->last_status,
                           job->paused_reason,
                           job->failure_deliver,
                           job->last_delivery_error};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    free(job);
}

void job_cleanup(struct job **job)
{
    job_unref(*job);
}

void job_set(char **text, const char *value)
{
    char *copy = value && *value ? mem_strdup(value) : NULL;
    free(*text);
    *text = copy;
}

bool job_is_waiting(const struct job *job)
{
    return job->enabled && !job->completed && !job->trouble && job->next_ms != SCHEDULE_NEVER;
}

bool job_is_due(const struct job *job, int64_t now_ms)
{
    return job_is_waiting(job) && job->next_ms <= now_ms;
}

static int64_t grace_of(const struct job *job, const struct zone *zone, int64_t due_ms)
{
    int64_t half = schedule_period(&job->schedule, zone, due_ms) / 2;
    return half < GRACE_LEAST_MS ? GRACE_LEAST_MS : half > GRACE_MOST_MS ? GRACE_MOST_MS : half;
}

bool job_take_due(struct job *job, const struct zone *zone, int64_t now_ms, bool catch_up,
                  int64_t *ret_due_ms)
{
    int64_t due_ms = schedule_latest(&job->schedule, zone, job->next_ms, now_ms);
    int64_t grace = catch_up ? grace_of(job, zone, due_ms) : GRACE_LEAST_MS;
    *ret_due_ms = due_ms;
    job->next_ms = schedule_next(&job->schedule, zone, due_ms);
    return now_ms - due_ms <= grace;
}

void job_plan(struct job *job, const struct zone *zone, int64_t now_ms)
{
    const struct schedule *schedule = &job->schedule;
    int64_t last_due_ms = job->due_ms;
    bool ran = last_due_ms && last_due_ms <= now_ms + CLOCK_WRONG_MS;
    int64_t most = schedule->kind == SCHEDULE_INTERVAL ? schedule_next(schedule, zone, now_ms)
                                                       : SCHEDULE_NEVER;
    if (schedule->kind == SCHEDULE_ONCE) {
        bool over = last_due_ms && last_due_ms >= schedule->at_ms;
        job->next_ms = over ? SCHEDULE_NEVER : schedule->at_ms;
        return;
    }
    if (!job->next_ms || (ran && job->next_ms <= last_due_ms)) {
        int64_t from_ms = ran                                            ? last_due_ms
                          : job->created_ms && job->created_ms <= now_ms ? job->created_ms
                                                                         : now_ms;
        job->next_ms = schedule_next(schedule, zone, from_ms);
    }
    if (job->next_ms > most) // the clock was set back
        job->next_ms = most;
    if (schedule->kind == SCHEDULE_CRON && job->next_ms > now_ms) {
        // Of a clock that ran ahead, or of another zone: as it is now.
        int64_t after_ms = ran && last_due_ms > now_ms ? last_due_ms : now_ms;
        int64_t next_ms = schedule_next(schedule, zone, after_ms);
        job->next_ms = next_ms;
    }
}
