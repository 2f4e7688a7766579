#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/iso_time.h"
#include "scheduler/job.h"

/*
 * An entry of cron/jobs.json, in hermes-agent's words. What this program uses is written as it is
 * now; all other members follow as their bytes were.
 */
static char *text_of(struct json_value entry, const char *key, size_t max)
{
    char *text = json_strdup(json_get(entry, key), max);
    if (text && *text)
        return text;
    free(text);
    return NULL;
}

static int64_t time_of(struct json_value entry, const char *key, const struct zone *zone)
{
    int64_t ms = 0;
    CLEANUP(mem_cleanup) char *text = text_of(entry, key, ISO_TIME_SIZE);
    return text && iso_time_parse(span_of(text), zone, &ms) ? ms : 0;
}

// A list of names, or one, as names with blanks between them.
static char *names_of(struct json_value list)
{
    BUF_AUTO out = BUF_INIT(JOB_WORD_MAX * 4);
    struct json_iter it = json_iter_init(list);
    struct json_value item;
    if (json_type(list) == JSON_STRING)
        json_string(list, &out);
    while (json_type(list) == JSON_ARRAY && json_iter_next(&it, NULL, &item)) {
        if (out.len)
            buf_append_char(&out, ' ');
        json_string(item, &out);
    }
    return out.len ? buf_take_text(&out) : NULL;
}

// A chat's number may stand there as a number.
static char *word_of(struct json_value value)
{
    struct span raw = json_raw(value);
    return json_type(value) == JSON_NUMBER ? mem_strndup(raw.data, raw.len)
                                           : json_strdup(value, JOB_WORD_MAX);
}

static int read_schedule(struct json_value entry, const struct zone *zone, struct job *job,
                         struct error *err)
{
    struct json_value from = json_get(entry, "schedule");
    int64_t minutes = 0;
    struct json_value kind = json_get(from, "kind");
    CLEANUP(mem_cleanup) char *text = NULL;
    if (json_is(kind, "interval")) {
        json_int64(json_get(from, "minutes"), &minutes);
        text = mem_printf("every %lldm", (long long)minutes);
    } else {
        text = json_type(from) == JSON_STRING
                   ? json_strdup(from, SCHEDULE_TEXT_MAX)
                   : text_of(from, json_is(kind, "once") ? "run_at" : "expr", SCHEDULE_TEXT_MAX);
    }
    return schedule_parse(span_of(text ? text : ""), zone, job->created_ms, &job->schedule, err);
}

static void read_state(struct json_value entry, const struct zone *zone, struct job *job)
{
    struct json_value repeat = json_get(entry, "repeat");
    job->enabled = true;
    json_bool(json_get(entry, "enabled"), &job->enabled);
    if (json_is(json_get(entry, "state"), "paused"))
        job->enabled = false;
    job->completed = json_is(json_get(entry, "state"), "completed");
    json_int64(json_get(repeat, "times"), &job->times);
    json_int64(json_get(repeat, "completed"), &job->done);
    json_int64(json_get(entry, "failure_streak"), &job->streak);
    job->created_ms = time_of(entry, "created_at", zone);
    job->next_ms = time_of(entry, "next_run_at", zone);
    job->last_ms = time_of(entry, "last_run_at", zone);
    job->paused_ms = time_of(entry, "paused_at", zone);
    job->asked_ms = time_of(entry, "asked_at", zone);
    job->paused_reason = text_of(entry, "paused_reason", JOB_WORD_MAX);
    job->last_status = text_of(entry, "last_status", JOB_WORD_MAX);
    job->last_error = text_of(entry, "last_error", JOB_TEXT_MAX);
    job->last_delivery_error = text_of(entry, "last_delivery_error", JOB_TEXT_MAX);
    job->seen = text_of(entry, "monitor_seen", JOB_WORD_MAX);
    job->seen_now = text_of(entry, "monitor_seen_now", JOB_WORD_MAX);
}

