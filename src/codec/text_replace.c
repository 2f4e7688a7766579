#include "codec/text_replace.h"

#include <errno.h>
#include <inttypes.h>

#include "codec/line_match.h"
#include "codec/line_nearest.h"
#include "codec/text_line.h"

static int64_t count_lines(struct span text)
{
    int64_t count = 0;
    struct text_line line;
    while (text_line_next(&text, &line))
        count += line.ending.len > 0;
    return count;
}

// With `ending` for every line break.
static void append_with_endings(struct span text, struct span ending, struct buf *out)
{
    struct text_line line;
    while (text_line_next(&text, &line)) {
        buf_append_span(out, line.text);
        if (line.ending.len)
            buf_append_span(out, ending);
    }
}

static bool has_bare_break(struct span text)
{
    struct text_line line;
    while (text_line_next(&text, &line))
        if (line.ending.len == 1)
            return true;
    return false;
}

// All places, one beginning behind the end of the other: 0 when there is none.
static int put_down_all(const struct text_replace *replace, struct span text, struct span old,
                        struct text_edits *edits, struct error *err)
{
    ptrdiff_t found = span_find(text, old);
    if (found < 0)
        return 0;
    size_t at = (size_t)found;
    struct span ending = text_ending_at(text, at);
    text_edits_begin(edits, at, old.len);
    if (ending.len == 2 && !has_bare_break(old))
        append_with_endings(replace->new_text, ending, &edits->texts);
    else
        buf_append_span(&edits->texts, replace->new_text);
    text_edits_end(edits);
    for (at += old.len; (found = span_find(span_skip(text, at), old)) >= 0; at += old.len) {
        at += (size_t)found;
        if (!text_edits_repeat(edits, at, old.len))
            return error_set(err, -E2BIG, "old_string is there more than %d times", TEXT_EDITS_MAX);
    }
    return 1;
}

// Places may overlap here: whoever meant one of them did not say which.
static int refuse_several(struct span text, struct span old, struct error *err)
{
    struct line_matches found = {0};
    size_t at = 0, counted = 0;
    int64_t line = 1;
    ptrdiff_t next;
    while (found.count <= LINE_MATCHES_KEPT && (next = span_find(span_skip(text, at), old)) >= 0) {
        at += (size_t)next;
        line += count_lines((struct span){span_skip(text, counted).data, at - counted});
        counted = at;
        if (found.count < LINE_MATCHES_KEPT)
            found.first[found.count].line = line;
        found.count++;
        at++;
    }
    if (found.count <= 1)
        return 0;
    BUF_AUTO places = BUF_INIT(256);
    line_matches_list(&found, &places);
    return error_set(err, -EINVAL,
                     "old_string is there more than once, at %s; give more of what is around it, "
                     "or replace_all",
                     buf_text(&places));
}

// 1: it is there; 0: it is not.
static int find_exactly(const struct text_replace *replace, struct span text, struct span old,
                        struct text_edits *edits, struct error *err)
{
    int r = replace->all ? 0 : refuse_several(text, old, err);
    return r < 0 ? r : put_down_all(replace, text, old, edits, err);
}

static int put_down_lines(const struct text_replace *replace, struct span text,
                          const struct line_match *match, struct text_edits *edits,
                          struct error *err)
{
    struct span ending = text_ending_at(text, match->at), rest = replace->new_text;
    struct span there = {span_skip(text, match->at).data, match->end - match->at};
    bool whole = span_ends_with(replace->old_text, "\n"); // the last line's break goes as well
    size_t last_break = span_ends_with(there, "\r\n") ? 2 : span_ends_with(there, "\n");
    struct text_line line;
    text_edits_begin(edits, match->at, there.len - (whole ? 0 : last_break));
    while (text_line_next(&rest, &line)) {
        if (!line_shift_append(&match->shift, line.text, &edits->texts) &&
            !buf_is_full(&edits->texts))
            return error_set(err, -EINVAL,
                             "old_string is there only with another indentation, at line %" PRId64
                             ", which a line of new_string cannot have; write both as the file is",
                             match->line);
        bool last_of_all = whole && last_break == 0 && rest.len == 0; // it has no break to lose
        if (line.ending.len && !last_of_all)
            buf_append_span(&edits->texts, ending);
    }
    text_edits_end(edits);
    return 0;
}

static int find_lines(const struct text_replace *replace, struct span text,
                      struct text_edits *edits, struct buf *remarks, struct buf *help,
                      struct error *err)
{
    CLEANUP(mem_cleanup) struct span *lines = NULL;
    size_t count = 0, capacity = 0;
    struct span rest = replace->old_text;
    struct text_line line;
    while (count < TEXT_REPLACE_LINES_MAX && text_line_next(&rest, &line)) {
        lines = mem_grow(lines, count, &capacity, sizeof *lines);
        lines[count++] = line.text;
    }
    struct line_matches found = {0};
    struct line_search search = {.text = text, .from_line = 1, .lines = lines, .count = count};
    if (rest.len == 0)
        line_match_find(&search, &found);
    if (found.count == 0) {
        bool near = line_nearest_show(text, lines, count, help);
        return error_set(err, -EINVAL, "old_string is not in the file%s",
                         near ? ". What is most like it there:" : ", nor anything like it");
    }
    if (found.count > 1) {
        BUF_AUTO places = BUF_INIT(256);
        line_matches_list(&found, &places);
        return error_set(
            err, -EINVAL, "old_string is not in the file as it is; with %s it is at %s",
            found.fit == LINE_FIT_INDENT ? "another indentation" : "other ends of lines",
            buf_text(&places));
    }
    if (found.fit != LINE_FIT_EXACT)
        buf_printf(remarks, "line %" PRId64 " has %s\n", found.first[0].line,
                   line_fit_remark(found.fit));
    return put_down_lines(replace, text, &found.first[0], edits, err);
}

int text_replace_find(const struct text_replace *replace, struct span text,
                      struct text_edits *edits, struct buf *remarks, struct buf *help,
                      struct error *err)
{
    if (replace->old_text.len == 0)
        return error_set(err, -EINVAL, "old_string is empty; write_file makes a file");
    if (span_equal(replace->old_text, replace->new_text))
        return error_set(err, -EINVAL, "old_string and new_string are the same");
    int r = find_exactly(replace, text, replace->old_text, edits, err);
    if (r == 0 && has_bare_break(replace->old_text)) {
        BUF_AUTO old = BUF_INIT(2 * replace->old_text.len);
        append_with_endings(replace->old_text, SPAN_LITERAL("\r\n"), &old);
        r = find_exactly(replace, text, buf_span(&old), edits, err);
    }
    if (r == 0)
        r = find_lines(replace, text, edits, remarks, help, err);
    if (r < 0)
        return r;
    return buf_is_full(&edits->texts) ? error_set(err, -E2BIG, "the file becomes too large") : 0;
}
