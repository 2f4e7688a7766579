//
// The process is this program itself, as it is in the product: started anew, it does what
// the request says (see work()).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "support/fake_clock.h"
#include "support/process_world.h"

enum {
    PATIENCE_MS = 20 * 1000,
    OUR_FD = 41,
    MANY = 20,
    LINGER_MS = 300, // of one whose own answer would come later
};

// --- in the process

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
    for (size_t i = 0; i <= JOB_OUTPUT_MAX / sizeof chunk; i++)
        fd_write_all(STDOUT_FILENO, chunk, sizeof chunk);
    for (;;) // does not end by itself
        pause();
}

// A file larger than it may write: an error, not a signal.
static int write_much(struct error *err)
{
    FD_AUTO fd = memfd_create("much", MFD_CLOEXEC);
    int r = fd_write_all(fd, "x", 1);
    if (r == 0 && pwrite(fd, "x", 1, (off_t)1 << 40) < 0)
        r = -errno;
    return r < 0 ? error_errno(err, -r, "cannot write much") : 0;
}

static void fill(struct buf *out)
{
    while (out->len < JOB_OUTPUT_MAX)
        buf_append_char(out, 'f');
}

static int work(int directory_fd, struct span request, struct buf *out, struct error *err)
{
    if (span_is(request, "tell"))
        tell(directory_fd, out);
    else if (span_is(request, "refuse"))
        return buf_append_text(out, "not this"), error_set(err, -EINVAL, "no, thank you");
    else if (span_is(request, "refuse much"))
        return fill(out), error_set(err, -EINVAL, "no, thank you");
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
        fill(out);
    else if (span_is(request, "write"))
        return write_much(err);
    else
        buf_printf(out, "%zu bytes: %.*s", request.len, (int)(request.len < 20 ? request.len : 20),
                   request.data);
    return 0;
}

// --- in the parent

static void says(const struct job *job, const char *wanted)
{
    if (!strstr(buf_text(&job->output), wanted))
        fail_msg("no \"%s\" in %s", wanted, buf_text(&job->output));
}

static void an_answer(void **state)
{
    JOB_AUTO job = job_of(*state);
    job_run(&job, "hello");
    assert_int_equal(job.result, 0);
    assert_string_equal(buf_text(&job.output), "5 bytes: hello");
    JOB_AUTO empty = job_of(*state);
    job_run(&empty, "");
    assert_string_equal(buf_text(&empty.output), "0 bytes: ");
}

static void a_refusal(void **state)
{
    JOB_AUTO job = job_of(*state);
    job_run(&job, "refuse");
    assert_int_equal(job.result, 1);
    assert_string_equal(buf_text(&job.output), "no, thank you"); // in its words, and only those
}

// What the function answers follows, where that is how it refuses, and there is room for both.
static void a_refusal_that_explains(void **state)
{
    static const char *const requests[] = {"refuse", "refuse much"};
    static const char *const outputs[] = {"no, thank you\nnot this", "no, thank you"};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        JOB_AUTO job = job_of(*state);
        struct process_spec spec = job_spec(&job, span_of(requests[i]));
        spec.function = "explain";
        job_start(&job, &spec, &job_events);
        job_wait(&job);
        assert_int_equal(job.result, 1);
        assert_string_equal(buf_text(&job.output), outputs[i]);
    }
}

static void a_crash(void **state)
{
    JOB_AUTO job = job_of(*state);
    job_run(&job, "crash");
    assert_int_equal(job.result, -ECHILD);
    assert_string_equal(job.err.text, "its process was stopped by signal 6 (Aborted), as when it "
                                      "needs more than 12 MiB of memory");
    JOB_AUTO status = job_of(*state);
    job_run(&status, "status");
    assert_int_equal(status.result, -ECHILD);
    assert_string_equal(status.err.text, "its process failed with status 9");
}

static void the_largest_request(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO job = job_of(world);
    char *bulk = malloc(PROCESS_INPUT_MAX + 1);
    memset(bulk, 'r', PROCESS_INPUT_MAX + 1);
    job_begin(&job, span_make(bulk, PROCESS_INPUT_MAX));
    job_wait(&job);
    assert_string_equal(buf_text(&job.output), "8388608 bytes: rrrrrrrrrrrrrrrrrrrr");
    struct error err = ERROR_INIT;
    process_id id = 77;
    struct process_spec spec = job_spec(&job, span_make(bulk, PROCESS_INPUT_MAX + 1));
    assert_int_equal(process_start(world->processes, &spec, &job_events, &job, &id, &err), -E2BIG);
    assert_string_equal(err.text, "the request is larger than 8 MiB");
    assert_true(id == 77);
    free(bulk);
}

static void too_much_output(void **state)
{
    JOB_AUTO whole = job_of(*state);
    job_run(&whole, "fill");
    assert_int_equal(whole.result, 0);
    assert_int_equal(whole.output.len, JOB_OUTPUT_MAX);
    JOB_AUTO job = job_of(*state);
    job_run(&job, "print");
    assert_int_equal(job.result, -EFBIG);
    assert_string_equal(job.err.text, "it answered with more than 256 KiB");
}

// What was cut must not pass for the whole.
static void too_much_for_its_buffer(void **state)
{
    JOB_AUTO job = job_of(*state);
    job_run(&job, "overfill");
    assert_int_equal(job.result, 1);
    assert_string_equal(buf_text(&job.output), "the answer is larger than 256 KiB");
}

