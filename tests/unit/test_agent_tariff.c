#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/tariffs.h"
#include "base/mem.h"
#include "support/agent_world.h"

// Who is paid is told when it changes, once, and to somebody.

static struct agent_world world;

static int setup(void **state)
{
    agent_world_make(&world, NULL);
    return 0;
}

static int teardown(void **state)
{
    agent_world_remove(&world);
    return 0;
}

static void tells(const char *script, const char *wanted)
{
    HEARD_AUTO heard = {0};
    agent_world_turn(&world, "go", script, TURN_DONE, &heard);
    assert_string_equal(heard.remark, wanted);
}

static const char *fact(void)
{
    return agent_world_text(&world, "SELECT value FROM meta WHERE key = 'fact:tariff:scripted'");
}

static void a_change_is_told_once(void **state)
{
    tells("say hello", "");
    tells("paid - say hello", "");
    assert_string_equal(fact(), "");
    tells("paid cheap say hello", "cheap is paid");
    assert_string_equal(fact(), "cheap");
    tells("paid cheap say hello", "");
    tells("say hello", "");
    tells("paid dear say hello", "dear is paid");
    tells("paid - say hello", "- is paid");
    assert_string_equal(fact(), "");
    tells("paid - say hello", "");
}

static void the_next_process_knows(void **state)
{
    tells("paid cheap say hello", "cheap is paid");
    struct agent_env env = *agent_env(world.agent);
    agent_destroy(world.agent);
    world.agent = agent_create(&env);
    tells("paid cheap say hello", "");
    tells("paid - say hello", "- is paid");
}

static void of_many_changes_in_a_turn_the_last_two_are_told(void **state)
{
    tells("paid cheap call current_time {}\npaid - say done", "cheap is paid; - is paid");
    tells("paid a call recall {'query':'a'}\npaid b call recall {'query':'b'}\n"
          "paid c say done",
          "b is paid; c is paid");
    assert_string_equal(fact(), "c");
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
    assert_string_equal(fact(), "cheap");
    tells("paid cheap say hello", "");
}

// Its reader may see nothing of it.
static void a_turn_that_was_cancelled_leaves_it_to_the_next(void **state)
{
    HEARD_AUTO heard = {0};
    assert_int_equal(
        agent_world_start(&world, "go", "paid cheap call current_time {}\nhang", &heard), 0);
    agent_world_until(&world, &heard, "result current_time");
    while (world.asked < 2)
        agent_world_dispatch(&world);
    agent_turn_cancel(world.agent, heard.id);
    agent_world_wait(&world, &heard);
    assert_int_equal(heard.state, TURN_CANCELLED);
    assert_string_equal(heard.remark, "");
    assert_string_equal(fact(), "");
    tells("paid cheap say hello", "cheap is paid");
}

// Who was paid an unknown price is paid it still when it becomes known.
static void a_price_that_becomes_known_is_no_news(void **state)
{
    static const struct {
        const char *paid;
        enum tariff_news news;
    } steps[] = {
        {"", TARIFF_AS_KNOWN},         {"? p m", TARIFF_CHANGED},   {"? p m", TARIFF_AS_KNOWN},
        {"? p other", TARIFF_CHANGED}, {"1/2 p m", TARIFF_CHANGED}, {"1/2 p same", TARIFF_AS_KNOWN},
        {"? p m", TARIFF_CHANGED},     {"1/2 p m", TARIFF_LEARNT},  {"1/2 p m", TARIFF_AS_KNOWN},
        {"1/3 p m", TARIFF_CHANGED},   {"", TARIFF_CHANGED},
    };
    struct tariffs tariffs;
    char name[] = "free", paid[16], sentence[] = "";
    tariffs_init(&tariffs);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        snprintf(paid, sizeof paid, "%s", steps[i].paid);
        struct chat_tariff tariff = {name, paid, sentence};
        assert_int_equal(tariffs_note(&tariffs, world.store, &tariff), steps[i].news);
    }
    tariffs_finish(&tariffs);
}

// What is not in memory any more is looked up.
static void more_names_than_are_kept(void **state)
{
    struct tariffs tariffs;
    tariffs_init(&tariffs);
    tells("paid cheap say hello", "cheap is paid");
    char cheap[] = "cheap", sentence[] = "";
    for (int i = 0; i < TARIFFS_MAX + 8; i++) {
        char name[32];
        snprintf(name, sizeof name, "m%d", i);
        struct chat_tariff other = {name, cheap, sentence};
        assert_true(tariffs_note(&tariffs, world.store, &other));
        assert_false(tariffs_note(&tariffs, world.store, &other));
        assert_true(tariffs.count <= TARIFFS_MAX);
    }
    char first[] = "m0", scripted[] = "scripted";
    struct chat_tariff forgotten = {first, cheap, sentence}, stored = {scripted, cheap, sentence};
    assert_true(tariffs_note(&tariffs, world.store, &forgotten));
    assert_false(tariffs_note(&tariffs, world.store, &stored));
    tariffs_forget(&tariffs, "nobody");
    tariffs_finish(&tariffs);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_told_once),
        TEST(the_next_process_knows),
        TEST(of_many_changes_in_a_turn_the_last_two_are_told),
        TEST(it_stands_beside_other_remarks),
        TEST(a_turn_that_fails_tells_too),
        TEST(a_turn_that_was_cancelled_leaves_it_to_the_next),
        TEST(a_price_that_becomes_known_is_no_news),
        TEST(more_names_than_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
