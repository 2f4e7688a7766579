#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sandbox/process.h"
#include "support/agent_world.h"
#include "tools/tool_process.h"

/*
 * A turn can be cancelled, and its agent destroyed, at each of the places at which it waits. After
 * a cancel the history is one that a provider accepts (the scripted model checks that), the store
 * holds the same, and the next turn goes on from there.
 */

static struct agent_world world;

static int setup(void **state)
{
    agent_world_make(&world, NULL);
    tool_world_put_text(&world.tools, "f", "x\n");
    return 0;
}

static int teardown(void **state)
{
    agent_world_remove(&world);
    return 0;
}

static void rows_are(const char *wanted)
{
    static const char sql[] =
        "SELECT group_concat(role || ':' || content || coalesce('#' || tool_call_id, ''), '|') "
        "FROM (SELECT * FROM messages ORDER BY id)";
    assert_string_equal(agent_world_text(&world, sql), wanted);
}

static void start(const char *script, struct heard_turn *heard)
{
    assert_int_equal(agent_world_start(&world, "go", script, heard), 0);
}

static void slow_search(char *script, size_t size, const char *others)
{
    char file[4000];
    memset(file, 'a', sizeof file);
    tool_world_put(&world.tools, "slow", file, sizeof file);
    snprintf(script, size,
             "call read_file {'path':'f'}; search_files {'pattern':"
             "'(a*)(a*)(a*)(a*)\\\\1\\\\2\\\\3b','path':'slow'}; %s\n"
             "say never",
             others);
}

// The places. Each brings a turn there and returns with it waiting.

static void at_queued(struct heard_turn *heard)
{
    start("say never", heard);
}

static void at_model(struct heard_turn *heard)
{
    start("hang", heard);
    agent_world_dispatch(&world);
    agent_world_loop(&world);
    assert_int_equal(world.asked, 1);
}

static void at_model_before_its_first_pass(struct heard_turn *heard)
{
    start("say never", heard);
    agent_world_dispatch(&world);
    assert_int_equal(world.asked, 1);
}

static void at_text(struct heard_turn *heard)
{
    start("hang Once upon", heard);
    agent_world_until(&world, heard, "upon");
}

// The calls are being written down, since one of them may not be repeated.
static void at_storing_calls(struct heard_turn *heard)
{
    start("call remember {'content':'c'}; read_file {'path':'f'}\nsay never", heard);
    agent_world_dispatch(&world);
    agent_world_loop(&world);
    assert_null(strstr(buf_text(&heard->log), "call "));
}

// One call has ended, one runs in a process, and one ended at once.
static void at_tools(struct heard_turn *heard)
{
    char script[512];
    slow_search(script, sizeof script, "current_time");
    start(script, heard);
    agent_world_until(&world, heard, "result read_file");
}

static void at_second_model(struct heard_turn *heard)
{
    start("call current_time\nhang And", heard);
    agent_world_until(&world, heard, "text nd");
}

// The answer is there and is being written down.
static void at_ending(struct heard_turn *heard)
{
    start("say Hello", heard);
    agent_world_dispatch(&world);
    agent_world_loop(&world);
    assert_non_null(strstr(buf_text(&heard->log), "text llo"));
    assert_int_equal(heard->ends, 0);
}

static const struct place {
    void (*go)(struct heard_turn *heard);
    enum turn_state state; // after a cancel
    const char *text, *rows, *turn;
} places[] = {
    {at_queued, TURN_CANCELLED, "", "user:go|assistant:(no answer)", "cancelled0"},
    {at_model, TURN_CANCELLED, "", "user:go|assistant:(no answer)", "cancelled1"},
    {at_model_before_its_first_pass, TURN_CANCELLED, "", "user:go|assistant:(no answer)",
     "cancelled1"},
    {at_text, TURN_CANCELLED, "Once upon", "user:go|assistant:Once upon", "cancelled1"},
    {at_storing_calls, TURN_CANCELLED, "",
     "user:go|assistant:|tool:not run: the turn was ended before#c0|"
     "tool:not run: the turn was ended before#c1|assistant:(no answer)",
     "cancelled1"},
    {at_tools, TURN_CANCELLED, "",
     "user:go|assistant:|tool:1|x\n#c0|"
     "tool:interrupted before it ended; it may have had an effect#c1|"
     "tool:2025-11-21T03:00:00Z (Friday, UTC)#c2|assistant:(no answer)",
     "cancelled1"},
    {at_second_model, TURN_CANCELLED, "And",
     "user:go|assistant:|tool:2025-11-21T03:00:00Z (Friday, UTC)#c0|assistant:And", "cancelled2"},
    {at_ending, TURN_DONE, "Hello", "user:go|assistant:Hello", "done1"},
};

