#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/memory_block.h"
#include "codec/utf8.h"
#include "support/tool_world.h"

#define S "\xc2\xa7" // the section sign
#define RULE "════════════════"

static struct tool_world world; // its workspace is the home
static struct memory_config config;

static int setup(void **state)
{
    tool_world_make(&world);
    config = (struct memory_config){true, true, 2200, 1375};
    return 0;
}

static int teardown(void **state)
{
    tool_world_remove(&world);
    return 0;
}

static void append_both(struct buf *out)
{
    memory_block_append_file(&config, world.workspace, MEMORY_NOTES, out);
    memory_block_append_file(&config, world.workspace, MEMORY_USER, out);
}

static void shows(const char *wanted)
{
    BUF_AUTO out = BUF_INIT(1 << 20);
    append_both(&out);
    assert_string_equal(buf_text(&out), wanted);
}

static void nothing_is_nothing(void **state)
{
    shows("");
    tool_world_put_text(&world, "memories/MEMORY.md", "\n" S "\n\n");
    tool_world_put_text(&world, "memories/USER.md", "");
    shows("");
}

static void both_blocks(void **state)
{
    tool_world_put_text(&world, "memories/MEMORY.md", "the pi is called cm4\n" S "\nsecond\r\n");
    tool_world_put_text(&world, "memories/USER.md", "is called Ann");
    shows("\n\n" RULE "\nMEMORY (your notes) [1% — 29/2,200 chars]\n"
          "the pi is called cm4\n" S "\nsecond"
          "\n\n" RULE "\nUSER PROFILE (who the user is) [0% — 13/1,375 chars]\nis called Ann");
}

static void switched_off(void **state)
{
    tool_world_put_text(&world, "memories/MEMORY.md", "notes");
    tool_world_put_text(&world, "memories/USER.md", "user");
    config.memory_enabled = false;
    shows("\n\n" RULE "\nUSER PROFILE (who the user is) [0% — 4/1,375 chars]\nuser");
    config.user_enabled = false;
    shows("");
}

static void beyond_the_limit(void **state)
{
    config.memory_limit = 10;
    tool_world_put_text(&world, "memories/MEMORY.md", "12345\n" S "\n67890");
    shows("\n\n" RULE "\nMEMORY (your notes) [130% — 13/10 chars]\n12345\n" S "\n67"
          "\n[memories/MEMORY.md is longer than its limit; the rest is not shown]");
}

static void a_huge_file_is_bounded(void **state)
{
    static char huge[ENTRIES_FILE_MAX + 100];
    memset(huge, 'a', sizeof huge);
    for (size_t i = 1; i + 1 < sizeof huge; i += 2)
        memcpy(huge + i, "\xc3\xa4", 2);
    tool_world_put(&world, "memories/MEMORY.md", huge, sizeof huge);
    BUF_AUTO out = BUF_INIT(1 << 20);
    append_both(&out);
    assert_true(utf8_valid(buf_span(&out)));
    assert_true(out.len < 2 * 2200 + 300);
    assert_non_null(strstr(buf_text(&out), "the rest is not shown]"));
}

static void invalid_text_is_made_valid(void **state)
{
    tool_world_put_text(&world, "memories/MEMORY.md", "caf\xe9");
    shows("\n\n" RULE "\nMEMORY (your notes) [0% — 4/2,200 chars]\ncaf\xef\xbf\xbd");
}

static void no_file(void **state)
{
    tool_world_put_text(&world, "memories/MEMORY.md/x", "a directory");
    shows("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(both_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(switched_off, setup, teardown),
        cmocka_unit_test_setup_teardown(beyond_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_huge_file_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(invalid_text_is_made_valid, setup, teardown),
        cmocka_unit_test_setup_teardown(no_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
