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
#include "codec/utf8.h"
#include "tools/beneath.h"
#include "tools/directory.h"
#include "tools/line_reader.h"
#include "tools/table.h"

enum {
    SHOWN_DEFAULT = 50, // matches or files
    SHOWN_MAX = 500,
    CONTEXT_MAX = 20,            // lines on either side of a match
    DEPTH_MAX = 24,              // directories
    FILES_MAX = 20000,           // looked into
    FILE_SIZE_MAX = 16 << 20,    // bytes; larger files are passed over
    LINE_SHOWN_MAX = 300,        // bytes
    LINE_SEARCHED_MAX = 1 << 20, // bytes
    TEXT_BUDGET = 40 * 1024,     // bytes of matches
    PATTERN_MAX = 1000,          // bytes
};

enum mode { SHOW_LINES, SHOW_FILES, SHOW_COUNTS };

struct search {
    regex_t pattern;       // of lines
    const char *file_glob; // of names; NULL: all files
    const char *name_glob; // what matches is a file of such a name; NULL: a line
    enum mode mode;
    int64_t limit, offset, context;
    int64_t found; // matches or files, those before `offset` too, up to the last one shown
    int files, too_large, too_deep, unreadable, too_long, binary;
    bool full, shown;
    struct buf *out;
};

struct context { // what may be shown beside a match
    struct buf before[CONTEXT_MAX];
    int64_t held;  // lines in `before`, a ring
    int64_t after; // lines that are still to be shown
    int64_t last;  // number of the last line that was shown; 0: none
};

// Whether what was found is to be shown; it needs so many bytes.
static bool is_wanted(struct search *search, size_t need)
{
    if (search->found >= search->offset &&
        (search->found - search->offset >= search->limit || search->out->len + need > TEXT_BUDGET))
        search->full = true;
    else
        search->found++;
    return !search->full && search->found > search->offset;
}

static size_t size_of_line(const char *path)
{
    return strlen(path) + LINE_SHOWN_MAX + 64;
}

static void show_line(struct search *search, const char *path, int64_t number, char mark,
                      struct span line)
{
    size_t len = line.len;
    if (len > LINE_SHOWN_MAX)
        len = LINE_SHOWN_MAX - utf8_incomplete_tail(span_make(line.data, LINE_SHOWN_MAX));
    buf_printf(search->out, "%s%c%" PRId64 "%c %.*s%s\n", path, mark, number, mark, (int)len,
               len ? line.data : "", len < line.len ? " [cut]" : "");
    search->shown = true;
}

static void show_before(struct search *search, struct context *context, const char *path,
                        int64_t number, int64_t lines)
{
    int64_t from = number - lines;
    if (search->context && context->last && from > context->last + 1)
        buf_append_text(search->out, "--\n");
    for (int64_t i = from > context->last ? from : context->last + 1; i < number; i++)
        show_line(search, path, i, '-', buf_span(&context->before[i % search->context]));
}

static void show_match(struct search *search, struct context *context, const char *path,
                       int64_t number, struct span line)
{
    // One match with what is before it must fit into an empty result, or nobody gets beyond it.
    int64_t fit = (int64_t)(TEXT_BUDGET / size_of_line(path)) - 1;
    int64_t lines = context->held < fit ? context->held : fit;
    if (!is_wanted(search, size_of_line(path) * (size_t)(lines + 1)))
        return;
    show_before(search, context, path, number, lines);
    show_line(search, path, number, ':', line);
    context->last = number;
    context->after = search->context;
}

// A line that does not match.
static void show_after(struct search *search, struct context *context, const char *path,
                       int64_t number, struct span line)
{
    if (context->after == 0)
        return;
    context->after--;
    if (search->out->len + size_of_line(path) > TEXT_BUDGET) {
        search->full = true;
        return;
    }
    show_line(search, path, number, '-', line);
    context->last = number;
}

static void hold_line(const struct search *search, struct context *context, int64_t number,
                      struct span line)
{
    if (search->context == 0)
        return;
    struct buf *held = &context->before[number % search->context];
    buf_clear(held);
    held->max = LINE_SHOWN_MAX + 1; // one byte more than is shown tells that it is longer
    buf_append(held, line.data, line.len < held->max ? line.len : held->max);
    context->held += context->held < search->context;
}

