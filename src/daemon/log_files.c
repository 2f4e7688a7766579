#include "daemon/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum { CHUNK = 64 * 1024 };

static bool is_same_file(int a, int b)
{
    struct stat first, second;
    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

// From the end of the array on, newest first: a rotation in between then shows a file twice, and
// never hides one.
static int open_newest_first(struct log_files *files, struct error *err)
{
    struct stat stat;
    for (unsigned number = 0; number < LOG_FILES_MAX; number++) {
        CLEANUP(mem_cleanup) char *path = gateway_log_path(files->home, number);
        FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == ENOENT) {
            if (number == 0) // in the middle of a rotation there is none of that name
                continue;
            return 0;
        }
        if (fd < 0)
            return error_errno(err, errno, "cannot read %s", path);
        if (fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode)) // a device would have no end
            return error_set(err, -EINVAL, "%s is not a regular file", path);
        if (files->count && is_same_file(fd, files->fds[LOG_FILES_MAX - files->count]))
            continue;
        files->fds[LOG_FILES_MAX - ++files->count] = fd;
        fd = -1;
    }
    return 0;
}

int log_files_open(const char *home, struct log_files *ret_files, struct error *err)
{
    struct log_files files = {.home = mem_strdup(home)};
    int r = open_newest_first(&files, err);
    memmove(files.fds, files.fds + LOG_FILES_MAX - files.count, files.count * sizeof *files.fds);
    if (r < 0) {
        log_files_close(&files);
        return r;
    }
    *ret_files = files;
    return 0;
}

void log_files_close(struct log_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        fd_close(&files->fds[i]);
    free(files->home);
    *files = (struct log_files){0};
}

// From `from` to the end of that file; *ret_end is behind its last whole line.
static int read_file(struct log_files *files, struct log_place from, log_line_fn *fn, void *context,
                     uint64_t *ret_end, struct error *err)
{
    CLEANUP(mem_cleanup) char *chunk = mem_alloc(CHUNK);
    BUF_AUTO line = BUF_INIT(LOG_LINE_READ_MAX); // full: it is left out
    uint64_t offset = from.offset;
    ssize_t n;
    while ((n = pread(files->fds[from.file], chunk, CHUNK, (off_t)offset)) > 0) {
        struct span rest = span_make(chunk, (size_t)n);
        offset += (uint64_t)n;
        for (ptrdiff_t feed; (feed = span_find(rest, SPAN_LITERAL("\n"))) >= 0;) {
            buf_append(&line, rest.data, (size_t)feed);
            if (!buf_is_full(&line))
                fn(context, buf_span(&line), from);
            buf_clear(&line);
            rest = span_skip(rest, (size_t)feed + 1);
            from.offset = offset - rest.len;
        }
        buf_append_span(&line, rest);
    }
    *ret_end = from.offset;
    return n < 0 ? error_errno(err, errno, "cannot read the log") : 0;
}

int log_files_each(struct log_files *files, struct log_place from, log_line_fn *fn, void *context,
                   struct error *err)
{
    int r = 0;
    for (; r == 0 && from.file < files->count; from = (struct log_place){from.file + 1, 0})
        r = read_file(files, from, fn, context, &files->read_to, err);
    return r;
}

// The first file of `now` that is not behind us, and where to go on in it.
static struct log_place resume_at(const struct log_files *then, const struct log_files *now)
{
    if (then->count == 0)
        return (struct log_place){0, 0};
    for (size_t i = 0; i < now->count; i++) {
        struct stat stat;
        if (!is_same_file(then->fds[then->count - 1], now->fds[i]))
            continue;
        bool shorter = fstat(now->fds[i], &stat) == 0 && (uint64_t)stat.st_size < then->read_to;
        return (struct log_place){i, shorter ? 0 : then->read_to};
    }
    // Ours was removed. What is older than the current one has been seen.
    return (struct log_place){now->count ? now->count - 1 : 0, 0};
}

int log_files_more(struct log_files *files, log_line_fn *fn, void *context, struct error *err)
{
    struct log_files now;
    int r = log_files_open(files->home, &now, err);
    if (r < 0)
        return r;
    if (now.count == 0) { // in the middle of a rotation, or not there yet
        log_files_close(&now);
        return 0;
    }
    struct log_place from = resume_at(files, &now);
    now.read_to = from.offset;
    // A file that is gone was written to the end before: what of it was not read comes first.
    if (files->count && (from.file == now.count - 1) &&
        !is_same_file(files->fds[files->count - 1], now.fds[from.file]))
        r = read_file(files, (struct log_place){files->count - 1, files->read_to}, fn, context,
                      &files->read_to, err);
    if (r == 0)
        r = log_files_each(&now, from, fn, context, err);
    log_files_close(files);
    *files = now;
    return r;
}
