#include "base/fd.h"
#include "base/replace.h"
#include "tools/beneath.h"
#include "tools/file_target.h"
#include "tools/table.h"

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    BUF_AUTO path = BUF_INIT(0);
    BUF_AUTO content = BUF_INIT(0);
    FD_AUTO parent = -1;
    const char *name;
    struct file_target target;
    int r = tool_need_path(arguments, "path", NULL, &path, err);
    if (r == 0)
        r = tool_need_text(arguments, "content", TOOL_CONTENT_MAX, &content, err);
    if (r == 0)
        r = beneath_make_parent(workspace_fd, buf_text(&path), &parent, &name, err);
    if (r == 0)
        r = file_target_look(parent, name, buf_text(&path), &target, err);
    if (r == 0)
        r = replace_file(parent, name, target.mode, buf_span(&content), true, err);
    if (r == 0)
        buf_printf(out, "wrote %zu bytes to %s", content.len, buf_text(&path));
    return r;
}

const struct tool tool_write_file = {
    .name = "write_file",
    .description = "Write a whole text file; makes directories.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"path\":{\"type\":\"string\",\"description\":\"File\"},"
                  "\"content\":{\"type\":\"string\",\"description\":\"Its text\"}},"
                  "\"required\":[\"path\",\"content\"]}",
    .flags = TOOL_WRITES | TOOL_REPEATABLE | TOOL_UNATTENDED,
    .work = work,
};
