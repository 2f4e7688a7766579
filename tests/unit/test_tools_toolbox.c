#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "codec/utf8.h"
#include "loop/loop.h"
#include "sandbox/process.h"
#include "store/store.h"
#include "support/store_fixture.h"
#include "support/tool_world.h"
#include "tools/options.h"
#include "tools/tool_process.h"
#include "tools/toolbox.h"

/*
 * The toolbox with everything real: this program is its own tool process, and the store is one in a
 * directory.
 */
enum { PATIENCE = 3000 }; // passes of the loop, of a few milliseconds each

static struct tool_world world;
static char home[FIXTURE_PATH_MAX];
static struct loop *loop;
static struct processes *processes;
static struct store *store;
static struct toolbox *toolbox;

static int64_t fixed_wall(void *context)
{
    return 1763694000123; // 2025-11-21T03:00:00Z
}

static int64_t real_monotonic(void *context)
{
    return clock_monotonic_ms(&clock_system);
}

static const struct clock fixed_clock = {real_monotonic, fixed_wall, NULL, NULL};

static int setup(void **state)
{
    tool_world_make(&world);
    fixture_make_home(home);
    assert_int_equal(loop_create(&clock_system, &loop, NULL), 0);
    processes = processes_create(loop, &(struct process_config){.memory = 48 << 20});
    store = fixture_open(home, NULL);
    struct tool_env env = {.store = store,
                           .processes = processes,
                           .workspace = world.workspace,
                           .clock = &fixed_clock};
    toolbox = toolbox_create(&env);
    return 0;
}

static int teardown(void **state)
{
    toolbox_destroy(toolbox);
    store_close(store);
    processes_destroy(processes);
    loop_destroy(loop);
    fixture_remove_home(home);
    tool_world_remove(&world);
    return 0;
}

struct heard {
    int calls;
    bool failed, tainted;
    size_t len;
    char text[TOOL_TEXT_MAX + 1];
};

static void on_done(void *context, const struct tool_result *result)
{
    struct heard *heard = context;
    heard->calls++;
    heard->failed = result->failed;
    heard->tainted = result->tainted;
    heard->len = result->text.len;
    assert_true(utf8_valid(result->text));
    snprintf(heard->text, sizeof heard->text, "%.*s", (int)result->text.len, result->text.data);
}

static tool_run_id run(struct toolbox *in, const char *tool, struct span arguments,
                       struct heard *heard)
{
    return toolbox_run(in, toolbox_tools(in), &(struct tool_call_context){.flow = 1}, tool,
                       arguments, on_done, heard);
}

static void pass(void)
{
    loop_run_once(loop, 5);
    store_dispatch(store);
}

static void wait_for(const struct heard *heard)
{
    for (int i = 0; i < PATIENCE && !heard->calls; i++)
        pass();
    assert_int_equal(heard->calls, 1);
}

static void says(const char *tool, const char *arguments, bool failed, const char *wanted)
{
    struct heard heard = {0};
    run(toolbox, tool, span_of(arguments), &heard);
    wait_for(&heard);
    if (heard.failed != failed || strcmp(heard.text, wanted) != 0)
        fail_msg("%s %s: %s%s\nwanted: %s%s", tool, arguments, heard.failed ? "failed: " : "",
                 heard.text, failed ? "failed: " : "", wanted);
}

static void what_cannot_begin_is_a_refusal(void **state)
{
    says("read_fiel", "{}", true, "there is no tool \"read_fiel\"; did you mean \"read_file\"?");
    says("launch_rocket", "{}", true, "there is no tool \"launch_rocket\"");
    says("", "{}", true, "there is no tool \"\"");
    says("read_file", "[1]", true, "the arguments must be a JSON object");
    says("read_file", "\"path\"", true, "the arguments must be a JSON object");
    struct heard heard = {0};
    static const char *const wrong[] = {"", "{", "path=x", "{\"path\":\"x\"} {}", "{'path':'x'}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        heard = (struct heard){0};
        // It is told before the call returns, so there is no run to speak of.
        assert_int_equal(run(toolbox, "read_file", span_of(wrong[i]), &heard), 0);
        assert_true(heard.calls == 1 && heard.failed);
        assert_int_equal(strncmp(heard.text, "the arguments are not JSON: ", 28), 0);
    }
}

