#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/random.h"
#include "tools/beneath.h"
#include "tools/table.h"

enum { TEMPORARY_NAME_SIZE = sizeof ".hermes-" + 16 };

enum { NEW_FILE_MODE = 0644 };

// *ret_mode is that of the file which is replaced: a private one stays private.
static int look_at_target(int parent_fd, const char *name, const char *path, mode_t *ret_mode,
                          struct error *err)
{
    struct stat stat;
    *ret_mode = NEW_FILE_MODE;
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

static int write_new(int parent_fd, const char *name, mode_t mode, struct span content,
                     struct error *err)
{
    // O_PATH parents can be created in, but not fsync'ed; the rename is made durable below.
    FD_AUTO fd =
        openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & NEW_FILE_MODE);
    int r = fd < 0 ? -errno : fd_write_all(fd, content.data, content.len);
    if (r == 0 && mode != NEW_FILE_MODE && fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r < 0 ? error_errno(err, -r, "cannot write the file") : 0;
}

static void sync_directory(int parent_fd)
{
    FD_AUTO fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
}

// A reader sees the old file or the new one, and a full disk costs neither.
static int replace(int parent_fd, const char *name, mode_t mode, struct span content,
                   struct error *err)
{
    char temporary[TEMPORARY_NAME_SIZE] = ".hermes-";
    random_hex(temporary + 8, sizeof temporary - 8);
    int r = write_new(parent_fd, temporary, mode, content, err);
    if (r == 0 && renameat(parent_fd, temporary, parent_fd, name) < 0)
        r = error_errno(err, errno, "cannot replace the file");
    if (r < 0)
        unlinkat(parent_fd, temporary, 0);
    else
        sync_directory(parent_fd);
    return r;
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
        r = replace(parent, name, mode, buf_span(&content), err);
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
    .flags = TOOL_REPEATABLE,
    .work = work,
};
