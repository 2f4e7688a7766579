#include "sandbox/brokered_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static int decide_signal(const struct brokered_calls *brokered, const struct syscall_call *call)
{
    pid_t target = (pid_t)call->arguments[0];
    if (target == -1)
        return CALL_IS_REFUSED;
    pid_t session = getsid(target < 0 ? -target : target);
    if (session < 0)
        return -errno;
    return session == brokered->session ? CALL_GOES_ON : CALL_IS_REFUSED;
}

// Of the caller's memory. What is shorter than asked for is not there.
static int read_memory(pid_t pid, uint64_t address, void *to, size_t len)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -EPERM;
    return pread(fd, to, len, (off_t)address) == (ssize_t)len ? 0 : -EFAULT;
}

// A string may end at the end of what is mapped, so it is read a piece at a time.
static int read_path(pid_t pid, uint64_t address, char path[PATH_MAX])
{
    enum { PIECE = 64 };
    for (size_t at = 0; at < PATH_MAX;) {
        size_t len = PIECE - (address + at) % PIECE;
        len = len < PATH_MAX - at ? len : PATH_MAX - at;
        int r = read_memory(pid, address + at, path + at, len);
        if (r < 0)
            return r;
        if (memchr(path + at, '\0', len))
            return 0;
        at += len;
    }
    return -ENAMETOOLONG;
}

// As the caller would find it from its directory.
static int open_for(const struct syscall_call *call, int directory, uint64_t address, bool follow)
{
    char path[PATH_MAX] = "", place[64];
    int r = read_path(call->pid, address, path);
    if (r < 0)
        return r;
    if (!*path)
        return -ENOENT;
    if (directory == AT_FDCWD)
        snprintf(place, sizeof place, "/proc/%d/cwd", call->pid);
    else
        snprintf(place, sizeof place, "/proc/%d/fd/%d", call->pid, directory);
    FD_AUTO base = *path == '/' ? -1 : open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = *path != '/' && base < 0
                 ? -1
                 : openat(base, path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
    return fd < 0 ? -errno : fd;
}

static bool is_beneath(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool may_write(const struct brokered_calls *brokered, int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return false;
    path[len] = '\0';
    bool found = brokered->tmp && is_beneath(path, brokered->tmp);
    for (size_t i = 0; brokered->write && brokered->write[i] && !found; i++)
        found = is_beneath(path, brokered->write[i]);
    return found;
}

enum { MODE_BITS = 07777 };

struct change {
    int directory;
    uint64_t path;
    bool follow;
    bool sets_mode, sets_owner;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    bool has_times;
    struct timespec times[2];
};

// Times are those of utimensat(2), by which C libraries do all of them.
static int read_change(const struct syscall_call *call, struct change *change)
{
    const uint64_t *arguments = call->arguments;
    int number = call->number;
    bool at = number != SCMP_SYS(chmod) && number != SCMP_SYS(chown) && number != SCMP_SYS(lchown);
    const uint64_t *rest = arguments + at + 1;
    *change = (struct change){
        .directory = at ? (int)arguments[0] : AT_FDCWD, .path = arguments[at], .follow = true};
    uint64_t flags = 0;
    if (number == SCMP_SYS(chmod) || number == SCMP_SYS(fchmodat) ||
        number == SCMP_SYS(fchmodat2)) {
        change->sets_mode = true;
        change->mode = (mode_t)rest[0] & MODE_BITS;
        flags = number == SCMP_SYS(fchmodat2) ? rest[1] : 0;
    } else if (number == SCMP_SYS(chown) || number == SCMP_SYS(lchown) ||
               number == SCMP_SYS(fchownat)) {
        change->sets_owner = true;
        change->uid = (uid_t)rest[0];
        change->gid = (gid_t)rest[1];
        flags = number == SCMP_SYS(fchownat) ? rest[2]
                : number == SCMP_SYS(lchown) ? AT_SYMLINK_NOFOLLOW
                                             : 0;
    } else if (number == SCMP_SYS(utimensat)) {
        change->has_times = rest[0] != 0;
        flags = rest[1];
    } else {
        return CALL_IS_REFUSED;
    }
    if (flags & ~(uint64_t)AT_SYMLINK_NOFOLLOW)
        return -EINVAL;
    change->follow = !flags;
    return change->has_times ? read_memory(call->pid, rest[0], change->times, sizeof change->times)
                             : 0;
}

static int make_change(int fd, const struct change *change)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISLNK(status.st_mode))
        return change->sets_mode ? -EOPNOTSUPP : 0; // nobody looks at a link's owner or times
    int r;
    if (change->sets_mode)
        r = chmod(path, change->mode);
    else if (change->sets_owner)
        r = chown(path, change->uid, change->gid);
    else
        r = utimensat(AT_FDCWD, path, change->has_times ? change->times : NULL, 0);
    return r < 0 ? -errno : 0;
}

static int decide_change(const struct brokered_calls *brokered, const struct syscall_call *call)
{
    struct change change;
    int r = read_change(call, &change);
    if (r != 0)
        return r;
    FD_AUTO fd = open_for(call, change.directory, change.path, change.follow);
    if (fd < 0)
        return fd;
    if (!may_write(brokered, fd))
        return CALL_IS_REFUSED;
    // Else this was of another process that has the number by now.
    return syscall_call_is_open(brokered->listener, call) ? make_change(fd, &change) : -ESRCH;
}

int brokered_call_decide(const struct brokered_calls *brokered, const struct syscall_call *call)
{
    switch (call->number) {
    case SCMP_SYS(kill):
    case SCMP_SYS(tkill):
    case SCMP_SYS(tgkill):
    case SCMP_SYS(rt_sigqueueinfo):
    case SCMP_SYS(rt_tgsigqueueinfo):
        return decide_signal(brokered, call);
    case SCMP_SYS(setxattr):
    case SCMP_SYS(lsetxattr):
    case SCMP_SYS(removexattr):
    case SCMP_SYS(lremovexattr):
        return -EOPNOTSUPP;
    case SCMP_SYS(chmod):
    case SCMP_SYS(fchmodat):
    case SCMP_SYS(fchmodat2):
    case SCMP_SYS(chown):
    case SCMP_SYS(lchown):
    case SCMP_SYS(fchownat):
    case SCMP_SYS(utimensat):
        return decide_change(brokered, call);
    default:
        return CALL_IS_REFUSED;
    }
}
