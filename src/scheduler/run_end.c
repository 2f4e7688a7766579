#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "base/metrics.h"
#include "scheduler/scheduler_internal.h"

// The end of a run, whatever it is: one row, what is delivered with it, and what its job keeps.
static void finish(void *context);

struct run *run_create(struct scheduler *scheduler, struct job *job, int64_t due_ms)
{
    struct run *run = mem_new(struct run);
    run->scheduler = scheduler;
    run->job = job_ref(job);
    run->due_ms = due_ms;
    run->started_ms = loop_wall(scheduler->env.loop);
    run->attempts = 1;
    list_append(&scheduler->runs, &run->link);
    return run;
}

void run_destroy(struct run *run)
{
    const struct scheduler_env *env = &run->scheduler->env;
    list_remove(&run->link);
    loop_cancel(env->loop, run->timer);
    store_forget(env->store, run->store_job);
    shell_destroy(run->shell);
    if (run->fetch)
        toolbox_cancel(env->toolbox, run->fetch);
    if (run->turn)
        agent_turn_park(env->agent, run->turn);
    agent_session_destroy(run->session);
    job_unref(run->job);
    free(run->output);
    free(run->answer);
    free(run->error);
    free(run->delivered);
    free(run);
}

struct store_run run_row(const struct run *run)
{
    return (struct store_run){
        .number = run->number,
        .job = span_of(run->job->id),
        .name = span_of(run->job->name),
        .due_ms = run->due_ms,
        .started_ms = run->started_ms,
        .ended_ms = loop_wall(run->scheduler->env.loop),
        .outcome = run->outcome,
        .error = span_of(run->error ? run->error : ""),
        .turn = span_of(run->turn_name),
        .delivered = span_of(run->delivered ? run->delivered : ""),
        .usage = run->usage,
    };
}

static bool is_failure(enum store_run_outcome outcome)
{
    return outcome == STORE_RUN_FAILED || outcome == STORE_RUN_MISSED ||
           outcome == STORE_RUN_BLOCKED || outcome == STORE_RUN_OVER_BUDGET;
}

struct job *run_present_job(const struct run *run)
{
    list_for_each(link, &run->scheduler->file.jobs) {
        struct job *job = list_entry(link, struct job, link);
        if (strcmp(job->id, run->job->id) == 0)
            return job;
    }
    return NULL;
}

// What a job keeps of a run that has ended. `known`: its number is in job->done already.
static void keep_outcome(struct job *job, const struct store_run *row, bool known)
{
    bool began = row->outcome != STORE_RUN_SKIPPED && row->outcome != STORE_RUN_MISSED;
    CLEANUP(mem_cleanup) char *error = mem_strndup(row->error.data, row->error.len);
    if (row->outcome != STORE_RUN_SKIPPED) {
        job_set(&job->last_status, row->outcome == STORE_RUN_BLOCKED ? "blocked_config"
                                   : is_failure(row->outcome)        ? "error"
                                                                     : "ok");
        job_set(&job->last_error, is_failure(row->outcome) ? error : NULL);
    }
    if (began && !known) {
        job->last_ms = row->started_ms;
        job->done++;
        if (job->seen_now && !is_failure(row->outcome))
            job_set(&job->seen, job->seen_now);
        job_set(&job->seen_now, NULL);
    }
    bool once = job->schedule.kind == SCHEDULE_ONCE && row->due_ms >= job->schedule.at_ms;
    if (once || (job->times && job->done >= job->times))
        job->completed = true;
}

static void update_job(const struct run *run)
{
    struct job *job = run_present_job(run);
    struct store_run row = run_row(run);
    if (!job)
        return;
    job->streak = run->job->streak;
    if (!run->number) // it had no row before
        job->taken_ms = 0;
    keep_outcome(job, &row, false);
    if (run->outcome != STORE_RUN_SKIPPED)
        job_set(&job->last_delivery_error, run->job->last_delivery_error);
    scheduler_save(run->scheduler);
}

void run_remember(struct run *run, const char *seen)
{
    struct job *job = run_present_job(run);
    if (!job)
        return;
    job_set(&job->seen_now, seen);
    scheduler_save(run->scheduler); // the run may go on in the next process
}

struct recall {
    struct job *job;
    bool changed;
};

static bool on_last_row(void *context, const struct store_run *row)
{
    struct recall *recall = context;
    struct job *job = recall->job;
    if (job->asked_ms && !row->due_ms && row->started_ms >= job->asked_ms) {
        job->asked_ms = 0;
        recall->changed = true;
    }
    if (row->outcome == STORE_RUN_RUNNING || row->outcome == STORE_RUN_SKIPPED)
        return true;
    CLEANUP(mem_cleanup) char *status = mem_strdup(job->last_status ? job->last_status : "");
    int64_t done = job->done;
    bool completed = job->completed;
    keep_outcome(job, row, row->started_ms <= job->last_ms);
    recall->changed |=
        done != job->done || completed != job->completed || strcmp(status, job->last_status) != 0;
    return false;
}

void run_recall_ends(struct scheduler *scheduler)
{
    enum { LOOK_BACK = 16 };
    struct recall recall = {0};
    list_for_each(link, &scheduler->file.jobs) {
        recall.job = list_entry(link, struct job, link);
        if (!recall.job->trouble)
            store_read_runs(store_view(scheduler->env.store), span_of(recall.job->id),
                            STORE_RUN_OUTCOMES, LOOK_BACK, on_last_row, &recall, NULL);
    }
    if (recall.changed)
        scheduler_save(scheduler);
}

