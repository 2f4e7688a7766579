#include "tools/inbox_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "tools/beneath.h"

enum {
    NAME_BYTES_MAX = 100,
    NUMBERS_MAX = 1000, // of files that were to have the same name
    CHUNK = 64 * 1024,  // bytes
    WALL_MS = 120 * 1000,
    FILE_BYTES_MAX = 64 << 20,
};

struct inbox_file {
    struct processes *processes;
    process_id id;
    struct buf name;           // and the newline
    struct span before, bytes; // of these, what is still to be written
    inbox_file_fn *done;
    void *context;
};

/* In the daemon */

static void inbox_file_destroy(struct inbox_file *file)
{
    buf_finish(&file->name);
    free(file);
}

static void on_end(void *context, const struct process_end *end)
{
    struct inbox_file *file = context;
    struct span text = end->result < 0 ? span_of(end->err->text) : end->output[PROCESS_STDOUT];
    file->done(file->context, end->result, text);
    inbox_file_destroy(file);
}

static void write_more(void *context)
{
    struct inbox_file *file = context;
    ssize_t n = 0;
    while (file->before.len && (n = process_write(file->processes, file->id, file->before)) > 0)
        file->before = span_skip(file->before, (size_t)n);
    if (file->before.len)
        return;
    while (file->bytes.len && (n = process_write(file->processes, file->id, file->bytes)) > 0)
        file->bytes = span_skip(file->bytes, (size_t)n);
    if (file->bytes.len == 0)
        process_end_input(file->processes, file->id);
}

// A name that is harmless wherever it is shown or used: no path, not hidden, no option.
static void write_name(const char *wanted, struct buf *out)
{
    struct span name = span_of(wanted);
    while (name.len && strchr(".- ", *name.data))
        name = span_skip(name, 1);
    if (!utf8_valid(name))
        name.len = 0;
    if (name.len > NAME_BYTES_MAX) { // its end says what it is
        name = span_skip(name, name.len - NAME_BYTES_MAX);
        while (name.len && ((unsigned char)*name.data & 0xc0) == 0x80)
            name = span_skip(name, 1);
    }
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool plain = c >= 0x80 || isalnum(c) || strchr("._-+() ", c);
        buf_append_char(out, plain ? (char)c : '_');
    }
    if (name.len == 0)
        buf_append_text(out, "file");
    buf_append_char(out, '\n');
}

int inbox_file_start(const struct tool_env *env, const char *name, struct span bytes,
                     inbox_file_fn *done, void *context, struct inbox_file **ret_file,
                     struct error *err)
{
    static const struct process_events events = {.on_end = on_end, .on_room = write_more};
    if (!env->workspace)
        return error_set(err, -ENOTDIR, "this program has no directory for it");
    struct inbox_file *file = mem_new(struct inbox_file);
    *file = (struct inbox_file){
        .processes = env->processes, .bytes = bytes, .done = done, .context = context};
    buf_init(&file->name, 4 * NAME_BYTES_MAX);
    write_name(name, &file->name);
    file->before = buf_span(&file->name);
    const struct process_spec spec = {
        .function = inbox_file_function.name,
        .directory = env->workspace,
        .limits = {.wall_ms = WALL_MS, .file_size = FILE_BYTES_MAX},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_STREAM, .max = CHUNK},
                  [PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = TOOL_PATH_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
    int r = process_start(env->processes, &spec, &events, file, &file->id, err);
    if (r < 0) {
        inbox_file_destroy(file);
        return r;
    }
    write_more(file);
    *ret_file = file;
    return 0;
}

void inbox_file_cancel(struct inbox_file *file)
{
    if (!file)
        return;
    process_cancel(file->processes, file->id);
    inbox_file_destroy(file);
}

/* In the process */

static ssize_t read_some(char *chunk, size_t len)
{
    ssize_t n;
    do
        n = read(STDIN_FILENO, chunk, len);
    while (n < 0 && errno == EINTR);
    return n;
}

static int read_name(char *name, size_t size, struct error *err)
{
    size_t len = 0;
    while (len < size && read_some(name + len, 1) == 1 && name[len] != '\n')
        len++;
    if (len == 0 || len == size)
        return error_set(err, -EINVAL, "no name for the file came");
    name[len] = '\0';
    return 0;
}

static bool holds_the_same(int directory_fd, const char *one, const char *other)
{
    FD_AUTO a = openat(directory_fd, one, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FD_AUTO b = openat(directory_fd, other, O_RDONLY | O_CLOEXEC);
    CLEANUP(mem_cleanup) char *left = mem_alloc(CHUNK);
    CLEANUP(mem_cleanup) char *right = mem_alloc(CHUNK);
    ssize_t n = 0;
    for (off_t at = 0; a >= 0 && b >= 0; at += n) {
        n = pread(a, left, CHUNK, at);
        if (n < 0 || pread(b, right, CHUNK, at) != n || memcmp(left, right, (size_t)n) != 0)
            return false;
        if (n == 0)
            return true;
    }
    return false;
}

// Gives the file its name, or that with a number before its ending.
static int place(int fd, const char *part, const char *name, struct buf *out, struct error *err)
{
    const char *dot = strrchr(name, '.');
    int stem = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
    for (int i = 1; i < NUMBERS_MAX; i++) {
        char full[2 * NAME_BYTES_MAX + 16], number[16] = "";
        if (i > 1)
            snprintf(number, sizeof number, "-%d", i);
        snprintf(full, sizeof full, "%.*s%s%s", stem, name, number, name + stem);
        int r = linkat(fd, part, fd, full, 0) < 0 ? errno : 0;
        if (r && r != EEXIST)
            return error_errno(err, r, "cannot write in inbox/");
        if (r == 0 || holds_the_same(fd, full, part)) {
            buf_printf(out, "inbox/%s", full);
            return 0;
        }
    }
    return error_set(err, -EEXIST, "inbox/ has too many files named %s", name);
}

static int work(int workspace_fd, struct span none, struct buf *out, struct error *err)
{
    char name[2 * NAME_BYTES_MAX], part[40];
    const char *last;
    FD_AUTO inbox = -1, fd = -1;
    int r = read_name(name, sizeof name, err);
    if (r == 0)
        r = beneath_make_parent(workspace_fd, "inbox/x", &inbox, &last, err);
    if (r < 0)
        return r;
    snprintf(part, sizeof part, ".hermes-%d", (int)getpid());
    unlinkat(inbox, part, 0);
    fd = openat(inbox, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, errno, "cannot make a file in inbox/");
    CLEANUP(mem_cleanup) char *chunk = mem_alloc(CHUNK);
    ssize_t n;
    while (r == 0 && (n = read_some(chunk, CHUNK)) > 0)
        r = fd_write_all(fd, chunk, (size_t)n);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    r = r < 0 ? error_errno(err, -r, "cannot write in inbox/") : place(inbox, part, name, out, err);
    unlinkat(inbox, part, 0);
    return r;
}

const struct process_function inbox_file_function = {
    .name = "inbox", .streams = true, .run = work, .answer_max = TOOL_PATH_MAX};
