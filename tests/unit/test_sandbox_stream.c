/*
 * A process that is talked with in both directions, as a server behind its standard input and
 * output is: an hour of requests, those that nobody reads, and answers that nobody wants yet. The
 * process is this program, which gives back what it gets.
 */
#include <assert.h>
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
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "support/fake_clock.h"
#include "support/process_world.h"

enum {
    PATIENCE = 4000, // passes of the loop, of a few milliseconds each
    ROOM = 64 * 1024,
    MESSAGES = 2000,
    HOUR_MS = 60 * 60 * 1000,
    BULK = 4 << 20, // bytes that are more than pipes and buffers hold
    MESSAGE_MAX = 64,
};

// --- in the process

static int play(const char *word)
{
    if (strcmp(word, "deaf") == 0) {
        (void)!write(STDOUT_FILENO, "!", 1);
        for (;;)
            pause();
    }
    if (strcmp(word, "shut") == 0) { // reads no more, and lives on
        close(STDIN_FILENO);
        (void)!write(STDOUT_FILENO, "!", 1);
        for (;;)
            pause();
    }
    bool loud = strcmp(word, "loud") == 0, stubborn = strcmp(word, "stubborn") == 0;
    if (stubborn)
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    char chunk[16 * 1024];
    for (ssize_t n; (n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0;)
        if (fd_write_all(STDOUT_FILENO, chunk, (size_t)n) < 0)
            return 1;
    for (size_t left = BULK; loud && left; left -= sizeof chunk)
        if (fd_write_all(STDOUT_FILENO, chunk, sizeof chunk) < 0)
            return 1;
    while (stubborn || strcmp(word, "slow") == 0)
        pause();
    return 0;
}

static int echo(int directory_fd, struct span none, struct buf *out, struct error *err)
{
    assert(none.len == 0);
    return play("echo");
}

static const struct process_function echo_function = {
    .name = "echo", .run = echo, .answer_max = 64, .streams = true};

// --- in the parent

struct talk {
    struct process_world world;
    struct fake_clock clock;
    struct job job; // the context of all callbacks
    unsigned rooms; // how often there was some again
};

static char self[256];
static struct talk talk;

static void on_output(void *context, int which, struct span bytes)
{
    struct job *job = context;
    buf_append_span(which == PROCESS_STDOUT ? &job->output : &job->error_output, bytes);
}

static void on_room(void *context)
{
    (void)context;
    talk.rooms++;
}

static void begin(const char *word)
{
    const char *words[] = {self, word, NULL};
    struct process_spec spec = {
        .argv = words,
        .directory = "/",
        .limits = {.memory = INT64_C(1) << 40},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_STREAM, .max = ROOM},
                  [PROCESS_STDOUT] = {.kind = PROCESS_STREAM},
                  [PROCESS_STDERR] = {.kind = PROCESS_STREAM}},
    };
    struct process_events events = {job_events.on_end, on_output, on_room};
    memset(&talk, 0, sizeof talk);
    process_world_make(&talk.world, fake_clock_init(&talk.clock, 1000));
    talk.job = job_of(&talk.world);
    talk.job.output.max = BULK + ROOM;
    job_start(&talk.job, &spec, &events);
}

static void end(void)
{
    job_finish(&talk.job);
    process_world_remove(&talk.world);
}

static ssize_t say(struct span bytes)
{
    return process_write(talk.world.processes, talk.job.id, bytes);
}

static void until_it_said(size_t bytes)
{
    for (int i = 0; i < PATIENCE && talk.job.output.len < bytes; i++)
        process_world_pass(&talk.world, 1);
    assert_true(talk.job.output.len >= bytes);
}

static void until_it_ends(void)
{
    for (int i = 0; i < PATIENCE && !talk.job.dones; i++)
        process_world_pass(&talk.world, 1);
    assert_int_equal(talk.job.dones, 1);
}

static int64_t resident_kib(void)
{
    BUF_AUTO text = BUF_INIT(64 * 1024);
    assert_int_equal(fd_read_file("/proc/self/status", &text, NULL), 0);
    const char *line = strstr(buf_text(&text), "VmRSS:");
    struct span rest = span_trim(span_of(line ? line + 6 : ""));
    int64_t kib = 0;
    assert_true(span_to_i64(span_cut(&rest, ' '), &kib));
    return kib;
}

