#include <errno.h>
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
#include "sandbox/temporary.h"

enum { NAME_BYTES = 200, DEEP = 60 }; // together more than a path may have

static void make_file(int at, const char *name)
{
    FD_AUTO fd = openat(at, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
}

static int make_directory(int at, const char *name)
{
    assert_int_equal(mkdirat(at, name, 0700), 0);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void fill_deep(const char *path)
{
    char name[NAME_BYTES + 1] = {0};
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(name, 'd', NAME_BYTES);
    for (int i = 0; i < DEEP; i++) {
        make_file(fd, "file");
        int inner = make_directory(fd, name);
        fd_close(&fd);
        fd = inner;
    }
    make_file(fd, "last");
    fd_close(&fd);
}

static void deeper_than_a_path(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *path = temporary_make();
    assert_non_null(path);
    fill_deep(path);
    temporary_remove(path);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(errno, ENOENT);
}

static void what_may_not_be_read(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *path = temporary_make();
    FD_AUTO top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FD_AUTO outer = make_directory(top, "outer");
    FD_AUTO inner = make_directory(outer, "inner");
    make_file(inner, "file");
    fchmod(inner, 0);
    fchmod(outer, 0);
    fchmod(top, 0);
    temporary_remove(path);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_a_link_leads_to(void **state)
{
    (void)state;
    CLEANUP(mem_cleanup) char *kept = temporary_make(), *path = temporary_make();
    CLEANUP(mem_cleanup) char *file = mem_printf("%s/file", kept);
    CLEANUP(mem_cleanup) char *link = mem_printf("%s/link", path);
    make_file(AT_FDCWD, file);
    assert_int_equal(symlink(kept, link), 0);
    temporary_clear(link);
    temporary_clear(path);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(access(path, F_OK), 0); // itself is not what it holds
    assert_int_equal(rmdir(path), 0);
    temporary_remove(kept);
    temporary_remove(NULL);
    temporary_remove(path); // is gone
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deeper_than_a_path),
        cmocka_unit_test(what_may_not_be_read),
        cmocka_unit_test(what_a_link_leads_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
