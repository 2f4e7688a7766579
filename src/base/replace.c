#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"

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

int replace_begin(int directory_fd, const char *name, mode_t mode, struct span content,
                  bool durable, struct replacement *ret, struct error *err)
{
    struct replacement made = {.directory_fd = directory_fd, .temporary = ".hermes-"};
    random_hex(made.temporary + 8, sizeof made.temporary - 8);
    int r = write_new(directory_fd, made.temporary, mode, content, durable);
    if (r < 0) {
        replace_drop(&made);
        return error_errno(err, -r, "cannot write %s", name);
    }
    *ret = made;
    return 0;
}

int replace_end(struct replacement *replacement, const char *name, bool durable, struct error *err)
{
    int directory_fd = replacement->directory_fd;
    if (renameat(directory_fd, replacement->temporary, directory_fd, name) < 0) {
        int r = error_errno(err, errno, "cannot write %s", name);
        replace_drop(replacement);
        return r;
    }
    *replacement->temporary = '\0';
    if (durable) {
        FD_AUTO fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            fsync(fd);
    }
    return 0;
}

void replace_drop(struct replacement *replacement)
{
    if (*replacement->temporary)
        unlinkat(replacement->directory_fd, replacement->temporary, 0);
    *replacement->temporary = '\0';
}

int replace_file(int directory_fd, const char *name, mode_t mode, struct span content, bool durable,
                 struct error *err)
{
    struct replacement replacement;
    int r = replace_begin(directory_fd, name, mode, content, durable, &replacement, err);
    return r < 0 ? r : replace_end(&replacement, name, durable, err);
}
