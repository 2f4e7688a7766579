/*
 * Programs as there are: polite ones, and those that exit on the first message, print banners, read
 * nothing, die, or do not want to. Each is a line of sh or Python.
 */
#include <errno.h>
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

#include "base/mem.h"
#include "mcp/rpc.h"
#include "support/fake_clock.h"
#include "support/mcp_record.h"
#include "support/process_world.h"

#define ANSWER(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{}}"
#define ASK(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"x\"}"

enum { LARGE = 8 << 20, A_WHILE = 60 };

static struct process_world world;
static struct fake_clock fake;

static int set_up(void **state)
{
    process_world_make(&world, fake_clock_init(&fake, 1000));
    return 0;
}

static int tear_down(void **state)
{
    process_world_remove(&world);
    return 0;
}

static void start(struct mcp_record *record, const char *const *argv)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "GIVEN=yes", NULL};
    const struct mcp_program program = {.argv = argv, .environment = environment, .directory = "/"};
    struct error err = ERROR_INIT;
    *record = mcp_record_of(world.loop);
    if (mcp_stdio_create(world.loop, world.processes, &program, &mcp_record_events, record,
                         &record->transport, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(record->events, 0);
}

static void run(struct mcp_record *record, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    start(record, argv);
}

static void python(struct mcp_record *record, const char *script)
{
    const char *const argv[] = {"python3", "-c", script, NULL};
    start(record, argv);
}

static void send(struct mcp_record *record, const char *text, uint64_t request)
{
    struct error err = ERROR_INIT;
    if (mcp_record_send(record, text, request, &err) != 0)
        fail_msg("%s", err.text);
}

static void until_gone(pid_t pid)
{
    for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++)
        process_world_pass(&world, 1);
    assert_true(kill(pid, 0) < 0);
}

static pid_t pid_said(const struct mcp_record *record)
{
    struct span rest = buf_span(&record->log);
    uint64_t pid = 0;
    span_cut(&rest, '[');
    assert_true(span_to_u64(span_cut(&rest, ']'), &pid));
    return (pid_t)pid;
}

static void messages_both_ways(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "exec cat");
    send(&record, ANSWER("1"), 0);
    send(&record, "{\n\"a\":\n1}", 0); // as a model writes its arguments
    mcp_record_until(&record, &record.messages, 2);
    mcp_record_says(&record, "message 0 " ANSWER("1") "\nmessage 0 { \"a\": 1}\n");
    assert_string_equal(mcp_transport_notes(record.transport), "");
    mcp_transport_set_version(record.transport, "2026-07-28", true); // nothing, for a program
    mcp_transport_listen(record.transport);
    mcp_transport_set_headers(record.transport, NULL);
}

// As rmcp's servers do, asked for something they have not heard of.
static void exits_on_the_first_message(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "read -r line; echo 'no such method' >&2; exit 3");
    send(&record, ASK("1"), 1);
    send(&record, ASK("2"), 2);
    send(&record, ASK("3"), 3);
    mcp_transport_abandon(record.transport, 2);
    mcp_record_until(&record, &record.closes, 1);
    mcp_record_says(&record, "failure 1 cut 0 its program ended with status 3\n"
                             "failure 3 cut 0 its program ended with status 3\n"
                             "closed its program ended with status 3\n");
    assert_string_equal(mcp_transport_notes(record.transport), "no such method");
    struct error err = ERROR_INIT;
    assert_int_equal(mcp_record_send(&record, ASK("4"), 4, &err), -EPIPE);
    assert_string_equal(err.text, "its program has ended");
}

static void is_not_there(void **state)
{
    static const char *const argv[] = {"no-such-program", NULL};
    MCP_RECORD_AUTO record;
    start(&record, argv);
    mcp_record_until(&record, &record.closes, 1);
    mcp_record_says(&record, "closed its program ended with status 127\n");
    assert_string_equal(mcp_transport_notes(record.transport),
                        "cannot start no-such-program: No such file or directory");
}

static void an_answer_ends_what_waited_for_it(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "read -r a; read -r b; echo '" ANSWER("1") "'; kill -9 $$");
    send(&record, ASK("1"), 1);
    send(&record, ASK("2"), 2);
    mcp_record_until(&record, &record.closes, 1);
    mcp_record_says(
        &record,
        "message 0 " ANSWER("1") "\n"
                                 "failure 2 cut 0 its process was stopped by signal 9 (Killed)\n"
                                 "closed its process was stopped by signal 9 (Killed)\n");
}

