// links: daemon/gateway_log.c daemon/log_files.c daemon/log_row.c
// The log as it stands on the disk: what is in a line, how files turn over, and what is left when
// there is no room, no file or no right to write.
#include <dirent.h>
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
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "daemon/gateway_log.h"
#include "daemon/log_files.h"
#include "daemon/log_row.h"
#include "support/fake_clock.h"

enum {
    TEXT_MAX = 8 << 20,
    NOBODY = 65534, // root may write anywhere, so some tests are somebody else
};

struct world {
    char home[64];
    char *path; // owned
    struct fake_clock clock;
    struct gateway_log_config config;
    struct gateway_log *log;
    int kept_stderr, said;
};

static const char *const secrets[] = {"hunter2hunter2", NULL, "pass\"word9"};

static void open_log(struct world *world)
{
    assert_int_equal(gateway_log_open(&world->config, world->home, secrets, ARRAY_LEN(secrets),
                                      &world->clock.clock, NULL, &world->log, NULL),
                     0);
}

static void reopen(struct world *world)
{
    gateway_log_close(world->log);
    open_log(world);
}

static int set_up(void **state)
{
    struct world *world = mem_new(struct world);
    snprintf(world->home, sizeof world->home, "/tmp/hermes-log-XXXXXX");
    assert_non_null(mkdtemp(world->home));
    world->path = gateway_log_path(world->home, 0);
    fake_clock_init(&world->clock, 1000);
    world->clock.wall_ms = INT64_C(1795222923456);
    world->config =
        (struct gateway_log_config){.level = "info", .max_megabytes = 5, .keep = 3, .echo = false};
    world->said = memfd_create("stderr", MFD_CLOEXEC);
    world->kept_stderr = dup(STDERR_FILENO);
    dup2(world->said, STDERR_FILENO);
    open_log(world);
    *state = world;
    return 0;
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        CLEANUP(mem_cleanup) char *inner = mem_printf("%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && unlink(inner) < 0)
            remove_tree(inner);
    }
    if (directory)
        closedir(directory);
    rmdir(path);
}

static int tear_down(void **state)
{
    struct world *world = *state;
    gateway_log_close(world->log);
    dup2(world->kept_stderr, STDERR_FILENO);
    close(world->kept_stderr);
    close(world->said);
    remove_tree(world->home);
    free(world->path);
    free(world);
    return 0;
}

static char *slurp(const char *path)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    fd_read_file(path, &text, NULL);
    return buf_take_text(&text);
}

static char *content(const struct world *world, unsigned number)
{
    CLEANUP(mem_cleanup) char *path = gateway_log_path(world->home, number);
    return slurp(path);
}

static char *told(const struct world *world)
{
    fflush(stderr);
    struct buf text = BUF_INIT(TEXT_MAX);
    lseek(world->said, 0, SEEK_SET);
    fd_read_all(world->said, &text);
    return buf_take_text(&text);
}

// Every line is an object, within its limit, and the file ends with one.
static size_t check_lines(const char *text)
{
    JSON_AUTO doc = JSON_INIT;
    size_t count = 0;
    struct span rest = span_of(text);
    assert_true(rest.len == 0 || rest.data[rest.len - 1] == '\n');
    for (; rest.len; count++) {
        struct span line = span_cut(&rest, '\n');
        assert_true(line.len < GATEWAY_LOG_LINE_MAX);
        if (json_parse(&doc, line, NULL) < 0)
            fail_msg("no JSON: %.*s", (int)line.len, line.data);
        assert_int_equal(json_type(json_root(&doc)), JSON_OBJECT);
    }
    return count;
}

static void expect(const struct world *world, unsigned number, const char *wanted)
{
    CLEANUP(mem_cleanup) char *text = content(world, number);
    assert_string_equal(text, wanted);
}

#define TIME "{\"time\":\"2026-11-21T01:02:03.456Z\","