static void read_words(struct json_value entry, struct job *job)
{
    struct json_value origin = json_get(entry, "origin");
    CLEANUP(mem_cleanup) char *id = text_of(entry, "id", JOB_ID_MAX);
    snprintf(job->id, sizeof job->id, "%s", id ? id : "");
    job->name = text_of(entry, "name", JOB_WORD_MAX);
    job->prompt = text_of(entry, "prompt", JOB_TEXT_MAX);
    job->script = text_of(entry, "script", JOB_WORD_MAX);
    job->monitor = text_of(entry, "monitor", JOB_WORD_MAX);
    job->model = text_of(entry, "model", JOB_WORD_MAX);
    job->workdir = text_of(entry, "workdir", JOB_WORD_MAX);
    job->deliver = text_of(entry, "deliver", JOB_WORD_MAX);
    job->failure_deliver = text_of(entry, "failure_deliver", JOB_WORD_MAX);
    job->skills = names_of(json_get(entry, "skills"));
    if (!job->skills)
        job->skills = names_of(json_get(entry, "skill"));
    job->tools = names_of(json_get(entry, "enabled_toolsets"));
    job->context = names_of(json_get(entry, "context_from"));
    job->platform = word_of(json_get(origin, "platform"));
    job->chat = word_of(json_get(origin, "chat_id"));
    job->thread = word_of(json_get(origin, "thread_id"));
    job->display = text_of(entry, "schedule_display", JOB_WORD_MAX);
    json_bool(json_get(entry, "no_agent"), &job->no_agent);
}

// Ids name directories and stand in sentences.
static bool is_id(const char *id)
{
    size_t len = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return len && !id[len];
}

struct job *job_read(struct json_value entry, const struct zone *zone)
{
    struct job *job = job_create();
    struct error err = ERROR_INIT;
    struct span raw = json_raw(entry);
    job->raw = mem_strndup(raw.data, raw.len);
    read_words(entry, job);
    read_state(entry, zone, job);
    int r = read_schedule(entry, zone, job, &err);
    if (!is_id(job->id)) {
        snprintf(job->id, sizeof job->id, "?");
        job_set(&job->trouble, "its entry in cron/jobs.json has no id of letters and digits");
    } else if (r < 0) {
        job_set(&job->trouble, err.text);
    } else if (!job->prompt && !job->script && !job->monitor && !job->skills) {
        job_set(&job->trouble, "its entry in cron/jobs.json has neither a prompt nor a script");
    }
    if (!job->name)
        job->name = mem_strdup(job->id);
    if (!job->display)
        job->display = text_of(json_get(entry, "schedule"), "display", JOB_WORD_MAX);
    if (!job->display)
        job->display = mem_strdup(job->schedule.expression);
    return job;
}

/* Writing */

static void write_time(struct json_writer *w, const char *key, int64_t ms, const struct zone *zone)
{
    char text[ISO_TIME_SIZE];
    bool known = ms && ms != SCHEDULE_NEVER;
    json_write_member_text(w, key, known ? iso_time_format(ms, zone, text) : NULL);
}

static void write_names(struct json_writer *w, const char *key, const char *names)
{
    struct span rest = span_of(names);
    json_write_key(w, key);
    json_write_array_begin(w);
    while (rest.len)
        json_write_string(w, span_cut(&rest, ' '));
    json_write_array_end(w);
}

static void write_schedule(const struct job *job, const struct zone *zone, struct json_writer *w)
{
    static const char *const kinds[] = {"once", "interval", "cron"};
    const struct schedule *schedule = &job->schedule;
    json_write_key(w, "schedule");
    json_write_object_begin(w);
    json_write_member_text(w, "kind", kinds[schedule->kind]);
    if (schedule->kind == SCHEDULE_ONCE)
        write_time(w, "run_at", schedule->at_ms, zone);
    else if (schedule->kind == SCHEDULE_INTERVAL)
        json_write_member_int(w, "minutes", schedule->minutes);
    else
        json_write_member_text(w, "expr", schedule->expression);
    json_write_member_text(w, "display", job->display);
    json_write_object_end(w);
}

// As it was: there is more in it than is used here.
static void write_origin(const struct job *job, struct json_value old, struct json_writer *w)
{
    json_write_key(w, "origin");
    if (json_type(old) != JSON_ABSENT || !job->platform) {
        json_write_raw(w, json_raw(old));
        return;
    }
    json_write_object_begin(w);
    json_write_member_text(w, "platform", job->platform);
    json_write_member_text(w, "chat_id", job->chat);
    json_write_member_text(w, "thread_id", job->thread);
    json_write_object_end(w);
}

