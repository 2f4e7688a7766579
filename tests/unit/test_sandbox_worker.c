//
// The worker is this program itself, as it is in the product: started with "worker", it does what
// the request says (see work()).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "sandbox/worker.h"
#include "support/fake_clock.h"

enum {
    PATIENCE_MS = 20 * 1000,
    SAID_MAX = 1 << 20,
    OUR_FD = 41,
    MANY = 20,
    LINGER_MS = 300, // of a worker whose own answer would come later
};

// --- in the worker

static void tell_descriptors(int directory_fd, struct buf *out)
{
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(dir));) {
        uint64_t fd;
        if (span_to_u64(span_of(entry->d_name), &fd) && (int)fd != dirfd(dir) &&
            (int)fd != directory_fd)
            buf_printf(out, "fd %d\n", (int)fd);
    }
    closedir(dir);
    struct stat stat, own;
    if (fstat(directory_fd, &stat) == 0 && lstat("/proc/self", &own) == 0)
        buf_printf(out, "directory %d\n", S_ISDIR(stat.st_mode));
    buf_printf(out, "writable %d\n",
               dup3(directory_fd, OUR_FD, O_CLOEXEC) == OUR_FD && write(OUR_FD, "x", 1) >= 0);
    close(OUR_FD);
}

static void tell_limit(struct buf *out, const char *name, int resource)
{
    struct rlimit limit;
    getrlimit(resource, &limit);
    buf_printf(out, "%s %llu %llu\n", name, (unsigned long long)limit.rlim_cur,
               (unsigned long long)limit.rlim_max);
}

static void tell(int directory_fd, struct buf *out)
{
    int count = 0, death = 0;
    while (environ && environ[count])
        count++;
    prctl(PR_GET_PDEATHSIG, &death);
    buf_printf(out, "environment %d\nown group %d\ndeath signal %d\nno new privileges %d\n", count,
               getpgrp() == getpid(), death, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    tell_descriptors(directory_fd, out);
    tell_limit(out, "core", RLIMIT_CORE);
    tell_limit(out, "cpu", RLIMIT_CPU);
    tell_limit(out, "files", RLIMIT_NOFILE);
    tell_limit(out, "file size", RLIMIT_FSIZE);
    tell_limit(out, "memory", RLIMIT_AS);
}

static void print_more_than_allowed(void)
{
    char chunk[1024];
    memset(chunk, 'x', sizeof chunk);
    for (size_t i = 0; i <= WORKER_OUTPUT_MAX / sizeof chunk; i++)
        fd_write_all(STDOUT_FILENO, chunk, sizeof chunk);
    for (;;) // does not end by itself
        pause();
}

// A file larger than a worker may write: an error, not a signal.
static int write_much(struct error *err)
{
    FD_AUTO fd = memfd_create("much", MFD_CLOEXEC);
    int r = fd_write_all(fd, "x", 1);
    if (r == 0 && pwrite(fd, "x", 1, (off_t)1 << 40) < 0)
        r = -errno;
    return r < 0 ? error_errno(err, -r, "cannot write much") : 0;
}

// It holds the output open until nobody reads that any more.
static void leave_a_child_behind(void)
{
    if (fork() == 0) {
        setsid();
        struct pollfd output = {.fd = STDOUT_FILENO};
        poll(&output, 1, PATIENCE_MS);
        _exit(0);
    }
}

static int work(int directory_fd, struct span request, struct buf *out, struct error *err)
{
    if (span_is(request, "tell"))
        tell(directory_fd, out);
    else if (span_is(request, "refuse"))
        return buf_append_text(out, "not this"), error_set(err, -EINVAL, "no, thank you");
    else if (span_is(request, "crash"))
        abort();
    else if (span_is(request, "status"))
        _exit(9);
    else if (span_is(request, "hang"))
        pause();
    else if (span_is(request, "print"))
        print_more_than_allowed();
    else if (span_is(request, "overfill"))
        while (buf_append_text(out, "0123456789"))
            ;
    else if (span_is(request, "fill"))
        while (out->len < WORKER_OUTPUT_MAX)
            buf_append_char(out, 'f');
    else if (span_is(request, "write"))
        return write_much(err);
    else if (span_is(request, "orphan"))
        leave_a_child_behind();
    else
        buf_printf(out, "%zu bytes: %.*s", request.len, (int)(request.len < 20 ? request.len : 20),
                   request.data);
    return 0;
}

// --- in the parent

static bool kill_is_deaf; // as of a process that waits for a disk

int kill(pid_t pid, int signal_number)
{
    return kill_is_deaf ? 0 : (int)syscall(SYS_kill, pid, signal_number);
}

struct world {
    struct loop *loop;
    struct workers *workers;
    unsigned ended;
};

static const struct worker_config config = {.memory_budget = 48 << 20};

struct job {
    struct world *world;
    const char *directory;
    uint64_t flow;
    worker_id id;
    unsigned dones;
    unsigned place; // in the order in which they ended
    int result;
    int64_t ms;
    struct buf output;
    struct error err;
};

static void job_finish(struct job *job)
{
    buf_finish(&job->output);
}

#define JOB_AUTO CLEANUP(job_finish) struct job

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    *state = world;
    if (loop_create(&clock_system, &world->loop, NULL) != 0)
        return -1;
    world->workers = workers_create(world->loop, &config);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    workers_destroy(world->workers);
    child_reap_all(world->loop);
    loop_destroy(world->loop);
    free(world);
    bool none_left = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD; // dead or alive
    return none_left ? 0 : -1;
}