static void tools_work_in_their_processes(void **state)
{
    says("write_file", "{\"path\":\"d/f\",\"content\":\"x\\n\"}", false, "wrote 2 bytes to d/f");
    assert_true(tool_world_holds(&world, "d/f", "x\n"));
    says("read_file", "{\"path\":\"d/f\"}", false, "1|x\n");
    says("list_files", "{\"path\":\"d\"}", false, "f (2 bytes)\n");
    says("search_files", "{\"pattern\":\"x\"}", false, "d/f:1: x\n");
    says("read_file", "{\"path\":\"../secret\"}", true, "../secret leads out of the workspace");
    says("read_file", "{\"path\":\"d/f\",\"offset\":18446744073709551617}", true,
         "the parameter \"offset\" must be a whole number");
    tool_world_put_text(&world, "latin", "caf\xe9\n");
    says("read_file", "{\"path\":\"latin\"}", false, "1|caf\xef\xbf\xbd\n");
}

static void the_time(void **state)
{
    tool_world_set_zone("TZ=UTC0");
    says("current_time", "{}", false, "2025-11-21T03:00:00Z (Friday, UTC)");
    tool_world_set_zone("TZ=EST5");
    says("current_time", "{\"surplus\":1}", false,
         "2025-11-21T03:00:00Z (Friday, UTC); local: Thursday 2025-11-20 22:00:00 -0500");
    tool_world_set_zone("TZ=UTC0");
}

// At 2025-11-21T03:00:00Z. By a setting before TZ, and without a file of the system's.
static void the_time_of_a_zone(void **state)
{
    static const struct {
        const char *timezone, *tz, *local;
    } cases[] = {
        {"Europe/Vienna", "Asia/Tokyo", "; local: Friday 2025-11-21 04:00:00 +0100"},
        {"asia/kolkata", NULL, "; local: Friday 2025-11-21 08:30:00 +0530"},
        {"", "Asia/Tokyo", "; local: Friday 2025-11-21 12:00:00 +0900"},
        {NULL, ":America/Caracas", "; local: Thursday 2025-11-20 23:00:00 -0400"},
        {"UTC", "Asia/Tokyo", ""},
        {NULL, "/etc/localtime", NULL},
        {NULL, ":", NULL},
        {NULL, "", NULL},
        {NULL, NULL, NULL},
    };
    tool_world_set_zone("TZ=UTC0");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tool_settings settings = {0};
        char wanted[128];
        settings.zoned =
            tool_find_zone(&(struct tool_config){cases[i].timezone}, cases[i].tz, &settings.zone);
        assert_int_equal(settings.zoned, cases[i].local != NULL);
        toolbox_configure(toolbox, &settings);
        snprintf(wanted, sizeof wanted, "2025-11-21T03:00:00Z (Friday, UTC)%s",
                 cases[i].local ? cases[i].local : "");
        says("current_time", "{}", false, wanted);
    }
}

static void the_memory(void **state)
{
    says("recall", "{\"query\":\"\"}", false, "nothing is remembered of it");
    says("remember", "{\"content\":\" The NAS is called kiste. \"}", false, "remembered");
    says("remember", "{\"content\":\"Mum's birthday: 3 May\"}", false, "remembered");
    says("recall", "{\"query\":\"kiste\"}", false, "- 2025-11-21: The NAS is called kiste.\n");
    says("recall", "{\"query\":\"the nas?\"}", false, "- 2025-11-21: The NAS is called kiste.\n");
    says("recall", "{\"query\":\"\"}", false,
         "- 2025-11-21: Mum's birthday: 3 May\n- 2025-11-21: The NAS is called kiste.\n");
    says("recall", "{\"query\":\"volcano\"}", false, "nothing is remembered of it");
    says("remember", "{\"content\":\" \\n\"}", true, "there is nothing to remember");
    says("remember", "{}", true, "the parameter \"content\" is missing");
    says("recall", "{\"query\":7}", true, "the parameter \"query\" must be a string");
    assert_int_equal(fixture_number(store_path(store), "SELECT count(*) FROM memory"), 2);
}

