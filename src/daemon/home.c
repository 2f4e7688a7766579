#include "daemon/home.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"

#define LEAVING "leaving"

enum {
    OWNER_TEXT_MAX = 32,        // bytes of what is written into the lock
    LOOK_MS = 50,               // between two looks at it
    LEAVING_MAX_MS = 60 * 1000, // how long an owner that is leaving is waited for
    STALE_MAX_MS = 500,         // how long one is that may not have written yet who it is
};

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

// What the lock's owner wrote into it: its number, and whether it is on its way out.
static uint64_t read_owner(int fd, bool *ret_leaving)
{
    BUF_AUTO text = BUF_INIT(OWNER_TEXT_MAX);
    uint64_t pid = 0;
    lseek(fd, 0, SEEK_SET);
    fd_read_all(fd, &text);
    struct span lines = buf_span(&text), rest = span_cut(&lines, '\n');
    span_to_u64(span_cut(&rest, ' '), &pid);
    *ret_leaving = span_is(rest, LEAVING);
    return pid;
}

// It is only told to others, so a disk that has no room for it is no reason not to start: what is
// wrong can then be asked for. Over what stood there there is room, so that is cut off afterwards.
static void write_owner(int fd, const char *word)
{
    char text[OWNER_TEXT_MAX];
    int len = snprintf(text, sizeof text, "%d%s%s\n", (int)getpid(), *word ? " " : "", word);
    (void)!(pwrite(fd, text, (size_t)len, 0) == len && ftruncate(fd, len) == 0);
}

/*
 * A new pod starts while the old one still lets its answers end. To fail then would make Kubernetes
 * back off, and the gap longer than the old one needs; so whoever meets an owner that is leaving
 * waits for it. So does a service that starts while a command does the work of a missing one. The
 * wait ends by a signal, too, because none is handled yet.
 */
static int lock_or_wait(int fd, const char *home, struct error *err)
{
    static const struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};
    bool leaving, told = false;
    for (int64_t waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOOK_MS) {
        if (errno != EWOULDBLOCK)
            return error_errno(err, errno, "cannot lock the home %s", home);
        uint64_t pid = read_owner(fd, &leaving);
        if (waited_ms >= (leaving ? LEAVING_MAX_MS : STALE_MAX_MS))
            return error_set(err, -EBUSY,
                             "the home %s is in use by another hermes (pid %" PRIu64
                             "); stop it, or choose another home with --home or HERMES_HOME",
                             home, pid);
        if (leaving && !told)
            log_info("waiting for another hermes to leave the home %s (pid %" PRIu64 ")", home,
                     pid);
        told = told || leaving;
        nanosleep(&look, NULL);
    }
    return 0;
}

int home_explain(const char *path, int r, struct error *err)
{
    if (r != -EACCES && r != -EPERM)
        return r;
    return error_wrap(err,
                      "cannot write in the home %s as user %u; give it to that user (chown; "
                      "fsGroup in a pod), or choose another with --home or HERMES_HOME",
                      path, (unsigned)geteuid());
}

static int take_lock(const char *home, int *ret_fd, struct error *err)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/hermes.lock", home);
    FD_AUTO fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        if (errno != EACCES && errno != EPERM)
            return error_errno(err, errno, "cannot write in the home %s", home);
        return home_explain(home, error_errno(err, errno, "cannot open %s", path), err);
    }
    int r = lock_or_wait(fd, home, err);
    if (r < 0)
        return r;
    write_owner(fd, "");
    *ret_fd = fd;
    fd = -1;
    return 0;
}

void home_leave(const struct home *home)
{
    write_owner(home->lock_fd, LEAVING);
}

int home_open(const char *path, struct home *ret_home, struct error *err)
{
    struct home home = {mem_strdup(path),
                        mem_printf("%s/workspace", path),
                        mem_printf("%s/memories", path),
                        mem_printf("%s/skills", path),
                        mem_printf("%s/results", path),
                        -1};
    int r = make_path(path, err);
    if (r == 0)
        r = take_lock(path, &home.lock_fd, err);
    if (r == 0)
        r = make_directory(home.workspace, err);
    if (r == 0)
        r = make_directory(home.memories, err);
    if (r == 0)
        r = make_directory(home.skills, err);
    if (r == 0)
        r = make_directory(home.results, err);
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
    free(home->skills);
    free(home->results);
    *home = HOME_INIT;
}
