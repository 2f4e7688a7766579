#include "tools/sent_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "tools/beneath.h"

enum {
    CHUNK = 64 * 1024, // bytes
    WALL_MS = 120 * 1000,
    WHAT_MAX = TOOL_PATH_MAX + 32, // bytes
};

struct sent_file {
    struct processes *processes;
    process_id id;
    struct buf bytes;
    sent_file_fn *done;
    void *context;
};

/* In the daemon */

static void sent_file_destroy(struct sent_file *file)
{
    buf_finish(&file->bytes);
    free(file);
}

static void on_output(void *context, int which, struct span bytes)
{
    struct sent_file *file = context;
    buf_append_span(&file->bytes, bytes);
}

// A refusal comes before any byte of the file, and in its place.
static void on_end(void *context, const struct process_end *end)
{
    struct sent_file *file = context;
    const char *why = end->result < 0                    ? end->err->text
                      : end->result == 0                 ? NULL
                      : file->bytes.len < ERROR_TEXT_MAX ? buf_text(&file->bytes)
                                                         : "it could not be read to its end";
    file->done(file->context, &file->bytes, why);
    sent_file_destroy(file);
}

int sent_file_start(const struct tool_env *env, struct span what, sent_file_fn *done, void *context,
                    struct sent_file **ret_file, struct error *err)
{
    static const struct process_events events = {.on_end = on_end, .on_output = on_output};
    if (!env->workspace)
        return error_set(err, -ENOTDIR, "this program has no workspace");
    struct sent_file *file = mem_new(struct sent_file);
    *file = (struct sent_file){.processes = env->processes, .done = done, .context = context};
    buf_init(&file->bytes, SENT_FILE_MAX + ERROR_TEXT_MAX);
    const struct process_spec spec = {
        .function = sent_file_function.name,
        .directory = env->workspace,
        .limits = {.wall_ms = WALL_MS},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_BUFFER, .bytes = what},
                  [PROCESS_STDOUT] = {.kind = PROCESS_STREAM},
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

static int copy(int fd, int64_t size, struct error *err)
{
    CLEANUP(mem_cleanup) char *chunk = mem_alloc(CHUNK);
    ssize_t n = 1;
    for (int64_t at = 0; at < size; at += n) {
        n = pread(fd, chunk, size - at < CHUNK ? (size_t)(size - at) : CHUNK, at);
        if (n <= 0)
            return error_set(err, -EIO, "it could not be read");
        if (fd_write_all(STDOUT_FILENO, chunk, (size_t)n) < 0)
            return error_set(err, -EPIPE, "nobody reads it");
    }
    return 0;
}

static int work(int workspace_fd, struct span none, struct buf *out, struct error *err)
{
    FD_AUTO fd = -1;
    BUF_AUTO input = BUF_INIT(WHAT_MAX);
    struct stat stat;
    int64_t size;
    if (fd_read_all(STDIN_FILENO, &input) < 0)
        return error_set(err, -EINVAL, "it has no name");
    struct span path = buf_span(&input);
    if (!span_to_i64(span_cut(&path, '\n'), &size) || path.len == 0)
        return error_set(err, -EINVAL, "it has no name");
    int r = beneath_open_file(workspace_fd, path.data, &fd, &stat, err);
    if (r == 0 && stat.st_size != size)
        r = error_set(err, -ESTALE, "it has changed: it had %" PRId64 " bytes and has %" PRId64,
                      size, (int64_t)stat.st_size);
    return r == 0 ? copy(fd, size, err) : r;
}

// It prints by itself, so that a large file is in no memory but that of the daemon.
const struct process_function sent_file_function = {
    .name = "sent", .streams = true, .run = work, .answer_max = TOOL_PATH_MAX};