static void a_line(void **state)
{
    struct world *world = *state;
    LOG_EVENT(LOG_INFO, "turn.end", "0123456789abcdef", LOG_TEXT("state", "a \"b\"\n\033\xff"),
              LOG_NUMBER("ms", -12));
    log_warning("line %d", 1);
    LOG_EVENT(LOG_DEBUG, "not.told", "", LOG_NUMBER("x", 1));
    expect(world, 0,
           TIME "\"level\":\"info\",\"event\":\"turn.end\",\"id\":\"0123456789abcdef\","
                "\"state\":\"a \\\"b\\\"\\n\\u001b\xef\xbf\xbd\",\"ms\":-12}\n" TIME
                "\"level\":\"warning\",\"event\":\"line\",\"id\":\"\",\"text\":\"line 1\"}\n");
    struct stat stat_buffer;
    assert_int_equal(stat(world->path, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 07777, 0600);
}

static void secrets_are_in_neither(void **state)
{
    struct world *world = *state;
    world->config.echo = true;
    reopen(world);
    log_error("a hunter2hunter2 b");
    LOG_EVENT(LOG_INFO, "e", "", LOG_TEXT("k", "{\"p\":\"pass\\\"word9\"}"));
    CLEANUP(mem_cleanup) char *said = told(world);
    CLEANUP(mem_cleanup) char *text = content(world, 0);
    assert_int_equal(check_lines(text), 2);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "word9"));
    assert_null(strstr(said, "hunter2"));
    assert_non_null(strstr(said, "error: a [redacted] b\n"));
    assert_non_null(strstr(said, "hermes: e k="));
}

static void levels(void **state)
{
    struct world *world = *state;
    struct error err = ERROR_INIT;
    struct gateway_log *none = NULL;
    world->config.level = "WARNING";
    reopen(world);
    log_info("not told");
    log_warning("told");
    CLEANUP(mem_cleanup) char *text = content(world, 0);
    assert_int_equal(check_lines(text), 1);
    world->config.level = "loud";
    assert_int_equal(gateway_log_open(&world->config, world->home, NULL, 0, &world->clock.clock,
                                      NULL, &none, &err),
                     -EINVAL);
    assert_non_null(strstr(err.text, "\"loud\" is not debug"));
    assert_null(none);
}

static void long_values_are_cut(void **state)
{
    struct world *world = *state;
    struct log_field fields[60];
    CLEANUP(mem_cleanup) char *text = mem_alloc(200001);
    for (size_t i = 0; i < 200000; i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    text[200000] = '\0';
    LOG_EVENT(LOG_INFO, "one", "", LOG_TEXT("a", text), LOG_NUMBER("n", 1));
    memset(text, 1, 200000); // six bytes each in JSON
    for (size_t i = 0; i < 60; i++)
        fields[i] = LOG_TEXT("f", text);
    log_event(LOG_INFO, "many", "", fields, 1);
    log_event(LOG_INFO, "many", "", fields, 60);
    CLEANUP(mem_cleanup) char *all = content(world, 0);
    assert_int_equal(check_lines(all), 3);
    assert_non_null(strstr(all, "\xc3\xbc\xc3\xbc\xe2\x80\xa6\",\"n\":1,\"cut\":true}\n"));
    assert_non_null(strstr(all, "\\u0001\xe2\x80\xa6\",\"cut\":true}\n"));
}

static size_t files(const struct world *world)
{
    size_t count = 0;
    for (unsigned number = 0; number < GATEWAY_LOG_KEEP_MAX; number++) {
        CLEANUP(mem_cleanup) char *path = gateway_log_path(world->home, number);
        count += access(path, F_OK) == 0;
    }
    return count;
}

static void fill(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        LOG_EVENT(LOG_INFO, "n", "", LOG_NUMBER("i", i));
}

static void files_turn_over(void **state)
{
    struct world *world = *state;
    world->config.max_bytes = 1000;
    reopen(world);
    fill(0, 200);
    assert_int_equal(files(world), 4);
    int64_t last = 200;
    for (unsigned number = 0; number <= 3; number++) {
        CLEANUP(mem_cleanup) char *text = content(world, number);
        assert_in_range(strlen(text), number ? 800 : 1, 1000);
        last -= (int64_t)check_lines(text);
        char wanted[32]; // none is missing in between
        snprintf(wanted, sizeof wanted, "\"i\":%d}\n", (int)last);
        assert_memory_equal(strstr(text, "\"i\":"), wanted, strlen(wanted));
    }
    world->config.keep = 1;
    reopen(world);
    fill(200, 230);
    assert_int_equal(files(world), 2);
    world->config.keep = 0;
    reopen(world);
    fill(230, 260);
    assert_int_equal(files(world), 1);
}

static void removed_and_replaced(void **state)
{
    struct world *world = *state;
    fill(0, 1);
    assert_int_equal(unlink(world->path), 0);
    fill(1, 2);
    expect(world, 0, TIME "\"level\":\"info\",\"event\":\"n\",\"id\":\"\",\"i\":1}\n");
    CLEANUP(mem_cleanup) char *moved = mem_printf("%s/moved", world->home);
    assert_int_equal(rename(world->path, moved), 0);
    fill(2, 3);
    expect(world, 0, TIME "\"level\":\"info\",\"event\":\"n\",\"id\":\"\",\"i\":2}\n");
    CLEANUP(mem_cleanup) char *directory = mem_printf("%s/logs", world->home);
    remove_tree(directory);
    fill(3, 4);
    expect(world, 0, TIME "\"level\":\"info\",\"event\":\"n\",\"id\":\"\",\"i\":3}\n");
    assert_int_equal(truncate(world->path, 0), 0);
    fill(4, 5);
    expect(world, 0, TIME "\"level\":\"info\",\"event\":\"n\",\"id\":\"\",\"i\":4}\n");
    CLEANUP(mem_cleanup) char *said = told(world);
    assert_string_equal(said, "");
}

// The limit of a file's size stands for the full disk: part of the line is written, then no more.
static void a_full_disk(void **state)
{
    struct world *world = *state;
    struct rlimit kept;
    fill(0, 2);
    CLEANUP(mem_cleanup) char *before = content(world, 0);
    getrlimit(RLIMIT_FSIZE, &kept);
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){strlen(before) + 20, kept.rlim_max});
    fill(2, 5);
    setrlimit(RLIMIT_FSIZE, &kept);
    CLEANUP(mem_cleanup) char *meanwhile = content(world, 0);
    assert_string_equal(meanwhile, before); // no half of a line
    fill(5, 6);
    CLEANUP(mem_cleanup) char *after = content(world, 0);
    assert_int_equal(check_lines(after), 4);
    assert_non_null(strstr(after, "\"event\":\"log.lost\",\"id\":\"\",\"lines\":3}\n"));
    assert_non_null(strstr(after, "\"i\":5}\n"));
    CLEANUP(mem_cleanup) char *said = told(world);
    assert_non_null(strstr(said, "hermes: warning: cannot write "));
    assert_null(strstr(strstr(said, "cannot write") + 1, "cannot write")); // once
}

