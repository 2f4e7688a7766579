#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "sandbox/worker.h"

enum {
    OPEN_FILES_MAX = 64,
    WRITTEN_FILE_MAX = 64 << 20, // bytes of a file that a worker writes
};

static int limit(int resource, rlim_t value)
{
    struct rlimit both = {value, value};
    return setrlimit(resource, &both) < 0 ? -errno : 0;
}

// A parent that died before PDEATHSIG was asked for sends nothing any more. getppid() is no judge:
// it is 1 also where the parent is a container's first process. But only the parent reads what we
// print, and the kernel closes its end before it forgets its children.
static bool is_orphan(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = 0};
    return poll(&output, 1, 0) > 0 && (output.revents & POLLERR);
}

static int take_limits(uint64_t memory, struct error *err)
{
    int r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
    if (r == 0 && is_orphan())
        r = -EPIPE;
    if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    if (r == 0)
        r = limit(RLIMIT_CORE, 0);
    if (r == 0)
        r = limit(RLIMIT_CPU, WORKER_CPU_MAX_S);
    if (r == 0)
        r = limit(RLIMIT_NOFILE, OPEN_FILES_MAX);
    if (r == 0)
        r = limit(RLIMIT_FSIZE, WRITTEN_FILE_MAX);
#ifdef __SANITIZE_ADDRESS__
    (void)memory; // it reserves terabytes of address space for its shadow
#else
    if (r == 0)
        r = limit(RLIMIT_AS, memory);
#endif
    signal(SIGXFSZ, SIG_IGN); // write(2) then says EFBIG
    return r < 0 ? error_errno(err, -r, "cannot limit the worker") : 0;
}

static int work_in(const char *directory, uint64_t memory, worker_fn *work, struct buf *out,
                   struct error *err)
{
    int r = take_limits(memory, err);
    if (r < 0)
        return r;
    BUF_AUTO request = BUF_INIT(WORKER_REQUEST_MAX);
    r = fd_read_all(STDIN_FILENO, &request);
    if (r < 0)
        return error_errno(err, -r, "cannot read the request");
    FD_AUTO fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open %s", directory);
    r = work(fd, buf_span(&request), out, err);
    if (r == 0 && buf_is_full(out)) // what was cut must not pass for the whole
        r = error_set(err, -EFBIG, "the answer is larger than %d KiB", WORKER_OUTPUT_MAX / 1024);
    return r;
}

int worker_main(const char *directory, const char *memory, worker_fn *work)
{
    BUF_AUTO out = BUF_INIT(WORKER_OUTPUT_MAX);
    struct error err = ERROR_INIT;
    uint64_t bytes;
    if (!span_to_u64(span_of(memory), &bytes))
        return 2;
    bool refused = work_in(directory, bytes, work, &out, &err) < 0;
    struct span answer = refused ? span_of(err.text) : buf_span(&out);
    if (fd_write_all(STDOUT_FILENO, answer.data, answer.len) < 0)
        return 2;
    return refused;
}
