#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/dispatcher_world.h"
#include "support/scripted_source.h"
#include "tools/toolbox.h"

// Commands about the conversations of a chat, and texts that wait or are read in mid-turn.
static struct dispatcher_world fixture;
static struct agent_world *const world = &fixture.world;
static struct scripted_source scripted;

static int setup(void **state)
{
    tool_source_id id;
    dispatcher_world_make(&fixture, NULL);
    scripted_source_init(&scripted, scripted_tools);
    assert_int_equal(toolbox_add_source(world->toolbox, &scripted.source, &id, NULL), 0);
    world->config.approvals_mode = "off";
    return 0;
}

static int teardown(void **state)
{
    dispatcher_world_remove(&fixture);
    return 0;
}

static const char *answer(const char *text, const char *script)
{
    dispatcher_world_answers(&fixture, text, script);
    return agent_world_text(world, "SELECT text FROM outbox ORDER BY number DESC LIMIT 1");
}

static void answers_have(const char *text, const char *script, const char *wanted)
{
    const char *found = answer(text, script);
    if (!strstr(found, wanted))
        fail_msg("%s: not \"%s\" in:\n%s", text, wanted, found);
}

static bool prompt_has(const char *text)
{
    return strstr(buf_text(&world->prompt), text) != NULL;
}

static void one_of_several_goes_on(void **state)
{
    answers_have("/sessions", "", "There are no conversations in this chat yet.");
    answer("about cats", "say Mia.");
    answer("/new Dogs", "");
    answer("about dogs", "say Bo.");
    answer("/new Dogs and birds", "");
    answers_have("/sessions", "", "1. Dogs and birds (");
    answers_have("/sessions", "", " 0 messages) ← this one\n2. Dogs (");
    answers_have("/sessions", "", "3. about cats (");
    answers_have("/resume 3", "", "This goes on: about cats");
    answer("and?", "say Yes.");
    assert_true(prompt_has("user: about cats\nassistant: Mia.\nuser: and?"));
    dispatcher_world_restart(&fixture); // the choice is on disk
    answer("so?", "say No.");
    assert_true(prompt_has("assistant: Yes.\nuser: so?"));
    answers_have("/sessions", "", "1. about cats (");
    answers_have("/resume dogs", "", "This goes on: Dogs"); // the whole title counts
    answer("so?", "say No.");
    assert_true(prompt_has("user: about dogs\nassistant: Bo.\nuser: so?"));
    answers_have("/resume dog", "", "more than one conversation begins like that");
    answers_have("/resume 9", "", "there is no such conversation");
    answers_have("/resume nothing", "", "there is no such conversation");
    answers_have("/resume \xff%_'\"", "", "there is no such conversation");
    answers_have("/resume", "", "1. Dogs (");
    answer("/new", "");
    answer("hello", "say Hi.");
    assert_false(prompt_has("dogs"));
}

// Of another chat nothing is shown, nor does it go on here.
static void another_chat_has_its_own(void **state)
{
    world->script = "say Mia.";
    dispatcher_world_arrives_in(&fixture, "8", "about cats", false);
    dispatcher_world_until_idle(&fixture);
    answers_have("/sessions", "", "There are no conversations in this chat yet.");
    answers_have("/resume about", "", "there is no such conversation");
}

static void until_started(int count)
{
    for (int i = 0; i < 2000 && scripted.started < count; i++)
        dispatcher_world_passes(&fixture, 1);
    assert_int_equal(scripted.started, count);
}

static void a_queued_text_waits_whatever_the_mode_is(void **state)
{
    static const char *const modes[] = {"interrupt", "steer", "queue"};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        fixture.config.busy_mode = modes[i];
        world->script = "call ring {}\nsay Rung.\nsay Two.";
        dispatcher_world_arrives(&fixture, "ring it");
        until_started((int)i + 1);
        dispatcher_world_arrives(&fixture, i ? "/queue and two?" : "/q and two?");
        dispatcher_world_passes(&fixture, 20);
        scripted_source_answer(&scripted, (int)i, "ding", false);
        dispatcher_world_until_idle(&fixture);
        assert_true(prompt_has("tool: ding\nassistant: Rung.\nuser: and two?"));
    }
    answers_have("/queue", "", "It is: /queue TEXT");
    answer("/queue at once", "say Yes.");
    assert_true(prompt_has("user: at once"));
}

