#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"

enum { BULK = 1000 * 1000 };

static int file_of(const void *data, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(fd_write_all(fd, data, len), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void closing_keeps_errno(void **state)
{
    (void)state;
    int fd = memfd_create("test", MFD_CLOEXEC), copy = fd;
    errno = EXDEV;
    fd_close(&fd);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(fd, -1);
    assert_int_equal(fcntl(copy, F_GETFD), -1); // it really is closed
    errno = EXDEV;
    fd_close(&fd);
    assert_int_equal(errno, EXDEV);
    int wrong = 1 << 20; // close(2) fails
    errno = EXDEV;
    fd_close(&wrong);
    assert_int_equal(errno, EXDEV);
}

static void *slow_reader(void *context)
{
    int fd = *(int *)context;
    size_t total = 0;
    char chunk[3000];
    for (ssize_t n; (n = read(fd, chunk, sizeof chunk)) > 0;) {
        for (ssize_t i = 0; i < n; i++)
            if (chunk[i] != (char)((total + (size_t)i) % 251))
                return NULL;
        total += (size_t)n;
    }
    return (void *)total;
}

// A pipe holds 64 KiB: this takes many short writes.
static void writes_everything(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, slow_reader, &ends[0]), 0);
    char *bulk = malloc(BULK);
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (char)(i % 251);
    assert_int_equal(fd_write_all(ends[1], bulk, BULK), 0);
    fd_close(&ends[1]);
    void *total;
    pthread_join(thread, &total);
    assert_int_equal((size_t)total, BULK);
    free(bulk);
    fd_close(&ends[0]);
}

static void writing_fails_with_its_errno(void **state)
{
    (void)state;
    FD_AUTO fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(fd_write_all(fd, "x", 1), -ENOSPC);
    assert_int_equal(fd_write_all(fd, "", 0), 0);
    assert_int_equal(fd_write_all(-1, "x", 1), -EBADF);
}

static void reads_to_the_end(void **state)
{
    (void)state;
    char *bulk = malloc(BULK);
    memset(bulk, 'q', BULK);
    FD_AUTO fd = file_of(bulk, BULK);
    BUF_AUTO buf = BUF_INIT(2 * BULK);
    assert_true(buf_append_text(&buf, "before"));
    assert_int_equal(fd_read_all(fd, &buf), 0);
    assert_int_equal(buf.len, BULK + 6);
    assert_memory_equal(buf.data, "beforeqq", 8);
    assert_memory_equal(buf.data + 6, bulk, BULK);
    free(bulk);
}

static void the_maximum_tells_full_from_more(void **state)
{
    (void)state;
    FD_AUTO ten = file_of("0123456789", 10);
    BUF_AUTO exact = BUF_INIT(10);
    assert_int_equal(fd_read_all(ten, &exact), 0);
    assert_false(buf_is_full(&exact));
    assert_string_equal(buf_text(&exact), "0123456789");

    FD_AUTO eleven = file_of("0123456789X", 11);
    BUF_AUTO small = BUF_INIT(10);
    assert_int_equal(fd_read_all(eleven, &small), -EFBIG);
    assert_int_equal(fd_read_all(-1, &exact), -EBADF);
}

static void whole_files(void **state)
{
    (void)state;
    BUF_AUTO buf = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    assert_int_equal(fd_read_file("/proc/self/cmdline", &buf, &err), 0);
    assert_non_null(strstr(buf_text(&buf), "test_base_fd"));
    assert_int_equal(fd_read_file("/nowhere/at/all", &buf, &err), -ENOENT);
    assert_string_equal(err.text, "cannot open /nowhere/at/all: No such file or directory");
    assert_int_equal(fd_read_file("/", &buf, &err), -EISDIR);
    assert_string_equal(err.text, "cannot read /: Is a directory");
    BUF_AUTO tiny = BUF_INIT(3);
    assert_int_equal(fd_read_file("/proc/self/cmdline", &tiny, &err), -EFBIG);
    assert_string_equal(err.text, "/proc/self/cmdline is larger than 3 bytes");
}

// Opening a named pipe must not wait for a writer, nor may descriptors be left open.
static void files_that_are_none(void **state)
{
    (void)state;
    int next = memfd_create("test", MFD_CLOEXEC);
    close(next);
    char path[64];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    BUF_AUTO buf = BUF_INIT(100);
    assert_int_equal(fd_read_file(path, &buf, NULL), -EAGAIN);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
    int again = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(again, next);
    close(again);
}

static void the_limit_is_raised_and_never_lowered(void **state)
{
    (void)state;
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    static const unsigned cases[][3] = {{64, 1000, 1000}, {64, 100000, 4096}, {5000, 6000, 5000}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        now = (struct rlimit){cases[i][0], cases[i][1]};
        if (now.rlim_max > before.rlim_max)
            continue;         // it cannot be had here
        pid_t child = fork(); // a lowered hard limit stays
        if (child == 0) {
            setrlimit(RLIMIT_NOFILE, &now);
            fd_raise_limit();
            _exit(fd_limit() == cases[i][2] ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closing_keeps_errno),
        cmocka_unit_test(writes_everything),
        cmocka_unit_test(writing_fails_with_its_errno),
        cmocka_unit_test(reads_to_the_end),
        cmocka_unit_test(the_maximum_tells_full_from_more),
        cmocka_unit_test(whole_files),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(the_limit_is_raised_and_never_lowered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
