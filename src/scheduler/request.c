#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/session.h"
#include "base/random.h"
#include "codec/iso_time.h"
#include "codec/utf8.h"
#include "scheduler/scheduler_internal.h"

/*
 * What people and models ask of the schedule. A job that is changed is a copy until the file is on
 * disk, so that a full disk, or a refusal, leaves all as it was.
 */
enum { HISTORY_MAX = 20, LINE_MAX = 160, ANSWER_MAX = 4 << 20 };

struct asked {
    struct scheduler *scheduler;
    struct json_value request;
    const struct scheduler_origin *origin; // NULL: in no chat
    struct buf *out;
    struct job *job; // that is named; NULL: none is
    int64_t now_ms;
    bool json;
};

static void write_time(const struct scheduler *scheduler, int64_t ms, struct buf *out)
{
    char text[ISO_TIME_SIZE];
    iso_time_format(ms, &scheduler->env.zone, text);
    buf_printf(out, "%.10s %.5s", text, text + 11);
}

// With the command that asks for it: one that was carried out is known again.
static int save(const struct asked *asked, struct error *err)
{
    struct job_file *file = &asked->scheduler->file;
    bool commanded = asked->origin && asked->origin->command;
    if (commanded)
        job_set(&file->command, asked->origin->command);
    int r = job_file_save(file, &asked->scheduler->env.zone, asked->now_ms, true, err);
    if (r < 0 && commanded)
        job_set(&file->command, NULL);
    return r;
}

/* Telling */

static const char *state_of(const struct asked *asked, const struct job *job)
{
    return job->trouble                                      ? "broken"
           : scheduler_is_running(asked->scheduler, job->id) ? "running"
           : job->completed                                  ? "completed"
           : job->enabled                                    ? "scheduled"
                                                             : "paused";
}

static void write_job(const struct asked *asked, const struct job *job)
{
    struct buf *out = asked->out;
    const char *error = job->last_error ? job->last_error : "it did not run";
    const char *undelivered = job->last_delivery_error;
    char line[LINE_MAX];
    buf_printf(out, "%s%s  %s: %s, %s", out->len ? "\n" : "", job->id, job->name, job->display,
               state_of(asked, job));
    if (job_is_waiting(job)) {
        buf_append_text(out, ", next ");
        write_time(asked->scheduler, job->next_ms, out);
    }
    if (job->trouble)
        buf_printf(out, "; %s", job->trouble);
    else if (job->streak == 1)
        buf_append_text(out, "; failed");
    else if (job->streak)
        buf_printf(out, "; failed %" PRId64 " times in a row", job->streak);
    if (!job->trouble && job->streak) {
        utf8_one_line(span_of(error), line, sizeof line);
        buf_printf(out, ": %s", line);
    }
    if (undelivered && strcmp(undelivered, error) != 0) {
        utf8_one_line(span_of(undelivered), line, sizeof line);
        buf_printf(out, "; not delivered: %s", line);
    }
}

static int tell_trouble(const struct asked *asked, struct error *err)
{
    const char *trouble = asked->scheduler->file.trouble;
    return trouble ? error_set(err, -EBADMSG, "%s", trouble) : 0;
}

static int list(const struct asked *asked, struct error *err)
{
    struct json_writer w;
    int r = tell_trouble(asked, err);
    if (r == 0 && asked->json) {
        json_writer_init(&w, asked->out);
        json_write_object_begin(&w);
        json_write_key(&w, "jobs");
        json_write_array_begin(&w);
        list_for_each(link, &asked->scheduler->file.jobs)
            job_write(list_entry(link, struct job, link), &asked->scheduler->env.zone, &w);
        json_write_array_end(&w);
        json_write_object_end(&w);
        return 0;
    }
    if (r == 0)
        list_for_each(link, &asked->scheduler->file.jobs)
            write_job(asked, list_entry(link, struct job, link));
    if (r == 0 && !asked->out->len)
        buf_append_text(asked->out, "There are no jobs.");
    return r;
}

