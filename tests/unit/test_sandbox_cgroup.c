#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/cgroup.h"
#include "sandbox/temporary.h"

static char root[64];

static int setup(void **state)
{
    snprintf(root, sizeof root, "/tmp/hermes-cgroup-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    temporary_remove(root);
    return 0;
}

static void put(const char *name, const char *text)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        mkdir(path, 0700);
    }
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static int64_t look(void)
{
    CLEANUP(mem_cleanup) char *own = mem_printf("%s/own", root);
    return cgroup_memory_max(own, root);
}

static int64_t count_kills(void)
{
    CLEANUP(mem_cleanup) char *own = mem_printf("%s/own", root);
    return cgroup_oom_kills(own, root);
}

static void test_the_least_counts(void **state)
{
    put("own", "0::/system.slice/hermes.service\n");
    assert_true(look() == INT64_MAX);
    put("system.slice/hermes.service/memory.max", "max\n");
    assert_true(look() == INT64_MAX);
    put("system.slice/hermes.service/memory.max", "268435456\n");
    assert_true(look() == 268435456);
    put("system.slice/memory.max", "1048576\n");
    assert_true(look() == 1048576);
    put("memory.max", "65536\n"); // as a container sees its own
    assert_true(look() == 65536);
}

static void test_strange_texts(void **state)
{
    put("memory.max", "65536\n");
    assert_true(look() == 65536); // there is no list
    put("own", "12:memory:/old\n1:name=systemd:/\n");
    assert_true(look() == 65536);
    put("own", "0::/");
    assert_true(look() == 65536);
    put("memory.max", "-\n");
    assert_true(look() == INT64_MAX);
}

static void test_kills_are_counted(void **state)
{
    assert_true(count_kills() == 0);
    put("own", "0::/");
    put("memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_true(count_kills() == 2);
    put("own", "0::/pod/hands\n");
    put("pod/hands/memory.events", "oom_kill many\n");
    assert_true(count_kills() == 0);
    put("pod/hands/memory.events", "oom_kill 11");
    assert_true(count_kills() == 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_least_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strange_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kills_are_counted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