// What is kept of a text that nobody vouches for stays marked, wherever it is found.
static void a_memory_of_a_stranger_s_text(void **state)
{
    struct tool_call_context tainted = {.flow = 1, .tainted = true};
    struct heard heard = {0};
    says("remember", "{\"content\":\"mine\"}", false, "remembered");
    toolbox_run(toolbox, toolbox_tools(toolbox), &tainted, "remember",
                SPAN_LITERAL("{\"content\":\"theirs\"}"), on_done, &heard);
    wait_for(&heard);
    const char *const queries[] = {"{\"query\":\"mine\"}", "{\"query\":\"theirs\"}",
                                   "{\"query\":\"\"}"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        heard = (struct heard){0};
        run(toolbox, "recall", span_of(queries[i]), &heard);
        wait_for(&heard);
        assert_true(heard.tainted == (i > 0));
    }
}

static void much_memory_says_what_is_left_out(void **state)
{
    BUF_AUTO arguments = BUF_INIT(1 << 16);
    buf_printf(&arguments, "{\"content\":\"pi %08189d\"}", 0);
    for (int i = 0; i < 10; i++)
        says("remember", buf_text(&arguments), false, "remembered");
    struct heard heard = {0};
    run(toolbox, "recall", SPAN_LITERAL("{\"query\":\"pi\"}"), &heard);
    wait_for(&heard);
    assert_false(heard.failed);
    assert_non_null(strstr(heard.text, "\n[5 more are not shown]\n"));

    buf_clear(&arguments);
    buf_printf(&arguments, "{\"content\":\"pi %08190d\"}", 0);
    says("remember", buf_text(&arguments), true,
         "the parameter \"content\" is longer than 8192 bytes");
}

// Every tool at once: each gets its own answer.
static void side_by_side(void **state)
{
    tool_world_put_text(&world, "f", "x\n");
    static struct heard heard[8];
    memset(heard, 0, sizeof heard);
    for (int i = 0; i < 8; i++)
        run(toolbox, i % 2 ? "read_file" : "remember",
            i % 2 ? SPAN_LITERAL("{\"path\":\"f\"}") : SPAN_LITERAL("{\"content\":\"c\"}"),
            &heard[i]);
    for (int i = 0; i < 8; i++) {
        for (int n = 0; n < PATIENCE && !heard[i].calls; n++)
            pass();
        assert_string_equal(heard[i].text, i % 2 ? "1|x\n" : "remembered");
        assert_int_equal(heard[i].calls, 1);
    }
}

static void cancelled_runs_are_silent(void **state)
{
    static struct heard cancelled[3], kept;
    memset(cancelled, 0, sizeof cancelled);
    kept = (struct heard){0};
    tool_world_put_text(&world, "f", "x\n");
    tool_run_id ids[3] = {
        run(toolbox, "search_files", SPAN_LITERAL("{\"pattern\":\"x\"}"), &cancelled[0]),
        run(toolbox, "remember", SPAN_LITERAL("{\"content\":\"c\"}"), &cancelled[1]),
        run(toolbox, "recall", SPAN_LITERAL("{\"query\":\"c\"}"), &cancelled[2]),
    };
    run(toolbox, "read_file", SPAN_LITERAL("{\"path\":\"f\"}"), &kept);
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(ids[i], 0);
        assert_true(toolbox_cancel(toolbox, ids[i]) == (i > 0)); // the first has no process yet
        assert_false(toolbox_cancel(toolbox, ids[i]));
    }
    assert_false(toolbox_cancel(toolbox, 0));
    assert_false(toolbox_cancel(toolbox, 12345));
    wait_for(&kept);
    store_wait(store);
    for (int i = 0; i < 20; i++)
        pass();
    for (int i = 0; i < 3; i++)
        assert_int_equal(cancelled[i].calls, 0);
}