static void too_much_written(void **state)
{
    JOB_AUTO job = job_of(*state);
    job_run(&job, "write");
    assert_int_equal(job.result, 1);
    says(&job, "cannot write much: File too large");
}

static void cancelling_kills(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO job = job_of(world);
    JOB_AUTO other = job_of(world);
    job_begin(&job, span_of("hang"));
    job_begin(&other, span_of("hello"));
    assert_true(job.id != other.id);
    loop_run_once(world->loop, 50);
    assert_true(process_cancel(world->processes, job.id));
    assert_false(process_cancel(world->processes, job.id)); // nobody's from then on
    process_cancel(world->processes, 0);
    process_cancel(world->processes, 999);
    job_wait(&other);
    loop_run_once(world->loop, 50);
    assert_int_equal(other.result, 0);
    assert_int_equal(job.dones, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // it is reaped already
}

static void cancelled_at_once(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO job = job_of(world);
    job_begin(&job, span_of("hello"));
    process_cancel(world->processes, job.id);
    loop_run_once(world->loop, 50);
    assert_int_equal(job.dones, 0);
}

static void destroyed_while_they_run(void **state)
{
    struct process_world *world = *state;
    struct job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = job_of(world);
        job_begin(&jobs[i], span_of(i % 2 ? "hang" : "hello"));
    }
    processes_destroy(world->processes);
    world->processes = NULL;
    loop_run_once(world->loop, 50);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jobs[i].dones, 0);
    processes_destroy(NULL);
}

static void many_at_once(void **state)
{
    struct process_world *world = *state;
    struct job jobs[MANY];
    char request[16];
    for (int i = 0; i < MANY; i++) {
        jobs[i] = job_of(world);
        snprintf(request, sizeof request, "number %d", i);
        job_begin(&jobs[i], span_of(request));
    }
    for (int i = 0; i < MANY; i++) {
        job_wait(&jobs[i]);
        snprintf(request, sizeof request, ": number %d", i);
        assert_int_equal(jobs[i].result, 0);
        assert_true(span_ends_with(buf_span(&jobs[i].output), request));
        job_finish(&jobs[i]);
    }
}

// The parent has everything that must not get through.
static void what_a_function_has(void **state)
{
    assert_true(environ && environ[0]);
    assert_int_equal(dup2(STDERR_FILENO, OUR_FD), OUR_FD); // not close-on-exec, as from our parent
    JOB_AUTO job = job_of(*state);
    job_run(&job, "tell");
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
    struct process_world *world = *state;
    JOB_AUTO job = job_of(world);
    job.directory = "/nowhere/at/all";
    job_run(&job, "hello");
    assert_int_equal(job.result, 1);
    says(&job, "cannot open /nowhere/at/all: No such file or directory");
}

// On a clock that jumps over the time that it has.
static void too_late(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct process_world world = {0};
    process_world_make(&world, fake_clock_init(&clock, 1000));
    JOB_AUTO job = job_of(&world);
    job_begin(&job, SPAN_LITERAL("hang"));
    for (int i = 0; i < LINGER_MS / 10; i++)
        loop_run_once(world.loop, 10);
    clock.now_ms += JOB_TIME_MAX_MS - 1;
    loop_run_once(world.loop, 0);
    assert_int_equal(job.dones, 0);
    clock.now_ms += 1;
    for (int i = 0; i < 100 && !job.dones; i++)
        loop_run_once(world.loop, 10);
    assert_int_equal(job.dones, 1);
    assert_int_equal(job.result, -ETIMEDOUT);
    assert_string_equal(job.err.text, "it took longer than 30 seconds and was stopped");
    process_world_remove(&world);
}

static void the_parent_dies(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        // The process's standard error is the pipe: end of file tells that it is gone.
        struct process_world world;
        struct job job = job_of(&world);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        process_world_make(&world, &clock_system);
        job_begin(&job, span_of("hang"));
        loop_run_once(world.loop, LINGER_MS); // by then it has asked to die with us
        (void)!write(STDERR_FILENO, "up", 2);
        for (;;)
            pause();
    }
    close(ends[1]);
    char said[256];
    assert_int_equal(read(ends[0], said, 2), 2);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    assert_int_equal(read(ends[0], said, sizeof said), -1); // the process is there
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

#define WORLD(name) \
    cmocka_unit_test_setup_teardown(name, process_world_set_up, process_world_tear_down)

int main(int argc, char **argv)
{
    PROCESS_WORLD_MAIN(argc, argv, work);
    const struct CMUnitTest tests[] = {
        WORLD(an_answer),
        WORLD(a_refusal),
        WORLD(a_refusal_that_explains),
        WORLD(a_crash),
        WORLD(the_largest_request),
        WORLD(too_much_output),
        WORLD(too_much_for_its_buffer),
        WORLD(too_much_written),
        WORLD(cancelling_kills),
        WORLD(cancelled_at_once),
        WORLD(destroyed_while_they_run),
        WORLD(many_at_once),
        WORLD(what_a_function_has),
        WORLD(a_directory_that_is_not_there),
        cmocka_unit_test(too_late),
        cmocka_unit_test(the_parent_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