static void a_steered_text_is_read_with_the_next_result(void **state)
{
    fixture.config.busy_mode = "interrupt";
    world->script = "call ring {}\nsay Rung.";
    dispatcher_world_arrives(&fixture, "ring it");
    until_started(1);
    dispatcher_world_arrives(&fixture, "/queue later");
    dispatcher_world_arrives(&fixture, "/steer but softly");
    dispatcher_world_passes(&fixture, 20);
    scripted_source_answer(&scripted, 0, "ding", false);
    for (int i = 0; i < 2000 && !prompt_has("but softly"); i++)
        dispatcher_world_passes(&fixture, 1);
    assert_true(prompt_has("tool: ding"));
    world->script = "say Later.";
    dispatcher_world_until_idle(&fixture);
    assert_true(prompt_has("user: later"));
    answer("/steer nothing runs", "say Then now.");
    assert_true(prompt_has("user: nothing runs"));
}

static void write_memory(const char *name, const char *text)
{
    char path[FIXTURE_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/memories/%s", world->home, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

// One entry at a time, and only the one that is meant.
static void an_entry_is_forgotten(void **state)
{
    world->memory = (struct memory_config){true, true, 2200, 1375};
    answers_have("/memory forget tea", "", "no entry has that");
    char path[FIXTURE_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/memories", world->home);
    mkdir(path, 0700);
    write_memory("MEMORY.md", "Likes green tea.\n§\nThe door is blue.\n");
    write_memory("USER.md", "Drinks tea at five.\n§\nIs called Arthur.\n");
    answers_have("/memory forget tea", "", "more than one entry has that");
    answers_have("/memory forget 5", "", "no entry has that");
    answers_have("/memory forget 0", "", "no entry has that");
    answers_have("/memory forget", "", "it is /memory, or /memory forget");
    answers_have("/memory forgot tea", "", "it is /memory, or /memory forget");
    answers_have("/memory", "",
                 "MEMORY.md, 1% of 2,200 characters:\n1. Likes green tea.\n2. The door");
    answers_have("/memory", "", "USER.md, 2% of 1,375 characters:\n3. Drinks tea at five.\n4. Is");
    answers_have("/memory", "", "/memory forget NUMBER removes one");
    answers_have("/memory forget 3", "", "from now on:\nDrinks tea at five.");
    answers_have("/memory", "", "3. Is called Arthur.");
    answers_have("/memory forget green", "", "removed");
    answers_have("/memory forget 3", "", "no entry has that");
    answers_have("/memory", "", "\n1. The door is blue.\n\nUSER.md");
    answers_have("/memory", "", "\n2. Is called Arthur.\n\n/memory");
    answers_have("/memory forget tea", "", "no entry has that");
    write_memory("MEMORY.md", "green tea\n§\ntea\n"); // one is a part of the other
    answers_have("/memory forget 2", "", "from now on:\ntea");
    answers_have("/memory", "", "1. green tea\n\nUSER.md");
    write_memory("MEMORY.md", "");
    answers_have("/memory", "", "1. Is called Arthur.");
    answers_have("/memory forget 2", "", "no entry has that");
    world->memory.user_enabled = false;
    answers_have("/memory forget Arthur", "", "no entry has that");
    answers_have("/memory", "", "There is nothing in MEMORY.md and USER.md");
}

static void memory_is_shown(void **state)
{
    answers_have("/memory", "", "There is nothing in MEMORY.md and USER.md");
    world->memory = (struct memory_config){true, true, 2200, 1375};
    char path[FIXTURE_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/memories", world->home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/memories/USER.md", world->home);
    FILE *file = fopen(path, "w");
    fputs("The user is called Arthur.\n", file);
    fclose(file);
    answers_have("/memory", "", "The user is called Arthur.");
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(one_of_several_goes_on),
        ROW(another_chat_has_its_own),
        ROW(a_queued_text_waits_whatever_the_mode_is),
        ROW(a_steered_text_is_read_with_the_next_result),
        ROW(memory_is_shown),
        ROW(an_entry_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
