#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "store/journal.h"
#include "store/journal_internal.h"

// The files of a journal, by their names: whoever writes to one has it open (journal.c).

enum { DAMAGED_BYTES_MAX = 16 << 20 };

const char *journal_name(const char *what, uint64_t generation, char *name)
{
    snprintf(name, JOURNAL_NAME_SIZE, "%s.%016" PRIx64, what, generation);
    return name;
}

char *journal_path(const char *home, const char *what, uint64_t generation)
{
    char name[JOURNAL_NAME_SIZE];
    return mem_printf("%s/%s", home, journal_name(what, generation, name));
}

int64_t journal_size(const char *home, uint64_t generation)
{
    CLEANUP(mem_cleanup) char *path = journal_path(home, JOURNAL_NAME, generation);
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

// First how far the generation was synced, see journal_loss.c.
int journal_remove(const char *home, uint64_t generation, struct error *err)
{
    static const char *const whats[] = {JOURNAL_MARK, JOURNAL_NAME};
    for (size_t i = 0; i < ARRAY_LEN(whats); i++) {
        CLEANUP(mem_cleanup) char *path = journal_path(home, whats[i], generation);
        if (unlink(path) < 0 && errno != ENOENT)
            return error_errno(err, errno, "removing %s", path);
    }
    return 0;
}

// A pipe or a device in a file's place would block whoever opens or reads it.
static int open_file(const char *path, int flags, struct stat *ret_status, struct error *err)
{
    FD_AUTO fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    bool is_other = fd < 0 && (errno == ENXIO || errno == ELOOP);
    if ((fd < 0 && !is_other) || (fd >= 0 && fstat(fd, ret_status) < 0))
        return error_errno(err, errno, "opening %s", path);
    if (is_other || !S_ISREG(ret_status->st_mode))
        return error_set(err, -EINVAL,
                         "%s is not a regular file: find out what put it there, and remove it",
                         path);
    int opened = fd;
    fd = -1;
    return opened;
}

static int read_at(int fd, int64_t offset, size_t len, struct buf *bytes)
{
    while (len) {
        char *room = buf_reserve(bytes, len);
        if (!room)
            return -ENOMEM;
        ssize_t got = pread(fd, room, len, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        buf_grow_by(bytes, (size_t)got);
        offset += got;
        len -= (size_t)got;
    }
    return 0;
}

int journal_read(const char *home, uint64_t generation, int64_t offset, int64_t limit, size_t max,
                 struct buf *bytes, struct journal_part *ret_part, struct error *err)
{
    CLEANUP(mem_cleanup) char *path = journal_path(home, JOURNAL_NAME, generation);
    struct stat status;
    FD_AUTO fd = open_file(path, O_RDONLY, &status, err);
    if (fd == -ENOENT)
        return STORE_NOT_FOUND;
    if (fd < 0)
        return fd;
    int64_t end = limit >= 0 && limit < status.st_size ? limit : (int64_t)status.st_size;
    int64_t wanted = end > offset ? end - offset : 0;
    if (wanted > (int64_t)max)
        wanted = (int64_t)max;
    buf_clear(bytes);
    int r = read_at(fd, offset, (size_t)wanted, bytes);
    if (r < 0)
        return error_errno(err, -r, "reading %s", path);
    *ret_part = (struct journal_part){
        .bytes = buf_span(bytes),
        .generation = generation,
        .offset = offset,
        .is_last = offset + (int64_t)bytes->len >= end,
    };
    return 0;
}

int journal_set_aside(const char *home, struct span bytes, struct error *err)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/" JOURNAL_NAME ".damaged", home);
    struct stat status;
    FD_AUTO fd = open_file(path, O_WRONLY | O_APPEND | O_CREAT, &status, err);
    if (fd < 0)
        return fd;
    if (status.st_size + (int64_t)bytes.len > DAMAGED_BYTES_MAX)
        return 0;
    int r = fd_write_all(fd, bytes.data, bytes.len);
    return r < 0 ? error_errno(err, -r, "writing %s", path) : 0;
}
