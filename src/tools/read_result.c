#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "tools/beneath.h"
#include "tools/line_reader.h"
#include "tools/spool.h"
#include "tools/table.h"

enum {
    LINES_DEFAULT = 500,
    LINES_MAX = 2000,          // of one result
    CONTEXT_MAX = 20,          // lines before and behind a match
    PATTERN_MAX = 1000,        // bytes
    LINE_KEPT_MAX = 64 * 1024, // bytes of a line that are searched
    LINE_SHOWN_MAX = 2000,     // bytes
    TEXT_BUDGET = 40 * 1024,   // bytes; the rest of TOOL_TEXT_MAX is for remarks
};

struct view {
    int64_t offset, limit, context;
    bool searches;
    regex_t pattern;
    struct line_reader line;
    int64_t number, shown, matches, too_long, unsearched;
    int64_t until;                  // lines behind a match, to this number
    struct buf before[CONTEXT_MAX]; // the last lines that did not match, by number
    struct buf *out;
};

// False: the result is full.
static bool show(struct view *view, int64_t number, char mark, struct span text, size_t size)
{
    size_t len = text.len < LINE_SHOWN_MAX ? text.len : LINE_SHOWN_MAX;
    if (view->shown >= view->limit || view->out->len + len + 64 > TEXT_BUDGET)
        return false;
    view->shown++;
    buf_printf(view->out, "%" PRId64 "%c", number, mark);
    buf_append(view->out, text.data, len);
    if (size > len)
        buf_printf(view->out, " [line cut: %zu of %zu bytes shown]", len, size);
    buf_append_char(view->out, '\n');
    return true;
}

static void keep(struct view *view)
{
    struct buf *slot = &view->before[view->number % CONTEXT_MAX];
    struct span text = buf_span(&view->line.text);
    buf_clear(slot);
    buf_append(slot, text.data, text.len < LINE_SHOWN_MAX ? text.len : LINE_SHOWN_MAX);
}

// The match and the lines before it that have not been shown.
static bool show_match(struct view *view, int64_t last_shown)
{
    int64_t first = view->number - view->context;
    first = first > last_shown ? first : last_shown + 1;
    first = first >= view->offset ? first : view->offset;
    if (view->context && last_shown && first > last_shown + 1)
        buf_append_text(view->out, "--\n");
    for (; first < view->number; first++) {
        const struct buf *slot = &view->before[first % CONTEXT_MAX];
        if (!show(view, first, '-', buf_span(slot), slot->len))
            return false;
    }
    return show(view, view->number, '|', buf_span(&view->line.text), view->line.line_size);
}

// 1: shown, 0: not, negative: the result is full before it.
static int look_at_line(struct view *view, int64_t last_shown)
{
    struct span text = buf_span(&view->line.text);
    if (view->number < view->offset)
        return 0;
    // A regular expression ends at a NUL. In what is shown this byte, which is none of UTF-8, looks
    // as one does.
    if (view->searches)
        buf_replace(&view->line.text, '\0', '\xff');
    int code = view->searches ? regexec(&view->pattern, buf_text(&view->line.text), 0, NULL, 0) : 0;
    bool matches = code == 0;
    view->unsearched += code != 0 && code != REG_NOMATCH; // there is no memory for it
    view->matches += matches;
    view->too_long += view->searches && view->line.line_size > text.len;
    if (matches) {
        view->until = view->number + (view->searches ? view->context : 0);
        return show_match(view, last_shown) ? 1 : -1;
    }
    if (view->number <= view->until)
        return show(view, view->number, '-', text, view->line.line_size) ? 1 : -1;
    if (view->context)
        keep(view);
    return 0;
}

static int show_lines(struct view *view, struct error *err)
{
    int64_t last_shown = 0;
    int r;
    while ((r = line_reader_next(&view->line)) > 0) {
        view->number++;
        int shown = look_at_line(view, last_shown);
        if (shown < 0) {
            buf_printf(view->out, "[more follows: continue with offset=%" PRId64 "]\n",
                       view->number);
            return 0;
        }
        last_shown = shown ? view->number : last_shown;
    }
    if (r < 0)
        return error_errno(err, -r, "cannot read line %" PRId64, view->number + 1);
    if (view->searches)
        buf_printf(view->out, "[%" PRId64 " of %" PRId64 " lines match]\n", view->matches,
                   view->number);
    else
        buf_printf(view->out, "[end: %" PRId64 " lines]\n", view->number);
    if (view->too_long)
        buf_printf(view->out, "[of %" PRId64 " long lines only the first %d KiB were searched]\n",
                   view->too_long, LINE_KEPT_MAX >> 10);
    if (view->unsearched)
        buf_printf(view->out,
                   "[%" PRId64 " lines were not searched: the pattern takes too much memory]\n",
                   view->unsearched);
    return 0;
}

