#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/replace.h"
#include "tools/beneath.h"
#include "tools/table.h"

enum { NEW_FILE_MODE = 0644 };

// *ret_mode is that of the file which is replaced: a private one stays private.
static int look_at_target(int parent_fd, const char *name, const char *path, mode_t *ret_mode,
                          struct error *err)
{
    struct stat stat;
    // A process has no other way to ask for it; here there is one thread.
    mode_t mask = umask(0);
    umask(mask);
    *ret_mode = NEW_FILE_MODE & ~mask;
    if (fstatat(parent_fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, errno, "cannot look at %s", path);
    *ret_mode = stat.st_mode & 0777;
    if (S_ISREG(stat.st_mode))
        return 0;
    return error_set(err, -EINVAL, "%s is %s and was left alone", path,
                     S_ISDIR(stat.st_mode)   ? "a directory"
                     : S_ISLNK(stat.st_mode) ? "a link"
                                             : "not a regular file");
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    BUF_AUTO path = BUF_INIT(0);
    BUF_AUTO content = BUF_INIT(0);
    FD_AUTO parent = -1;
    const char *name;
    mode_t mode;
    int r = tool_need_path(arguments, "path", NULL, &path, err);
    if (r == 0)
        r = tool_need_text(arguments, "content", TOOL_CONTENT_MAX, &content, err);
    if (r == 0)
        r = beneath_make_parent(workspace_fd, buf_text(&path), &parent, &name, err);
    if (r == 0)
        r = look_at_target(parent, name, buf_text(&path), &mode, err);
    if (r == 0)
        r = replace_file(parent, name, mode, buf_span(&content), true, err);
    if (r == 0)
        buf_printf(out, "wrote %zu bytes to %s", content.len, buf_text(&path));
    return r;
}

const struct tool tool_write_file = {
    .name = "write_file",
    .description = "Write a whole text file of the workspace; directories are made.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"path\":{\"type\":\"string\",\"description\":\"Relative path\"},"
                  "\"content\":{\"type\":\"string\",\"description\":\"The whole text\"}},"
                  "\"required\":[\"path\",\"content\"]}",
    .flags = TOOL_WRITES | TOOL_REPEATABLE | TOOL_UNATTENDED,
    .work = work,
};