static void finish_context(struct context *context)
{
    for (size_t i = 0; i < CONTEXT_MAX; i++)
        buf_finish(&context->before[i]);
}

// The lines of one file that match: shown, or only counted up to `most`.
static int64_t search_lines(struct search *search, int fd, const char *path, int64_t most)
{
    CLEANUP(line_reader_finish) struct line_reader line;
    CLEANUP(finish_context) struct context context = {0};
    line_reader_init(&line, fd, LINE_SEARCHED_MAX);
    int r = 0, code = REG_NOMATCH;
    int64_t matches = 0;
    for (int64_t number = 1; !search->full && matches < most && (r = line_reader_next(&line)) > 0;
         number++) {
        const char *text = buf_text(&line.text);
        if (strlen(text) < line.text.len) { // a NUL
            search->binary++;
            break;
        }
        search->too_long += line.line_size > line.text.len;
        code = regexec(&search->pattern, text, 0, NULL, 0);
        if (code != 0 && code != REG_NOMATCH) // there is no memory for it
            break;
        matches += code == 0;
        if (search->mode != SHOW_LINES)
            continue;
        if (code == 0)
            show_match(search, &context, path, number, buf_span(&line.text));
        else
            show_after(search, &context, path, number, buf_span(&line.text));
        hold_line(search, &context, number, buf_span(&line.text));
    }
    search->unreadable += r < 0 || (code != 0 && code != REG_NOMATCH);
    return matches;
}

static void search_content(struct search *search, int fd, const char *path)
{
    int64_t matches = search_lines(search, fd, path, search->mode == SHOW_FILES ? 1 : INT64_MAX);
    if (search->mode == SHOW_LINES || matches == 0 || !is_wanted(search, size_of_line(path)))
        return;
    if (search->mode == SHOW_COUNTS)
        buf_printf(search->out, "%s:%" PRId64 "\n", path, matches);
    else
        buf_printf(search->out, "%s\n", path);
    search->shown = true;
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
    search_content(search, fd, path);
    return 0;
}

// A glob with a slash is one of paths, or of their ends; "**/" stands for directories, or none.
static bool fits(const char *glob, const char *name, const char *path)
{
    char end[PATTERN_MAX + sizeof "*/"] = "*/";
    size_t len = 2;
    if (!strchr(glob, '/'))
        return fnmatch(glob, name, 0) == 0;
    snprintf(end + 2, sizeof end - 2, "%s", glob);
    if (fnmatch(glob, path, 0) == 0 || fnmatch(end, path, 0) == 0)
        return true;
    for (const char *at = glob; *at;)
        if (strncmp(at, "**/", 3) == 0)
            at += 3;
        else
            end[len++] = *at++;
    end[len] = '\0';
    return fnmatch(end + 2, path, 0) == 0 || fnmatch(end, path, 0) == 0;
}

static void look_at_file(struct search *search, int fd, const char *name, const char *path)
{
    if (search->file_glob && !fits(search->file_glob, name, path))
        return;
    if (!search->name_glob) {
        search->unreadable += search_file(search, fd, name, path, NULL) < 0;
        return;
    }
    search->files++;
    if (fits(search->name_glob, name, path) && is_wanted(search, size_of_line(path))) {
        buf_printf(search->out, "%s\n", path);
        search->shown = true;
    }
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
        look_at_file(search, fd, name, child);
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
    if (fstat(fd, &stat) < 0 || S_ISDIR(stat.st_mode)) {
        search_directory(search, fd, path, 0);
    } else if (search->name_glob) {
        const char *slash = strrchr(path, '/');
        look_at_file(search, workspace_fd, slash ? slash + 1 : path, path);
    } else {
        *ret_result = search_file(search, workspace_fd, path, path, err);
    }
}

