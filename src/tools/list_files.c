#include <fcntl.h>
#include <inttypes.h>

#include "base/fd.h"
#include "tools/beneath.h"
#include "tools/directory.h"
#include "tools/table.h"

enum {
    ENTRIES_MAX = 500,       // of one result
    TEXT_BUDGET = 40 * 1024, // bytes of names
};

// A line break in a name would pass for two names.
static void show_name(struct buf *out, const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20)
            buf_printf(out, "\\x%02x", (unsigned char)*name);
        else
            buf_append_char(out, *name);
}

static void show_entry(struct buf *out, int directory_fd, const char *name)
{
    struct stat stat;
    show_name(out, name);
    if (fstatat(directory_fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        buf_append_text(out, " (unreadable)\n");
    else if (S_ISDIR(stat.st_mode))
        buf_append_text(out, "/\n");
    else if (S_ISREG(stat.st_mode))
        buf_printf(out, " (%" PRId64 " bytes)\n", (int64_t)stat.st_size);
    else
        buf_append_text(out, S_ISLNK(stat.st_mode) ? " (link)\n" : " (special)\n");
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    BUF_AUTO path = BUF_INIT(0);
    FD_AUTO fd = -1;
    CLEANUP(directory_finish) struct directory directory = {0};
    int r = tool_need_path(arguments, "path", ".", &path, err);
    if (r == 0)
        r = beneath_open(workspace_fd, buf_text(&path), O_PATH | O_DIRECTORY, 0, &fd, err);
    if (r == 0)
        r = directory_read(fd, &directory, err);
    if (r < 0)
        return r;

    size_t shown = 0;
    while (shown < directory.count && shown < ENTRIES_MAX && out->len < TEXT_BUDGET)
        show_entry(out, fd, directory.names[shown++]);
    if (shown < directory.count)
        buf_printf(out, "[%zu%s more entries are not shown]\n", directory.count - shown,
                   directory.more ? " or" : "");
    if (directory.count == 0)
        buf_append_text(out, "[the directory is empty]");
    return 0;
}

const struct tool tool_list_files = {
    .name = "list_files",
    .description = "List a directory of the workspace.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"path\":{\"type\":\"string\",\"description\":\"Relative path; default: the top\"}}}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .work = work,
};
