#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/dispatcher.h"
#include "llm/origin.h"
#include "scheduler/scheduler_internal.h"
#include "store/session.h"

/*
 * One run. Its row is on disk before anything of it happens; then its monitor and its script
 * (script.c), then a turn in a session that is named by the row's number and the attempt, so that
 * after a stop of the program the row leads to the turn, and the turn says where it stood. The end
 * is one transaction with the replies. So of all that may be cut off by a kill, only scripts and
 * monitors are begun anew.
 */
static void go(struct run *run);

/* Its row */

static void submit_begin(void *context);

static void on_pause_over(void *context)
{
    struct run *run = context;
    run->timer = 0;
    go(run);
}

static void on_begun(void *context, int result, const struct error *err, int64_t rowid)
{
    struct run *run = context;
    struct scheduler *scheduler = run->scheduler;
    run->store_job = 0;
    if (result == -EALREADY) {
        run_destroy(run);
        return;
    }
    if (result < 0) {
        run->timer = loop_timer_after(scheduler->env.loop, SCHEDULER_RETRY_MS, submit_begin, run);
        return;
    }
    if (!run->number) {
        struct job *job = run_present_job(run);
        if (job && !run->due_ms)
            job->asked_ms = 0;
        else if (job)
            job->taken_ms = 0;
        run->number = rowid;
        scheduler_save(scheduler); // not sooner: what is due must not be forgotten by a kill
        LOG_EVENT(LOG_INFO, "cron.begin", "", LOG_TEXT("job", run->job->id),
                  LOG_NUMBER("run", run->number), LOG_OWN("asked", run->due_ms ? "no" : "yes"));
    } else {
        run->attempts++;
    }
    int64_t pause_ms = run->pause_ms;
    run->pause_ms = 0;
    if (pause_ms)
        run->timer = loop_timer_after(scheduler->env.loop, pause_ms, on_pause_over, run);
    else
        go(run);
}

static void submit_begin(void *context)
{
    struct run *run = context;
    struct error err = ERROR_INIT;
    struct store_run row = run_row(run);
    run->timer = 0;
    int64_t job = store_run_begin(run->scheduler->env.store, &row, on_begun, run, &err);
    if (job < 0)
        on_begun(run, (int)job, &err, 0);
    else
        run->store_job = job;
}

void run_begin(struct scheduler *scheduler, struct job *job, int64_t due_ms, bool late)
{
    struct run *run = run_create(scheduler, job, due_ms);
    run->late = late;
    submit_begin(run);
}

/* Its turn */

struct run_key {
    char thread[48], sender[128];
};

// Its sender is the chat in which the job was made, of which it may see the conversations.
static struct store_session_key key_of(const struct run *run, struct run_key *key)
{
    const struct job *job = run->job;
    bool chatted = job->platform && job->chat;
    snprintf(key->thread, sizeof key->thread, "%" PRId64 "-%d", run->number, run->attempts);
    snprintf(key->sender, sizeof key->sender, "%s%s%s", chatted ? job->platform : "",
             chatted ? ":" : "", chatted ? job->chat : "");
    return (struct store_session_key){.channel = SPAN_LITERAL("cron"),
                                      .chat = span_of(job->id),
                                      .thread = span_of(key->thread),
                                      .sender = span_of(key->sender)};
}

// What the model could not be reached for may pass.
static bool tries_again(struct run *run, int code)
{
    const struct scheduler_config *config = run->scheduler->env.config;
    int64_t delay = config->retry_ms;
    if (code != -EAGAIN || run->attempts > config->retries || run->scheduler->stopping)
        return false;
    for (int i = 1; i < run->attempts && delay < 3600 * 1000; i++)
        delay *= 4;
    LOG_EVENT(LOG_WARNING, "cron.again", run->turn_name, LOG_TEXT("job", run->job->id),
              LOG_NUMBER("run", run->number), LOG_NUMBER("in_ms", delay));
    // Its row before the pause: a turn that failed in the run's present attempt is its end, so that
    // no kill makes another attempt out of a failure that nobody has been told of.
    run->pause_ms = delay;
    submit_begin(run);
    return true;
}

static void turn_ended(struct run *run, enum turn_state state, const char *answer,
                       const char *error, int code)
{
    job_set(&run->answer, answer);
    if (state == TURN_DONE)
        run_end(run, run_is_silence(answer) ? STORE_RUN_SILENT : STORE_RUN_OK, NULL);
    else if (state == TURN_CANCELLED)
        run_end(run, STORE_RUN_FAILED, "it was stopped");
    else if (!tries_again(run, code))
        run_end(run, code == -EDQUOT ? STORE_RUN_OVER_BUDGET : STORE_RUN_FAILED, error);
}

static int64_t counted(int64_t value)
{
    return value > 0 ? value : 0;
}

static void on_event(void *context, const struct turn_event *event)
{
    struct run *run = context;
    const struct turn_outcome *outcome = event->outcome;
    if (event->kind != TURN_EVENT_END)
        return;
    run->turn = 0;
    struct store_usage *sum = &run->usage;
    sum->input_tokens += counted(outcome->usage.prompt_tokens);
    sum->cached_tokens += counted(outcome->usage.cached_tokens);
    sum->output_tokens += counted(outcome->usage.completion_tokens);
    sum->cost_pico += counted(outcome->usage.cost_pico);
    CLEANUP(mem_cleanup)
    char *text = *outcome->remark ? mem_printf("%s\n\n(%s)", outcome->text, outcome->remark)
                                  : mem_strdup(outcome->text);
    turn_ended(run, outcome->state, text, outcome->error, outcome->code);
    agent_session_destroy(STEAL(run->session)); // last: the outcome's texts may be its own
}

