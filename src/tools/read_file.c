#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "tools/beneath.h"
#include "tools/line_reader.h"
#include "tools/table.h"

enum {
    LINES_MAX = 2000,        // of one result
    LINE_SHOWN_MAX = 4096,   // bytes of one line
    TEXT_BUDGET = 40 * 1024, // bytes of lines; the rest of TOOL_TEXT_MAX is for remarks
    BINARY_PROBE = 8 * 1024, // bytes that are looked at for a NUL
};

static int refuse_binary(int fd, const struct stat *stat, const char *path, struct error *err)
{
    char probe[BINARY_PROBE];
    ssize_t n = pread(fd, probe, sizeof probe, 0);
    if (n < 0)
        return error_errno(err, errno, "cannot read %s", path);
    if (n > 0 && memchr(probe, '\0', (size_t)n))
        return error_set(err, -EINVAL, "%s is a binary file of %" PRId64 " bytes", path,
                         (int64_t)stat->st_size);
    return 0;
}

static int show_lines(int fd, int64_t offset, int64_t limit, struct buf *out, struct error *err)
{
    CLEANUP(line_reader_finish) struct line_reader line;
    line_reader_init(&line, fd, LINE_SHOWN_MAX);
    int64_t number = 0;
    int r;
    while ((r = line_reader_next(&line)) > 0) {
        number++;
        if (number < offset)
            continue;
        if (number >= offset + limit || out->len + line.text.len > TEXT_BUDGET) {
            buf_printf(out, "[more follows: continue with offset=%" PRId64 "]\n", number);
            break;
        }
        buf_printf(out, "%" PRId64 "|", number);
        buf_append_span(out, buf_span(&line.text));
        if (line.line_size > line.text.len)
            buf_printf(out, " [line cut: %zu of %zu bytes shown]", line.text.len, line.line_size);
        buf_append_char(out, '\n');
    }
    if (r < 0)
        return error_errno(err, -r, "cannot read line %" PRId64, number + 1);
    if (out->len == 0)
        buf_printf(out, number ? "[the file has only %" PRId64 " lines]" : "[the file is empty]",
                   number);
    return 0;
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    BUF_AUTO path = BUF_INIT(0);
    int64_t offset = 1, limit = LINES_MAX;
    int r = tool_need_path(arguments, "path", NULL, &path, err);
    if (r == 0)
        r = tool_want_number(arguments, "offset", 1, 1, INT32_MAX, &offset, err);
    if (r == 0)
        r = tool_want_number(arguments, "limit", LINES_MAX, 1, LINES_MAX, &limit, err);

    FD_AUTO fd = -1;
    struct stat stat;
    if (r == 0)
        r = beneath_open_file(workspace_fd, buf_text(&path), &fd, &stat, err);
    if (r == 0)
        r = refuse_binary(fd, &stat, buf_text(&path), err);
    if (r == 0)
        r = show_lines(fd, offset, limit, out, err);
    return r;
}

const struct tool tool_read_file = {
    .name = "read_file",
    .description = "Read a text file, as LINE|TEXT.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"path\":{\"type\":\"string\",\"description\":\"File\"},"
                  "\"offset\":{\"type\":\"integer\",\"description\":\"First line\"},"
                  "\"limit\":{\"type\":\"integer\",\"description\":\"Lines\"}},"
                  "\"required\":[\"path\"]}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED,
    .work = work,
};