static void a_torn_line_stays_alone(void **state)
{
    struct world *world = *state;
    fill(0, 1);
    gateway_log_close(world->log);
    FD_AUTO fd = open(world->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "{\"time\":\"20", 11), 11);
    open_log(world);
    fill(1, 2);
    CLEANUP(mem_cleanup) char *text = content(world, 0);
    assert_non_null(strstr(text, "{\"time\":\"20\n{\"time\""));
}

static void a_home_that_cannot_be_written(void **state)
{
    struct world *world = *state;
    gateway_log_close(world->log);
    assert_int_equal(chmod(world->home, 0555), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(NOBODY), 0);
    open_log(world);
    for (int64_t i = 0; i < 4; i++) {
        log_info("x");
        world->clock.now_ms += 3000;
    }
    if (root)
        assert_int_equal(seteuid(0), 0);
    CLEANUP(mem_cleanup) char *said = told(world);
    assert_non_null(strstr(said, "Permission denied; until it can, events"));
    assert_null(strstr(strstr(said, "cannot write") + 1, "cannot write"));
    chmod(world->home, 0700);
    world->clock.now_ms += 60 * 1000;
    log_info("y");
    CLEANUP(mem_cleanup) char *text = content(world, 0);
    assert_int_equal(check_lines(text), 2);
    assert_non_null(strstr(text, "\"lines\":4}"));
}

static void what_is_no_file_is_left_alone(void **state)
{
    struct world *world = *state;
    CLEANUP(mem_cleanup) char *directory = mem_printf("%s/logs", world->home);
    CLEANUP(mem_cleanup) char *target = mem_printf("%s/target", world->home);
    assert_int_equal(mkdir(directory, 0700), 0);
    assert_int_equal(mkfifo(world->path, 0600), 0); // nobody reads: must not wait
    log_info("x");
    unlink(world->path);
    assert_int_equal(symlink(target, world->path), 0);
    world->clock.now_ms += 60 * 1000;
    log_info("x");
    assert_int_equal(access(target, F_OK), -1);
    unlink(world->path);
}

/* Its readers */

struct lines {
    struct buf text;
};

static void keep_line(void *context, struct span line, struct log_place place)
{
    (void)place;
    struct lines *lines = context;
    ptrdiff_t at = span_find(line, SPAN_LITERAL("\"i\":"));
    if (at >= 0)
        buf_append_span(&lines->text, span_skip(line, (size_t)at + 4));
    buf_append_text(&lines->text, " ");
}