static void write_state(const struct job *job, const struct zone *zone, struct json_writer *w)
{
    json_write_key(w, "repeat");
    json_write_object_begin(w);
    if (job->times)
        json_write_member_int(w, "times", job->times);
    else
        json_write_member_text(w, "times", NULL);
    json_write_member_int(w, "completed", job->done);
    json_write_object_end(w);
    json_write_member_bool(w, "enabled", job->enabled);
    json_write_member_text(w, "state",
                           job->completed ? "completed"
                           : job->enabled ? "scheduled"
                                          : "paused");
    write_time(w, "paused_at", job->paused_ms, zone);
    json_write_member_text(w, "paused_reason", job->paused_reason);
    if (job->asked_ms || (job->raw && strstr(job->raw, "\"asked_at\"")))
        write_time(w, "asked_at", job->asked_ms, zone);
    write_time(w, "created_at", job->created_ms, zone);
    int64_t next_ms = job_is_waiting(job) ? job->next_ms : 0;
    write_time(w, "next_run_at", job->taken_ms ? job->taken_ms : next_ms, zone);
    write_time(w, "last_run_at", job->last_ms, zone);
    json_write_member_text(w, "last_status", job->last_status);
    json_write_member_text(w, "last_error", job->last_error);
    json_write_member_text(w, "last_delivery_error", job->last_delivery_error);
    json_write_member_int(w, "failure_streak", job->streak);
    if (job->seen)
        json_write_member_text(w, "monitor_seen", job->seen);
    if (job->monitor) // whatever it was before
        json_write_member_text(w, "monitor_seen_now", job->seen_now);
}

static void write_known(const struct job *job, struct json_value old, const struct zone *zone,
                        struct json_writer *w)
{
    struct span first = span_of(job->skills);
    CLEANUP(mem_cleanup) char *skill = NULL;
    if (first.len) {
        struct span name = span_cut(&first, ' ');
        skill = mem_strndup(name.data, name.len);
    }
    json_write_member_text(w, "id", job->id);
    json_write_member_text(w, "name", job->name);
    json_write_member_text(w, "prompt", job->prompt ? job->prompt : "");
    write_names(w, "skills", job->skills);
    json_write_member_text(w, "skill", skill);
    json_write_member_text(w, "model", job->model);
    json_write_member_text(w, "script", job->script);
    if (job->monitor)
        json_write_member_text(w, "monitor", job->monitor);
    json_write_member_bool(w, "no_agent", job->no_agent);
    write_schedule(job, zone, w);
    json_write_member_text(w, "schedule_display", job->display);
    write_state(job, zone, w);
    json_write_member_text(w, "deliver", job->deliver);
    if (job->failure_deliver)
        json_write_member_text(w, "failure_deliver", job->failure_deliver);
    if (job->workdir)
        json_write_member_text(w, "workdir", job->workdir);
    if (job->tools)
        write_names(w, "enabled_toolsets", job->tools);
    CLEANUP(mem_cleanup) char *context = names_of(json_get(old, "context_from"));
    if (!span_equal(span_of(context), span_of(job->context))) // else it stays in its own form
        write_names(w, "context_from", job->context);
    write_origin(job, json_get(old, "origin"), w);
}

static void copy_members(struct json_value from, struct json_value but, struct json_writer *w)
{
    struct json_value key, value;
    for (struct json_iter it = json_iter_init(from); json_iter_next(&it, &key, &value);) {
        CLEANUP(mem_cleanup) char *name = json_strdup(key, JOB_WORD_MAX);
        if (name && json_type(json_get(but, name)) == JSON_ABSENT)
            json_write_member_raw(w, name, json_raw(value));
    }
}

void job_write(const struct job *job, const struct zone *zone, struct json_writer *w)
{
    BUF_AUTO text = BUF_INIT(8 * JOB_TEXT_MAX);
    JSON_AUTO known = JSON_INIT, old = JSON_INIT;
    struct json_writer first;
    if (job->trouble && job->raw) {
        json_write_raw(w, span_of(job->raw));
        return;
    }
    if (job->raw)
        json_parse(&old, span_of(job->raw), NULL);
    json_writer_init(&first, &text);
    json_write_object_begin(&first);
    write_known(job, json_root(&old), zone, &first);
    json_write_object_end(&first);
    json_parse(&known, buf_span(&text), NULL);
    json_write_object_begin(w);
    copy_members(json_root(&known), JSON_VALUE_ABSENT, w);
    copy_members(json_root(&old), json_root(&known), w);
    json_write_object_end(w);
}