static void remark(struct search *search)
{
    const char *what = search->name_glob || search->mode != SHOW_LINES ? "files" : "matches";
    if (search->full)
        buf_printf(search->out, "[more %s are not shown: continue with offset=%" PRId64 "]\n", what,
                   search->found);
    else if (search->found == 0)
        buf_printf(search->out, "[no match in %d files]\n", search->files);
    else if (!search->shown)
        buf_printf(search->out, "[there are only %" PRId64 " %s]\n", search->found, what);
    if (search->too_large)
        buf_printf(search->out, "[%d files over %d MiB were not searched]\n", search->too_large,
                   FILE_SIZE_MAX >> 20);
    if (search->binary && search->found == 0)
        buf_printf(search->out, "[%d binary files were searched up to their first NUL only]\n",
                   search->binary);
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

// One of some words; the first when it is missing. They come in pairs: the word, and what else it
// was called.
static int choose(struct json_value arguments, const char *name, const char *const (*words)[2],
                  size_t count, const char *all, size_t *ret_choice, struct error *err)
{
    struct json_value value = json_get(arguments, name);
    *ret_choice = 0;
    if (!tool_has(arguments, name))
        return 0;
    for (size_t i = 0; i < count; i++)
        if (json_is(value, words[i][0]) || json_is(value, words[i][1])) {
            *ret_choice = i;
            return 0;
        }
    return error_set(err, -EINVAL, "the parameter \"%s\" must be %s", name, all);
}

static int read_choices(struct search *search, struct json_value arguments, bool *ret_by_name,
                        struct error *err)
{
    static const char *const targets[][2] = {{"content", "grep"}, {"files", "find"}};
    static const char *const modes[][2] = {
        {"content", "lines"}, {"files_only", "files_with_matches"}, {"count", "counts"}};
    size_t target, mode;
    int r =
        choose(arguments, "target", targets, ARRAY_LEN(targets), "content or files", &target, err);
    if (r == 0)
        r = choose(arguments, "output_mode", modes, ARRAY_LEN(modes),
                   "content, files_only or count", &mode, err);
    if (r == 0)
        r = tool_want_number(arguments, "limit", SHOWN_DEFAULT, 1, SHOWN_MAX, &search->limit, err);
    if (r == 0)
        r = tool_want_number(arguments, "offset", 0, 0, INT32_MAX, &search->offset, err);
    if (r == 0)
        r = tool_want_number(arguments, "context", 0, 0, CONTEXT_MAX, &search->context, err);
    if (r < 0)
        return r;
    *ret_by_name = target == 1;
    search->mode = (enum mode)mode;
    return 0;
}

static int work(int workspace_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    struct search search = {.out = out};
    BUF_AUTO pattern = BUF_INIT(0);
    BUF_AUTO path = BUF_INIT(0);
    BUF_AUTO glob = BUF_INIT(0);
    bool by_name = false;
    int r = tool_need_text(arguments, "pattern", PATTERN_MAX, &pattern, err);
    if (r == 0)
        r = tool_need_path(arguments, "path", ".", &path, err);
    if (r == 0)
        r = read_choices(&search, arguments, &by_name, err);
    if (r == 0 && tool_has(arguments, "file_glob"))
        r = tool_need_text(arguments, "file_glob", PATTERN_MAX, &glob, err);
    if (r == 0 && !by_name)
        r = compile(&search, buf_text(&pattern), err);
    if (r < 0)
        return r;
    search.file_glob = glob.len ? buf_text(&glob) : NULL;
    search.name_glob = by_name ? buf_text(&pattern) : NULL;
    search_from(&search, workspace_fd, buf_text(&path), &r, err);
    if (r == 0)
        remark(&search);
    if (!by_name)
        regfree(&search.pattern);
    return r;
}

const struct tool tool_search_files = {
    .name = "search_files",
    .description = "Search text files by line, or files by name.",
    .parameters = // taken as well: offset, and output_mode (content, files_only, count)
    "{\"type\":\"object\",\"properties\":{"
    "\"pattern\":{\"type\":\"string\",\"description\":\"Extended regex; for files: glob\"},"
    "\"target\":{\"type\":\"string\",\"description\":\"content|files\"},"
    "\"path\":{\"type\":\"string\",\"description\":\"Where\"},"
    "\"file_glob\":{\"type\":\"string\",\"description\":\"As *.md\"},"
    "\"limit\":{\"type\":\"integer\",\"description\":\"At most\"},"
    "\"context\":{\"type\":\"integer\",\"description\":\"Lines around\"}},"
    "\"required\":[\"pattern\"]}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED,
    .work = work,
};
