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
#include "sandbox/disk_watch.h"
#include "sandbox/temporary.h"

// On a disk that others use at the same time, so more is written than the limit allows.
enum { LIMIT = 1 << 20, MUCH = 4 * LIMIT, MANY = 1024, FAR_MORE = 1 << 30 };

static char place[64];
static struct disk_watch disks;
static struct error err;

static int setup(void **state)
{
    err = (struct error)ERROR_INIT;
    snprintf(place, sizeof place, "/dev/shm/hermes-disk-XXXXXX");
    return mkdtemp(place) ? 0 : -1;
}

static int teardown(void **state)
{
    temporary_remove(place);
    return 0;
}

static void begin(int64_t limit, const char *write)
{
    const char *const paths[] = {write, NULL};
    const struct grants grants = {.write = write ? paths : NULL, .disk = limit};
    disk_watch_begin(&disks, &grants, write ? NULL : place);
}

static void fill(int files, size_t bytes)
{
    CLEANUP(mem_cleanup) char *zeros = mem_zalloc(bytes + 1);
    for (int i = 0; i < files; i++) {
        CLEANUP(mem_cleanup) char *path = mem_printf("%s/%d", place, i);
        FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(fd_write_all(fd, zeros, bytes), 0);
    }
}

static void test_bytes_of_many_files(void **state)
{
    begin(LIMIT, place);
    fill(MUCH / 4096, 4096);
    assert_int_equal(disk_watch_look(&disks, 0, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "it filled the disk of /dev/shm/hermes-disk-"));
    assert_non_null(strstr(err.text, "more than 1 MiB were taken of it meanwhile"));
}

static void test_files_without_a_byte(void **state)
{
    begin(LIMIT, place);
    fill(MANY, 0);
    assert_int_equal(disk_watch_look(&disks, 0, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "more than 256 files were made there meanwhile"));
}

static void test_the_place_of_temporary_files(void **state)
{
    begin(LIMIT, NULL);
    fill(1, MUCH);
    assert_int_equal(disk_watch_look(&disks, 0, &err), -ENOSPC);
}

static void test_less_than_the_limit(void **state)
{
    begin(FAR_MORE, place);
    fill(MANY, 0);
    fill(1, MUCH);
    assert_int_equal(disk_watch_look(&disks, 0, &err), 0);
    begin(0, place);
    temporary_clear(place);
    assert_int_equal(disk_watch_look(&disks, 0, &err), 0);
}

static void test_what_was_there_before_does_not_count(void **state)
{
    fill(1, 8 * MUCH);
    begin(LIMIT, place);
    temporary_clear(place);
    assert_int_equal(disk_watch_look(&disks, 0, &err), 0);
}

static void test_a_path_that_is_not_there(void **state)
{
    begin(LIMIT, "/there/is/no/such/disk");
    assert_int_equal(disks.count, 0);
    begin(LIMIT, place);
    temporary_remove(place);
    assert_int_equal(disk_watch_look(&disks, 0, &err), 0);
}

static void test_not_at_every_call(void **state)
{
    begin(FAR_MORE, place);
    assert_int_equal(disk_watch_look(&disks, 0, &err), 0);
    disks.limit = LIMIT;
    fill(1, MUCH);
    assert_int_equal(disk_watch_look(&disks, DISK_WATCH_MS - 1, &err), 0);
    assert_int_equal(disk_watch_look(&disks, DISK_WATCH_MS, &err), -ENOSPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes_of_many_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_without_a_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_place_of_temporary_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_less_than_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_there_before_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_path_that_is_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_at_every_call, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