static void on_done(void *context, int result, struct span output, int64_t ms,
                    const struct error *err)
{
    struct job *job = context;
    job->dones++;
    job->place = ++job->world->ended;
    job->result = result;
    job->ms = ms;
    buf_append_span(&job->output, output);
    job->err = *err;
}

static struct job job_of(struct world *world)
{
    return (struct job){.world = world, .directory = "/proc/self", .output = BUF_INIT(SAID_MAX)};
}

static void begin(struct job *job, struct span request)
{
    struct error err = ERROR_INIT;
    if (worker_start(job->world->workers, job->flow, job->directory, request, on_done, job,
                     &job->id, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(job->id != 0);
    assert_int_equal(job->dones, 0);
}

static void finish(struct job *job)
{
    int64_t deadline = clock_monotonic_ms(&clock_system) + PATIENCE_MS;
    while (!job->dones) {
        if (clock_monotonic_ms(&clock_system) > deadline)
            fail_msg("nothing came in time");
        loop_run_once(job->world->loop, 100);
    }
}

static void run(struct job *job, const char *request)
{
    begin(job, span_of(request));
    finish(job);
    loop_run_once(job->world->loop, 20);
    assert_int_equal(job->dones, 1);
}

static void says(const struct job *job, const char *wanted)
{
    if (!strstr(buf_text(&job->output), wanted))
        fail_msg("no \"%s\" in %s", wanted, buf_text(&job->output));
}

static void an_answer(void **state)
{
    JOB_AUTO job = job_of(*state);
    run(&job, "hello");
    assert_int_equal(job.result, 0);
    assert_string_equal(buf_text(&job.output), "5 bytes: hello");
    JOB_AUTO empty = job_of(*state);
    run(&empty, "");
    assert_string_equal(buf_text(&empty.output), "0 bytes: ");
}

static void a_refusal(void **state)
{
    JOB_AUTO job = job_of(*state);
    run(&job, "refuse");
    assert_int_equal(job.result, 1);
    assert_string_equal(buf_text(&job.output), "no, thank you"); // in its words, and only those
}

static void a_crash(void **state)
{
    JOB_AUTO job = job_of(*state);
    run(&job, "crash");
    assert_int_equal(job.result, -ECHILD);
    assert_string_equal(job.err.text, "its process was stopped by signal 6 (Aborted), as when it "
                                      "needs more than 12 MiB of memory");
    JOB_AUTO status = job_of(*state);
    run(&status, "status");
    assert_int_equal(status.result, -ECHILD);
    assert_string_equal(status.err.text, "its process failed with status 9");
}

static void the_largest_request(void **state)
{
    struct world *world = *state;
    JOB_AUTO job = job_of(world);
    char *bulk = malloc(WORKER_REQUEST_MAX + 1);
    memset(bulk, 'r', WORKER_REQUEST_MAX + 1);
    begin(&job, span_make(bulk, WORKER_REQUEST_MAX));
    finish(&job);
    assert_string_equal(buf_text(&job.output), "8388608 bytes: rrrrrrrrrrrrrrrrrrrr");
    struct error err = ERROR_INIT;
    worker_id id = 77;
    assert_int_equal(worker_start(world->workers, 1, "/proc/self",
                                  span_make(bulk, WORKER_REQUEST_MAX + 1), on_done, &job, &id,
                                  &err),
                     -E2BIG);
    assert_string_equal(err.text, "the request is larger than 8 MiB");
    assert_true(id == 77);
    free(bulk);
}

static void too_much_output(void **state)
{
    JOB_AUTO whole = job_of(*state);
    run(&whole, "fill");
    assert_int_equal(whole.result, 0);
    assert_int_equal(whole.output.len, WORKER_OUTPUT_MAX);
    JOB_AUTO job = job_of(*state);
    run(&job, "print");
    assert_int_equal(job.result, -EFBIG);
    assert_string_equal(job.err.text, "it answered with more than 256 KiB");
}

// What was cut must not pass for the whole.
static void too_much_for_its_buffer(void **state)
{
    JOB_AUTO job = job_of(*state);
    run(&job, "overfill");
    assert_int_equal(job.result, 1);
    assert_string_equal(buf_text(&job.output), "the answer is larger than 256 KiB");
}

static void too_much_written(void **state)
{
    JOB_AUTO job = job_of(*state);
    run(&job, "write");
    assert_int_equal(job.result, 1);
    says(&job, "cannot write much: File too large");
}

static void cancelling_kills(void **state)
{
    struct world *world = *state;
    JOB_AUTO job = job_of(world);
    JOB_AUTO other = job_of(world);
    begin(&job, span_of("hang"));
    begin(&other, span_of("hello"));
    assert_true(job.id != other.id);
    loop_run_once(world->loop, 50);
    worker_cancel(world->workers, job.id);
    worker_cancel(world->workers, job.id);
    worker_cancel(world->workers, 0);
    worker_cancel(world->workers, 999);
    finish(&other);
    loop_run_once(world->loop, 50);
    assert_int_equal(other.result, 0);
    assert_int_equal(job.dones, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // it is reaped already
}

static void cancelled_at_once(void **state)
{
    struct world *world = *state;
    JOB_AUTO job = job_of(world);
    begin(&job, span_of("hello"));
    worker_cancel(world->workers, job.id);
    loop_run_once(world->loop, 50);
    assert_int_equal(job.dones, 0);
}

static void destroyed_while_they_run(void **state)
{
    struct world *world = *state;
    struct job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = job_of(world);
        begin(&jobs[i], span_of(i % 2 ? "hang" : "hello"));
    }
    workers_destroy(world->workers);
    world->workers = NULL;
    loop_run_once(world->loop, 50);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jobs[i].dones, 0);
    workers_destroy(NULL);
}

static void many_at_once(void **state)
{
    struct world *world = *state;
    struct job jobs[MANY];
    char request[16];
    for (int i = 0; i < MANY; i++) {
        jobs[i] = job_of(world);
        snprintf(request, sizeof request, "number %d", i);
        begin(&jobs[i], span_of(request));
    }
    for (int i = 0; i < MANY; i++) {
        finish(&jobs[i]);
        snprintf(request, sizeof request, ": number %d", i);
        assert_int_equal(jobs[i].result, 0);
        assert_true(span_ends_with(buf_span(&jobs[i].output), request));
        job_finish(&jobs[i]);
    }
}

static size_t children(void)
{
    char path[64], pids[4096] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FD_AUTO fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, pids, sizeof pids - 1) >= 0);
    size_t count = 0;
    for (const char *at = pids; (at = strchr(at, ' ')); at++)
        count++;
    return count;
}

