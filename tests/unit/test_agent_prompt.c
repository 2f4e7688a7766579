#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "agent/agent.h"
#include "agent/memory_block.h"
#include "agent/prompt.h"
#include "codec/utf8.h"
#include "support/tool_world.h"

static struct tool_world world; // its workspace is the home
static struct agent_config config;
static const struct memory_config memory = {true, true, 2200, 1375};

static int setup(void **state)
{
    tool_world_make(&world);
    config = (struct agent_config){0};
    return 0;
}

static int teardown(void **state)
{
    tool_world_remove(&world);
    return 0;
}

static struct prompt_parts build(const struct memory_config *notes, struct buf *out)
{
    struct prompt_parts parts;
    buf_clear(out);
    prompt_build_parts(&config, notes, NULL, world.workspace, out, &parts);
    size_t sum = 0;
    for (size_t i = 0; i < PROMPT_PARTS; i++)
        sum += parts.bytes[i];
    assert_int_equal(sum, out->len);
    BUF_AUTO plain = BUF_INIT(PROMPT_MAX);
    prompt_build(&config, notes, NULL, world.workspace, &plain);
    assert_string_equal(buf_text(&plain), buf_text(out));
    return parts;
}

static void who_it_is(void **state)
{
    BUF_AUTO out = BUF_INIT(PROMPT_MAX);
    assert_string_equal(build(&memory, &out).identity, "default");
    assert_int_equal(strncmp(buf_text(&out), "You are Hermes,", 15), 0);
    tool_world_put_text(&world, "SOUL.md", "\n  You are Iris.\n");
    assert_string_equal(build(&memory, &out).identity, "SOUL.md");
    assert_int_equal(strncmp(buf_text(&out), "You are Iris.\n\nFiles:", 21), 0);
    config.system_prompt = "You are Otto.";
    assert_string_equal(build(&memory, &out).identity, "config");
    assert_int_equal(strncmp(buf_text(&out), "You are Otto.\n\nFiles:", 21), 0);
    config.system_prompt = "";
    static const char *const languages[] = {"", "en", "de"};
    for (size_t i = 0; i < 3; i++) {
        config.language = languages[i];
        build(&memory, &out);
        assert_int_equal(strstr(buf_text(&out), "asked in another one: de") != NULL, i == 2);
    }
    tool_world_put_text(&world, "SOUL.md", " \n");
    assert_string_equal(build(&memory, &out).identity, "default");
}

static void what_is_stable_comes_first(void **state)
{
    BUF_AUTO out = BUF_INIT(PROMPT_MAX);
    tool_world_put_text(&world, "memories/MEMORY.md", "a note");
    tool_world_put_text(&world, "memories/USER.md", "is Ann");
    struct prompt_parts parts = build(&memory, &out);
    const char *rules = strstr(buf_text(&out), "\n\nFiles:");
    const char *notes = strstr(buf_text(&out), "MEMORY (your notes)");
    const char *user = strstr(buf_text(&out), "USER PROFILE");
    assert_true(rules && rules < notes && notes < user);
    assert_int_equal(rules - buf_text(&out), parts.bytes[PROMPT_IDENTITY]);
    assert_true(parts.bytes[PROMPT_MEMORY] && parts.bytes[PROMPT_USER]);
}

static void without_notes_nothing_is_added(void **state)
{
    BUF_AUTO out = BUF_INIT(PROMPT_MAX);
    struct prompt_parts parts = build(&memory, &out);
    assert_int_equal(parts.bytes[PROMPT_MEMORY] + parts.bytes[PROMPT_USER], 0);
    assert_true(out.len < 600);
    tool_world_put_text(&world, "memories/MEMORY.md", "a note");
    parts = build(NULL, &out);
    assert_int_equal(parts.bytes[PROMPT_MEMORY], 0);
}

static void a_long_soul_is_cut(void **state)
{
    BUF_AUTO out = BUF_INIT(PROMPT_MAX);
    static char soul[3 * SOUL_CHARACTERS_MAX];
    for (size_t i = 0; i < sizeof soul; i += 2)
        memcpy(soul + i, "\xc3\xa4", 2);
    tool_world_put(&world, "SOUL.md", soul, sizeof soul);
    struct prompt_parts parts = build(&memory, &out);
    assert_true(utf8_valid(buf_span(&out)));
    assert_in_range(parts.bytes[PROMPT_IDENTITY], 2 * SOUL_CHARACTERS_MAX,
                    2 * SOUL_CHARACTERS_MAX + 64);
    assert_non_null(strstr(buf_text(&out), "[SOUL.md is longer; the rest is not shown]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_stable_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(without_notes_nothing_is_added, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_soul_is_cut, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