static void keep_name(struct run *run)
{
    const char *name = agent_turn_name(run->scheduler->env.agent, run->turn);
    snprintf(run->turn_name, sizeof run->turn_name, "%s", name ? name : "");
}

static void ask_model(struct run *run)
{
    struct run_key own;
    const struct scheduler_env *env = &run->scheduler->env;
    const struct job *job = run->job;
    BUF_AUTO text = BUF_INIT(RUN_TEXT_MAX), question = BUF_INIT(RUN_TEXT_MAX);
    struct store_session_key key = key_of(run, &own);
    struct error err = ERROR_INIT;
    const char *model = job->model ? job->model : env->config->model;
    if (job->no_agent) {
        job_set(&run->answer, run->output);
        bool said = run->answer && !run_is_silence(run->answer);
        run_end(run, said ? STORE_RUN_OK : STORE_RUN_SILENT, NULL);
        return;
    }
    bool tainted = run_write_question(run, &text);
    run->session = agent_session_create(&key);
    run->session->title = mem_strdup(job->name);
    struct turn_request request = {
        .session = run->session,
        .terms = {.origin = key.channel,
                  .slot = key.channel,
                  .model = span_of(model && *model ? model : NULL),
                  .limit_ms = env->config->timeout_ms,
                  .priority = CHAT_CRON,
                  .unattended = true},
        .text = buf_span(&text),
        .tainted = tainted,
    };
    CLEANUP(mem_cleanup) char *tools = run_tools(job);
    request.terms.tools = span_of(tools);
    int r = run_add_skills(run, &request.text, &question, &request.tainted, &err);
    if (r == 0)
        r = agent_turn_start(env->agent, &request, on_event, run, &run->turn, &err);
    if (r < 0)
        turn_ended(run, TURN_FAILED, NULL, err.text, r);
    else
        keep_name(run);
}

static void go(struct run *run)
{
    struct error err = ERROR_INIT;
    if (run_check(run, &err) < 0)
        run_end(run, STORE_RUN_BLOCKED, err.text);
    else
        run_prepare(run, ask_model);
}

/* After a stop of the program */

struct resumption {
    struct run *run;
    char session[STORE_ID_MAX + 1]; // of a turn that has not ended; "": there is none
};

static void on_turn(void *context, const struct store_run_turn *turn)
{
    struct resumption *resumption = context;
    struct run *run = resumption->run;
    CLEANUP(mem_cleanup)
    char *error = mem_strndup(turn->error.data ? turn->error.data : "", turn->error.len);
    CLEANUP(mem_cleanup)
    char *answer = mem_strndup(turn->answer.data ? turn->answer.data : "",
                               span_is(turn->answer, turn_silence) ? 0 : turn->answer.len);
    snprintf(run->turn_name, sizeof run->turn_name, "%.*s", (int)turn->id.len, turn->id.data);
    run->usage = turn->usage;
    if (turn->state == STORE_TURN_DONE)
        turn_ended(run, TURN_DONE, answer, NULL, 0);
    else if (turn->state == STORE_TURN_FAILED)
        turn_ended(run, TURN_FAILED, answer, error, 0);
    else if (turn->state == STORE_TURN_CANCELLED)
        turn_ended(run, TURN_CANCELLED, answer, NULL, 0);
    else
        snprintf(resumption->session, sizeof resumption->session, "%.*s", (int)turn->session.len,
                 turn->session.data);
}

static void take_up(struct run *run, const char *session)
{
    const struct scheduler_env *env = &run->scheduler->env;
    struct error err = ERROR_INIT;
    int r = agent_session_load(store_view(env->store), span_of(session), &run->session, &err);
    if (r == 0) {
        memset(&run->usage, 0, sizeof run->usage); // the turn counts again what it had used
        r = agent_turn_resume(env->agent, run->session, span_of(run->turn_name), NULL, on_event,
                              run, &run->turn, &err);
    }
    if (r != 0)
        run_end(run, STORE_RUN_FAILED,
                r < 0 ? err.text : "its conversation is gone, so it could not go on");
}

void run_resume(struct scheduler *scheduler, const struct store_run *row, struct job *job)
{
    struct run_key own;
    CLEANUP(job_cleanup) struct job *gone = job_create();
    snprintf(gone->id, sizeof gone->id, "%.*s", (int)row->job.len, row->job.data);
    gone->name = mem_strndup(row->name.data, row->name.len);
    struct run *run = run_create(scheduler, job ? job : gone, row->due_ms);
    run->number = row->number;
    run->started_ms = row->started_ms;
    run->attempts = row->attempts;
    run->late = row->due_ms && row->started_ms - row->due_ms > RUN_LATE_MS;
    LOG_EVENT(LOG_WARNING, "cron.resume", "", LOG_TEXT("job", run->job->id),
              LOG_NUMBER("run", run->number));
    struct store_session_key key = key_of(run, &own);
    struct resumption resumption = {.run = run};
    struct error err = ERROR_INIT;
    int r = store_read_run_turn(store_view(scheduler->env.store), &key, on_turn, &resumption, &err);
    if (r == 0 && *resumption.session)
        take_up(run, resumption.session);
    else if (r < 0)
        run_end(run, STORE_RUN_FAILED, err.text);
    else if (r == STORE_NOT_FOUND && !job)
        run_end(run, STORE_RUN_SKIPPED, "the job was removed before it had begun");
    else if (r == STORE_NOT_FOUND &&
             run->attempts > RUN_RESUMES_MAX + scheduler->env.config->retries)
        run_end(run, STORE_RUN_FAILED, "given up: the program stopped in it again and again");
    else if (r == STORE_NOT_FOUND)
        submit_begin(run);
}
