#include "tools/sent_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "tools/beneath.h"

enum {
    WALL_MS = 120 * 1000,
    ANSWER_MAX = 4096, // bytes: the first ones, or a refusal
};

struct sent_file {
    struct processes *processes;
    process_id id;
    char *workspace, *what; // owned
    sent_file_fn *done;
    void *context;
};

static int open_promised(int workspace_fd, struct span what, int *ret_fd, int64_t *ret_size,
                         struct error *err)
{
    FD_AUTO fd = -1;
    struct stat stat;
    struct span rest = what;
    if (!span_to_i64(span_cut(&rest, '\n'), ret_size) || rest.len == 0)
        return error_set(err, -EINVAL, "it has no name");
    CLEANUP(mem_cleanup) char *path = mem_strndup(rest.data, rest.len);
    int r = beneath_open_file(workspace_fd, path, &fd, &stat, err);
    if (r == 0 && stat.st_size != *ret_size)
        r = error_set(err, -ESTALE, "it has changed: it had %" PRId64 " bytes and has %" PRId64,
                      *ret_size, (int64_t)stat.st_size);
    if (r == 0) {
        *ret_fd = fd;
        fd = -1;
    }
    return r;
}

/* In the daemon */

static void sent_file_destroy(struct sent_file *file)
{
    free(file->workspace);
    free(file->what);
    free(file);
}

static int open_here(const struct sent_file *file, int *ret_fd, int64_t *ret_size,
                     struct error *err)
{
    FD_AUTO workspace = open(file->workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (workspace < 0)
        return error_errno(err, errno, "cannot open %s", file->workspace);
    return open_promised(workspace, span_of(file->what), ret_fd, ret_size, err);
}

static void on_end(void *context, const struct process_end *end)
{
    struct sent_file *file = context;
    struct error err = ERROR_INIT;
    struct span answer = end->output[PROCESS_STDOUT];
    int fd = -1;
    int64_t size = 0;
    int r = end->result < 0   ? error_set(&err, end->result, "%s", end->err->text)
            : end->result > 0 ? error_set(&err, -EIO, "%.*s", (int)answer.len, answer.data)
                              : open_here(file, &fd, &size, &err);
    file->done(file->context, fd, size, answer, r < 0 ? err.text : NULL);
    sent_file_destroy(file);
}

int sent_file_start(const struct tool_env *env, struct span what, sent_file_fn *done, void *context,
                    struct sent_file **ret_file, struct error *err)
{
    static const struct process_events events = {.on_end = on_end};
    if (!env->workspace)
        return error_set(err, -ENOTDIR, "this program has no workspace");
    struct sent_file *file = mem_new(struct sent_file);
    *file = (struct sent_file){.processes = env->processes, .done = done, .context = context};
    file->workspace = mem_strndup(env->workspace, strlen(env->workspace));
    file->what = mem_strndup(what.data, what.len);
    const struct process_spec spec = {
        .function = sent_file_function.name,
        .directory = env->workspace,
        .limits = {.wall_ms = WALL_MS},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_BUFFER, .bytes = what},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = ANSWER_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
    int r = process_start(env->processes, &spec, &events, file, &file->id, err);
    if (r < 0)
        sent_file_destroy(file);
    else
        *ret_file = file;
    return r;
}

void sent_file_cancel(struct sent_file *file)
{
    if (!file)
        return;
    process_cancel(file->processes, file->id);
    sent_file_destroy(file);
}

/* In the process */

static int work(int workspace_fd, struct span what, struct buf *out, struct error *err)
{
    FD_AUTO fd = -1;
    int64_t size;
    char first[SENT_FIRST_MAX];
    int r = open_promised(workspace_fd, what, &fd, &size, err);
    if (r < 0)
        return r;
    ssize_t n = pread(fd, first, sizeof first, 0);
    if (n < 0)
        return error_errno(err, errno, "it could not be read");
    buf_append(out, first, (size_t)n);
    return 0;
}

const struct process_function sent_file_function = {
    .name = "sent", .run = work, .answer_max = ANSWER_MAX};