static void says_nothing(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "exec cat >/dev/null");
    send(&record, ASK("1"), 1);
    process_world_pass(&world, A_WHILE);
    assert_int_equal(record.events, 0);
    pid_t pid = process_world_first_child();
    mcp_transport_destroy(record.transport);
    record.transport = NULL;
    until_gone(pid); // it reads the end of its input: no time passes
    assert_int_equal(record.events, 0);
}

static void banners(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "echo '[dotenv@17.2.3] injecting env (0) from .env'; echo; echo '{ not: json'; "
                 "echo 42; echo '\"text\"'; echo null; printf '\\033[1mbold\\n'; "
                 "printf '" ANSWER("1") "\\r\\n'; printf '  [1]  \\n'; printf 'a\\0b\\n'; "
                                        "printf '{\"a\":\"\\0\"}\\n'; printf '" ANSWER("2") "'");
    mcp_record_until(&record, &record.closes, 1);
    mcp_record_says(&record, "message 0 " ANSWER("1") "\nmessage 0 [1]\nmessage 0 " ANSWER("2") //
                    "\nclosed its program ended with status 0\n");
    assert_string_equal(mcp_transport_notes(record.transport),
                        "\"[dotenv@17.2.3] injecting env (0) from .env\" (which is no JSON)");
}

static void megabytes_on_one_line(void **state)
{
    MCP_RECORD_AUTO record;
    python(&record,
           "import sys; sys.stdout.write('[\"' + 'x' * (8 << 20) + '\"]\\n' * 1 + '[2]\\n')");
    mcp_record_until(&record, &record.closes, 1);
    assert_int_equal(record.longest, LARGE + 4);
    mcp_record_holds(&record, "message 0 8388612 bytes\nmessage 0 [2]\n");
}

static void a_line_without_end(void **state)
{
    MCP_RECORD_AUTO record;
    python(&record, "import sys\nwhile True: sys.stdout.write('x' * 65536)");
    send(&record, ASK("7"), 7);
    pid_t pid = process_world_first_child();
    mcp_record_until(&record, &record.closes, 1);
    mcp_record_says(&record,
                    "failure 7 cut 0 it wrote a message of more than 16 MiB and was stopped\n"
                    "closed it wrote a message of more than 16 MiB and was stopped\n");
    until_gone(pid);
    process_world_pass(&world, A_WHILE);
    assert_int_equal(record.closes, 1);
}

static void never_reads(void **state)
{
    enum { MESSAGE = 1 << 20 };
    MCP_RECORD_AUTO record;
    CLEANUP(mem_cleanup) char *text = mem_zalloc(MESSAGE + 1);
    memset(text, 'x', MESSAGE);
    struct error err = ERROR_INIT;
    run(&record, "echo '[1]'; exec sleep 1000");
    mcp_record_until(&record, &record.messages, 1);
    int taken = 0;
    while (taken < 100 && mcp_record_send(&record, text, 0, &err) == 0) {
        process_world_pass(&world, 1);
        taken++;
    }
    assert_true(taken >= MCP_WAITING_MAX / MESSAGE && taken <= MCP_WAITING_MAX / MESSAGE + 2);
    assert_int_equal(err.code, -EAGAIN);
    assert_string_equal(err.text, "its program does not read what it is sent, and 8 MiB wait");
    pid_t pid = process_world_first_child();
    mcp_transport_destroy(record.transport);
    record.transport = NULL;
    process_world_pass(&world, A_WHILE);
    assert_int_equal(kill(pid, 0), 0);
    fake.now_ms += MCP_LEAVE_MS; // SIGTERM
    until_gone(pid);
}

// Slowly, and so as to see each message whole.
static void reads_late(void **state)
{
    enum { MESSAGE = 1 << 20, COUNT = 20 };
    MCP_RECORD_AUTO record;
    CLEANUP(mem_cleanup) char *text = mem_zalloc(MESSAGE + 1);
    memset(text, ' ', MESSAGE);
    memcpy(text, "[\"", 2);
    memcpy(text + MESSAGE - 2, "\"]", 2);
    run(&record, "sleep 0.3; exec cat");
    int taken = 0;
    for (int i = 0; i < 4000 && taken < COUNT; i++) {
        taken += mcp_record_send(&record, text, 0, NULL) == 0;
        process_world_pass(&world, 1);
    }
    assert_int_equal(taken, COUNT);
    mcp_record_until(&record, &record.messages, COUNT);
    assert_int_equal(record.longest, MESSAGE);
    assert_string_equal(mcp_transport_notes(record.transport), "");
    CLEANUP(mem_cleanup) char *huge = mem_zalloc(MCP_WAITING_MAX + 1);
    memset(huge, 'x', MCP_WAITING_MAX);
    struct error err;
    assert_int_equal(mcp_record_send(&record, huge, 0, &err), -E2BIG);
}

