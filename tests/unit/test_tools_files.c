#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/tool_world.h"
#include "tools/directory.h"
#include "tools/tool.h"

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

static void says(const char *tool, const char *arguments, const char *wanted)
{
    const char *text = tool_world_run(&world, tool, arguments);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s %s:\n%s\nwanted:\n%s", tool, arguments, text, wanted);
}

static void mentions(const char *tool, const char *arguments, const char *part)
{
    const char *text = tool_world_run(&world, tool, arguments);
    if (!strstr(text, part))
        fail_msg("%s %s:\n%s\nwanted in it:\n%s", tool, arguments, text, part);
}

static void reading(void **state)
{
    tool_world_put_text(&world, "f", "one\n\nthree\nfour");
    says("read_file", "{'path':'f'}", "1|one\n2|\n3|three\n4|four\n");
    says("read_file", "{'path':'f','offset':3}", "3|three\n4|four\n");
    says("read_file", "{'path':'f','offset':2,'limit':1}",
         "2|\n[more follows: continue with offset=3]\n");
    says("read_file", "{'path':'f','offset':3,'limit':2}", "3|three\n4|four\n");
    says("read_file", "{'path':'f','offset':5}", "[the file has only 4 lines]");
    says("read_file", "{'path':'f','offset':null,'limit':null}", "1|one\n2|\n3|three\n4|four\n");
    tool_world_put_text(&world, "empty", "");
    says("read_file", "{'path':'empty'}", "[the file is empty]");
    tool_world_put_text(&world, "latin", "caf\xe9\r\n");
    says("read_file", "{'path':'latin'}", "1|caf\xe9\r\n");

    says("read_file", "{}", "refused: the parameter \"path\" is missing");
    says("read_file", "{'path':7}", "refused: the parameter \"path\" must be a string");
    says("read_file", "{'path':''}", "refused: the parameter \"path\" is not a path");
    says("read_file", "{'path':'f\\u0000/x'}", "refused: the parameter \"path\" is not a path");
    says("read_file", "{'path':'f','offset':0}",
         "refused: the parameter \"offset\" must be from 1 to 2147483647");
    says("read_file", "{'path':'f','limit':2001}",
         "refused: the parameter \"limit\" must be from 1 to 2000");
    says("read_file", "{'path':'f','limit':'2'}",
         "refused: the parameter \"limit\" must be a whole number");
    says("read_file", "{'path':'../secret'}", "refused: ../secret leads out of the workspace");
    says("read_file", "{'path':'nope'}", "refused: nope does not exist");
    tool_world_put(&world, "bin",
                   "\x7f"
                   "ELF\0\0",
                   6);
    says("read_file", "{'path':'bin'}", "refused: bin is a binary file of 6 bytes");
}

static void reading_much(void **state)
{
    BUF_AUTO file = BUF_INIT(16 << 20);
    for (int i = 0; i < 5000; i++)
        buf_append_text(&file, "x\n");
    tool_world_put(&world, "many", file.data, file.len);
    mentions("read_file", "{'path':'many'}", "2000|x\n[more follows: continue with offset=2001]\n");

    buf_clear(&file);
    for (int i = 0; i < 4096; i++)
        buf_append_char(&file, 'a');
    buf_append_text(&file, "\nb\n");
    tool_world_put(&world, "just", file.data, file.len);
    assert_null(strstr(tool_world_run(&world, "read_file", "{'path':'just'}"), "cut"));

    buf_clear(&file);
    for (int i = 0; i < 5000; i++)
        buf_append_char(&file, 'a');
    buf_append_text(&file, "\nshort\n");
    tool_world_put(&world, "long", file.data, file.len);
    mentions("read_file", "{'path':'long'}", "aaa [line cut: 4096 of 5000 bytes shown]\n2|short\n");

    // Long lines: as many as fit into one result, and where to go on. Nothing is left out.
    BUF_AUTO wide = BUF_INIT(1 << 20);
    for (int i = 0; i < 30; i++)
        buf_append(&wide, file.data, 5001);
    tool_world_put(&world, "wide", wide.data, wide.len);
    const char *text = tool_world_run(&world, "read_file", "{'path':'wide'}");
    assert_true(strlen(text) < TOOL_TEXT_MAX);
    const char *more = strstr(text, "[more follows: continue with offset=10]\n");
    assert_non_null(more);
    assert_non_null(strstr(text, "\n9|a"));
    assert_null(strstr(text, "\n10|"));
}

