#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    READ_CHUNK = 16 * 1024, // bytes a read(2)
    DESCRIPTORS_MAX = 4096, // that are asked for
};

void fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

void fd_close_directory(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

unsigned fd_limit(void)
{
    struct rlimit limit;
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
    return !known || limit.rlim_cur > INT_MAX ? INT_MAX : (unsigned)limit.rlim_cur;
}

void fd_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_MAX)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    prlimit(0, RLIMIT_NOFILE, &limit, NULL);
}

bool fd_is_shortage(int errno_value)
{
    return errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOBUFS ||
           errno_value == ENOMEM;
}

int fd_write_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int fd_read_all(int fd, struct buf *buf)
{
    for (;;) {
        size_t left = buf->max - buf->len;
        char probe; // tells "exactly full" from "there is more"
        size_t want = left < READ_CHUNK ? left : READ_CHUNK;
        char *room = want ? buf_reserve(buf, want) : &probe;
        if (!room)
            return -ENOMEM;
        ssize_t n = read(fd, room, want ? want : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        if (!want)
            return -EFBIG;
        buf_grow_by(buf, (size_t)n);
    }
}

int fd_read_file(const char *path, struct buf *buf, struct error *err)
{
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_errno(err, errno, "cannot open %s", path);
    int r = fd_read_all(fd, buf);
    if (r == -EFBIG)
        return error_set(err, r, "%s is larger than %zu bytes", path, buf->max);
    if (r < 0)
        return error_errno(err, -r, "cannot read %s", path);
    return 0;
}
