/*
 * Programs with arguments: what each descriptor may be, limits, and how they end. The program is
 * this one: started with a word, it does what that word says (see play()).
 */
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
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "loop/child.h"
#include "support/fake_clock.h"
#include "support/process_world.h"

enum {
    PATIENCE = 4000,    // passes of the loop, of a few milliseconds each
    OUTPUT_MAX = 65536, // bytes
    HEAP = 64 << 20,    // bytes that "fill" touches
    WALL_MS = 200,
    LEFT_S = 60, // what is left behind, should nobody kill it
};

// --- in the program

static _Noreturn void hang(void)
{
    for (;;)
        pause();
}

static void ready(void)
{
    (void)!write(STDOUT_FILENO, "!", 1);
}

static void copy(void)
{
    char chunk[4096];
    for (ssize_t n; (n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0;)
        fd_write_all(STDOUT_FILENO, chunk, (size_t)n);
}

static void flood(void)
{
    char chunk[4096] = {0};
    while (write(STDOUT_FILENO, chunk, sizeof chunk) > 0)
        ;
}

static void family(void)
{
    if (fork() == 0) { // and a child of that one, in a group of its own
        if (fork() == 0) {
            setpgid(0, 0);
            ready();
        }
        hang();
    }
    hang();
}

// All of it is resident: a limit of address space would not tell it from what is only reserved.
static void fill(void)
{
    char *heap = mmap(NULL, HEAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (heap == MAP_FAILED)
        _exit(3);
    memset(heap, 1, HEAP);
    ready();
    hang();
}

static void reserve(void)
{
    void *space = mmap(NULL, (size_t)HEAP << 8, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d\n", space != MAP_FAILED);
}

static void breed(void)
{
    for (int i = 0; i < 8; i++)
        if (fork() == 0)
            hang();
    ready();
    hang();
}

static void tell(void)
{
    char directory[256];
    struct rlimit cpu, size;
    struct sigaction pipe_action;
    int death = 0, count = 0;
    sigaction(SIGPIPE, NULL, &pipe_action);
    getrlimit(RLIMIT_CPU, &cpu);
    getrlimit(RLIMIT_FSIZE, &size);
    prctl(PR_GET_PDEATHSIG, &death);
    while (environ && environ[count])
        printf("env %s\n", environ[count++]);
    printf("directory %s\nvariables %d\ncpu %llu\nfile size %llu\ndeath signal %d\n"
           "no new privileges %d\nsession %d\nSIGPIPE %d\n",
           getcwd(directory, sizeof directory), count, (unsigned long long)cpu.rlim_cur,
           (unsigned long long)size.rlim_cur, death, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
           getsid(0) == getpid() && getpgrp() == getpid(), pipe_action.sa_handler == SIG_DFL);
}

// Says which, once that has a session of its own: until then it dies with the group.
static void leave_one_behind(void)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC) < 0)
        _exit(3);
    pid_t child = fork();
    if (child == 0) {
        setsid();
        alarm(LEFT_S);
        close(both[0]);
        close(both[1]);
        hang();
    }
    close(both[1]);
    (void)!read(both[0], &(char){0}, 1);
    printf("%d", child);
}

