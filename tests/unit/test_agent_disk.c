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
#include "support/powercut_vfs.h"
#include "tools/tool_process.h"

// A disk that is full, at each point of a turn: one sentence, and nothing of the conversation lost.

static struct agent_world world;

static int setup(void **state)
{
    powercut_start();
    agent_world_make(&world, "powercut");
    return 0;
}

static int teardown(void **state)
{
    powercut_set_room(-1);
    agent_world_remove(&world);
    return 0;
}

// Before anything was asked: the turn is refused, and when there is room again, the same session
// works.
static void full_from_the_begin(void **state)
{
    HEARD_AUTO heard = {0}, again = {0}, next = {0};
    powercut_set_room(0);
    agent_world_turn(&world, "one", "say never", TURN_FAILED, &heard);
    assert_int_equal(world.asked, 0);
    assert_int_equal(world.session->history.count, 0);
    if (!strstr(heard.error, "full"))
        fail_msg("not the reason: %s", heard.error);
    agent_world_turn(&world, "two", "say never", TURN_FAILED, &again);

    powercut_set_room(-1);
    agent_world_turn(&world, "three", "say Here.", TURN_DONE, &next);
    assert_string_equal(next.remark, "");
    assert_string_equal(agent_world_text(&world, "SELECT group_concat(content, '|') FROM messages"),
                        "three|Here.");
}

static void full_later(void **state)
{
    HEARD_AUTO first = {0}, heard = {0}, next = {0};
    agent_world_turn(&world, "one", "say First.", TURN_DONE, &first);
    assert_int_equal(
        agent_world_start(&world, "two", "call recall {'query':'a'}\nsay Second.", &heard), 0);
    agent_world_dispatch(&world);
    powercut_set_room(0);
    agent_world_wait(&world, &heard);
    // The answer is there for the user, with a word about the disk,
    assert_int_equal(heard.state, TURN_DONE);
    assert_string_equal(heard.text, "Second.");
    assert_int_equal(strncmp(heard.remark, "this turn could not be saved: ", 30), 0);
    assert_non_null(strstr(heard.remark, "full"));
    assert_int_equal(world.session->history.count, 6);
    // and the conversation goes on with all of it.
    powercut_set_room(-1);
    agent_world_turn(&world, "three", "say Third.", TURN_DONE, &next);
    assert_string_equal(next.remark, "");
    assert_non_null(strstr(buf_text(&world.prompt), "assistant: Second.\nuser: three\n"));
}

static void full_while_calls_are_written(void **state)
{
    HEARD_AUTO heard = {0};
    assert_int_equal(
        agent_world_start(&world, "go", "call remember {'content':'c'}\nsay Sorry.", &heard), 0);
    agent_world_dispatch(&world);
    powercut_set_room(0);
    agent_world_wait(&world, &heard);
    assert_int_equal(heard.state, TURN_DONE);
    assert_non_null(strstr(buf_text(&heard.log), "result remember failed "));
    assert_int_equal(strncmp(heard.remark, "this turn could not be saved: ", 30), 0);
}

// With so much room and no more, for many amounts: never a crash, a hang or a history that a
// provider would not take.
static void room_for_a_little(void **state)
{
    for (int64_t room = 0; room < 60000; room = room ? room * 3 / 2 : 2000) {
        HEARD_AUTO heard = {0}, next = {0};
        setup(state);
        powercut_set_room(room);
        int r = agent_world_start(&world, "go",
                                  "call remember {'content':'c'}; current_time\nsay Done.", &heard);
        assert_int_equal(r, 0);
        agent_world_wait(&world, &heard);
        assert_true(heard.state == TURN_DONE || *heard.error);
        powercut_set_room(-1);
        agent_world_turn(&world, "next", "say Here.", TURN_DONE, &next);
        teardown(state);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], process_command) == 0)
        return process_main(argc - 2, argv + 2, &tool_process_function, 1);
    powercut_register();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_from_the_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(full_later, setup, teardown),
        cmocka_unit_test_setup_teardown(full_while_calls_are_written, setup, teardown),
        cmocka_unit_test(room_for_a_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
