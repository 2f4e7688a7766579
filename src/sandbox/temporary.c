/*
 * What a program leaves behind may lie beneath more names than a path can have, where a walk by
 * paths ends, with all that it holds. So it is taken away without any: files and empty directories
 * of a directory go at once, its other directories are moved up to the top and are there next. That
 * wants three descriptors, however deep it was.
 */
#include "sandbox/temporary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"

enum {
    STEPS_MAX = 1 << 20, // entries: where a program goes on making them, this ends all the same
    NAME_SIZE = 33,      // bytes of a name that is in nobody's way
};

struct top {
    int fd;
    dev_t device; // what is mounted within it is not temporary
    unsigned steps;
};

const char *temporary_place(void)
{
    const char *place = getenv("TMPDIR");
    return place && *place ? place : "/tmp";
}

char *temporary_make(void)
{
    char *path = mem_printf("%s/hermes-XXXXXX", temporary_place());
    if (mkdtemp(path))
        return path;
    free(path);
    return NULL;
}

static DIR *open_directory(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

// The next one that is no directory's "." or ".."; NULL at the end.
static const char *next_name(struct top *top, DIR *dir)
{
    struct dirent *entry;
    while (top->steps < STEPS_MAX && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        top->steps++;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            return name;
    }
    return NULL;
}

static bool remove_one(int at, const char *name)
{
    return unlinkat(at, name, 0) == 0 || unlinkat(at, name, AT_REMOVEDIR) == 0;
}

// To the top. A directory can only be moved by who may write it; what is mounted there stays as it
// is, and so does a file, whose mode is in nobody's way.
static bool move_up(struct top *top, int from, const char *name)
{
    struct stat status;
    char moved[NAME_SIZE];
    random_hex(moved, sizeof moved);
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(status.st_mode) ||
        status.st_dev != top->device)
        return false;
    return renameat(from, name, top->fd, moved) == 0 ||
           (errno == EACCES && fchmodat(from, name, S_IRWXU, 0) == 0 &&
            renameat(from, name, top->fd, moved) == 0);
}

// Of a directory at the top. False when nothing of it could be taken away.
static bool empty(struct top *top, const char *directory)
{
    struct stat status;
    bool any = false;
    if (fstatat(top->fd, directory, &status, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(status.st_mode) ||
        status.st_dev != top->device)
        return false;
    fchmodat(top->fd, directory, S_IRWXU, 0);
    DIR *dir = open_directory(top->fd, directory);
    for (const char *name; dir && (name = next_name(top, dir));)
        any |= remove_one(dirfd(dir), name) || move_up(top, dirfd(dir), name);
    if (dir)
        closedir(dir);
    return unlinkat(top->fd, directory, AT_REMOVEDIR) == 0 || any;
}

void temporary_clear(const char *path)
{
    struct stat status;
    DIR *dir = open_directory(AT_FDCWD, path);
    bool any = dir && fstat(dirfd(dir), &status) == 0;
    struct top top = {.fd = any ? dirfd(dir) : -1, .device = any ? status.st_dev : 0};
    while (any) {
        any = false;
        rewinddir(dir);
        for (const char *name; (name = next_name(&top, dir));)
            any |= remove_one(top.fd, name) || empty(&top, name);
    }
    if (dir)
        closedir(dir);
}

void temporary_remove(const char *path)
{
    if (!path || unlink(path) == 0 || errno != EISDIR)
        return;
    chmod(path, S_IRWXU);
    temporary_clear(path);
    rmdir(path);
}
