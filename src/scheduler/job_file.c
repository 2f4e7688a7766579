#include "scheduler/job_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/replace.h"
#include "codec/iso_time.h"

static const char file_name[] = "jobs.json";

void job_file_init(struct job_file *file, const char *home)
{
    *file = (struct job_file){.directory = mem_printf("%s/cron", home)};
    list_init(&file->jobs);
}

static void forget(struct job_file *file)
{
    struct list *link;
    while ((link = list_shift(&file->jobs)))
        job_unref(list_entry(link, struct job, link));
    free(STEAL(file->rest));
    free(STEAL(file->command));
}

void job_file_finish(struct job_file *file)
{
    if (!file->directory)
        return;
    forget(file);
    free(file->trouble);
    free(file->directory);
    *file = (struct job_file){0};
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool has_id(const struct job_file *file, const char *id)
{
    list_for_each(link, &file->jobs) {
        if (strcmp(list_entry(link, struct job, link)->id, id) == 0)
            return true;
    }
    return false;
}

static int take_in(struct job_file *file, struct json_value root, const struct zone *zone,
                   struct error *err)
{
    BUF_AUTO rest = BUF_INIT(JOB_FILE_MAX);
    struct json_writer w;
    struct json_value list = json_get(root, "jobs"), key, value;
    if (json_type(root) == JSON_ARRAY) // hermes-agent's oldest form
        list = root;
    if (json_type(list) != JSON_ARRAY)
        return error_set(err, -EBADMSG, "it has no list \"jobs\"");
    if (json_count(list) > JOBS_MAX)
        return error_set(err, -E2BIG, "it has more than %d jobs", JOBS_MAX);
    for (struct json_iter it = json_iter_init(list); json_iter_next(&it, NULL, &value);) {
        struct job *job = job_read(value, zone);
        if (!job->trouble && has_id(file, job->id))
            job_set(&job->trouble, "another job has the same id");
        list_append(&file->jobs, &job->link);
    }
    json_writer_init(&w, &rest);
    json_write_object_begin(&w);
    for (struct json_iter it = json_iter_init(root); json_iter_next(&it, &key, &value);) {
        CLEANUP(mem_cleanup) char *name = key.doc ? json_strdup(key, JOB_WORD_MAX) : NULL;
        if (name && strcmp(name, "last_command") == 0) {
            free(file->command);
            file->command = json_strdup(value, JOB_WORD_MAX);
        } else if (name && strcmp(name, "jobs") != 0 && strcmp(name, "updated_at") != 0) {
            json_write_member_raw(&w, name, json_raw(value));
        }
    }
    json_write_object_end(&w);
    file->rest = buf_take_text(&rest);
    return 0;
}

static int read_all(struct job_file *file, int fd, const struct zone *zone, struct error *err)
{
    BUF_AUTO text = BUF_INIT(JOB_FILE_MAX);
    JSON_AUTO doc = JSON_INIT;
    int r = fd_read_all(fd, &text);
    if (r < 0)
        return error_errno(err, -r, "it cannot be read");
    struct span json = span_trim(buf_span(&text));
    if (span_starts_with(json, "\xef\xbb\xbf"))
        json = span_trim(span_skip(json, 3));
    r = json_parse(&doc, json, err);
    return r < 0 ? r : take_in(file, json_root(&doc), zone, err);
}

static void describe(struct job_file *file, const struct error *err)
{
    free(file->trouble);
    file->trouble = mem_printf("cron/jobs.json was left alone, and no job runs: %s; mend the file, "
                               "or move it away to begin anew",
                               err->text);
}

int job_file_load(struct job_file *file, const struct zone *zone, struct error *err)
{
    struct stat now = {0};
    struct error why = ERROR_INIT;
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", file->directory, file_name);
    FD_AUTO fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int r = fd < 0 ? -errno : 0;
    if ((fd >= 0 && fstat(fd, &now) < 0) || r == -ENOENT)
        now = (struct stat){0};
    if (is_same(&now, &file->seen) && (r == 0 || r == -ENOENT) && !file->trouble)
        return 0;
    forget(file);
    file->seen = now;
    free(STEAL(file->trouble));
    if (r == -ENOENT)
        return 1;
    r = r < 0 ? error_errno(&why, -r, "it cannot be opened") : read_all(file, fd, zone, &why);
    if (r == 0)
        return 1;
    forget(file);
    describe(file, &why);
    return error_set(err, r, "%s", file->trouble);
}

static int open_directory(const struct job_file *file, int *ret_fd, struct error *err)
{
    if (mkdir(file->directory, 0700) < 0 && errno != EEXIST)
        return error_errno(err, errno, "cannot make %s", file->directory);
    *ret_fd = open(file->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? error_errno(err, errno, "cannot open %s", file->directory) : 0;
}

static void write_all(const struct job_file *file, const struct zone *zone, int64_t now_ms,
                      struct buf *out)
{
    char now[ISO_TIME_SIZE];
    JSON_AUTO rest = JSON_INIT;
    struct json_writer w;
    struct json_value key, value;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_key(&w, "jobs");
    json_write_array_begin(&w);
    list_for_each(link, &file->jobs)
        job_write(list_entry(link, struct job, link), zone, &w);
    json_write_array_end(&w);
    json_write_member_text(&w, "updated_at", iso_time_format(now_ms, zone, now));
    if (file->command)
        json_write_member_text(&w, "last_command", file->command);
    json_parse(&rest, span_of(file->rest ? file->rest : "{}"), NULL);
    for (struct json_iter it = json_iter_init(json_root(&rest));
         json_iter_next(&it, &key, &value);) {
        CLEANUP(mem_cleanup) char *name = json_strdup(key, JOB_WORD_MAX);
        json_write_member_raw(&w, name, json_raw(value));
    }
    json_write_object_end(&w);
    buf_append_char(out, '\n');
}

int job_file_save(struct job_file *file, const struct zone *zone, int64_t now_ms, bool durable,
                  struct error *err)
{
    BUF_AUTO text = BUF_INIT(JOB_FILE_MAX);
    FD_AUTO directory = -1;
    if (file->trouble)
        return error_set(err, -EBADMSG, "%s", file->trouble);
    write_all(file, zone, now_ms, &text);
    if (buf_is_full(&text))
        return error_set(err, -EFBIG, "cron/jobs.json would be larger than %d MiB",
                         JOB_FILE_MAX >> 20);
    int r = open_directory(file, &directory, err);
    if (r == 0)
        r = replace_file(directory, file_name, 0600, buf_span(&text), durable, err);
    if (r == 0 && fstatat(directory, file_name, &file->seen, 0) < 0)
        file->seen = (struct stat){0};
    return r;
}

struct job *job_file_find(const struct job_file *file, const char *name, struct error *err)
{
    struct job *found = NULL;
    size_t len = strlen(name), count = 0;
    list_for_each(link, &file->jobs) {
        struct job *job = list_entry(link, struct job, link);
        if (strcmp(job->id, name) == 0)
            return job;
        if (len && (strncmp(job->id, name, len) == 0 || strcasecmp(job->name, name) == 0)) {
            found = job;
            count++;
        }
    }
    if (count == 1)
        return found;
    error_set(err, count ? -EINVAL : -ENOENT,
              count ? "\"%.64s\" could be several jobs; use the id"
                    : "there is no job \"%.64s\"; the list shows their ids and names",
              name);
    return NULL;
}
