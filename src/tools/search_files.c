/*
 * A depth-first walk that follows no link, so that it ends and stays beneath where it began. Every
 * limit that cut something short is named at the end of the result: "no match" is only said of
 * what was really searched.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tools/beneath.h"
#include "tools/directory.h"
#include "tools/line_reader.h"
#include "tools/table.h"

enum {
    MATCHES_DEFAULT = 50,
    MATCHES_MAX = 500,
    DEPTH_MAX = 24,              // directories
    FILES_MAX = 20000,           // looked into
    FILE_SIZE_MAX = 16 << 20,    // bytes; larger files are passed over
    LINE_SHOWN_MAX = 300,        // bytes
    LINE_SEARCHED_MAX = 1 << 20, // bytes
    TEXT_BUDGET = 40 * 1024,     // bytes of matches
    PATTERN_MAX = 1000,          // bytes
};

struct search {
    regex_t pattern;
    const char *glob; // NULL: all files
    int64_t limit, matches;
    int files, too_large, too_deep, unreadable, too_long;
    bool full;
    struct buf *out;
};

static void show_match(struct search *search, const char *path, int64_t number, const char *line)
{
    size_t len = strlen(line);
    size_t need = strlen(path) + LINE_SHOWN_MAX + 64;
    if (search->matches >= search->limit || search->out->len + need > TEXT_BUDGET) {
        search->full = true;
        return;
    }
    search->matches++;
    buf_printf(search->out, "%s:%" PRId64 ": %.*s%s\n", path, number,
               (int)(len < LINE_SHOWN_MAX ? len : LINE_SHOWN_MAX), line,
               len > LINE_SHOWN_MAX ? " [cut]" : "");
}

static void search_lines(struct search *search, int fd, const char *path)
{
    CLEANUP(line_reader_finish) struct line_reader line;
    line_reader_init(&line, fd, LINE_SEARCHED_MAX);
    int r = 0, code = REG_NOMATCH;
    for (int64_t number = 1; !search->full && (r = line_reader_next(&line)) > 0; number++) {
        const char *text = buf_text(&line.text);
        if (strlen(text) < line.text.len) // a NUL: binary
            break;
        search->too_long += line.line_size > line.text.len;
        code = regexec(&search->pattern, text, 0, NULL, 0);
        if (code == 0)
            show_match(search, path, number, text);
        else if (code != REG_NOMATCH) // there is no memory for it
            break;
    }
    search->unreadable += r < 0 || (code != 0 && code != REG_NOMATCH);
}

static int search_file(struct search *search, int directory_fd, const char *name, const char *path,
                       struct error *err)
{
    struct stat stat;
    FD_AUTO fd = -1;
    int r = beneath_open_file(directory_fd, name, &fd, &stat, err);
    if (r < 0)
        return r;
    if (stat.st_size > FILE_SIZE_MAX) {
        search->too_large++;
        return 0;
    }
    search->files++;
    search_lines(search, fd, path);
    return 0;
}

static void search_directory(struct search *search, int fd, const char *path, int depth);

static void search_entry(struct search *search, int fd, const char *path, const char *name,
                         int depth)
{
    struct stat stat;
    if (fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    CLEANUP(mem_cleanup)
    char *child = strcmp(path, ".") == 0 ? mem_strdup(name) : mem_printf("%s/%s", path, name);
    if (S_ISREG(stat.st_mode)) {
        if (!search->glob || fnmatch(search->glob, name, 0) == 0)
            search->unreadable += search_file(search, fd, name, child, NULL) < 0;
    } else if (S_ISDIR(stat.st_mode)) {
        FD_AUTO next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        search->unreadable += next < 0;
        if (next >= 0)
            search_directory(search, next, child, depth + 1);
    }
}

static void search_directory(struct search *search, int fd, const char *path, int depth)
{
    if (depth > DEPTH_MAX) {
        search->too_deep++;
        return;
    }
    CLEANUP(directory_finish) struct directory directory = {0};
    if (directory_read(fd, &directory, NULL) < 0)
        search->unreadable++;
    search->unreadable += directory.more;
    for (size_t i = 0; i < directory.count && !search->full && search->files < FILES_MAX; i++)
        search_entry(search, fd, path, directory.names[i], depth);
}

static void search_from(struct search *search, int workspace_fd, const char *path, int *ret_result,
                        struct error *err)
{
    FD_AUTO fd = -1;
    struct stat stat;
    *ret_result = beneath_open(workspace_fd, path, O_PATH, 0, &fd, err);
    if (*ret_result < 0)
        return;
    if (fstat(fd, &stat) == 0 && !S_ISDIR(stat.st_mode)) {
        *ret_result = search_file(search, workspace_fd, path, path, err);
        return;
    }
    search_directory(search, fd, path, 0);
}

static void remark(struct search *search)
{
    if (search->full)
        buf_printf(search->out, "[more matches are not shown]\n");
    else if (search->matches == 0)
        buf_printf(search->out, "[no match in %d files]\n", search->files);
    if (search->too_large)
        buf_printf(search->out, "[%d files over %d MiB were not searched]\n", search->too_large,
                   FILE_SIZE_MAX >> 20);
    if (search->too_long)
        buf_printf(search->out, "[%d lines were searched in their first %d KiB only]\n",
                   search->too_long, LINE_SEARCHED_MAX >> 10);
    if (search->too_deep)
        buf_printf(search->out, "[%d directories below level %d were not searched]\n",
                   search->too_deep, DEPTH_MAX);
    if (search->unreadable)
        buf_printf(search->out, "[%d files or directories could not be read whole]\n",
                   search->unreadable);
    if (search->files >= FILES_MAX)
        buf_printf(search->out, "[stopped after %d files]\n", FILES_MAX);
}

static int compile(struct search *search, const char *pattern, struct error *err)
{
    int code = regcomp(&search->pattern, pattern, REG_EXTENDED | REG_NOSUB);
    if (code == 0)
        return 0;
    char text[128];
    regerror(code, &search->pattern, text, sizeof text);
    return error_set(err, -EINVAL, "the pattern is not a regular expression (POSIX extended): %s",
                     text);
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    struct search search = {.out = out};
    BUF_AUTO pattern = BUF_INIT(0);
    BUF_AUTO path = BUF_INIT(0);
    BUF_AUTO glob = BUF_INIT(0);
    int r = tool_need_text(arguments, "pattern", PATTERN_MAX, &pattern, err);
    if (r == 0)
        r = tool_need_path(arguments, "path", ".", &path, err);
    if (r == 0)
        r = tool_want_number(arguments, "limit", MATCHES_DEFAULT, 1, MATCHES_MAX, &search.limit,
                             err);
    if (r == 0 && tool_has(arguments, "file_glob"))
        r = tool_need_text(arguments, "file_glob", PATTERN_MAX, &glob, err);
    if (r == 0)
        r = compile(&search, buf_text(&pattern), err);
    if (r < 0)
        return r;
    search.glob = glob.len ? buf_text(&glob) : NULL;
    search_from(&search, workspace_fd, buf_text(&path), &r, err);
    if (r == 0)
        remark(&search);
    regfree(&search.pattern);
    return r;
}

const struct tool tool_search_files = {
    .name = "search_files",
    .description = "Search the workspace's text files, line by line, as PATH:LINE: TEXT.",
    .parameters = "{\"type\":\"object\",\"properties\":{"
                  "\"pattern\":{\"type\":\"string\",\"description\":\"Extended regex\"},"
                  "\"path\":{\"type\":\"string\",\"description\":\"Where; default: all\"},"
                  "\"file_glob\":{\"type\":\"string\",\"description\":\"Names, as *.md\"},"
                  "\"limit\":{\"type\":\"integer\",\"description\":\"Most matches\"}},"
                  "\"required\":[\"pattern\"]}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED,
    .work = work,
};