static void passes(struct world *world, int count)
{
    for (int i = 0; i < count; i++)
        loop_run_once(world->loop, 5);
}

// As many as there is memory for; the others follow in order, also behind one that was cancelled.
static void those_without_memory_wait(void **state)
{
    struct world *world = *state;
    struct job jobs[6];
    for (int i = 0; i < 6; i++) {
        jobs[i] = job_of(world);
        begin(&jobs[i], span_of(i < 4 ? "hang" : "hello"));
    }
    assert_false(worker_cancel(world->workers, jobs[5].id)); // never began
    passes(world, 20);
    assert_int_equal(children(), 4);
    assert_int_equal(jobs[4].dones, 0);
    assert_true(worker_cancel(world->workers, jobs[2].id));
    finish(&jobs[4]);
    assert_int_equal(jobs[4].result, 0);

    JOB_AUTO more = job_of(world);
    JOB_AUTO last = job_of(world);
    begin(&more, span_of("hang"));
    begin(&last, span_of("hello"));
    passes(world, 20);
    assert_int_equal(last.dones, 0);
    workers_configure(world->workers, &(struct worker_config){.memory_budget = 64 << 20});
    finish(&last);
    assert_int_equal(last.result, 0);
    for (int i = 0; i < 6; i++) {
        worker_cancel(world->workers, jobs[i].id);
        assert_int_equal(jobs[i].dones, i == 4);
        job_finish(&jobs[i]);
    }
}

