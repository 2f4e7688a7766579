/*
 * What all commands together may take of a control group. This program is the sandbox as well.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "support/process_world.h"
#include "tools/shell.h"

enum { PATIENCE = 4000 }; // passes of the loop, of a few milliseconds each

static int work(int directory_fd, struct span request, struct buf *out, struct error *err)
{
    (void)directory_fd, (void)request, (void)out, (void)err;
    return 0;
}

static struct shells *shells_of(const struct process_world *world, int64_t group_memory)
{
    struct shells_env env = {.loop = world->loop,
                             .processes = world->processes,
                             .workspace = "/",
                             .group_memory = group_memory};
    struct shell_config config = {.isolation = "none",
                                  .unsafe = true,
                                  .memory = 256 << 20,
                                  .processes = 64,
                                  .file_size = 1 << 20};
    return shells_create(&env, &config);
}

static void on_end(void *context, struct shell *shell)
{
    (void)shell;
    ++*(unsigned *)context;
}

static int start(struct shells *shells, const char *command, unsigned *ends,
                 struct shell **ret_shell, struct error *err)
{
    struct shell_request request = {.command = span_of(command)};
    return shell_start(shells, &request, on_end, ends, ret_shell, err);
}

// Of 512 MiB all commands may have 192, without their files.
static void one_takes_what_is_left(void **state)
{
    enum { ALL = 192 << 20 };
    static const char grows[] = "exec python3 -c 'import time\nkept = []\nwhile True:\n"
                                "    kept.append(bytearray(1 << 20)); time.sleep(0.03)'";
    struct process_world *world = *state;
    struct shells *shells = shells_of(world, 512 << 20);
    struct shell *large, *small;
    struct error err = ERROR_INIT;
    unsigned ends = 0;
    assert_int_equal(start(shells, grows, &ends, &large, &err), 0);
    assert_int_equal(start(shells, "exit 0", &ends, &small, &err), 0);
    for (int i = 0; i < PATIENCE && !ends; i++)
        process_world_pass(world, 1);
    assert_true(shell_is_over(small));
    shell_destroy(small);
    for (int i = 0; i < PATIENCE && ALL - processes_memory(world->processes) >= SHELL_MEMORY_MIN;
         i++)
        process_world_pass(world, 1);
    assert_int_equal(start(shells, "exit 0", &ends, &small, &err), -ENOMEM);
    assert_non_null(
        strstr(err.text, " of the 192 MiB that all of them may have here; wait for one, or"));
    assert_false(shell_is_over(large));
    shell_destroy(large);
    assert_int_equal(start(shells, "exit 0", &ends, &small, &err), 0);
    shell_destroy(small);
    shells_destroy(shells);
}

#define WORLD(name) \
    cmocka_unit_test_setup_teardown(name, process_world_set_up, process_world_tear_down)

int main(int argc, char **argv)
{
    PROCESS_WORLD_MAIN(argc, argv, work);
    const struct CMUnitTest tests[] = {
        WORLD(one_takes_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
