#include "tools/file_target.h"

#include <errno.h>
#include <fcntl.h>

enum { NEW_FILE_MODE = 0644 };

int file_target_look(int parent_fd, const char *name, const char *path,
                     struct file_target *ret_target, struct error *err)
{
    // A process has no other way to ask for it; here there is one thread.
    mode_t mask = umask(0);
    umask(mask);
    struct file_target target = {.mode = NEW_FILE_MODE & ~mask};
    if (fstatat(parent_fd, name, &target.stat, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return error_errno(err, errno, "cannot look at %s", path);
        *ret_target = target;
        return 0;
    }
    if (!S_ISREG(target.stat.st_mode))
        return error_set(err, -EINVAL, "%s is %s and was left alone", path,
                         S_ISDIR(target.stat.st_mode)   ? "a directory"
                         : S_ISLNK(target.stat.st_mode) ? "a link"
                                                        : "not a regular file");
    target.exists = true;
    target.mode = target.stat.st_mode & 0777;
    *ret_target = target;
    return 0;
}

bool file_target_is_same(const struct file_target *target, const struct file_target *since)
{
    const struct stat *a = &target->stat, *b = &since->stat;
    if (!target->exists || !since->exists)
        return target->exists == since->exists;
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}
