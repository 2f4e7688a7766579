#include "tools/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

enum { TRIES = 8 }; // RESOLVE_BENEATH says EAGAIN when a rename raced with it

static int refuse(int code, const char *path, struct error *err)
{
    switch (code) {
    case EXDEV:
    case ELOOP:
        return error_set(err, -EACCES, "%s leads out of the workspace", path);
    case ENOENT:
        return error_set(err, -ENOENT, "%s does not exist", path);
    case ENOTDIR:
        return error_set(err, -ENOTDIR, "a part of %s is not a directory", path);
    case ENOSYS:
        return error_set(err, -ENOSYS, "file tools need Linux 5.6 or later (openat2)");
    default:
        return error_errno(err, code, "cannot open %s", path);
    }
}

// The descriptor, or a negated errno value.
static int resolve(int directory_fd, const char *path, int flags, unsigned mode)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    for (int i = 0; i < TRIES; i++) {
        fd = syscall(SYS_openat2, directory_fd, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd < 0 ? -errno : (int)fd;
}

int beneath_open(int directory_fd, const char *path, int flags, unsigned mode, int *ret_fd,
                 struct error *err)
{
    int fd = resolve(directory_fd, path, flags, mode);
    if (fd < 0)
        return refuse(-fd, path, err);
    *ret_fd = fd;
    return 0;
}

int beneath_open_file(int directory_fd, const char *path, int *ret_fd, struct stat *ret_stat,
                      struct error *err)
{
    FD_AUTO fd = -1;
    int r = beneath_open(directory_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, ret_stat) < 0)
        return error_errno(err, errno, "cannot look at %s", path);
    if (S_ISDIR(ret_stat->st_mode))
        return error_set(err, -EISDIR, "%s is a directory; list_files shows what is in it", path);
    if (!S_ISREG(ret_stat->st_mode))
        return error_set(err, -EINVAL, "%s is not a regular file", path);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

// Opens `name` in *fd, making it if it is missing, and puts it in the place of *fd.
static int descend(int *fd, const char *name, const char *path, struct error *err)
{
    FD_AUTO next = -1;
    if (mkdirat(*fd, name, 0755) < 0 && errno != EEXIST)
        return error_errno(err, errno, "cannot make the directory of %s", path);
    int r = beneath_open(*fd, name, O_PATH | O_DIRECTORY, 0, &next, err);
    if (r < 0)
        return r;
    fd_close(fd);
    *fd = next;
    next = -1;
    return 0;
}

// The last component of a path, which must be a name.
static int name_of(const char *path, const char **ret_name, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (path[0] == '/')
        return refuse(EXDEV, path, err);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, -EINVAL, "%s does not name a file", path);
    *ret_name = name;
    return 0;
}

int beneath_open_parent(int directory_fd, const char *path, int *ret_fd, const char **ret_name,
                        struct error *err)
{
    const char *name;
    int r = name_of(path, &name, err);
    if (r < 0)
        return r;
    CLEANUP(mem_cleanup) char *parent = mem_strndup(path, (size_t)(name - path));
    int fd = resolve(directory_fd, *parent ? parent : ".", O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return refuse(-fd, path, err);
    *ret_fd = fd;
    *ret_name = name;
    return 0;
}

int beneath_make_parent(int directory_fd, const char *path, int *ret_fd, const char **ret_name,
                        struct error *err)
{
    const char *name;
    FD_AUTO fd = -1;
    int r = name_of(path, &name, err);
    if (r < 0)
        return r;
    // What exists is resolved at once, links beneath the workspace included.
    if (beneath_open_parent(directory_fd, path, &fd, &name, err) < 0) {
        CLEANUP(mem_cleanup) char *parents = mem_strndup(path, (size_t)(name - path));
        r = beneath_open(directory_fd, ".", O_PATH | O_DIRECTORY, 0, &fd, err);
        char *rest = parents, *part;
        while (r == 0 && (part = strsep(&rest, "/")))
            if (strcmp(part, "..") == 0)
                r = refuse(EXDEV, path, err);
            else if (*part && strcmp(part, ".") != 0)
                r = descend(&fd, part, path, err);
        if (r < 0)
            return r;
    }
    *ret_fd = fd;
    fd = -1;
    *ret_name = name;
    return 0;
}
