#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"

enum { TEMPORARY_NAME_SIZE = sizeof ".hermes-" + 16 };

// Where it may not be given away it stays root's: the content counts, and that is written.
static void give_to_owner(int directory_fd, int fd)
{
    struct stat stat;
    if (geteuid() != 0 || fstat(directory_fd, &stat) < 0 || stat.st_uid == 0)
        return;
    if (fchown(fd, stat.st_uid, stat.st_gid) < 0)
        errno = 0;
}

static int write_new(int directory_fd, const char *name, mode_t mode, struct span content,
                     bool durable)
{
    FD_AUTO fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : fd_write_all(fd, content.data, content.len);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0)
        give_to_owner(directory_fd, fd);
    if (r == 0 && durable && fsync(fd) < 0)
        r = -errno;
    return r;
}

int replace_file(int directory_fd, const char *name, mode_t mode, struct span content, bool durable,
                 struct error *err)
{
    char temporary[TEMPORARY_NAME_SIZE] = ".hermes-";
    random_hex(temporary + 8, sizeof temporary - 8);
    int r = write_new(directory_fd, temporary, mode, content, durable);
    if (r == 0 && renameat(directory_fd, temporary, directory_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(directory_fd, temporary, 0);
        return error_errno(err, -r, "cannot write %s", name);
    }
    if (durable) {
        FD_AUTO fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            fsync(fd);
    }
    return 0;
}