static bool write_run(void *context, const struct store_run *run)
{
    const struct asked *asked = context;
    struct buf *out = asked->out;
    buf_printf(out, "%s%" PRId64 "  ", out->len ? "\n" : "", run->number);
    write_time(asked->scheduler, run->due_ms ? run->due_ms : run->started_ms, out);
    buf_printf(out, "  %.*s: %s%s", (int)run->name.len, run->name.data,
               store_run_words[run->outcome], run->due_ms ? "" : " (asked for)");
    if (run->ended_ms)
        buf_printf(out, ", %" PRId64 ".%" PRId64 " s", (run->ended_ms - run->started_ms) / 1000,
                   (run->ended_ms - run->started_ms) / 100 % 10);
    if (run->usage.input_tokens)
        buf_printf(out, ", %" PRId64 " tokens", run->usage.input_tokens + run->usage.output_tokens);
    if (run->delivered.len)
        buf_printf(out, ", to %.*s", (int)run->delivered.len, run->delivered.data);
    if (run->error.len) {
        char line[LINE_MAX];
        utf8_one_line(run->error, line, sizeof line);
        buf_printf(out, "; %s", line);
    }
    return true;
}

static bool write_run_json(void *context, const struct store_run *run)
{
    struct json_writer *w = context;
    json_write_object_begin(w);
    json_write_member_int(w, "run", run->number);
    json_write_member_string(w, "job", run->job);
    json_write_member_string(w, "name", run->name);
    json_write_member_int(w, "due_ms", run->due_ms);
    json_write_member_int(w, "started_ms", run->started_ms);
    json_write_member_int(w, "ended_ms", run->ended_ms);
    json_write_member_int(w, "attempts", run->attempts);
    json_write_member_text(w, "outcome", store_run_words[run->outcome]);
    json_write_member_string(w, "error", run->error);
    json_write_member_string(w, "turn", run->turn);
    json_write_member_string(w, "delivered", run->delivered);
    json_write_member_int(w, "input_tokens", run->usage.input_tokens);
    json_write_member_int(w, "output_tokens", run->usage.output_tokens);
    json_write_key(w, "cost");
    json_write_fixed(w, run->usage.cost_pico, 12);
    json_write_object_end(w);
    return true;
}

static int history(const struct asked *asked, struct error *err)
{
    struct store_view *view = store_view(asked->scheduler->env.store);
    struct span id = span_of(asked->job ? asked->job->id : "");
    struct json_writer w;
    if (!asked->json) {
        int r = store_read_runs(view, id, STORE_RUN_OUTCOMES, HISTORY_MAX, write_run, (void *)asked,
                                err);
        if (r == 0 && !asked->out->len)
            buf_append_text(asked->out, "There have been no runs.");
        return r;
    }
    json_writer_init(&w, asked->out);
    json_write_object_begin(&w);
    json_write_key(&w, "runs");
    json_write_array_begin(&w);
    int r = store_read_runs(view, id, STORE_RUN_OUTCOMES, STORE_RUNS_KEPT, write_run_json, &w, err);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return r;
}

static int show(const struct asked *asked, struct error *err)
{
    const struct job *job = asked->job;
    struct json_writer w;
    if (asked->json) {
        json_writer_init(&w, asked->out);
        job_write(job, &asked->scheduler->env.zone, &w);
        return 0;
    }
    write_job(asked, job);
    const struct {
        const char *label, *text;
    } lines[] = {{"prompt", job->prompt},       {"script", job->script},
                 {"monitor", job->monitor},     {"skills", job->skills},
                 {"model", job->model},         {"deliver", job->deliver},
                 {"toolsets", job->tools},      {"failures to", job->failure_deliver},
                 {"context from", job->context}};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (lines[i].text)
            buf_printf(asked->out, "\n%s: %s", lines[i].label, lines[i].text);
    if (job->times)
        buf_printf(asked->out, "\nruns: %" PRId64 " of %" PRId64, job->done, job->times);
    if (job->last_ms) {
        buf_append_text(asked->out, "\nlast run: ");
        write_time(asked->scheduler, job->last_ms, asked->out);
        buf_printf(asked->out, ", %s", job->last_status ? job->last_status : "?");
    }
    return 0;
}