// What waits is in the parent's memory, which the budget does not cover.
static void not_too_much_waits(void **state)
{
    struct world *world = *state;
    JOB_AUTO first = job_of(world);
    JOB_AUTO second = job_of(world);
    JOB_AUTO third = job_of(world);
    CLEANUP(mem_cleanup) char *bulk = mem_zalloc(WORKER_REQUEST_MAX);
    struct span large = span_make(bulk, WORKER_REQUEST_MAX);
    struct error err = ERROR_INIT;
    worker_id id;
    begin(&first, large);
    begin(&second, large);
    assert_int_equal(2 * WORKER_REQUEST_MAX, WORKERS_WAITING_BYTES_MAX);
    assert_int_equal(
        worker_start(world->workers, 1, "/proc/self", span_of("x"), on_done, NULL, &id, &err),
        -EAGAIN);
    assert_string_equal(err.text, "2 others wait for memory already; try again later");
    worker_cancel(world->workers, second.id);
    begin(&third, span_of("hello"));
    finish(&first);
    finish(&third);
    begin(&second, large);
    finish(&second);
}

// One at a time; a chat with few calls does not wait for all those of another one.
static void flows_take_turns(void **state)
{
    struct world *world = *state;
    static const struct {
        uint64_t flow;
        unsigned place;
    } cases[] = {{1, 0}, {1, 1}, {1, 4}, {1, 6}, {2, 2}, {2, 5}, {3, 3}};
    struct job jobs[ARRAY_LEN(cases)];
    workers_configure(world->workers, &(struct worker_config){.memory_budget = 16 << 20});
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        jobs[i] = job_of(world);
        jobs[i].flow = cases[i].flow;
        begin(&jobs[i], span_of(i ? "hello" : "hang"));
        passes(world, i ? 0 : 5);
    }
    worker_cancel(world->workers, jobs[0].id);
    for (size_t i = 1; i < ARRAY_LEN(cases); i++) {
        finish(&jobs[i]);
        assert_int_equal(jobs[i].place, cases[i].place);
        job_finish(&jobs[i]);
    }
}

static void one_that_cannot_fit_is_refused(void **state)
{
    struct world *world = *state;
    JOB_AUTO job = job_of(world);
    JOB_AUTO next = job_of(world);
    CLEANUP(mem_cleanup) char *bulk = mem_zalloc(2 << 20);
    workers_configure(world->workers, &(struct worker_config){.memory_budget = 16 << 20});
    begin(&job, span_make(bulk, 2 << 20));
    begin(&next, span_of("hello"));
    finish(&next);
    assert_int_equal(next.result, 0);
    assert_int_equal(job.result, -ENOMEM);
    assert_string_equal(job.err.text,
                        "it needs 20 MiB of memory, and tools.memory_budget is "
                        "16 MiB; raise that setting, or write the file in smaller pieces");
}