static void closes_its_input(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "exec <&-; echo '[1]'; exec sleep 1000");
    mcp_record_until(&record, &record.messages, 1);
    int r = 0;
    struct error err = ERROR_INIT;
    for (int i = 0; i < 100 && r == 0; i++) {
        r = mcp_record_send(&record, "[]", 0, &err);
        process_world_pass(&world, 1);
    }
    assert_int_equal(r, -EPIPE);
    assert_string_equal(err.text, "its program reads no more");
    assert_int_equal(record.closes, 0);
}

static void does_not_want_to_leave(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "trap '' TERM; echo \"[$$]\"; while :; do sleep 0.05; done");
    mcp_record_until(&record, &record.messages, 1);
    pid_t pid = pid_said(&record);
    mcp_transport_destroy(record.transport);
    record.transport = NULL;
    for (int step = 0; step < 2; step++) {
        process_world_pass(&world, A_WHILE);
        assert_int_equal(kill(pid, 0), 0);
        fake.now_ms += MCP_LEAVE_MS;
    }
    until_gone(pid);
}

static void talks_to_its_stderr_for_ever(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "yes 'a line that nobody reads' >&2 & exec cat");
    for (unsigned i = 1; i <= 20; i++) {
        send(&record, ANSWER("1"), 0);
        mcp_record_until(&record, &record.messages, i);
    }
    for (int i = 0; i < 200; i++)
        loop_run_once(world.loop, 5);
    size_t len = strlen(mcp_transport_notes(record.transport));
    assert_true(len > MCP_NOTES_MAX - 100 && len <= MCP_NOTES_MAX);
    assert_non_null(strstr(mcp_transport_notes(record.transport), "that nobody reads a line"));
}

static void has_its_environment_and_nothing_else(void **state)
{
    static const char *const argv[] = {"cat", "/proc/self/environ", NULL}; // looked up in its PATH
    MCP_RECORD_AUTO record;
    start(&record, argv);
    mcp_record_until(&record, &record.closes, 1);
    assert_string_equal(mcp_transport_notes(record.transport),
                        "\"PATH=/usr/bin:/bin GIVEN=yes \" (which is no JSON)");
}

static void has_a_group_that_goes_with_it(void **state)
{
    MCP_RECORD_AUTO record;
    run(&record, "sleep 1000 & echo \"[$!]\"; exec cat");
    mcp_record_until(&record, &record.messages, 1);
    pid_t grandchild = pid_said(&record), pid = process_world_first_child();
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(getsid(pid), pid);
    assert_int_equal(getpgid(grandchild), pid);
    mcp_transport_destroy(record.transport);
    record.transport = NULL;
    until_gone(pid);
    until_gone(grandchild);
}

static void is_destroyed_in_every_event(void **state)
{
    for (enum mcp_place place = MCP_IN_MESSAGE; place <= MCP_IN_CLOSED; place++) {
        MCP_RECORD_AUTO record;
        run(&record, "echo '[1]'; echo '[2]'; read -r line; printf '[3]'");
        record.destroy_in = place;
        send(&record, ASK("1"), 1);
        send(&record, ASK("2"), 2);
        for (int i = 0; i < 2000 && record.transport; i++)
            process_world_pass(&world, 1);
        assert_null(record.transport);
        process_world_pass(&world, A_WHILE);
        assert_int_equal(record.messages, place == MCP_IN_MESSAGE ? 1 : 3);
        assert_int_equal(record.failures, (int)place - 1);
        assert_int_equal(record.closes, place == MCP_IN_CLOSED);
    }
}

static int no_function(int directory_fd, struct span input, struct buf *out, struct error *err)
{
    return 0;
}

int main(int argc, char **argv)
{
    PROCESS_WORLD_MAIN(argc, argv, no_function);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    static char secret[] = "SECRET=key", *environment[] = {secret, NULL};
    environ = environment;
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(messages_both_ways),
        T(exits_on_the_first_message),
        T(is_not_there),
        T(an_answer_ends_what_waited_for_it),
        T(says_nothing),
        T(banners),
        T(megabytes_on_one_line),
        T(a_line_without_end),
        T(never_reads),
        T(reads_late),
        T(closes_its_input),
        T(does_not_want_to_leave),
        T(talks_to_its_stderr_for_ever),
        T(has_its_environment_and_nothing_else),
        T(has_a_group_that_goes_with_it),
        T(is_destroyed_in_every_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