static void cancel_at(const struct place *place)
{
    HEARD_AUTO heard = {0}, next = {0};
    place->go(&heard);
    agent_turn_cancel(world.agent, heard.id);
    agent_turn_cancel(world.agent, heard.id);
    agent_turn_cancel(world.agent, 0);
    agent_turn_cancel(world.agent, heard.id + 1);
    agent_world_wait(&world, &heard);
    assert_int_equal(heard.state, place->state);
    assert_string_equal(heard.text, place->text);
    assert_string_equal(heard.error, "");
    assert_string_equal(heard.remark, "");
    assert_false(world.session->busy);
    rows_are(place->rows);
    assert_string_equal(agent_world_text(&world, "SELECT state || iteration FROM turns"),
                        place->turn);
    agent_turn_cancel(world.agent, heard.id); // stale

    size_t before = world.session->history.count;
    agent_world_turn(&world, "next", "call current_time\nsay Here.", TURN_DONE, &next);
    assert_int_equal(world.session->history.count, before + 4);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM messages"), before + 4);
    assert_int_equal(heard.ends, 1);
}

static void destroy_at(const struct place *place)
{
    HEARD_AUTO heard = {0}, next = {0};
    place->go(&heard);
    agent_destroy(world.agent);
    world.agent = NULL;
    assert_false(world.session->busy);
    agent_world_dispatch(&world); // what was submitted ends, and nobody hears of it
    for (int i = 0; i < 5; i++)
        agent_world_loop(&world);
    assert_int_equal(heard.ends, 0);
}

static void cancel_everywhere(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        setup(state);
        cancel_at(&places[i]);
        teardown(state);
    }
}

static void destroy_everywhere(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        setup(state);
        destroy_at(&places[i]);
        teardown(state);
    }
}

// An interrupted call is remembered as one, so that nobody takes its effect for certain.
static void interrupted_calls_are_marked(void **state)
{
    HEARD_AUTO heard = {0};
    at_tools(&heard);
    agent_turn_cancel(world.agent, heard.id);
    agent_world_wait(&world, &heard);
    assert_string_equal(
        agent_world_text(&world, "SELECT group_concat(name || ' ' || state || ' ' || failed) FROM "
                                 "(SELECT * FROM tool_calls ORDER BY ordinal)"),
        "read_file done 0,search_files interrupted 1,current_time done 0");
}

// Of many calls only those that began may have had an effect: the rest waited for memory.
static void calls_that_only_waited(void **state)
{
    HEARD_AUTO heard = {0};
    processes_configure(world.processes, &(struct process_config){.memory = 16 << 20});
    char script[512];
    slow_search(script, sizeof script, "read_file {'path':'f'}; list_files");
    start(script, &heard);
    agent_world_until(&world, &heard, "result read_file");
    for (int i = 0; i < 5; i++)
        agent_world_loop(&world); // the search begins
    agent_turn_cancel(world.agent, heard.id);
    agent_world_wait(&world, &heard);
    rows_are("user:go|assistant:|tool:1|x\n#c0|"
             "tool:interrupted before it ended; it may have had an effect#c1|"
             "tool:not run: the turn was ended before#c2|"
             "tool:not run: the turn was ended before#c3|assistant:(no answer)");
}

// What the user hears of is on disk: a cancel that waits for the disk is not told before.
static void a_cancel_is_on_disk_before_it_is_told(void **state)
{
    HEARD_AUTO heard = {0};
    at_text(&heard);
    agent_turn_cancel(world.agent, heard.id);
    for (int i = 0; i < 5; i++)
        agent_world_loop(&world);
    assert_int_equal(heard.ends, 0);
    assert_true(world.session->busy);
    agent_world_dispatch(&world);
    assert_int_equal(heard.ends, 1);
}

static void two_sessions_side_by_side(void **state)
{
    HEARD_AUTO first = {0}, second = {0};
    struct agent_session *mine = world.session,
                         *other = agent_session_create(&(struct store_session_key){
                             SPAN_LITERAL("telegram"), SPAN_LITERAL("7")});
    start("call recall {'query':'a'}\nsay One", &first);
    agent_world_wait(&world, &first);
    world.session = other;
    agent_world_turn(&world, "you", "say Two", TURN_DONE, &second);
    assert_int_equal(other->history.count, 2);
    assert_int_equal(mine->history.count, 4);
    assert_int_equal(agent_world_number(&world, "SELECT count(*) FROM sessions WHERE chat = '7'"),
                     1);
    world.session = mine;
    agent_session_destroy(other);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    tool_world_set_zone("TZ=UTC0");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_everywhere),
        cmocka_unit_test(destroy_everywhere),
        cmocka_unit_test_setup_teardown(interrupted_calls_are_marked, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_that_only_waited, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancel_is_on_disk_before_it_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(two_sessions_side_by_side, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
