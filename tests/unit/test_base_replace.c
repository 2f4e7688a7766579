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
#include "base/replace.h"

static char directory[64];
static int fd;

static int setup(void **state)
{
    snprintf(directory, sizeof directory, "/tmp/test_replace.XXXXXX");
    assert_non_null(mkdtemp(directory));
    fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0;
}

static int teardown(void **state)
{
    unlinkat(fd, "f", 0);
    unlinkat(fd, "d", AT_REMOVEDIR);
    fd_close(&fd);
    return rmdir(directory); // so nothing else was left in it
}

static void holds(const char *text)
{
    BUF_AUTO file = BUF_INIT(1024);
    char path[128];
    snprintf(path, sizeof path, "%s/f", directory);
    assert_int_equal(fd_read_file(path, &file, NULL), 0);
    assert_true(span_is(buf_span(&file), text));
}

static void a_file_is_made_and_replaced(void **state)
{
    struct stat stat;
    umask(077);
    assert_int_equal(replace_file(fd, "f", 0644, SPAN_LITERAL("one"), true, NULL), 0);
    holds("one");
    assert_int_equal(fstatat(fd, "f", &stat, 0), 0);
    assert_int_equal(stat.st_mode & 0777, 0644);
    assert_int_equal(replace_file(fd, "f", 0600, SPAN_LITERAL(""), false, NULL), 0);
    holds("");
    assert_int_equal(fstatat(fd, "f", &stat, 0), 0);
    assert_int_equal(stat.st_mode & 0777, 0600);
}

static void a_failure_leaves_nothing_behind(void **state)
{
    struct error err = ERROR_INIT;
    assert_int_equal(mkdirat(fd, "d", 0700), 0);
    assert_true(replace_file(fd, "d", 0600, SPAN_LITERAL("x"), true, &err) < 0);
    assert_non_null(strstr(err.text, "cannot write d"));
}

static void what_root_writes_belongs_to_the_directory(void **state)
{
    struct stat stat;
    uid_t owner = geteuid();
    if (owner == 0) {
        owner = 12345;
        assert_int_equal(chown(directory, owner, owner), 0);
    }
    assert_int_equal(replace_file(fd, "f", 0600, SPAN_LITERAL("x"), true, NULL), 0);
    assert_int_equal(fstatat(fd, "f", &stat, 0), 0);
    assert_int_equal(stat.st_uid, owner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_made_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failure_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(what_root_writes_belongs_to_the_directory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
