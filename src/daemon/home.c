#include "daemon/home.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

static int make_directory(const char *path, struct error *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return error_errno(err, errno,
                       "cannot make the directory %s; choose another home with --home "
                       "or HERMES_HOME",
                       path);
}

// Parents as well, like mkdir -p.
static int make_path(const char *path, struct error *err)
{
    CLEANUP(mem_cleanup) char *prefix = mem_strdup(path);
    struct stat stat_buffer;
    for (char *slash = strchr(prefix + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = stat(prefix, &stat_buffer) == 0 ? 0 : make_directory(prefix, err);
        if (r < 0)
            return r;
        *slash = '/';
    }
    int r = make_directory(path, err);
    if (r == 0 && (stat(path, &stat_buffer) < 0 || !S_ISDIR(stat_buffer.st_mode)))
        r = error_set(err, -ENOTDIR, "the home %s is not a directory", path);
    return r;
}

static int tell_owner(int fd, const char *path, struct error *err)
{
    BUF_AUTO text = BUF_INIT(32);
    uint64_t pid = 0;
    fd_read_all(fd, &text);
    span_to_u64(span_trim(buf_span(&text)), &pid);
    return error_set(err, -EBUSY,
                     "the home %s is in use by another hermes (pid %" PRIu64
                     "); stop it, or choose "
                     "another home with --home or HERMES_HOME",
                     path, pid);
}

static int refuse_home(const char *home, int errno_value, struct error *err)
{
    if (errno_value == EACCES || errno_value == EPERM)
        return error_errno(err, errno_value,
                           "cannot write in the home %s as user %u; give it to that user (chown; "
                           "fsGroup in a pod), or choose another with --home or HERMES_HOME",
                           home, (unsigned)geteuid());
    return error_errno(err, errno_value, "cannot write in the home %s", home);
}

// The pid is only told to others, so a disk that has no room for it is no reason not to start: what
// is wrong can then be asked for.
static void write_pid(int fd)
{
    char pid[24];
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    (void)!(ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)len, 0) == len);
}

static int take_lock(const char *home, int *ret_fd, struct error *err)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/hermes.lock", home);
    FD_AUTO fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return refuse_home(home, errno, err);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? tell_owner(fd, home, err)
                                    : error_errno(err, errno, "cannot lock %s", path);
    write_pid(fd);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int home_open(const char *path, struct home *ret_home, struct error *err)
{
    struct home home = {mem_strdup(path), mem_printf("%s/workspace", path),
                        mem_printf("%s/memories", path), -1};
    int r = make_path(path, err);
    if (r == 0)
        r = take_lock(path, &home.lock_fd, err);
    if (r == 0)
        r = make_directory(home.workspace, err);
    if (r == 0)
        r = make_directory(home.memories, err);
    if (r < 0)
        home_close(&home);
    else
        *ret_home = home;
    return r;
}

// The file stays: removing it would let two processes lock two files of one name.
void home_close(struct home *home)
{
    fd_close(&home->lock_fd);
    free(home->path);
    free(home->workspace);
    free(home->memories);
    *home = (struct home)HOME_INIT;
}