// The parent has everything that must not get through.
static void what_a_worker_has(void **state)
{
    assert_true(environ && environ[0]);
    assert_int_equal(dup2(STDERR_FILENO, OUR_FD), OUR_FD); // not close-on-exec, as from our parent
    JOB_AUTO job = job_of(*state);
    run(&job, "tell");
    close(OUR_FD);
    assert_int_equal(job.result, 0);
    static const char *const wanted[] = {
        "environment 0\n",
        "own group 1\n",
        "death signal 9\n",
        "no new privileges 1\n",
        "fd 0\n",
        "fd 1\n",
        "fd 2\n",
        "directory 1\n",
        "writable 0\n",
        "core 0 0\n",
        "cpu 20 20\n",
        "files 64 64\n",
        "file size 67108864 67108864\n",
#ifndef __SANITIZE_ADDRESS__ // which could not live with it
        "memory 12582928 12582928\n",
#endif
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        says(&job, wanted[i]);
    assert_null(strstr(strstr(buf_text(&job.output), "fd 2\n") + 5, "fd ")); // and no other
}

static void a_directory_that_is_not_there(void **state)
{
    struct world *world = *state;
    JOB_AUTO job = job_of(world);
    job.directory = "/nowhere/at/all";
    run(&job, "hello");
    assert_int_equal(job.result, 1);
    says(&job, "cannot open /nowhere/at/all: No such file or directory");
}

static void fake_world(struct world *world, struct fake_clock *clock)
{
    assert_int_equal(loop_create(fake_clock_init(clock, 1000), &world->loop, NULL), 0);
    world->workers = workers_create(world->loop, &config);
}

static void fake_world_end(struct world *world)
{
    workers_destroy(world->workers);
    child_reap_all(world->loop);
    loop_destroy(world->loop);
}

// On a clock that jumps over the time that a worker has.
static void late(const char *request, const char *sentence)
{
    struct fake_clock clock;
    struct world world = {0};
    fake_world(&world, &clock);
    JOB_AUTO job = job_of(&world);
    begin(&job, span_of(request));
    for (int i = 0; i < LINGER_MS / 10; i++)
        loop_run_once(world.loop, 10);
    clock.now_ms += WORKER_TIME_MAX_MS - 1;
    loop_run_once(world.loop, 0);
    assert_int_equal(job.dones, 0);
    clock.now_ms += 1;
    for (int i = 0; i < 100 && !job.dones; i++)
        loop_run_once(world.loop, 10);
    assert_int_equal(job.dones, 1);
    assert_int_equal(job.result, -ETIMEDOUT);
    assert_string_equal(job.err.text, sentence);
    fake_world_end(&world);
}

static void too_late(void **state)
{
    (void)state;
    late("hang", "it took longer than 30 seconds and was stopped");
}

// It has exited, but something that it left behind keeps the output open.
static void too_late_after_its_end(void **state)
{
    (void)state;
    late("orphan", "it took longer than 30 seconds and was stopped");
}

static unsigned warnings;

static void count_warnings(void *context, const struct log_record *record)
{
    (void)context;
    warnings += record->level == LOG_WARNING && strstr(record->text, "network drive of /proc/self");
}

// Their callers are told in time; then nobody waits for what they hold, and at last it comes back.
static void some_that_do_not_die(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct world world = {0};
    fake_world(&world, &clock);
    log_set_sink(count_warnings, NULL, NULL, false);
    warnings = 0;
    struct job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = job_of(&world);
        begin(&jobs[i], span_of("hang"));
    }
    passes(&world, 20);
    assert_int_equal(children(), 4);
    kill_is_deaf = true;
    worker_cancel(world.workers, jobs[0].id);
    clock.now_ms += WORKER_TIME_MAX_MS;
    passes(&world, 5);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jobs[i].dones, i > 0);
    assert_int_equal(jobs[1].result, -ETIMEDOUT);
    assert_int_equal(warnings, 1);

    JOB_AUTO waits = job_of(&world);
    JOB_AUTO refused = job_of(&world);
    JOB_AUTO fits = job_of(&world);
    begin(&waits, span_of("hello"));
    passes(&world, 5);
    assert_int_equal(waits.dones, 0);
    clock.now_ms += WORKER_DEATH_MAX_MS;
    finish(&waits);
    begin(&refused, span_of("hello"));
    finish(&refused);
    assert_int_equal(waits.result, -ENOMEM);
    assert_string_equal(refused.err.text,
                        "48 of the 48 MiB of tools.memory_budget are held by file tools that were "
                        "stopped and do not end, as when a disk does not answer; try again later");
    assert_int_equal(warnings, 4);
    log_set_sink(NULL, NULL, NULL, false);

    kill_is_deaf = false;
    worker_cancel(world.workers, jobs[0].id);
    for (int i = 0; i < PATIENCE_MS / 5 && children() == 4; i++)
        passes(&world, 1);
    begin(&fits, span_of("hello"));
    finish(&fits);
    assert_int_equal(fits.result, 0);
    for (int i = 0; i < 4; i++)
        job_finish(&jobs[i]);
    fake_world_end(&world);
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct world world = {0};
    fake_world(&world, &clock);
    JOB_AUTO first = job_of(&world);
    JOB_AUTO second = job_of(&world);
    workers_configure(world.workers, &(struct worker_config){.memory_budget = 16 << 20});
    begin(&first, span_of("hang"));
    begin(&second, span_of("hello"));
    passes(&world, 5);
    clock.now_ms += WORKER_WAIT_MAX_MS;
    passes(&world, 5);
    assert_int_equal(second.dones, 1);
    assert_int_equal(second.result, -EAGAIN);
    assert_int_equal(second.ms, 0);
    assert_int_equal(first.ms, WORKER_WAIT_MAX_MS); // on a clock that jumped over its time
    assert_string_equal(second.err.text,
                        "it waited 300 seconds for memory and did not begin; try again later, or "
                        "with fewer calls at a time");
    fake_world_end(&world);
}