// Runs in a process whose limits are its own; what it says comes back through a shared page.
static const char *said_under(int resource, rlim_t limit, const char *tool, const char *arguments)
{
    static char text[4096];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit both = {limit, limit};
        struct sigaction ignore = {.sa_handler = SIG_IGN};
        sigaction(SIGXFSZ, &ignore, NULL);
        if (setrlimit(resource, &both) < 0)
            _exit(1);
        const char *said = tool_world_run(&world, tool, arguments);
        size_t len = strlen(said) < sizeof text ? strlen(said) : sizeof text - 1;
        _exit(write(ends[1], said, len) != (ssize_t)len);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int count_names(void)
{
    struct directory directory = {0};
    assert_int_equal(directory_read(world.fd, &directory, NULL), 0);
    int count = (int)directory.count;
    directory_finish(&directory);
    return count;
}

static mode_t mode_of(const char *name)
{
    struct stat stat;
    assert_int_equal(fstatat(world.fd, name, &stat, AT_SYMLINK_NOFOLLOW), 0);
    return stat.st_mode & 0777;
}

static void writing(void **state)
{
    umask(022);
    says("write_file", "{'path':'n','content':'a\\nb \\u00fc'}", "wrote 6 bytes to n");
    assert_true(tool_world_holds(&world, "n", "a\nb ü"));
    assert_int_equal(mode_of("n"), 0644);
    says("write_file", "{'path':'n','content':''}", "wrote 0 bytes to n");
    assert_true(tool_world_holds(&world, "n", ""));
    says("write_file", "{'path':'p/q/r','content':'x'}", "wrote 1 bytes to p/q/r");
    assert_true(tool_world_holds(&world, "p/q/r", "x"));
    assert_int_equal(count_names(), 2);

    says("write_file", "{'path':'p','content':'x'}",
         "refused: p is a directory and was left alone");
    says("write_file", "{'path':'n'}", "refused: the parameter \"content\" is missing");
    says("write_file", "{'path':'../secret','content':'x'}",
         "refused: ../secret leads out of the workspace");
    assert_true(tool_world_holds(&world, "../secret", "do not tell\n"));
    assert_int_equal(count_names(), 2);
}

static void writing_does_not_follow_links(void **state)
{
    tool_world_link(&world, "out", "../secret");
    tool_world_link(&world, "dangling", "../made");
    tool_world_put_text(&world, "f", "f");
    tool_world_link(&world, "in", "f");
    says("write_file", "{'path':'out','content':'x'}", "refused: out is a link and was left alone");
    says("write_file", "{'path':'in','content':'x'}", "refused: in is a link and was left alone");
    says("write_file", "{'path':'dangling','content':'x'}",
         "refused: dangling is a link and was left alone");
    assert_true(tool_world_holds(&world, "../secret", "do not tell\n"));
    assert_true(tool_world_holds(&world, "f", "f"));
    char path[1024];
    snprintf(path, sizeof path, "%s/fifo", world.workspace);
    assert_int_equal(mkfifo(path, 0644), 0);
    says("write_file", "{'path':'fifo','content':'x'}",
         "refused: fifo is not a regular file and was left alone");
}

// A private file stays private, a script stays one, and no moment is more open than either end.
static void writing_keeps_the_mode(void **state)
{
    tool_world_put_text(&world, "key", "old");
    tool_world_put_text(&world, "run.sh", "old");
    assert_int_equal(fchmodat(world.fd, "key", 0600, 0), 0);
    assert_int_equal(fchmodat(world.fd, "run.sh", 0755, 0), 0);
    says("write_file", "{'path':'key','content':'new'}", "wrote 3 bytes to key");
    says("write_file", "{'path':'run.sh','content':'new'}", "wrote 3 bytes to run.sh");
    assert_int_equal(mode_of("key"), 0600);
    assert_int_equal(mode_of("run.sh"), 0755);
}

// A disk that is full half-way through: the old file is whole, and nothing is left beside it.
static void writing_is_all_or_nothing(void **state)
{
    BUF_AUTO arguments = BUF_INIT(1 << 20);
    tool_world_put_text(&world, "f", "old\n");
    buf_append_text(&arguments, "{'path':'f','content':'");
    for (int i = 0; i < 10000; i++)
        buf_append_char(&arguments, 'n');
    buf_append_text(&arguments, "'}");
    for (rlim_t room = 0; room < 10000; room = room ? room * 3 : 1) {
        const char *said = said_under(RLIMIT_FSIZE, room, "write_file", buf_text(&arguments));
        assert_string_equal(said, "refused: cannot write f: File too large");
        assert_true(tool_world_holds(&world, "f", "old\n"));
        assert_int_equal(count_names(), 1);
    }
    assert_string_equal(said_under(RLIMIT_FSIZE, 10000, "write_file", buf_text(&arguments)),
                        "wrote 10000 bytes to f");
    // A reader that had it open keeps what it had.
    char path[1024], byte = 0;
    snprintf(path, sizeof path, "%s/f", world.workspace);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    says("write_file", "{'path':'f','content':'again'}", "wrote 5 bytes to f");
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'n');
    close(fd);
}

