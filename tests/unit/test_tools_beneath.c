#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "support/tool_world.h"
#include "tools/beneath.h"

static struct tool_world world;

static int setup(void **state)
{
    tool_world_make(&world);
    tool_world_put_text(&world, "a.txt", "inside\n");
    tool_world_put_text(&world, "d/e/b.txt", "deep\n");
    return 0;
}

static int teardown(void **state)
{
    tool_world_remove(&world);
    return 0;
}

static int open_in(int directory_fd, const char *path, struct error *err)
{
    struct stat stat;
    FD_AUTO fd = -1;
    return beneath_open_file(directory_fd, path, &fd, &stat, err);
}

static void opens(const char *path)
{
    struct error err = ERROR_INIT;
    if (open_in(world.fd, path, &err) != 0)
        fail_msg("%s: %s", path, err.text);
}

static void refuses(const char *path, int code, const char *part)
{
    struct error err = ERROR_INIT;
    int r = open_in(world.fd, path, &err);
    if (r != code || !strstr(err.text, part))
        fail_msg("%s: %d %s", path, r, err.text);
}

static void paths_inside(void **state)
{
    opens("a.txt");
    opens("./a.txt");
    opens("d/e/b.txt");
    opens("d//e/./b.txt");
    opens("d/../a.txt");
    opens("d/e/../../a.txt");
    tool_world_link(&world, "l", "a.txt");
    opens("l");
    tool_world_link(&world, "d/up", "../a.txt");
    opens("d/up");
    tool_world_link(&world, "dir", "d/e");
    opens("dir/b.txt");
    opens("dir/../../a.txt");
}

static void paths_outside(void **state)
{
    static const char out[] = "leads out of the workspace";
    refuses("../secret", -EACCES, out);
    refuses("d/../../secret", -EACCES, out);
    refuses("..", -EACCES, out);
    refuses("../workspace/a.txt", -EACCES, out); // out and in again is out
    refuses("/etc/passwd", -EACCES, out);
    refuses("//etc/passwd", -EACCES, out);
    char absolute[1024];
    snprintf(absolute, sizeof absolute, "%s/a.txt", world.workspace);
    refuses(absolute, -EACCES, out);
    refuses("missing", -ENOENT, "missing does not exist");
    refuses("d/missing/../../a.txt", -ENOENT, "does not exist");
    refuses("a.txt/x", -ENOTDIR, "not a directory");
    refuses("", -ENOENT, "does not exist");
}

static void links_outside(void **state)
{
    static const char out[] = "leads out of the workspace";
    tool_world_link(&world, "up", "../secret");
    tool_world_link(&world, "root", "/");
    tool_world_link(&world, "absolute", "/etc/passwd");
    tool_world_link(&world, "chain", "up");
    tool_world_link(&world, "back", "../workspace/a.txt");
    tool_world_link(&world, "round", "round");
    tool_world_link(&world, "proc", "/proc/self/cwd/a.txt");
    tool_world_link(&world, "dangling", "nothing");
    refuses("up", -EACCES, out);
    refuses("root/etc/passwd", -EACCES, out);
    refuses("absolute", -EACCES, out);
    refuses("chain", -EACCES, out);
    refuses("back", -EACCES, out);
    refuses("round", -EACCES, out);
    refuses("proc", -EACCES, out);
    refuses("dangling", -ENOENT, "does not exist");
}

// Even a workspace that holds /proc leads nowhere through its magic links.
static void magic_links(void **state)
{
    FD_AUTO proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    FD_AUTO held = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    char path[64];
    struct error err = ERROR_INIT;
    snprintf(path, sizeof path, "self/fd/%d", held);
    assert_int_equal(open_in(proc, path, &err), -EACCES);
    assert_int_equal(open_in(proc, "self/exe", &err), -EACCES);
    assert_int_equal(open_in(proc, "self/cwd/x", &err), -EACCES);
    assert_int_equal(open_in(proc, "self/root/etc/passwd", &err), -EACCES);
    assert_int_equal(open_in(proc, "self/status", &err), 0);
}

// None of these is waited for; the test would hang.
static void what_is_no_file(void **state)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/fifo", world.workspace);
    assert_int_equal(mkfifo(path, 0644), 0);
    refuses("fifo", -EINVAL, "fifo is not a regular file");
    refuses("d", -EISDIR, "d is a directory; list_files shows what is in it");
    refuses(".", -EISDIR, "is a directory");

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", world.workspace);
    FD_AUTO listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    refuses("s", -ENXIO, "cannot open s");

    FD_AUTO dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct error err = ERROR_INIT;
    assert_int_equal(open_in(dev, "zero", &err), -EINVAL);
    assert_string_equal(err.text, "zero is not a regular file");
}

static int make_parent(const char *path, const char **ret_name, struct error *err)
{
    FD_AUTO fd = -1;
    return beneath_make_parent(world.fd, path, &fd, ret_name, err);
}

static void parents_are_made_inside(void **state)
{
    const char *name;
    struct error err = ERROR_INIT;
    struct stat stat;
    assert_int_equal(make_parent("x", &name, &err), 0);
    assert_string_equal(name, "x");
    assert_int_equal(make_parent("n/o//./p/file", &name, &err), 0);
    assert_string_equal(name, "file");
    assert_int_equal(fstatat(world.fd, "n/o/p", &stat, 0), 0);
    assert_true(S_ISDIR(stat.st_mode));
    tool_world_link(&world, "dir", "d/e");
    assert_int_equal(make_parent("dir/file", &name, &err), 0);
    assert_int_equal(make_parent("dir/q/file", &name, &err), 0);
    assert_int_equal(fstatat(world.fd, "d/e/q", &stat, 0), 0);
}

static void parents_are_not_made_outside(void **state)
{
    static const char *const paths[] = {
        "../x/file",
        "/x/file",
        "d/../../x/file",
        "out/x/file",
        "n/../../x/file",
        "root/x/file",
        "n/../x/file",
        "a.txt/file",
        "..",
        "d/..",
        ".",
        "d/",
        "",
        "/",
        "dangling/x/file",
    };
    tool_world_link(&world, "out", "..");
    tool_world_link(&world, "root", "/");
    tool_world_link(&world, "dangling", "../made");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const char *name;
        struct error err = ERROR_INIT;
        if (make_parent(paths[i], &name, &err) >= 0 || !*err.text)
            fail_msg("\"%s\" was not refused", paths[i]);
    }
    struct stat stat;
    char path[1024];
    snprintf(path, sizeof path, "%s/x", world.root);
    assert_int_not_equal(lstat(path, &stat), 0);
    snprintf(path, sizeof path, "%s/made", world.root);
    assert_int_not_equal(lstat(path, &stat), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(links_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(magic_links, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(parents_are_made_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(parents_are_not_made_outside, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