static int play(const char *word)
{
    static const struct {
        const char *word;
        void (*play)(void);
    } parts[] = {{"copy", copy}, {"flood", flood},     {"family", family},
                 {"fill", fill}, {"tell", tell},       {"breed", breed},
                 {"hang", hang}, {"reserve", reserve}, {"leave", leave_one_behind}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (strcmp(parts[i].word, word) == 0)
            parts[i].play();
    if (strcmp(word, "both") == 0) {
        printf("to the one");
        fprintf(stderr, "to the other");
    }
    fflush(stdout);
    return strcmp(word, "status") == 0 ? 77 : 0;
}

// --- in the parent

static char self[256];
static const char *words[3] = {self};

static struct process_spec program(const char *word)
{
    words[1] = word;
    return (struct process_spec){
        .argv = words,
        .directory = "/proc",
        .stdio = {[PROCESS_STDOUT] = {.kind = PROCESS_BUFFER, .max = OUTPUT_MAX},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
}

static void run(struct job *job, const struct process_spec *spec)
{
    job_start(job, spec, &job_events);
    job_wait(job);
    loop_run_once(job->world->loop, 5);
    assert_int_equal(job->dones, 1);
}

static void says(const struct job *job, const char *wanted)
{
    if (!strstr(buf_text(&job->output), wanted))
        fail_msg("no \"%s\" in %s", wanted, buf_text(&job->output));
}

static void streams(void *context, int which, struct span bytes)
{
    struct job *job = context;
    buf_append_span(which == PROCESS_STDOUT ? &job->output : &job->error_output, bytes);
}

static struct process_events streaming;

static void until_it_says(struct job *job, size_t bytes)
{
    for (int i = 0; i < PATIENCE && job->output.len < bytes; i++)
        process_world_pass(job->world, 1);
    assert_true(job->output.len >= bytes);
}

// Begins what says "!" when it is ready, and waits for that.
static void begin(struct job *job, struct process_spec spec)
{
    spec.stdio[PROCESS_STDOUT].kind = PROCESS_STREAM;
    job_start(job, &spec, &streaming);
    until_it_says(job, 1);
}

static void ends_by_itself(void **state)
{
    struct process_spec spec = program("status");
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_int_equal(job.result, 77);
    assert_true(WIFEXITED(job.status));
}

static void ends_by_a_signal(void **state)
{
    struct process_spec spec = program("hang");
    JOB_AUTO job = job_of(*state);
    job_start(&job, &spec, &job_events);
    kill(process_world_first_child(), SIGTERM);
    job_wait(&job);
    assert_int_equal(job.result, -ECHILD);
    assert_true(WIFSIGNALED(job.status) && WTERMSIG(job.status) == SIGTERM);
    assert_string_equal(job.err.text, "its process was stopped by signal 15 (Terminated)");
}

static void has_what_was_said_and_nothing_else(void **state)
{
    static const char *const environment[] = {"ONE=1", NULL};
    struct process_spec spec = program("tell");
    spec.environment = environment;
    spec.limits = (struct process_limits){.cpu_s = 7, .file_size = 4096};
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    says(&job, "env ONE=1\n");
    says(&job, "directory /proc\nvariables 1\ncpu 7\nfile size 4096\ndeath signal 9\n"
               "no new privileges 1\nsession 1\nSIGPIPE 1\n");
}

static void is_looked_up_in_its_path(void **state)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    static const char *const shell[] = {"sh",  "-c",  "printf %s,%s \"$0\" \"$1\"",
                                        "a b", "--c", NULL};
    struct process_spec spec = program("");
    spec.argv = shell;
    spec.environment = environment;
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_int_equal(job.result, 0);
    assert_string_equal(buf_text(&job.output), "a b,--c");
}

static void what_cannot_start_says_so(void **state)
{
    static const char *const absent[] = {"/nowhere/at/all", NULL};
    static const char *const directory[] = {"/proc", NULL};
    struct process_spec spec = program("");
    spec.stdio[PROCESS_STDERR] = (struct process_stdio){.kind = PROCESS_BUFFER, .max = OUTPUT_MAX};
    spec.argv = absent;
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_int_equal(job.result, 127);
    assert_string_equal(buf_text(&job.error_output),
                        "cannot start /nowhere/at/all: No such file or directory\n");
    JOB_AUTO other = job_of(*state);
    spec.argv = directory;
    run(&other, &spec);
    assert_int_equal(other.result, 126);
    JOB_AUTO nowhere = job_of(*state);
    spec.directory = "/nowhere";
    run(&nowhere, &spec);
    assert_int_equal(nowhere.result, 127);
    assert_string_equal(buf_text(&nowhere.error_output),
                        "cannot open /nowhere: No such file or directory\n");
    const char *many[PROCESS_WORDS_MAX + 2];
    for (size_t i = 0; i <= PROCESS_WORDS_MAX; i++)
        many[i] = "x";
    many[PROCESS_WORDS_MAX + 1] = NULL;
    spec.argv = many;
    struct error err = ERROR_INIT;
    process_id id = 0;
    assert_int_equal(process_start(job.world->processes, &spec, &job_events, &job, &id, &err),
                     -E2BIG);
    assert_true(id == 0);
}

static void input_and_outputs_that_are_nothing(void **state)
{
    struct process_spec spec = program("copy");
    JOB_AUTO job = job_of(*state);
    run(&job, &spec); // its input is at its end
    assert_int_equal(job.result, 0);
    assert_int_equal(job.output.len, 0);
    JOB_AUTO silent = job_of(*state);
    spec = program("both");
    memset(spec.stdio, 0, sizeof spec.stdio);
    run(&silent, &spec);
    assert_int_equal(silent.result, 0);
    assert_int_equal(silent.output.len + silent.error_output.len, 0);
}

static void buffers(void **state)
{
    struct process_spec spec = program("copy");
    spec.stdio[PROCESS_STDIN] =
        (struct process_stdio){.kind = PROCESS_BUFFER, .bytes = span_of("to be copied")};
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_string_equal(buf_text(&job.output), "to be copied");
    JOB_AUTO both = job_of(*state);
    spec = program("both");
    spec.stdio[PROCESS_STDERR] = (struct process_stdio){.kind = PROCESS_BUFFER, .max = OUTPUT_MAX};
    run(&both, &spec);
    assert_string_equal(buf_text(&both.output), "to the one");
    assert_string_equal(buf_text(&both.error_output), "to the other");
}

static void a_flood_is_stopped(void **state)
{
    struct process_spec spec = program("flood");
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_int_equal(job.result, -EFBIG);
    assert_string_equal(job.err.text, "it answered with more than 64 KiB");
    JOB_AUTO stream = job_of(*state);
    spec.stdio[PROCESS_STDOUT].kind = PROCESS_STREAM;
    spec.limits.output = OUTPUT_MAX;
    job_start(&stream, &spec, &streaming);
    job_wait(&stream);
    assert_int_equal(stream.result, -EFBIG);
    assert_string_equal(stream.err.text, "it wrote more than 64 KiB and was stopped");
    assert_true(stream.output.len <= OUTPUT_MAX);
}

static void late(void **state)
{
    struct process_spec spec = program("hang");
    spec.limits.wall_ms = WALL_MS;
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_int_equal(job.result, -ETIMEDOUT);
}

static void too_much_that_is_resident(void **state)
{
    struct process_spec spec = program("fill");
    spec.limits.memory = HEAP / 2;
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_int_equal(job.result, -ENOMEM);
    assert_string_equal(job.err.text, "it took more than 32 MiB of memory and was stopped");
    JOB_AUTO more = job_of(*state); // has as much as it may
    spec.limits.memory = 16 * (int64_t)HEAP;
    begin(&more, spec);
    process_world_pass(more.world, PATIENCE / 20);
    assert_int_equal(more.dones, 0);
    process_cancel(more.world->processes, more.id);
    JOB_AUTO reserved = job_of(*state); // address space is not memory
    spec = program("reserve");
    spec.limits.memory = 16 * (int64_t)HEAP;
    run(&reserved, &spec);
    says(&reserved, "1\n");
}

// Of several programs that share a limit the largest is stopped.
static void too_much_of_all(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO first = job_of(world);
    JOB_AUTO second = job_of(world);
    JOB_AUTO third = job_of(world);
    begin(&third, program("fill")); // has no part in it
    assert_int_equal(processes_memory(world->processes), 0);
    struct process_spec spec = program("hang");
    spec.limits.all_memory = HEAP / 2;
    job_start(&first, &spec, &job_events);
    spec = program("fill");
    spec.limits.all_memory = HEAP / 2;
    run(&second, &spec);
    assert_int_equal(second.result, -ENOMEM);
    assert_string_equal(second.err.text, "it and others took more than 32 MiB of memory together, "
                                         "and it the most: it was stopped");
    process_world_pass(world, PATIENCE / 20);
    assert_int_equal(first.dones + third.dones, 0);
    assert_in_range(processes_memory(world->processes), 1, HEAP / 2);
    process_cancel(world->processes, first.id);
    process_cancel(world->processes, third.id);
    assert_int_equal(processes_memory(world->processes), 0);
}

static void too_many_processes(void **state)
{
    struct process_spec spec = program("breed");
    spec.limits.processes = 4;
    JOB_AUTO job = job_of(*state);
    run(&job, &spec);
    assert_int_equal(job.result, -EAGAIN);
    assert_string_equal(job.err.text, "it ran more than 4 processes at once and was stopped");
}

static size_t those_of_session(pid_t session)
{
    size_t count = 0;
    uint64_t pid;
    DIRECTORY_AUTO *proc = opendir("/proc");
    for (const struct dirent *entry; (entry = readdir(proc));)
        count += span_to_u64(span_of(entry->d_name), &pid) && getsid((pid_t)pid) == session;
    return count;
}

// The whole family, and nobody waits for it: the id is dead, the process may take its time.
static void cancelled_with_its_family(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO job = job_of(world);
    begin(&job, program("family"));
    pid_t leader = process_world_first_child();
    assert_int_equal(those_of_session(leader), 3);
    assert_true(process_cancel(world->processes, job.id));
    assert_false(process_cancel(world->processes, job.id));
    assert_int_equal(process_write(world->processes, job.id, span_of("x")), -EPIPE);
    for (int i = 0; i < PATIENCE && those_of_session(leader); i++)
        process_world_pass(world, 1);
    assert_int_equal(those_of_session(leader), 0);
    assert_int_equal(job.dones, 0);
}

static void cancelled_at_once(void **state)
{
    struct process_world *world = *state;
    struct process_spec spec = program("flood");
    JOB_AUTO job = job_of(world);
    job_start(&job, &spec, &job_events);
    assert_true(process_cancel(world->processes, job.id)); // a program begins at once
    process_world_pass(world, 10);
    assert_int_equal(job.dones, 0);
}

static void cancels_itself(void *context, int which, struct span bytes)
{
    struct job *job = context;
    (void)which, (void)bytes;
    assert_true(process_cancel(job->world->processes, job->id));
    job->place = 1;
}

static void cancelled_from_its_own_output(void **state)
{
    struct process_events events = {.on_end = job_events.on_end, .on_output = cancels_itself};
    struct process_spec spec = program("flood");
    spec.stdio[PROCESS_STDOUT].kind = PROCESS_STREAM;
    JOB_AUTO job = job_of(*state);
    job_start(&job, &spec, &events);
    for (int i = 0; i < PATIENCE && !job.place; i++)
        process_world_pass(job.world, 1);
    process_world_pass(job.world, 10);
    assert_int_equal(job.place, 1);
    assert_int_equal(job.dones, 0);
}

// It has exited, and nobody has looked yet.
static void cancelled_when_it_is_dead(void **state)
{
    struct process_spec spec = program("status");
    JOB_AUTO job = job_of(*state);
    job_start(&job, &spec, &job_events);
    siginfo_t info;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
    assert_true(process_cancel(job.world->processes, job.id));
    process_world_pass(job.world, 10);
    assert_int_equal(job.dones, 0);
}

// What it left in a session of its own holds its output open, and nobody reads on for ever.
static void leaves_its_output_open(void **state)
{
    (void)state;
    struct fake_clock clock;
    struct process_world world = {0};
    process_world_make(&world, fake_clock_init(&clock, 1000));
    struct process_spec spec = program("leave");
    spec.limits.wall_ms = 2 * PROCESS_DEATH_MAX_MS;
    JOB_AUTO job = job_of(&world);
    job_start(&job, &spec, &job_events);
    siginfo_t info;
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
    while (child_is_ours(info.si_pid)) // its end is an event that has happened
        process_world_pass(&world, 1);
    process_world_pass(&world, 5);
    assert_int_equal(job.dones, 0);
    clock.now_ms += PROCESS_DEATH_MAX_MS;
    job_wait(&job);
    assert_int_equal(job.result, 0);
    uint64_t left = 0;
    assert_true(span_to_u64(buf_span(&job.output), &left));
    assert_int_equal(kill((pid_t)left, SIGKILL), 0);
    process_world_remove(&world);
}

// Those included that left its group: nobody looks at them later.
static void ends_with_its_world(void **state)
{
    struct process_world *world = *state;
    JOB_AUTO job = job_of(world);
    begin(&job, program("family"));
    pid_t leader = process_world_first_child();
    assert_int_equal(those_of_session(leader), 3);
    processes_destroy(world->processes);
    world->processes = NULL;
    for (int i = 0; i < PATIENCE && those_of_session(leader); i++)
        process_world_pass(world, 1);
    assert_int_equal(those_of_session(leader), 0);
    assert_int_equal(job.dones, 0);
}

#define WORLD(name) \
    cmocka_unit_test_setup_teardown(name, process_world_set_up, process_world_tear_down)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, NULL, 0);
    if (argc > 1)
        return play(argv[1]);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 1;
    streaming = (struct process_events){.on_end = job_events.on_end, .on_output = streams};
    const struct CMUnitTest tests[] = {
        WORLD(ends_by_itself),
        WORLD(ends_by_a_signal),
        WORLD(has_what_was_said_and_nothing_else),
        WORLD(is_looked_up_in_its_path),
        WORLD(what_cannot_start_says_so),
        WORLD(input_and_outputs_that_are_nothing),
        WORLD(buffers),
        WORLD(a_flood_is_stopped),
        WORLD(late),
        WORLD(too_much_that_is_resident),
        WORLD(too_much_of_all),
        WORLD(too_many_processes),
        WORLD(cancelled_with_its_family),
        WORLD(cancelled_at_once),
        WORLD(cancelled_from_its_own_output),
        WORLD(cancelled_when_it_is_dead),
        cmocka_unit_test(leaves_its_output_open),
        WORLD(ends_with_its_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