static void the_parent_dies(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        // The worker's standard error is the pipe: end of file tells that it is gone.
        struct world world;
        struct job job = job_of(&world);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        if (loop_create(&clock_system, &world.loop, NULL) < 0)
            _exit(1);
        world.workers = workers_create(world.loop, &config);
        if (worker_start(world.workers, 1, "/proc/self", span_of("hang"), on_done, &job, &job.id,
                         NULL) < 0)
            _exit(1);
        loop_run_once(world.loop, LINGER_MS); // by then it has asked to die with us
        (void)!write(STDERR_FILENO, "up", 2);
        for (;;)
            pause();
    }
    close(ends[1]);
    char said[256];
    assert_int_equal(read(ends[0], said, 2), 2);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    assert_int_equal(read(ends[0], said, sizeof said), -1); // the worker is there
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    ssize_t n = -1;
    for (int i = 0; i < PATIENCE_MS / 10 && n < 0; i++) {
        usleep(10 * 1000);
        n = read(ends[0], said, sizeof said);
    }
    assert_int_equal(n, 0);
    close(ends[0]);
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], worker_command) == 0)
        return worker_main(argv[2], argv[3], work);
    const struct CMUnitTest tests[] = {
        WORLD(an_answer),
        WORLD(a_refusal),
        WORLD(a_crash),
        WORLD(the_largest_request),
        WORLD(too_much_output),
        WORLD(too_much_for_its_buffer),
        WORLD(too_much_written),
        WORLD(cancelling_kills),
        WORLD(cancelled_at_once),
        WORLD(destroyed_while_they_run),
        WORLD(many_at_once),
        WORLD(those_without_memory_wait),
        WORLD(not_too_much_waits),
        WORLD(flows_take_turns),
        WORLD(one_that_cannot_fit_is_refused),
        WORLD(what_a_worker_has),
        WORLD(a_directory_that_is_not_there),
        cmocka_unit_test(too_late),
        cmocka_unit_test(too_late_after_its_end),
        cmocka_unit_test(some_that_do_not_die),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(the_parent_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
