#include "tools/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/random.h"
#include "tools/directory.h"

enum { CHUNK = 64 * 1024 }; // bytes

static const char prefix[] = "out_";

void spool_make_name(char name[SPOOL_NAME_SIZE])
{
    memcpy(name, prefix, sizeof prefix);
    random_hex(name + sizeof prefix - 1, SPOOL_NAME_SIZE - sizeof prefix + 1);
}

bool spool_is_name(const char *name)
{
    size_t digits = SPOOL_NAME_SIZE - sizeof prefix;
    return strncmp(name, prefix, sizeof prefix - 1) == 0 &&
           strspn(name + sizeof prefix - 1, "0123456789abcdef") == digits &&
           strlen(name) == SPOOL_NAME_SIZE - 1;
}

struct spooled {
    const char *name;
    int64_t written_s, bytes;
};

static int newest_first(const void *a, const void *b)
{
    const struct spooled *one = a, *other = b;
    return (one->written_s < other->written_s) - (one->written_s > other->written_s);
}

// What is old, or too much with `more` others that are to come.
static int prune(int fd, size_t more, struct error *err)
{
    CLEANUP(directory_finish) struct directory directory = {0};
    int r = directory_read(fd, &directory, err);
    if (r < 0)
        return r;
    CLEANUP(mem_cleanup)
    struct spooled *files = mem_zalloc((directory.count + 1) * sizeof *files);
    size_t count = 0;
    for (size_t i = 0; i < directory.count; i++) {
        struct stat stat;
        if (spool_is_name(directory.names[i]) &&
            fstatat(fd, directory.names[i], &stat, AT_SYMLINK_NOFOLLOW) == 0)
            files[count++] = (struct spooled){directory.names[i], stat.st_mtime, stat.st_size};
    }
    qsort(files, count, sizeof *files, newest_first);
    int64_t total = (int64_t)more * SPOOL_FILE_MAX, oldest_s = time(NULL) - SPOOL_AGE_MAX_S;
    for (size_t i = 0; i < count; i++) {
        total += files[i].bytes;
        if (files[i].written_s < oldest_s || total > SPOOL_TOTAL_MAX || i + more >= SPOOL_FILES_MAX)
            unlinkat(fd, files[i].name, 0);
    }
    return 0;
}

static int work_prune(int directory_fd, struct span none, struct buf *out, struct error *err)
{
    return prune(directory_fd, 0, err);
}

const struct process_function spool_prune_function = {
    .name = "prune", .run = work_prune, .answer_max = 1024};

static ssize_t read_some(char *chunk, size_t len)
{
    ssize_t n;
    do
        n = read(STDIN_FILENO, chunk, len);
    while (n < 0 && errno == EINTR);
    return n;
}

static int read_name(char name[SPOOL_NAME_SIZE], struct error *err)
{
    size_t len = 0;
    while (len < SPOOL_NAME_SIZE && read_some(name + len, 1) == 1 && name[len] != '\n')
        len++;
    name[len < SPOOL_NAME_SIZE ? len : 0] = '\0';
    return spool_is_name(name) ? 0 : error_set(err, -EINVAL, "no name for the result came");
}

static int work(int directory_fd, struct span none, struct buf *out, struct error *err)
{
    char name[SPOOL_NAME_SIZE];
    int r = read_name(name, err);
    if (r < 0)
        return r;
    prune(directory_fd, 1, NULL);
    FD_AUTO fd =
        openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "cannot make a file in results/");
    CLEANUP(mem_cleanup) char *chunk = mem_alloc(CHUNK);
    ssize_t n;
    while (r == 0 && (n = read_some(chunk, CHUNK)) > 0)
        r = fd_write_all(fd, chunk, (size_t)n);
    return r < 0 ? error_errno(err, -r, "cannot write in results/") : 0;
}

const struct process_function spool_function = {
    .name = "spool", .streams = true, .run = work, .answer_max = 1024};
