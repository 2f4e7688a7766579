#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "support/tool_world.h"
#include "tools/cgroup.h"

static struct tool_world world;

static int setup(void **state)
{
    tool_world_make(&world);
    return 0;
}

static int teardown(void **state)
{
    tool_world_remove(&world);
    return 0;
}

static int64_t look(void)
{
    char own[1024];
    snprintf(own, sizeof own, "%s/own", world.workspace);
    return cgroup_memory_max(own, world.workspace);
}

static void test_the_least_counts(void **state)
{
    tool_world_put_text(&world, "own", "0::/system.slice/hermes.service\n");
    assert_true(look() == INT64_MAX);
    tool_world_put_text(&world, "system.slice/hermes.service/memory.max", "max\n");
    assert_true(look() == INT64_MAX);
    tool_world_put_text(&world, "system.slice/hermes.service/memory.max", "268435456\n");
    assert_true(look() == 268435456);
    tool_world_put_text(&world, "system.slice/memory.max", "1048576\n");
    assert_true(look() == 1048576);
    tool_world_put_text(&world, "memory.max", "65536\n"); // as a container sees its own
    assert_true(look() == 65536);
}

static void test_strange_texts(void **state)
{
    tool_world_put_text(&world, "memory.max", "65536\n");
    assert_true(look() == 65536); // there is no list
    tool_world_put_text(&world, "own", "12:memory:/old\n1:name=systemd:/\n");
    assert_true(look() == 65536);
    tool_world_put_text(&world, "own", "0::/");
    assert_true(look() == 65536);
    tool_world_put_text(&world, "memory.max", "-\n");
    assert_true(look() == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_least_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strange_texts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