int64_t *run_counter(struct metrics *metrics, enum store_run_outcome outcome)
{
    static const char *const labels[STORE_RUN_OUTCOMES] = {
        "",
        "outcome=\"ok\"",
        "outcome=\"silent\"",
        "outcome=\"failed\"",
        "outcome=\"skipped\"",
        "outcome=\"missed\"",
        "outcome=\"blocked\"",
        "outcome=\"over_budget\"",
    };
    return metrics_counter(metrics, "hermes_cron_runs_total", labels[outcome],
                           "Runs of scheduled jobs by what came of them");
}

static void on_ended(void *context, int result, const struct error *err, int64_t rowid)
{
    struct run *run = context;
    struct scheduler *scheduler = run->scheduler;
    run->store_job = 0;
    if (result < 0 && result != -EALREADY) {
        run->timer = loop_timer_after(scheduler->env.loop, SCHEDULER_RETRY_MS, finish, run);
        return;
    }
    if (result != -EALREADY) {
        LOG_EVENT(is_failure(run->outcome) ? LOG_ERROR : LOG_INFO, "cron.end", run->turn_name,
                  LOG_TEXT("job", run->job->id), LOG_NUMBER("run", rowid),
                  LOG_OWN("outcome", store_run_words[run->outcome]),
                  LOG_NUMBER("ms", loop_wall(scheduler->env.loop) - run->started_ms),
                  LOG_DETAIL("error", run->error ? run->error : ""));
        if (scheduler->env.metrics)
            ++*run_counter(scheduler->env.metrics, run->outcome);
        update_job(run);
        if (scheduler->env.dispatcher)
            dispatcher_outbox_grew(scheduler->env.dispatcher);
    }
    run_destroy(run);
    scheduler->look(scheduler);
}

/*
 * Where it goes, as rows of the outbox, which borrow; and who could not be reached. A failure that
 * would go nowhere, as the answers of the job do or because their place is not there, goes to the
 * home channel, if there is one: only failure_deliver can ask for silence.
 */
static size_t address(struct run *run, const struct buf *text, struct deliveries *found,
                      struct store_reply *replies)
{
    struct error err = ERROR_INIT;
    BUF_AUTO delivered = BUF_INIT(STORE_RUN_REPLIES_MAX * JOB_WORD_MAX);
    const struct job *job = run->job;
    bool failed = is_failure(run->outcome);
    const char *targets = failed && job->failure_deliver ? job->failure_deliver : job->deliver;
    if (text->len && deliveries_find(run->scheduler, job, targets, found, &err) < 0)
        job_set(&run->job->last_delivery_error, err.text);
    if (text->len && failed && found->count == 0 && (!job->failure_deliver || err.code))
        deliveries_find(run->scheduler, job, "telegram", found, NULL);
    for (size_t i = 0; i < found->count; i++) {
        const struct delivery *to = &found->all[i];
        replies[i] = (struct store_reply){.channel = span_of(to->channel),
                                          .chat = span_of(to->chat),
                                          .thread = span_of(to->thread),
                                          .text = buf_span(text)};
        buf_printf(&delivered, "%s%s:%s%s%s", i ? "," : "", to->channel, to->chat,
                   to->thread ? ":" : "", to->thread ? to->thread : "");
    }
    job_set(&run->delivered, buf_text(&delivered));
    return found->count;
}

static void finish(void *context)
{
    struct run *run = context;
    struct store *store = run->scheduler->env.store;
    struct error err = ERROR_INIT;
    BUF_AUTO text = BUF_INIT(RUN_TEXT_MAX);
    CLEANUP(deliveries_finish) struct deliveries found = {0};
    struct store_reply replies[STORE_RUN_REPLIES_MAX];
    int64_t ignored;
    run->timer = 0;
    run->job->streak = 0;
    job_set(&run->job->last_delivery_error, NULL);
    if (run->outcome != STORE_RUN_OK && run->outcome != STORE_RUN_SILENT)
        store_read_run_streak(store_view(store), span_of(run->job->id), &run->job->streak, &ignored,
                              NULL);
    run->job->streak += is_failure(run->outcome);
    run_write_reply(run, &text);
    size_t count_of_replies = address(run, &text, &found, replies);
    struct store_run row = run_row(run);
    int64_t job = store_run_end(store, &row, replies, count_of_replies, on_ended, run, &err);
    if (job < 0)
        on_ended(run, (int)job, &err, 0);
    else
        run->store_job = job;
}

void run_end(struct run *run, enum store_run_outcome outcome, const char *error)
{
    run->outcome = outcome;
    job_set(&run->error, error);
    if (outcome != STORE_RUN_SKIPPED && outcome != STORE_RUN_MISSED)
        run_keep_output(run);
    // Never from inside what has just ended.
    run->timer = loop_defer(run->scheduler->env.loop, finish, run);
}

void run_note(struct scheduler *scheduler, struct job *job, int64_t due_ms,
              enum store_run_outcome outcome, const char *why)
{
    run_end(run_create(scheduler, job, due_ms), outcome, why);
}