static size_t open_files(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void an_hour(void **state)
{
    (void)state;
    begin("echo");
    int64_t resident = 0;
    size_t files = 0;
    char message[MESSAGE_MAX];
    for (int i = 0; i < MESSAGES; i++) {
        int len =
            snprintf(message, sizeof message, "{\"id\": %d, \"method\": \"tools/call\"}\n", i);
        assert_int_equal(say(span_make(message, (size_t)len)), len);
        until_it_said((size_t)len);
        assert_int_equal(talk.job.output.len, len);
        assert_memory_equal(talk.job.output.data, message, (size_t)len);
        buf_clear(&talk.job.output);
        talk.clock.now_ms += HOUR_MS / MESSAGES;
        if (i == MESSAGES / 10) {
            resident = resident_kib();
            files = open_files();
        }
    }
    assert_true(open_files() <= files + 1); // /proc, which is looked at now and then
#ifndef __SANITIZE_ADDRESS__                // whose quarantine is what grows
    assert_true(resident_kib() <= resident + 64);
#else
    (void)resident;
#endif
    assert_int_equal(talk.job.dones, 0);
    kill(process_world_first_child(), SIGTERM);
    until_it_ends();
    assert_int_equal(talk.job.result, -ECHILD);
    assert_true(talk.job.ms >= HOUR_MS);
    end();
}

// More than fits, in pieces as there is room for them; all of it comes back in its order.
static void much_in_both_directions(void **state)
{
    (void)state;
    begin("echo");
    CLEANUP(mem_cleanup) char *bulk = mem_zalloc(BULK);
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (char)(i * 2654435761u >> 24);
    size_t said = 0;
    unsigned rooms = 0;
    assert_int_equal(say(span_make(bulk, ROOM)), ROOM); // full: not one byte more is taken,
    assert_int_equal(say(span_make(bulk, 1)), 0);
    assert_int_equal(say(span_make(bulk, 0)), 0); // and asking for nothing forgets nobody
    said = ROOM;
    for (int i = 0; i < 10 * PATIENCE && talk.job.output.len < BULK; i++) {
        if (said < BULK && talk.rooms > rooms) {
            rooms = talk.rooms;
            ssize_t n = say(span_make(bulk + said, BULK - said));
            assert_true(n >= 0 && n <= ROOM);
            said += (size_t)n;
        }
        loop_run_once(talk.world.loop, 5);
    }
    assert_true(said == BULK && talk.rooms > BULK / ROOM / 2);
    assert_int_equal(talk.job.output.len, BULK);
    assert_memory_equal(talk.job.output.data, bulk, BULK);
    process_cancel(talk.world.processes, talk.job.id);
    end();
}

// Only so much is kept for it, and it can be cancelled like any other.
static void input_that_nobody_reads(void **state)
{
    (void)state;
    begin("deaf");
    until_it_said(1);
    CLEANUP(mem_cleanup) char *bulk = mem_zalloc(BULK);
    size_t said = 0;
    for (int i = 0; i < 100; i++) {
        ssize_t n = say(span_make(bulk, BULK));
        assert_true(n >= 0);
        said += (size_t)n;
        process_world_pass(&talk.world, 1);
    }
    assert_true(said >= ROOM && said <= 4 * ROOM); // ours and the pipe's
    unsigned rooms = talk.rooms;
    process_world_pass(&talk.world, 20);
    assert_int_equal(talk.rooms, rooms);
    process_cancel(talk.world.processes, talk.job.id);
    assert_int_equal(say(span_of("x")), -EPIPE);
    process_world_pass(&talk.world, 20);
    assert_int_equal(talk.job.dones, 0);
    end();
}

static void input_that_was_closed(void **state)
{
    (void)state;
    begin("shut");
    until_it_said(1);
    ssize_t n = 0;
    for (int i = 0; i < PATIENCE && n >= 0; i++) {
        n = say(span_of("x"));
        process_world_pass(&talk.world, 1);
    }
    assert_int_equal(n, -EPIPE);
    assert_int_equal(talk.job.dones, 0); // it lives on
    process_cancel(talk.world.processes, talk.job.id);
    end();
}

// What was taken before is read before the end.
static void input_that_ends(void **state)
{
    begin("echo");
    assert_int_equal(say(span_of("text")), 4);
    process_end_input(talk.world.processes, talk.job.id);
    assert_int_equal(say(span_of("more")), -EPIPE);
    until_it_ends();
    assert_int_equal(talk.job.result, 0);
    assert_string_equal(buf_text(&talk.job.output), "text");
    end();
}

static void outputs_that_are_held(void **state)
{
    enum { A_WHILE = 60 }; // passes
    begin("echo");
    assert_int_equal(say(span_of("first")), 5);
    until_it_said(5);
    process_hold(talk.world.processes, talk.job.id, true);
    assert_int_equal(say(span_of("second")), 6);
    process_world_pass(&talk.world, A_WHILE);
    assert_int_equal(talk.job.output.len, 5);
    process_hold(talk.world.processes, talk.job.id, false);
    process_hold(talk.world.processes, talk.job.id, false); // which it was
    until_it_said(11);
    process_cancel(talk.world.processes, talk.job.id);
    process_hold(talk.world.processes, talk.job.id, true); // nobody
    end();
}

// It has exited and nobody takes what is in its outputs yet: that is not lost soon.
static void a_held_one_that_exits(void **state)
{
    begin("echo");
    assert_int_equal(say(span_of("first")), 5);
    until_it_said(5);
    process_hold(talk.world.processes, talk.job.id, true);
    assert_int_equal(say(span_of("second")), 6);
    process_end_input(talk.world.processes, talk.job.id);
    pid_t pid = process_world_first_child();
    for (int i = 0; i < PATIENCE && kill(pid, 0) == 0; i++)
        process_world_pass(&talk.world, 1);
    talk.clock.now_ms += PROCESS_HELD_MAX_MS - 1;
    process_world_pass(&talk.world, 5);
    assert_int_equal(talk.job.dones, 0);
    process_hold(talk.world.processes, talk.job.id, false);
    until_it_ends();
    assert_string_equal(buf_text(&talk.job.output), "firstsecond");
    end();
}

// Nobody ever takes it.
static void a_held_one_that_is_forgotten(void **state)
{
    begin("echo");
    process_hold(talk.world.processes, talk.job.id, true);
    assert_int_equal(say(span_of("lost")), 4);
    process_end_input(talk.world.processes, talk.job.id);
    pid_t pid = process_world_first_child();
    for (int i = 0; i < PATIENCE && kill(pid, 0) == 0; i++)
        process_world_pass(&talk.world, 1);
    talk.clock.now_ms += PROCESS_HELD_MAX_MS;
    until_it_ends();
    assert_int_equal(talk.job.result, 0);
    assert_int_equal(talk.job.output.len, 0);
    end();
}

// It has to wait for its turn, and what is written meanwhile waits with it.
static void a_function_that_streams(void **state)
{
    struct process_spec spec = {
        .function = echo_function.name,
        .directory = "/",
        .limits = {.memory = JOB_MEMORY},
        .stdio = {[PROCESS_STDIN] = {.kind = PROCESS_STREAM, .max = ROOM},
                  [PROCESS_STDOUT] = {.kind = PROCESS_STREAM},
                  [PROCESS_STDERR] = {.kind = PROCESS_INHERIT}},
    };
    struct process_events events = {job_events.on_end, on_output, on_room};
    memset(&talk, 0, sizeof talk);
    process_world_make(&talk.world, fake_clock_init(&talk.clock, 1000));
    talk.job = job_of(&talk.world);
    job_start(&talk.job, &spec, &events);
    CLEANUP(mem_cleanup) char *bulk = mem_zalloc(ROOM);
    assert_int_equal(say(span_make(bulk, ROOM)), ROOM);
    assert_int_equal(say(span_of("x")), 0);
    process_end_input(talk.world.processes, talk.job.id);
    until_it_ends();
    assert_int_equal(talk.job.result, 0);
    assert_int_equal(talk.job.output.len, ROOM);
    assert_int_equal(talk.rooms, 1);
    end();
}

// It is there until then, on the test's clock, and then no more.
static void leaves(const char *word, int64_t after_ms)
{
    enum { PATIENCE_MS = 2000, A_WHILE = 40 };
    begin(word);
    assert_int_equal(say(span_of("text")), 4);
    until_it_said(4);
    assert_int_equal(say(span_of("read before the end")), 19);
    pid_t pid = process_world_first_child();
    process_leave(talk.world.processes, talk.job.id, PATIENCE_MS);
    process_leave(talk.world.processes, talk.job.id, PATIENCE_MS); // nobody
    assert_int_equal(say(span_of("x")), -EPIPE);
    for (int64_t ms = 0; ms < after_ms; ms += PATIENCE_MS) {
        talk.clock.now_ms += PATIENCE_MS - 1;
        process_world_pass(&talk.world, A_WHILE);
        assert_int_equal(kill(pid, 0), 0);
        talk.clock.now_ms += 1;
        process_world_pass(&talk.world, 1);
    }
    for (int i = 0; i < PATIENCE && kill(pid, 0) == 0; i++)
        process_world_pass(&talk.world, 1);
    if (kill(pid, 0) == 0)
        fail_msg("it is still there: %s", word);
    assert_int_equal(talk.job.dones, 0);
    assert_int_equal(talk.job.output.len, 4);
    end();
}

static void one_that_leaves(void **state)
{
    leaves("echo", 0); // at the end of its input
    leaves("loud", 0); // which nobody reads
    leaves("slow", 2000);
    leaves("stubborn", 4000);
    begin("stubborn");
    process_leave(talk.world.processes, talk.job.id, 2000);
    end(); // with all others
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &echo_function, 1);
    if (argc > 1)
        return play(argv[1]);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_hour),
        cmocka_unit_test(much_in_both_directions),
        cmocka_unit_test(input_that_nobody_reads),
        cmocka_unit_test(input_that_was_closed),
        cmocka_unit_test(input_that_ends),
        cmocka_unit_test(outputs_that_are_held),
        cmocka_unit_test(a_held_one_that_exits),
        cmocka_unit_test(a_held_one_that_is_forgotten),
        cmocka_unit_test(a_function_that_streams),
        cmocka_unit_test(one_that_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
