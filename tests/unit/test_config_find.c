#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "config/config.h"

// A directory with home/config.yaml, system.yaml and other.yaml; the variable HERMES_CONFIG.
struct fixture {
    char dir[64];
    char *home, *system, *other, *missing, *in_home;
    const char *variable;
};

static const char *get(void *context, const char *name)
{
    const struct fixture *fixture = context;
    return strcmp(name, "HERMES_CONFIG") == 0 ? fixture->variable : NULL;
}

static void touch(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(struct fixture);
    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/test_config_find.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    fixture->home = mem_printf("%s/home", fixture->dir);
    fixture->in_home = mem_printf("%s/config.yaml", fixture->home);
    fixture->system = mem_printf("%s/system.yaml", fixture->dir);
    fixture->other = mem_printf("%s/other.yaml", fixture->dir);
    fixture->missing = mem_printf("%s/missing.yaml", fixture->dir);
    assert_int_equal(mkdir(fixture->home, 0755), 0);
    touch(fixture->in_home);
    touch(fixture->system);
    touch(fixture->other);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    unlink(fixture->in_home);
    unlink(fixture->system);
    unlink(fixture->other);
    rmdir(fixture->home);
    rmdir(fixture->dir);
    free(fixture->home);
    free(fixture->in_home);
    free(fixture->system);
    free(fixture->other);
    free(fixture->missing);
    free(fixture);
    return 0;
}

static void expect(struct fixture *fixture, const char *option, const char *system,
                   const char *wanted)
{
    const struct config_environment environment = {get, fixture};
    const struct config_search search = {option, &environment, system, fixture->home};
    CLEANUP(mem_cleanup) char *path = NULL;
    assert_int_equal(config_find_file(&search, &path, NULL), 0);
    if (wanted)
        assert_string_equal(path, wanted);
    else
        assert_null(path);
}

static void expect_error(struct fixture *fixture, const char *option, int code, const char *wanted)
{
    const struct config_environment environment = {get, fixture};
    const struct config_search search = {option, &environment, fixture->system, fixture->home};
    struct error err = ERROR_INIT;
    char *path = (char *)"untouched";
    assert_int_equal(config_find_file(&search, &path, &err), code);
    assert_string_equal(path, "untouched");
    assert_non_null(strstr(err.text, wanted));
}

static void test_the_order(void **state)
{
    struct fixture *fixture = *state;
    fixture->variable = fixture->other;
    expect(fixture, fixture->system, NULL, fixture->system);
    expect(fixture, NULL, fixture->system, fixture->other);
    fixture->variable = "";
    expect(fixture, NULL, fixture->system, fixture->system);
    expect(fixture, NULL, fixture->missing, fixture->in_home);
    expect(fixture, NULL, NULL, fixture->in_home);
    unlink(fixture->in_home);
    expect(fixture, NULL, fixture->missing, NULL);
}

static void test_one_that_was_named_must_exist(void **state)
{
    struct fixture *fixture = *state;
    expect_error(fixture, fixture->missing, -ENOENT, "(named by --config): No such file");
    fixture->variable = fixture->missing;
    expect_error(fixture, NULL, -ENOENT, "(named by HERMES_CONFIG): No such file");
}

static void test_a_directory_is_no_file(void **state)
{
    struct fixture *fixture = *state;
    expect_error(fixture, fixture->home, -EISDIR, "is a directory");
}

static void test_a_link_that_goes_round_is_not_passed_over(void **state)
{
    struct fixture *fixture = *state;
    unlink(fixture->system);
    assert_int_equal(symlink(fixture->system, fixture->system), 0);
    expect_error(fixture, NULL, -ELOOP, "cannot open the configuration");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_was_named_must_exist, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_directory_is_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_that_goes_round_is_not_passed_over, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