static void destroyed_while_running(void **state)
{
    static struct heard heard[3];
    memset(heard, 0, sizeof heard);
    struct tool_env env = {.store = store,
                           .processes = processes,
                           .workspace = world.workspace,
                           .clock = &fixed_clock};
    struct toolbox *short_lived = toolbox_create(&env);
    run(short_lived, "list_files", SPAN_LITERAL("{}"), &heard[0]);
    run(short_lived, "remember", SPAN_LITERAL("{\"content\":\"c\"}"), &heard[1]);
    run(short_lived, "recall", SPAN_LITERAL("{\"query\":\"c\"}"), &heard[2]);
    toolbox_destroy(short_lived);
    toolbox_destroy(NULL);
    store_wait(store);
    for (int i = 0; i < 20; i++)
        pass();
    assert_int_equal(heard[0].calls + heard[1].calls + heard[2].calls, 0);
}

// A search that would take years goes with its run, and its process too.
static void a_process_that_hangs_is_ended(void **state)
{
    static struct heard heard;
    heard = (struct heard){0};
    BUF_AUTO line = BUF_INIT(1 << 20);
    for (int i = 0; i < 20000; i++)
        buf_append_text(&line, "a");
    tool_world_put(&world, "slow", line.data, line.len);
    tool_run_id id =
        run(toolbox, "search_files",
            SPAN_LITERAL("{\"pattern\":\"(a*)(a*)(a*)(a*)\\\\1\\\\2\\\\3b\"}"), &heard);
    for (int i = 0; i < 20; i++)
        pass();
    assert_int_equal(heard.calls, 0);
    assert_true(toolbox_cancel(toolbox, id));
    for (int i = 0; i < 10; i++)
        pass();
    assert_int_equal(heard.calls, 0);
    says("list_files", "{}", false, "slow (20000 bytes)\n");
}

static void the_side_of_the_process(void **state)
{
    struct error err = ERROR_INIT;
    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    static const char *const wrong[] = {"{}", "{\"tool\":\"nope\"}", "{\"tool\":\"remember\"}",
                                        "{\"tool\":7}", "[]"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_true(tool_process_function.run(world.fd, span_of(wrong[i]), &out, &err) < 0);
    assert_true(tool_process_function.run(world.fd, SPAN_LITERAL("nonsense"), &out, &err) < 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(
        tool_process_function.run(
            world.fd, SPAN_LITERAL("{\"tool\":\"list_files\",\"arguments\":{}}"), &out, &err),
        0);
    assert_string_equal(buf_text(&out), "[the directory is empty]");
}

// What a model reads of them before it can call any.
static void every_tool_describes_itself(void **state)
{
    size_t count;
    const struct tool *const *table = tool_table(&count);
    assert_true(count >= 7);
    for (size_t i = 0; i < count; i++) {
        JSON_AUTO doc = JSON_INIT;
        assert_int_equal(json_parse(&doc, span_of(table[i]->parameters), NULL), 0);
        struct json_value root = json_root(&doc);
        assert_true(json_is(json_get(root, "type"), "object"));
        struct json_value properties = json_get(root, "properties"), key, value;
        assert_int_equal(json_type(properties), JSON_OBJECT);
        struct json_iter it = json_iter_init(properties);
        while (json_iter_next(&it, &key, &value))
            assert_int_equal(json_type(json_get(value, "description")), JSON_STRING);
        it = json_iter_init(json_get(root, "required"));
        while (json_iter_next(&it, NULL, &value)) {
            BUF_AUTO name = BUF_INIT(64);
            assert_true(json_string(value, &name));
            assert_int_equal(json_type(json_get(properties, buf_text(&name))), JSON_OBJECT);
        }
        assert_ptr_equal(tool_find(table[i]->name), table[i]);
        assert_true((table[i]->work != NULL) != (table[i]->start != NULL));
        assert_true(i == 0 || strcmp(table[i - 1]->name, table[i]->name) < 0);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_cannot_begin_is_a_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(tools_work_in_their_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_time, setup, teardown),
        cmocka_unit_test_setup_teardown(the_time_of_a_zone, setup, teardown),
        cmocka_unit_test_setup_teardown(the_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_memory_of_a_stranger_s_text, setup, teardown),
        cmocka_unit_test_setup_teardown(much_memory_says_what_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_runs_are_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(destroyed_while_running, setup, teardown),
        cmocka_unit_test_setup_teardown(a_process_that_hangs_is_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(the_side_of_the_process, setup, teardown),
        cmocka_unit_test(every_tool_describes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
