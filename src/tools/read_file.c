#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "tools/beneath.h"
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

static void show_line(struct buf *out, int64_t number, struct span line)
{
    if (span_ends_with(line, "\n"))
        line.len--;
    bool cut = line.len > LINE_SHOWN_MAX;
    buf_printf(out, "%" PRId64 "|", number);
    buf_append(out, line.data, cut ? LINE_SHOWN_MAX : line.len);
    if (cut)
        buf_printf(out, " [line cut: %zu of %zu bytes shown]", (size_t)LINE_SHOWN_MAX, line.len);
    buf_append_char(out, '\n');
}

static int show_lines(FILE *file, int64_t offset, int64_t limit, struct buf *out, struct error *err)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    int64_t number = 0;
    while ((len = getline(&line, &capacity, file)) >= 0) {
        number++;
        if (number < offset)
            continue;
        size_t shown = (size_t)len < LINE_SHOWN_MAX ? (size_t)len : LINE_SHOWN_MAX;
        if (number >= offset + limit || out->len + shown > TEXT_BUDGET) {
            buf_printf(out, "[more follows: continue with offset=%" PRId64 "]\n", number);
            break;
        }
        show_line(out, number, span_make(line, (size_t)len));
    }
    int r = len < 0 && !feof(file)
                ? error_errno(err, errno, "cannot read line %" PRId64, number + 1)
                : 0;
    if (r == 0 && out->len == 0)
        buf_printf(out, number ? "[the file has only %" PRId64 " lines]" : "[the file is empty]",
                   number);
    free(line);
    return r;
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
    if (r < 0)
        return r;
    FILE *file = fdopen(fd, "r");
    if (!file)
        return error_errno(err, errno, "cannot read %s", buf_text(&path));
    fd = -1;
    r = show_lines(file, offset, limit, out, err);
    fclose(file);
    return r;
}

const struct tool tool_read_file = {
    .name = "read_file",
    .description = "Read a text file of the workspace, as LINE|TEXT.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"path\":{\"type\":\"string\",\"description\":\"Relative path\"},"
                  "\"offset\":{\"type\":\"integer\",\"description\":\"First line, from 1\"},"
                  "\"limit\":{\"type\":\"integer\",\"description\":\"Number of lines\"}},"
                  "\"required\":[\"path\"]}",
    .flags = TOOL_REPEATABLE,
    .work = work,
};
