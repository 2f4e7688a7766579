#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "agent/conversation_title.h"
#include "base/mem.h"
#include "store/settle.h"
#include "support/dispatcher_world.h"
#include "tools/toolbox.h"

/*
 * A title by a model: asked for once, after the first turn, and only in the place of the first line
 * that was said. A line of the script follows for each call to a model.
 */
static struct dispatcher_world fixture;
static struct agent_world *const world = &fixture.world;

static void let_it_name(bool titles)
{
    struct agent_env env = *agent_env(world->agent);
    env.titles = titles;
    agent_configure(world->agent, &env);
}

static int setup(void **state)
{
    dispatcher_world_make(&fixture, NULL);
    let_it_name(true);
    return 0;
}

static int teardown(void **state)
{
    dispatcher_world_remove(&fixture);
    return 0;
}

static void until_asked(int times)
{
    for (int i = 0; i < 2000 && world->asked < times; i++)
        dispatcher_world_passes(&fixture, 1);
    assert_int_equal(world->asked, times);
}

// The first turn of a conversation, and the call that follows it.
static void begin(const char *question, const char *script)
{
    world->script = script;
    world->asked = 0;
    dispatcher_world_arrives(&fixture, question);
    until_asked(2);
    dispatcher_world_until_idle(&fixture);
}

// Without another call.
static void only_answers(const char *question)
{
    world->asked = 0;
    dispatcher_world_answers(&fixture, question, "say So.");
    dispatcher_world_passes(&fixture, 5);
    assert_int_equal(world->asked, 1);
}

static const char *newest_title(void)
{
    return agent_world_text(world, "SELECT title FROM sessions ORDER BY picked DESC LIMIT 1");
}

static void title_becomes(const char *title)
{
    for (int i = 0; i < 2000 && strcmp(newest_title(), title) != 0; i++)
        dispatcher_world_passes(&fixture, 1);
    assert_string_equal(newest_title(), title);
}

static bool prompt_has(const char *text)
{
    return strstr(buf_text(&world->prompt), text) != NULL;
}

static void a_conversation_gets_a_title_once(void **state)
{
    begin("please tell me what to call the cat", "say Mia.\nsay \"**A name for the cat**\"\n");
    assert_string_equal(world->asked_as, "title");
    assert_int_equal(world->priority, CHAT_BACKGROUND);
    assert_true(prompt_has("User: please tell me what to call the cat\n\nAssistant: Mia."));
    title_becomes("A name for the cat");
    only_answers("and the dog?");
    assert_string_equal(newest_title(), "A name for the cat");
}

static void without_a_model_of_its_own_nothing_is_asked(void **state)
{
    let_it_name(false);
    only_answers("the cat");
    assert_string_equal(newest_title(), "the cat");
    dispatcher_world_answers(&fixture, "/new", "");
    assert_string_equal(newest_title(), ""); // none
    only_answers("the dog");
    assert_string_equal(newest_title(), "the dog");
}

// It keeps its first line, whatever else is said.
static void what_is_no_title_changes_nothing(void **state)
{
    static const char *const answers[] = {"say ",          "say  \"\" ",      "fail well it broke",
                                          "say a\x1b[2Jb", "refuse no money", "call ring {}"};
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        CLEANUP(mem_cleanup) char *script = mem_printf("say Mia.\n%s\n", answers[i]);
        begin("the cat", script);
        dispatcher_world_passes(&fixture, 5);
        if (strcmp(newest_title(), "the cat") != 0)
            fail_msg("%s: %s", answers[i], newest_title());
        dispatcher_world_answers(&fixture, "/new", "");
    }
}

static void a_long_title_is_cut(void **state)
{
    begin("the cat", "say Mia.\nsay Whatever there is to be said of a cat, and of another one that "
                     "nobody has ever seen, and more\n");
    for (int i = 0; i < 2000 && strcmp(newest_title(), "the cat") == 0; i++)
        dispatcher_world_passes(&fixture, 1);
    assert_non_null(strstr(newest_title(), "Whatever there is to be said"));
    assert_non_null(strstr(newest_title(), "…"));
}

static void what_somebody_calls_it_stays(void **state)
{
    dispatcher_world_answers(&fixture, "/new The cellar", "");
    only_answers("the cat");
    assert_string_equal(newest_title(), "The cellar");
}

// Between the call and its answer.
static void somebody_may_be_faster(void **state)
{
    begin("the cat", "say Mia.\nhang A\n");
    dispatcher_world_answers(&fixture, "/title The attic", "");
    assert_string_equal(newest_title(), "The attic");
    struct error err = ERROR_INIT;
    CLEANUP(mem_cleanup)
    char *id = mem_strdup(agent_world_text(world, "SELECT id FROM sessions ORDER BY picked DESC"));
    struct store_settlement late = {.session = span_of(id),
                                    .title = SPAN_LITERAL("Too late"),
                                    .title_before = SPAN_LITERAL("the cat"),
                                    .now_ms = 1};
    assert_true(store_settle(world->store, &late, NULL, NULL, &err) > 0);
    assert_string_equal(newest_title(), "The attic");
    late.title_before = SPAN_LITERAL("The attic");
    assert_true(store_settle(world->store, &late, NULL, NULL, &err) > 0);
    assert_string_equal(newest_title(), "Too late");
}

static void hears(const char *text, const char *script, struct heard_turn *heard)
{
    *heard = (struct heard_turn){.world = world, .log = BUF_INIT(1 << 20)};
    world->script = script;
    assert_int_equal(dispatcher_say(fixture.dispatcher, "console", "x", span_of(text),
                                    agent_world_heard, heard, NULL),
                     0);
    agent_world_wait(world, heard);
}

// What somebody talks in stays in memory.
static void a_console_learns_of_it(void **state)
{
    HEARD_AUTO turn, command;
    world->asked = 0;
    hears("the cat", "say Mia.\nsay A name for the cat\n", &turn);
    until_asked(2);
    title_becomes("A name for the cat");
    hears("/title", "", &command);
    assert_string_equal(command.text, "Title: A name for the cat");
}

static void tainted_text_names_nothing(void **state)
{
    fixture.tainted = true;
    only_answers("somebody says: so it is");
}

static void a_turn_that_failed_names_nothing(void **state)
{
    dispatcher_world_answers(&fixture, "the cat", "refuse no money");
    only_answers("the cat again");
}

static void secrets_are_not_shown(void **state)
{
    static const char *const secrets[] = {"hunter2hunter2"};
    toolbox_hide(world->toolbox, secrets, 1);
    begin("the key is hunter2hunter2", "say Fine.\nsay Keys\n");
    assert_false(prompt_has("hunter2"));
    assert_true(prompt_has("User: the key is "));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_conversation_gets_a_title_once), ROW(without_a_model_of_its_own_nothing_is_asked),
        ROW(what_is_no_title_changes_nothing), ROW(a_long_title_is_cut),
        ROW(what_somebody_calls_it_stays),     ROW(somebody_may_be_faster),
        ROW(a_console_learns_of_it),           ROW(tainted_text_names_nothing),
        ROW(a_turn_that_failed_names_nothing), ROW(secrets_are_not_shown),
    };
    return cmocka_run_group_tests_name("agent/title", tests, NULL, NULL);
}
