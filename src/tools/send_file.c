#include <errno.h>
#include <inttypes.h>

#include "base/fd.h"
#include "tools/beneath.h"
#include "tools/sent_file.h"
#include "tools/table.h"

enum { CAPTION_MAX = 1024 }; // bytes, and so characters, as Telegram takes them

// The number is first in the result: with it the file is promised (agent/turn_send.c).
static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    BUF_AUTO path = BUF_INIT(0);
    BUF_AUTO caption = BUF_INIT(0);
    FD_AUTO fd = -1;
    struct stat stat;
    int r = tool_need_path(arguments, "path", NULL, &path, err);
    if (r == 0 && memchr(path.data, '\n', path.len))
        r = error_set(err, -EINVAL, "a name with a line break cannot be sent; rename the file");
    if (r == 0 && tool_has(arguments, "caption"))
        r = tool_need_text(arguments, "caption", CAPTION_MAX, &caption, err);
    if (r == 0)
        r = beneath_open_file(workspace_fd, path.data, &fd, &stat, err);
    if (r == 0 && stat.st_size == 0)
        r = error_set(err, -EINVAL, "%s is empty, and cannot be sent", path.data);
    if (r == 0 && stat.st_size > SENT_FILE_MAX)
        r = error_set(err, -EFBIG,
                      "%s has %" PRId64 " bytes, and a bot may send 50 MB; make it smaller, or "
                      "split it",
                      path.data, (int64_t)stat.st_size);
    if (r == 0)
        buf_printf(out, "%" PRId64 " bytes go to the person: %s", (int64_t)stat.st_size, path.data);
    return r;
}

const struct tool tool_send_file = {
    .name = "send_file",
    .description = "Send a file of the workspace to the person, with the answer.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"path\":{\"type\":\"string\",\"description\":\"File\"},"
                  "\"caption\":{\"type\":\"string\",\"description\":\"Text below it\"}},"
                  "\"required\":[\"path\"]}",
    .flags = TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND | TOOL_SENDS,
    .work = work,
};