static int take_pattern(struct view *view, struct json_value arguments, struct error *err)
{
    BUF_AUTO pattern = BUF_INIT(0);
    char text[128];
    if (!tool_has(arguments, "pattern"))
        return 0;
    int r = tool_need_text(arguments, "pattern", PATTERN_MAX, &pattern, err);
    if (r < 0)
        return r;
    int code = regcomp(&view->pattern, buf_text(&pattern), REG_EXTENDED | REG_NOSUB);
    view->searches = code == 0;
    regerror(code, &view->pattern, text, sizeof text);
    return code ? error_set(err, -EINVAL,
                            "the pattern is not a regular expression (POSIX "
                            "extended): %s",
                            text)
                : 0;
}

static int open_result(int results_fd, struct json_value arguments, int *ret_fd, struct error *err)
{
    BUF_AUTO handle = BUF_INIT(0);
    struct stat stat;
    int r = tool_need_text(arguments, "handle", TOOL_NAME_MAX, &handle, err);
    if (r < 0)
        return r;
    if (!spool_is_name(buf_text(&handle)))
        return error_set(err, -EINVAL,
                         "\"%.64s\" is no handle; one looks like out_0123abcd and "
                         "stands in the result of another tool",
                         buf_text(&handle));
    r = beneath_open_file(results_fd, buf_text(&handle), ret_fd, &stat, err);
    return r == -ENOENT ? error_set(err, r, "%s is not kept any more; run it again if you need it",
                                    buf_text(&handle))
                        : r;
}

static int work(int results_fd, struct json_value arguments, struct buf *out, struct error *err)
{
    struct view view = {.out = out};
    FD_AUTO fd = -1;
    int r = open_result(results_fd, arguments, &fd, err);
    if (r == 0)
        r = tool_want_number(arguments, "offset", 1, 1, INT32_MAX, &view.offset, err);
    if (r == 0)
        r = tool_want_number(arguments, "limit", LINES_DEFAULT, 1, LINES_MAX, &view.limit, err);
    if (r == 0)
        r = tool_want_number(arguments, "context", 0, 0, CONTEXT_MAX, &view.context, err);
    if (r == 0)
        r = take_pattern(&view, arguments, err);
    if (r < 0)
        return r;
    for (int i = 0; i < CONTEXT_MAX; i++)
        buf_init(&view.before[i], LINE_SHOWN_MAX);
    line_reader_init(&view.line, fd, LINE_KEPT_MAX);
    r = show_lines(&view, err);
    line_reader_finish(&view.line);
    for (int i = 0; i < CONTEXT_MAX; i++)
        buf_finish(&view.before[i]);
    if (view.searches)
        regfree(&view.pattern);
    return r;
}

const struct tool tool_read_result = {
    .name = "read_result",
    .description = "Read or search the whole of a result of which only parts were shown, as "
                   "LINE|TEXT.",
    .parameters =
        "{\"type\":\"object\",\"properties\":{"
        "\"handle\":{\"type\":\"string\",\"description\":\"out_..., as that result says\"},"
        "\"offset\":{\"type\":\"integer\",\"description\":\"First line, from 1\"},"
        "\"limit\":{\"type\":\"integer\",\"description\":\"Number of lines; 500\"},"
        "\"pattern\":{\"type\":\"string\",\"description\":\"Only lines with this extended "
        "regex\"},"
        "\"context\":{\"type\":\"integer\",\"description\":\"Lines around each match\"}},"
        "\"required\":[\"handle\"]}",
    .flags = TOOL_READS | TOOL_REPEATABLE | TOOL_UNATTENDED | TOOL_FOUND,
    .place = TOOL_IN_RESULTS,
    .work = work,
};