static void listing(void **state)
{
    says("list_files", "{}", "[the directory is empty]");
    tool_world_put_text(&world, "b", "12345");
    tool_world_put_text(&world, "a dir/x", "");
    tool_world_put_text(&world, "two\nlines", "");
    tool_world_put_text(&world, "\xff", "");
    tool_world_put_text(&world, ".hidden", "h");
    tool_world_put_text(&world, "-rf", "");
    tool_world_link(&world, "link", "/etc");
    char path[1024];
    snprintf(path, sizeof path, "%s/pipe", world.workspace);
    assert_int_equal(mkfifo(path, 0644), 0);
    static const char top[] = "-rf (0 bytes)\n.hidden (1 bytes)\na dir/\nb (5 bytes)\nlink (link)\n"
                              "pipe (special)\ntwo\\x0alines (0 bytes)\n\xff (0 bytes)\n";
    says("list_files", "{}", top);
    says("list_files", "{'path':'.'}", top);
    says("list_files", "{'path':'a dir'}", "x (0 bytes)\n");
    says("list_files", "{'path':'a dir/..'}", top);
    says("list_files", "{'path':'..'}", "refused: .. leads out of the workspace");
    says("list_files", "{'path':'link'}", "refused: link leads out of the workspace");
    says("list_files", "{'path':'nope'}", "refused: nope does not exist");
    says("list_files", "{'path':'b'}", "refused: a part of b is not a directory");
}

static void listing_much(void **state)
{
    char name[256];
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "few/%03d", i);
        tool_world_put_text(&world, name, "");
    }
    mentions("list_files", "{'path':'few'}", "499 (0 bytes)\n[100 more entries are not shown]\n");
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "wide/%03d%0200d", i, 0);
        tool_world_put_text(&world, name, "");
    }
    const char *text = tool_world_run(&world, "list_files", "{'path':'wide'}");
    assert_true(strlen(text) < TOOL_TEXT_MAX);
    assert_non_null(strstr(text, "more entries are not shown]\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_much, setup, teardown),
        cmocka_unit_test_setup_teardown(writing, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_does_not_follow_links, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_keeps_the_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_is_all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(listing, setup, teardown),
        cmocka_unit_test_setup_teardown(listing_much, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