/* Changing */

static int take_texts(const struct asked *asked, struct job *job, struct error *err)
{
    const struct {
        const char *key;
        char **to;
        size_t max;
    } texts[] = {
        {"prompt", &job->prompt, JOB_TEXT_MAX},
        {"name", &job->name, JOB_NAME_MAX},
        {"script", &job->script, JOB_WORD_MAX},
        {"monitor", &job->monitor, JOB_WORD_MAX},
        {"model", &job->model, JOB_WORD_MAX},
        {"deliver", &job->deliver, JOB_WORD_MAX},
        {"workdir", &job->workdir, JOB_WORD_MAX},
        {"failure_deliver", &job->failure_deliver, JOB_WORD_MAX},
        {"paused_reason", &job->paused_reason, JOB_WORD_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json_value value = json_get(asked->request, texts[i].key);
        if (json_type(value) == JSON_ABSENT || json_type(value) == JSON_NULL)
            continue;
        CLEANUP(mem_cleanup) char *text = json_strdup(value, texts[i].max);
        if (!text)
            return error_set(err, -EINVAL, "\"%s\" must be a text of at most %zu bytes",
                             texts[i].key, texts[i].max);
        job_set(texts[i].to, text);
    }
    if (job->name && strpbrk(job->name, "\n\r\t\033"))
        return error_set(err, -EINVAL, "a job's name is one line");
    return 0;
}

static int take_names(const struct asked *asked, const char *key, char **to, struct error *err)
{
    struct json_value list = json_get(asked->request, key);
    BUF_AUTO names = BUF_INIT(JOB_WORD_MAX);
    struct json_value item;
    if (json_type(list) == JSON_ABSENT || json_type(list) == JSON_NULL)
        return 0;
    if (json_type(list) == JSON_STRING)
        json_string(list, &names);
    for (struct json_iter it = json_iter_init(list); json_iter_next(&it, NULL, &item);) {
        if (names.len)
            buf_append_char(&names, ' ');
        if (!json_string(item, &names))
            return error_set(err, -EINVAL, "\"%s\" must be a list of names", key);
    }
    buf_replace(&names, ',', ' ');
    job_set(to, buf_text(&names));
    return 0;
}

static int add_context(const struct asked *asked, struct json_value value, struct buf *ids,
                       size_t *count, struct error *err)
{
    CLEANUP(mem_cleanup) char *name = json_strdup(value, JOB_WORD_MAX);
    if (!name)
        return error_set(err, -EINVAL, "\"context_from\" must be a list of ids or names of jobs");
    if (!*name)
        return 0;
    if (++*count > RUN_CONTEXTS_MAX)
        return error_set(err, -E2BIG, "a job is told the last answers of at most %d jobs",
                         RUN_CONTEXTS_MAX);
    const struct job *other = job_file_find(&asked->scheduler->file, name, err);
    if (!other)
        return error_wrap(err, "context_from");
    buf_printf(ids, "%s%s", ids->len ? " " : "", other->id);
    return 0;
}

static int take_context(const struct asked *asked, struct job *job, struct error *err)
{
    struct json_value list = json_get(asked->request, "context_from"), item;
    BUF_AUTO ids = BUF_INIT(JOB_WORD_MAX);
    size_t count = 0;
    int r = 0;
    if (json_type(list) == JSON_ABSENT || json_type(list) == JSON_NULL)
        return 0;
    if (json_type(list) != JSON_ARRAY)
        r = add_context(asked, list, &ids, &count, err);
    else
        for (struct json_iter it = json_iter_init(list);
             r == 0 && json_iter_next(&it, NULL, &item);)
            r = add_context(asked, item, &ids, &count, err);
    if (r == 0)
        job_set(&job->context, buf_text(&ids));
    return r;
}

static int take_schedule(const struct asked *asked, struct job *job, struct error *err)
{
    const struct zone *zone = &asked->scheduler->env.zone;
    CLEANUP(mem_cleanup)
    char *text = json_strdup(json_get(asked->request, "schedule"), SCHEDULE_TEXT_MAX);
    if (!text)
        return 0;
    int r = schedule_parse(span_of(text), zone, asked->now_ms, &job->schedule, err);
    if (r < 0)
        return r;
    if (job->schedule.kind == SCHEDULE_ONCE && job->schedule.at_ms <= asked->now_ms)
        return error_set(err, -EINVAL, "%s has passed", text);
    bool plain = job->schedule.kind == SCHEDULE_CRON;
    CLEANUP(mem_cleanup)
    char *display = plain ? mem_strdup(text)
                    : job->schedule.kind == SCHEDULE_INTERVAL
                        ? mem_printf("every %" PRId64 "m", job->schedule.minutes)
                        : mem_printf("once %s%s",
                                     strchr(text, '-')                  ? "at "
                                     : strncasecmp(text, "in ", 3) == 0 ? ""
                                                                        : "in ",
                                     text);
    job_set(&job->display, display);
    job->completed = false;
    job->next_ms = schedule_next(&job->schedule, zone, asked->now_ms);
    return 0;
}

static int take_numbers(const struct asked *asked, struct job *job, struct error *err)
{
    struct json_value times = json_get(asked->request, "repeat");
    json_bool(json_get(asked->request, "no_agent"), &job->no_agent);
    if (json_type(times) == JSON_NUMBER && (!json_int64(times, &job->times) || job->times < 0))
        return error_set(err, -EINVAL, "\"repeat\" must be a number of runs; 0 has no end");
    return 0;
}

static int check_job(const struct asked *asked, struct job *job, struct error *err)
{
    CLEANUP(deliveries_finish) struct deliveries found = {0};
    if (!job->prompt && !job->script && !job->monitor && !job->skills)
        return error_set(err, -EINVAL, "a job needs a prompt, a script or a monitor");
    if (job->no_agent && !job->script && !job->monitor)
        return error_set(err, -EINVAL, "a job without a model (no_agent) needs a script");
    if (!asked->scheduler->env.agent)
        return 0;
    int r = deliveries_find(asked->scheduler, job, job->deliver, &found, err);
    return r == 0 && job->failure_deliver
               ? deliveries_find(asked->scheduler, job, job->failure_deliver, &found, err)
               : r;
}

static int take_all(const struct asked *asked, struct job *job, struct error *err)
{
    int r = take_texts(asked, job, err);
    if (r == 0)
        r = take_names(asked, "skill", &job->skills, err);
    if (r == 0)
        r = take_names(asked, "skills", &job->skills, err);
    if (r == 0)
        r = take_names(asked, "enabled_toolsets", &job->tools, err);
    if (r == 0)
        r = take_context(asked, job, err);
    if (r == 0)
        r = take_numbers(asked, job, err);
    if (r == 0)
        r = take_schedule(asked, job, err);
    return r < 0 ? r : check_job(asked, job, err);
}

static void name_it(struct job *job)
{
    BUF_AUTO name = BUF_INIT(JOB_WORD_MAX);
    if (job->name)
        return;
    agent_session_title(span_of(job->prompt    ? job->prompt
                                : job->script  ? job->script
                                : job->monitor ? job->monitor
                                               : job->skills),
                        &name);
    job_set(&job->name, buf_text(&name));
}

static int create(const struct asked *asked, struct error *err)
{
    struct job_file *file = &asked->scheduler->file;
    bool paused = false;
    CLEANUP(job_cleanup) struct job *job = job_create();
    int r = tell_trouble(asked, err);
    size_t count = 0;
    list_for_each(link, &file->jobs)
        count++;
    if (r == 0 && count >= JOBS_MAX)
        r = error_set(err, -E2BIG, "there are %d jobs already; remove one", JOBS_MAX);
    if (r == 0 && json_type(json_get(asked->request, "schedule")) != JSON_STRING)
        r = error_set(err, -EINVAL, "\"schedule\" says when: \"every 2h\", \"daily at 7am\"");
    job->created_ms = asked->now_ms;
    if (asked->origin) {
        job_set(&job->platform, asked->origin->channel);
        job_set(&job->chat, asked->origin->chat);
        job_set(&job->thread, asked->origin->thread);
    }
    job_set(&job->deliver, asked->origin ? "origin" : "local");
    random_hex(job->id, JOB_ID_SIZE);
    if (r == 0)
        r = take_all(asked, job, err);
    if (r < 0)
        return r;
    name_it(job);
    json_bool(json_get(asked->request, "paused"), &paused);
    job->enabled = !paused;
    job->paused_ms = paused ? asked->now_ms : 0;
    list_append(&file->jobs, &job->link);
    r = save(asked, err);
    if (r < 0) {
        list_remove(&job->link);
        return r;
    }
    write_job(asked, STEAL(job));
    asked->scheduler->look(asked->scheduler);
    return 0;
}

// Its place is the copy's from then on, if that can be saved.
static int replace(const struct asked *asked, struct job *with, struct error *err)
{
    struct job *old = asked->job;
    with->due_ms = old->due_ms;
    with->streak = old->streak;
    list_append(&old->link, &with->link); // before it
    list_remove(&old->link);
    int r = save(asked, err);
    if (r < 0) {
        list_append(&with->link, &old->link);
        list_remove(&with->link);
        return r;
    }
    job_unref(old);
    write_job(asked, job_ref(with));
    asked->scheduler->look(asked->scheduler);
    return 0;
}

static struct job *copy_job(const struct asked *asked)
{
    BUF_AUTO text = BUF_INIT(JOB_FILE_MAX);
    JSON_AUTO doc = JSON_INIT;
    struct json_writer w;
    json_writer_init(&w, &text);
    job_write(asked->job, &asked->scheduler->env.zone, &w);
    json_parse(&doc, buf_span(&text), NULL);
    struct job *copy = job_read(json_root(&doc), &asked->scheduler->env.zone);
    copy->next_ms = asked->job->next_ms;
    copy->taken_ms = asked->job->taken_ms;
    return copy;
}

static int change(const struct asked *asked, struct error *err)
{
    CLEANUP(job_cleanup) struct job *job = copy_job(asked);
    if (job->trouble)
        return error_set(err, -EINVAL, "the job %s cannot be changed here: %s", job->name,
                         job->trouble);
    int r = take_all(asked, job, err);
    return r < 0 ? r : replace(asked, job, err);
}

static int set_paused(const struct asked *asked, bool paused, struct error *err)
{
    CLEANUP(job_cleanup) struct job *job = copy_job(asked);
    if (job->trouble)
        return error_set(err, -EINVAL, "the job %s cannot be changed here: %s", job->name,
                         job->trouble);
    job->enabled = !paused;
    job->paused_ms = paused ? asked->now_ms : 0;
    job_set(&job->paused_reason, NULL);
    int r = take_texts(asked, job, err);
    if (r < 0)
        return r;
    if (!paused) // what passed meanwhile is not caught up
        job->next_ms = schedule_next(&job->schedule, &asked->scheduler->env.zone, asked->now_ms);
    if (!paused && (job->next_ms == SCHEDULE_NEVER || job->completed))
        return error_set(err, -EINVAL, "the job %s is over; give it another schedule", job->name);
    return replace(asked, job, err);
}

static int pause_job(const struct asked *asked, struct error *err)
{
    return set_paused(asked, true, err);
}

static int resume_job(const struct asked *asked, struct error *err)
{
    return set_paused(asked, false, err);
}

static int remove_job(const struct asked *asked, struct error *err)
{
    struct job *job = asked->job;
    struct list *before = job->link.prev;
    list_remove(&job->link);
    int r = save(asked, err);
    if (r < 0) {
        list_append(before->next, &job->link);
        return r;
    }
    buf_printf(asked->out, "Removed the job %s.", job->name);
    job_unref(job);
    asked->scheduler->look(asked->scheduler);
    return 0;
}

static int run_job(const struct asked *asked, struct error *err)
{
    struct scheduler *scheduler = asked->scheduler;
    struct job *job = asked->job;
    if (!scheduler->started || scheduler->stopping)
        return error_set(err, -EAGAIN, "no job runs here now: hermes run runs them");
    if (job->trouble)
        return error_set(err, -EINVAL, "the job %s cannot run: %s", job->name, job->trouble);
    if (scheduler_is_running(scheduler, job->id))
        return error_set(err, -EBUSY, "the job %s runs already", job->name);
    job->asked_ms = asked->now_ms; // what is said holds, whatever happens before it has a row
    int r = save(asked, err);
    if (r < 0) {
        job->asked_ms = 0;
        return r;
    }
    run_begin(scheduler, job, 0, false);
    buf_printf(asked->out, "Running the job %s.", job->name);
    return 0;
}

/* What is asked */

static const struct {
    const char *name, *other;
    int (*fn)(const struct asked *asked, struct error *err);
    enum { NO_JOB, MAY_NAME, NEEDS_JOB } job;
} actions[] = {
    {"list", "", list, NO_JOB},
    {"create", "add", create, NO_JOB},
    {"show", "", show, NEEDS_JOB},
    {"update", "edit", change, NEEDS_JOB},
    {"run", "", run_job, NEEDS_JOB},
    {"pause", "", pause_job, NEEDS_JOB},
    {"resume", "", resume_job, NEEDS_JOB},
    {"remove", "rm", remove_job, NEEDS_JOB},
    {"history", "runs", history, MAY_NAME},
};

static int find_job(struct asked *asked, struct error *err)
{
    CLEANUP(mem_cleanup) char *id = json_strdup(json_get(asked->request, "job_id"), JOB_WORD_MAX);
    int r = tell_trouble(asked, err);
    if (r < 0)
        return r;
    if (!id)
        return error_set(err, -EINVAL, "which job? \"job_id\" is its id or its name");
    asked->job = job_file_find(&asked->scheduler->file, id, err);
    return asked->job ? 0 : err->code;
}

int scheduler_ask(struct scheduler *scheduler, struct json_value request,
                  const struct scheduler_origin *origin, struct buf *out, struct error *err)
{
    struct asked asked = {.scheduler = scheduler,
                          .request = request,
                          .origin = origin,
                          .out = out,
                          .now_ms = loop_wall(scheduler->env.loop)};
    struct json_value action = json_get(request, "action");
    json_bool(json_get(request, "json"), &asked.json);
    int r = job_file_load(&scheduler->file, &scheduler->env.zone, NULL);
    if (r > 0)
        scheduler_plan(scheduler);
    if (origin && origin->command && scheduler->file.command &&
        strcmp(origin->command, scheduler->file.command) == 0) {
        buf_append_text(out, "This was done already; /cron shows the jobs.");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (!json_is(action, actions[i].name) && !json_is(action, actions[i].other))
            continue;
        bool named = json_type(json_get(request, "job_id")) == JSON_STRING;
        r = actions[i].job == NEEDS_JOB || (actions[i].job == MAY_NAME && named)
                ? find_job(&asked, err)
                : 0;
        return r < 0 ? r : actions[i].fn(&asked, err);
    }
    return error_set(err, -EINVAL,
                     "\"action\" is one of list, create, show, update, run, pause, resume, remove, "
                     "history");
}
