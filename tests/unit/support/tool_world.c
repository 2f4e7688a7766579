#include "support/tool_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "tools/tool.h"

static const char *in_workspace(const struct tool_world *world, const char *name)
{
    static char path[8192];
    snprintf(path, sizeof path, "%s/%s", world->workspace, name);
    return path;
}

static void write_whole(const char *path, const void *data, size_t len)
{
    FD_AUTO fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, data, len), 0);
}

void tool_world_make(struct tool_world *world)
{
    static const char *const places[] = {"/dev/shm", "/tmp", "."};
    bool made = false;
    for (size_t i = 0; i < ARRAY_LEN(places) && !made; i++) {
        snprintf(world->root, sizeof world->root, "%s/hermes-tools-XXXXXX", places[i]);
        made = mkdtemp(world->root) != NULL;
    }
    assert_true(made);
    snprintf(world->workspace, sizeof world->workspace, "%s/workspace", world->root);
    assert_int_equal(mkdir(world->workspace, 0755), 0);
    world->fd = open(world->workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(world->fd >= 0);
    tool_world_put_text(world, "../secret", "do not tell\n");
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat, (void)kind, (void)ftw;
    return remove(path);
}

static int unlock_one(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)ftw;
    return kind == FTW_DNR || S_ISDIR(stat->st_mode) ? chmod(path, 0700) : 0;
}

void tool_world_remove(struct tool_world *world)
{
    fd_close(&world->fd);
    nftw(world->root, unlock_one, 16, FTW_PHYS);
    nftw(world->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void tool_world_put(struct tool_world *world, const char *name, const void *data, size_t len)
{
    char path[8192];
    snprintf(path, sizeof path, "%s", in_workspace(world, name));
    for (char *slash = path + strlen(world->workspace); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    write_whole(path, data, len);
}

void tool_world_put_text(struct tool_world *world, const char *name, const char *text)
{
    tool_world_put(world, name, text, strlen(text));
}

void tool_world_link(struct tool_world *world, const char *name, const char *target)
{
    assert_int_equal(symlink(target, in_workspace(world, name)), 0);
}

bool tool_world_holds(struct tool_world *world, const char *name, const char *text)
{
    BUF_AUTO file = BUF_INIT(16 << 20);
    return fd_read_file(in_workspace(world, name), &file, NULL) == 0 &&
           span_is(buf_span(&file), text);
}

void tool_world_set_zone(const char *assignment)
{
    static char zone[64], *environment[] = {zone, NULL};
    snprintf(zone, sizeof zone, "%s", assignment);
    environ = environment;
    tzset();
}

const char *tool_world_run(struct tool_world *world, const char *tool, const char *arguments)
{
    static char text[2 * TOOL_TEXT_MAX];
    BUF_AUTO out = BUF_INIT(TOOL_TEXT_MAX);
    BUF_AUTO json = BUF_INIT(TOOL_CONTENT_MAX * 2);
    JSON_AUTO doc = JSON_INIT;
    struct error err = ERROR_INIT;
    for (; *arguments; arguments++)
        buf_append_char(&json, *arguments == '\'' ? '"' : *arguments);
    if (json_parse(&doc, buf_span(&json), &err) < 0)
        fail_msg("%s: %s", buf_text(&json), err.text);
    int r = tool_find(tool)->work(world->fd, json_root(&doc), &out, &err);
    assert_false(buf_is_full(&out));
    if (r < 0)
        snprintf(text, sizeof text, "refused: %s%s%s", err.text, out.len ? "\n" : "",
                 buf_text(&out));
    else
        snprintf(text, sizeof text, "%s", buf_text(&out));
    return text;
}
