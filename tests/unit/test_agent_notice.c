#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/agent_fixture.h"

// What a model has to say about itself stands beside the answer, and the model hears if it did.

static void tells(const char *script, const char *wanted)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "go", script, TURN_DONE, &heard);
    assert_string_equal(heard.remark, wanted);
    assert_int_equal(world.told, *wanted != '\0');
}

static void it_is_told(void **state)
{
    tells("say hello", "");
    tells("paid cheap say hello", "cheap is paid");
    tells("say hello", "");
}

static void of_many_in_a_turn_the_last_two_are_told(void **state)
{
    tells("paid cheap call current_time {}\npaid - say done", "cheap is paid; - is paid");
    tells("paid a call recall {'query':'a'}\npaid b call recall {'query':'b'}\n"
          "paid c say done",
          "b is paid; c is paid");
}

static void it_stands_beside_other_remarks(void **state)
{
    tells("paid cheap cut hello",
          "the answer ends here because the model's token limit was reached; cheap is paid");
}

static void a_turn_that_fails_tells_too(void **state)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "go", "paid cheap call current_time {}\nfail a it broke", TURN_FAILED,
                     &heard);
    assert_string_equal(heard.remark, "cheap is paid");
    assert_true(world.told);
}

// Its reader may see nothing of it.
static void a_turn_that_was_cancelled_does_not(void **state)
{
    HEARD_AUTO heard = {0};
    world.told = -1;
    assert_int_equal(
        agent_world_start(&world, "go", "paid cheap call current_time {}\nhang", &heard), 0);
    agent_world_until(&world, &heard, "result current_time");
    while (world.asked < 2)
        agent_world_dispatch(&world);
    assert_int_equal(world.told, -1);
    agent_turn_cancel(world.agent, heard.id);
    agent_world_wait(&world, &heard);
    assert_int_equal(heard.state, TURN_CANCELLED);
    assert_string_equal(heard.remark, "");
    assert_int_equal(world.told, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_told),
        TEST(of_many_in_a_turn_the_last_two_are_told),
        TEST(it_stands_beside_other_remarks),
        TEST(a_turn_that_fails_tells_too),
        TEST(a_turn_that_was_cancelled_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
