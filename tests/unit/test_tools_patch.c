#include <errno.h>
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
#include "tools/patched_files.h"
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

static void says(const char *arguments, const char *wanted)
{
    const char *text = tool_world_run(&world, "patch", arguments);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s:\n%s\nwanted:\n%s", arguments, text, wanted);
}

static void holds(const char *name, const char *text)
{
    if (!tool_world_holds(&world, name, text))
        fail_msg("%s is not: %s", name, text);
}

static bool is_there(const char *name)
{
    return faccessat(world.fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static mode_t mode_of(const char *name)
{
    struct stat stat;
    assert_int_equal(fstatat(world.fd, name, &stat, AT_SYMLINK_NOFOLLOW), 0);
    return stat.st_mode & 0777;
}

static void replacing(void **state)
{
    tool_world_put_text(&world, "d/f", "one\ntwo\nthree\ntwo\n");
    says("{'mode':'replace','path':'d/f','old_string':'one\\n','new_string':'1\\n'}",
         "--- a/d/f\n+++ b/d/f\n@@ -1,4 +1,4 @@\n-one\n+1\n two\n three\n two\n");
    says("{'path':'d/f','old_string':'two','new_string':'2','replace_all':true}",
         "--- a/d/f\n+++ b/d/f\n@@ -1,4 +1,4 @@\n 1\n-two\n+2\n three\n-two\n+2\n");
    holds("d/f", "1\n2\nthree\n2\n");
    says(
        "{'mode':'replace','path':'d/f','old_string':' three\\n 2\\n','new_string':' 3\\n'}",
        "--- a/d/f\n+++ b/d/f\n@@ -1,4 +1,3 @@\n 1\n 2\n-three\n-2\n+3\n"
        "[did not fit exactly: line 3 has another indentation, which the new lines got as well]\n");
    tool_world_put_text(&world, "dos", "a\r\nb");
    says("{'path':'dos','old_string':'a\\nb','new_string':'x\\ny'}",
         "--- a/dos\n+++ b/dos\n@@ -1,2 +1,2 @@\n-a\n-b\n\\ No newline at end of file\n+x\n+y\n"
         "\\ No newline at end of file\n");
    holds("dos", "x\r\ny");
}

static void replacing_refused(void **state)
{
    tool_world_put_text(&world, "f", "one\ntwo\n");
    says("{'path':'f','old_string':'twoo\\n','new_string':'2\\n'}",
         "refused: f: old_string is not in the file. What is most like it there:\n2|two\n");
    says("{'path':'f','old_string':'o','new_string':'0'}",
         "refused: f: old_string is there more than once, at lines 1 and 2; give more of what is "
         "around it, or replace_all");
    says("{'path':'f','old_string':'one'}", "refused: the parameter \"new_string\" is missing");
    says("{'path':'f','old_string':7,'new_string':''}",
         "refused: the parameter \"old_string\" must be a string");
    says("{'path':'f','old_string':'one','new_string':'1','replace_all':'yes'}",
         "refused: the parameter \"replace_all\" must be true or false");
    says("{'old_string':'one','new_string':'1'}", "refused: the parameter \"path\" is missing");
    says("{}", "refused: give old_string and new_string, or patch, and mode");
    says("{'mode':null,'old_string':'a','patch':'b'}",
         "refused: give old_string and new_string, or patch, and mode");
    says("{'mode':'both'}", "refused: the parameter \"mode\" must be \"replace\" or \"patch\"");
    says("{'mode':7}", "refused: the parameter \"mode\" must be \"replace\" or \"patch\"");
    says("{'mode':'patch'}", "refused: the parameter \"patch\" is missing");
    holds("f", "one\ntwo\n");
}

static void what_is_no_file(void **state)
{
    tool_world_link(&world, "out", "../secret");
    tool_world_put_text(&world, "f", "x\n");
    tool_world_link(&world, "in", "f");
    tool_world_put_text(&world, "d/f", "x\n");
    tool_world_put(&world, "bin", "x\0x", 3);
    static const char *const refusals[][2] = {
        {"nope", "nope does not exist"},
        {"no/pe", "no/pe does not exist"},
        {"out", "out is a link and was left alone"},
        {"in", "in is a link and was left alone"},
        {"d", "d is a directory and was left alone"},
        {"d/", "d/ does not name a file"},
        {"f/x", "a part of f/x is not a directory"},
        {"bin", "bin is a binary file of 3 bytes"},
        {"../secret", "../secret leads out of the workspace"},
        {"/etc/passwd", "/etc/passwd leads out of the workspace"},
    };
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        char arguments[512], wanted[512];
        snprintf(wanted, sizeof wanted, "refused: %s", refusals[i][1]);
        snprintf(arguments, sizeof arguments, "{'path':'%s','old_string':'x','new_string':'y'}",
                 refusals[i][0]);
        says(arguments, wanted);
        snprintf(arguments, sizeof arguments,
                 "{'patch':'*** Begin Patch\\n*** Delete File: %s\\n*** End Patch'}",
                 refusals[i][0]);
        says(arguments, wanted);
    }
    holds("../secret", "do not tell\n");
    assert_true(is_there("d/f") && is_there("bin") && is_there("in"));
}

#define BEGIN "{'mode':'patch','patch':'*** Begin Patch\\n"
#define END "*** End Patch\\n'}"

static void several_files(void **state)
{
    umask(022);
    tool_world_put_text(&world, "a", "1\n2\n");
    tool_world_put_text(&world, "b/c", "x\n");
    tool_world_put_text(&world, "gone", "y\n");
    assert_int_equal(fchmodat(world.fd, "a", 0600, 0), 0);
    says(BEGIN "*** Update File: a\\n-2\\n+two\\n*** Add File: n/e/w\\n+new\\n"
               "*** Delete File: gone\\n*** Update File: b/c\\n x\\n+y\\n" END,
         "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n 1\n-2\n+two\nadded n/e/w, 4 bytes\n"
         "deleted gone, 2 bytes\n--- a/b/c\n+++ b/b/c\n@@ -1,1 +1,2 @@\n x\n+y\n");
    holds("a", "1\ntwo\n");
    holds("n/e/w", "new\n");
    holds("b/c", "x\ny\n");
    assert_false(is_there("gone"));
    assert_int_equal(mode_of("a"), 0600);
    assert_int_equal(mode_of("n/e/w"), 0644);
    says("{'patch':'--- a/a\\n+++ b/a\\n@@ -1,2 +1,2 @@\\n-1\\n+one\\n two\\n'}",
         "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n-1\n+one\n two\n");
    holds("a", "one\ntwo\n");
}

// Whatever is wrong with one of them, the others are as they were.
static void all_or_nothing(void **state)
{
    tool_world_put_text(&world, "a", "1\n");
    tool_world_put_text(&world, "b", "2\n");
#define GOOD "*** Update File: a\\n-1\\n+one\\n*** Add File: new/n\\n+x\\n*** Delete File: b\\n"
    says(BEGIN GOOD "*** Update File: nope\\n-1\\n+x\\n" END, "refused: nope does not exist");
    says(BEGIN GOOD "*** Add File: a\\n+x\\n" END,
         "refused: a is there already; update it, or delete it first");
    says(BEGIN GOOD "*** Update File: ./a\\n-1\\n+x\\n" END,
         "refused: ./a stands twice in the patch; put its hunks together");
    says(BEGIN GOOD "*** Add File: new/../new/n\\n+x\\n" END,
         "refused: new/../new/n stands twice in the patch; put its hunks together");
    says(BEGIN GOOD "*** Add File: ../n\\n+x\\n" END, "refused: ../n leads out of the workspace");
    says(BEGIN GOOD "*** Add File: no/../../n\\n+x\\n" END,
         "refused: no/../../n leads out of the workspace");
    says(BEGIN GOOD "*** Update File: b\\n-3\\n+x\\n" END,
         "refused: b: hunk 1 (line 9 of the patch) is not in the file, nor anything like it");
    says(BEGIN "*** Update File: a\\n-1\\n+1\\n" END, "refused: a is as it would be made already");
    holds("a", "1\n");
    holds("b", "2\n");
    assert_false(is_there("new/n"));
}

// Root may write everywhere, so it is somebody else who tries.
static void one_cannot_be_written(void **state)
{
    tool_world_put_text(&world, "a", "1\n");
    tool_world_put_text(&world, "closed/b", "2\n");
    tool_world_put_text(&world, "c", "3\n");
    assert_int_equal(chmod(world.root, 0755), 0);
    assert_int_equal(chmod(world.workspace, 0777), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() == 0 && setuid(65534) < 0)
            _exit(2);
        if (getuid() != 65534 && fchmodat(world.fd, "closed", 0555, 0) < 0)
            _exit(3);
        const char *text = tool_world_run(
            &world, "patch",
            BEGIN "*** Update File: a\\n-1\\n+one\\n*** Update File: closed/b\\n-2\\n+two\\n"
                  "*** Update File: c\\n-3\\n+three\\n" END);
        if (strcmp(text, "refused: cannot write b: Permission denied\nnothing was changed\n") != 0)
            _exit(1);
        text = tool_world_run( // of which one learns too late
            &world, "patch",
            BEGIN "*** Update File: a\\n-1\\n+one\\n*** Delete File: closed/b\\n"
                  "*** Update File: c\\n-3\\n+three\\n" END);
        _exit(strcmp(text, "refused: cannot delete closed/b: Permission denied\n"
                           "changed before that: a\nnot changed: closed/b, c\n") != 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    holds("a", "one\n");
    holds("closed/b", "2\n");
    holds("c", "3\n");
}

static void somebody_else_was_there(void **state)
{
    CLEANUP(patched_files_finish) struct patched_files files = {.workspace_fd = world.fd};
    BUF_AUTO old = BUF_INIT(0);
    BUF_AUTO out = BUF_INIT(1024);
    struct error err = ERROR_INIT;
    tool_world_put_text(&world, "f", "old\n");
    assert_int_equal(patched_files_open(&files, TEXT_PATCH_UPDATE, "f", &old, &err), 0);
    assert_int_equal(patched_files_make_room(&files, 4, &err), 0);
    buf_append_text(&files.files[0].text, "new\n");
    tool_world_put_text(&world, "f", "other\n");
    assert_true(patched_files_write(&files, &out, &err) < 0);
    assert_string_equal(err.text, "f was changed by somebody else meanwhile; read it again");
    holds("f", "other\n");
    patched_files_finish(&files);

    assert_int_equal(patched_files_add(&files, "n", &err), 0);
    assert_int_equal(patched_files_make_room(&files, 0, &err), 0);
    tool_world_put_text(&world, "n", "theirs\n");
    assert_true(patched_files_write(&files, &out, &err) < 0);
    holds("n", "theirs\n");
}

// The first could be written, the second not: neither is changed, and nothing is left behind.
static void a_disk_that_takes_one_of_two(void **state)
{
    CLEANUP(patched_files_finish) struct patched_files files = {.workspace_fd = world.fd};
    BUF_AUTO out = BUF_INIT(1024);
    struct error err = ERROR_INIT;
    struct rlimit limit, small;
    tool_world_put_text(&world, "a", "old\n");
    tool_world_put_text(&world, "b", "old\n");
    for (int i = 0; i < 2; i++) {
        BUF_AUTO old = BUF_INIT(0);
        const char *name = i ? "b" : "a";
        assert_int_equal(patched_files_open(&files, TEXT_PATCH_UPDATE, name, &old, &err), 0);
        assert_int_equal(patched_files_make_room(&files, i ? 8192 : 4, &err), 0);
        for (int j = 0; j < (i ? 2048 : 1); j++)
            buf_append_text(&files.files[i].text, "new\n");
    }
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){4096, limit.rlim_max};
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int r = patched_files_write(&files, &out, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(r, -EFBIG);
    holds("a", "old\n");
    holds("b", "old\n");
    patched_files_finish(&files);
    assert_string_equal(tool_world_run(&world, "list_files", "{}"), "a (4 bytes)\nb (4 bytes)\n");
}

static void limits(void **state)
{
    BUF_AUTO text = BUF_INIT(2 * PATCHED_FILE_MAX);
    while (text.len < PATCHED_FILE_MAX - 16)
        buf_append_text(&text, "a line\n");
    buf_append_text(&text, "ends\n");
    while (text.len < PATCHED_FILE_MAX) // the size at which a file is just not too large
        buf_append_char(&text, 'x');
    tool_world_put(&world, "just", text.data, text.len);
    tool_world_put(&world, "second", text.data, text.len);
    buf_append_char(&text, 'x');
    tool_world_put(&world, "large", text.data, text.len);
    says("{'path':'large','old_string':'ends','new_string':'x'}",
         "refused: large is larger than 4 MiB");
    says("{'path':'just','old_string':'ends','new_string':'longer'}",
         "refused: just: what is written would be larger than 4 MiB, all files together; change "
         "fewer at once");
    assert_non_null(strstr(
        tool_world_run(&world, "patch", "{'path':'just','old_string':'ends','new_string':'ENDS'}"),
        "\n-ends\n+ENDS\n"));
    says(BEGIN "*** Update File: second\\n-ends\\n+e\\n*** Add File: n\\n+12345\\n" END,
         "refused: n: what is written would be larger than 4 MiB, all files together; change fewer "
         "at once");
    // What is shown is bounded, however much changed.
    const char *shown = tool_world_run(
        &world, "patch", "{'path':'just','old_string':'ENDS','new_string':'','replace_all':true}");
    assert_non_null(strstr(shown, "-ENDS\n"));
    buf_truncate(&text, 7 * 10000);
    tool_world_put(&world, "many", text.data, text.len);
    shown = tool_world_run(&world, "patch",
                           "{'path':'many','old_string':'line','new_string':'LINE',"
                           "'replace_all':true}");
    assert_true(strlen(shown) < 32 * 1024);
    assert_non_null(strstr(shown, "[more changes are not shown]\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replacing, setup, teardown),
        cmocka_unit_test_setup_teardown(replacing_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_file, setup, teardown),
        cmocka_unit_test_setup_teardown(several_files, setup, teardown),
        cmocka_unit_test_setup_teardown(all_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(one_cannot_be_written, setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_else_was_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_takes_one_of_two, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