static void readers_refuse_what_has_no_end(void **state)
{
    struct world *world = *state;
    LOG_FILES_AUTO files = {.count = 0};
    log_info("the directory is made with the first line");
    unlink(world->path);
    assert_int_equal(symlink("/dev/zero", world->path), 0);
    assert_int_equal(log_files_open(world->home, &files, NULL), -EINVAL);
    unlink(world->path);
}

static void readers_see_one_sequence(void **state)
{
    struct world *world = *state;
    world->config.max_bytes = 300;
    world->config.keep = 5;
    reopen(world);
    struct lines lines = {.text = BUF_INIT(TEXT_MAX)};
    LOG_FILES_AUTO none = {.count = 1};
    none.count = 0;
    assert_int_equal(log_files_open(world->home, &none, NULL), 0);
    assert_int_equal(none.count, 0);
    fill(0, 10);
    LOG_FILES_AUTO all = {.count = 0};
    assert_int_equal(log_files_open(world->home, &all, NULL), 0);
    assert_true(all.count > 3);
    fill(10, 12); // while they are read
    assert_int_equal(log_files_each(&all, (struct log_place){0, 0}, keep_line, &lines, NULL), 0);
    for (unsigned i = 12; i < 60; i += 4) { // through several rotations
        fill(i, i + 4);
        assert_int_equal(log_files_more(&all, keep_line, &lines, NULL), 0);
    }
    assert_int_equal(log_files_more(&all, keep_line, &lines, NULL), 0);
    unlink(world->path);
    fill(60, 61);
    assert_int_equal(log_files_more(&all, keep_line, &lines, NULL), 0);
    BUF_AUTO wanted = BUF_INIT(TEXT_MAX);
    for (unsigned i = 0; i < 61; i++)
        buf_printf(&wanted, "%u} ", i);
    assert_string_equal(buf_text(&lines.text), buf_text(&wanted));
    // From nothing, as with --follow before the first line.
    buf_clear(&lines.text);
    buf_clear(&wanted);
    assert_int_equal(log_files_more(&none, keep_line, &lines, NULL), 0);
    assert_true(span_ends_with(buf_span(&lines.text), "60} "));
    buf_finish(&lines.text);
}

static void expect_row(const char *line, bool relative, const char *wanted)
{
    JSON_AUTO doc = JSON_INIT;
    assert_int_equal(json_parse(&doc, span_of(line), NULL), 0);
    BUF_AUTO row = BUF_INIT(TEXT_MAX);
    struct log_row_style style = {.relative = relative, .since_ms = INT64_C(1795222923000)};
    log_row_write(&row, json_root(&doc), &style);
    assert_string_equal(buf_text(&row), wanted);
}

static void rows(void **state)
{
    (void)state;
    expect_row(TIME "\"level\":\"info\",\"event\":\"turn.end\",\"id\":\"0123456789ab\","
                    "\"state\":\"done\",\"n\":-1.5,\"why\":\"a b\",\"x\":{\"y\":[1]},\"e\":\"\"}",
               true,
               "    0.456 s  info     turn.end       state=done n=-1.5 why=\"a b\" x={\"y\":[1]} "
               "e=\"\"\n");
    expect_row("{\"event\":\"e\",\"k\":\"say \\\"no\\\"\"}", false,
               "?  -        -         e              k=\"say \\\"no\\\"\"\n");
    expect_row("{}", false, "?  -        -         -             \n");
    expect_row("{\"time\":7,\"level\":null,\"id\":[],\"text\":\"no line\"}", false,
               "?  null     []        -              text=\"no line\"\n");
    expect_row("{\"event\":\"line\",\"text\":\"said so\"}", false,
               "?  -        -         line           said so\n");
    expect_row("{\"event\":\"e\",\"a\\u001b[2J\":\"\\u001b\\u009b\\r\\n\\t\\u202e\\u061c\"}", true,
               "?  -        e              a\xef\xbf\xbd[2J=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
               "\\n\\t\xef\xbf\xbd\xef\xbf\xbd\"\n");
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_line),
        WITH_WORLD(secrets_are_in_neither),
        WITH_WORLD(levels),
        WITH_WORLD(long_values_are_cut),
        WITH_WORLD(files_turn_over),
        WITH_WORLD(removed_and_replaced),
        WITH_WORLD(a_full_disk),
        WITH_WORLD(a_torn_line_stays_alone),
        WITH_WORLD(a_home_that_cannot_be_written),
        WITH_WORLD(what_is_no_file_is_left_alone),
        WITH_WORLD(readers_refuse_what_has_no_end),
        WITH_WORLD(readers_see_one_sequence),
        cmocka_unit_test(rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
