/*
 * The edits say where the texts differ, so nothing has to be searched for: each is widened to whole
 * lines, those that touch are put together, and lines at both ends that did not change are left
 * out again.
 */
#include "codec/unified_diff.h"

#include <inttypes.h>
#include <stdlib.h>

#include "codec/text_line.h"
#include "codec/utf8.h"

struct change { // whole lines, in bytes of either text
    size_t old_at, old_end, new_at, new_end;
};

struct diff {
    struct span old, new;
    struct change *changes; // owned
    size_t count;
    bool more; // changes than are shown
    size_t budget;
    struct buf *out;
    size_t counted; // bytes of the old text, up to which lines were counted:
    int64_t lines;
    int64_t shift; // how many lines more the new text has there
};

static void finish(struct diff *diff)
{
    free(diff->changes);
}

static size_t line_begin(struct span text, size_t at)
{
    const char *newline = at ? memrchr(text.data, '\n', at) : NULL;
    return newline ? (size_t)(newline - text.data) + 1 : 0;
}

static size_t line_end(struct span text, size_t at)
{
    struct span rest = span_skip(text, at);
    const char *newline = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;
    return newline ? (size_t)(newline - text.data) + 1 : text.len;
}

static bool begins_line(struct span text, size_t at)
{
    return at == 0 || (at <= text.len && text.data[at - 1] == '\n');
}

// To where a line begins behind it, in both texts. Up to the next edit they are the same.
static void widen(const struct diff *diff, struct change *change)
{
    if (begins_line(diff->old, change->old_end) && begins_line(diff->new, change->new_end))
        return;
    size_t end = line_end(diff->old, change->old_end);
    change->new_end += end - change->old_end;
    change->old_end = end;
}

static void gather(struct diff *diff, const struct text_edits *edits)
{
    size_t count =
        edits->count < UNIFIED_DIFF_CHANGES_MAX ? edits->count : UNIFIED_DIFF_CHANGES_MAX;
    diff->changes = mem_alloc((count + 1) * sizeof *diff->changes);
    size_t gone = 0, come = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const struct text_edit *edit = &edits->edits[i];
        size_t begin = line_begin(diff->old, edit->at), end = edit->at + edit->len;
        size_t new_at = edit->at - gone + come;
        struct change change = {.old_at = begin,
                                .old_end = end,
                                .new_at = new_at - (edit->at - begin),
                                .new_end = new_at + edit->text_size};
        struct change *last = diff->count ? &diff->changes[diff->count - 1] : NULL;
        if (last && begin <= last->old_end) {
            // The one before may have been widened beyond this.
            size_t further = last->old_end > end ? last->old_end - end : 0;
            last->old_end = end + further;
            last->new_end = change.new_end + further;
            widen(diff, last);
        } else if (diff->count == count) {
            diff->more = true;
            return;
        } else {
            widen(diff, &change);
            diff->changes[diff->count++] = change;
        }
        gone += edit->len;
        come += edit->text_size;
    }
}

static struct span part(struct span text, size_t at, size_t end)
{
    return (struct span){span_skip(text, at).data, end - at};
}

static void trim(const struct diff *diff, struct change *change)
{
    struct span old = part(diff->old, change->old_at, change->old_end);
    struct span new = part(diff->new, change->new_at, change->new_end);
    while (old.len && new.len) {
        size_t len = line_end(old, 0);
        if (line_end(new, 0) != len || memcmp(old.data, new.data, len) != 0)
            break;
        old = span_skip(old, len);
        new = span_skip(new, len);
        change->old_at += len;
        change->new_at += len;
    }
    while (old.len && new.len) {
        size_t len = old.len - line_begin(old, old.len - 1);
        if (new.len - line_begin(new, new.len - 1) != len ||
            memcmp(old.data + old.len - len, new.data + new.len - len, len) != 0)
            break;
        old.len -= len;
        new.len -= len;
        change->old_end -= len;
        change->new_end -= len;
    }
}

static void trim_all(struct diff *diff)
{
    size_t kept = 0;
    for (size_t i = 0; i < diff->count; i++) {
        struct change *change = &diff->changes[i];
        trim(diff, change);
        if (change->old_at < change->old_end || change->new_at < change->new_end)
            diff->changes[kept++] = *change;
    }
    diff->count = kept;
}

static int64_t count_lines(struct span text)
{
    int64_t count = 0;
    struct text_line line;
    while (text_line_next(&text, &line))
        count++;
    return count;
}

static size_t back(struct span text, size_t at, size_t least)
{
    for (int i = 0; i < UNIFIED_DIFF_CONTEXT && at > least; i++)
        at = line_begin(text, at - 1);
    return at;
}

static size_t forth(struct span text, size_t at)
{
    for (int i = 0; i < UNIFIED_DIFF_CONTEXT && at < text.len; i++)
        at = line_end(text, at);
    return at;
}

static void write_lines(struct diff *diff, char kind, struct span text)
{
    struct text_line line;
    while (diff->out->len < diff->budget && text_line_next(&text, &line)) {
        size_t len = line.text.len;
        if (len > UNIFIED_DIFF_LINE_SHOWN) {
            len = UNIFIED_DIFF_LINE_SHOWN;
            len -= utf8_incomplete_tail(span_make(line.text.data, len));
        }
        buf_append_char(diff->out, kind);
        buf_append(diff->out, line.text.data, len);
        if (len < line.text.len)
            buf_printf(diff->out, " [cut: %zu bytes]", line.text.len);
        buf_append_char(diff->out, '\n');
        if (line.ending.len == 0)
            buf_append_text(diff->out, "\\ No newline at end of file\n");
    }
    diff->more = diff->more || text.len;
}

static void write_range(struct buf *out, char sign, int64_t lines_before, int64_t count)
{
    buf_printf(out, "%c%" PRId64 ",%" PRId64, sign, count ? lines_before + 1 : lines_before, count);
}

// Changes `first` to `last`, which are so near that they share what is around them.
static void write_hunk(struct diff *diff, const struct change *first, const struct change *last)
{
    size_t begin = back(diff->old, first->old_at, diff->counted);
    size_t end = forth(diff->old, last->old_end);
    diff->lines += count_lines(part(diff->old, diff->counted, begin));
    int64_t old_count = count_lines(part(diff->old, begin, end)), new_count = old_count;
    for (const struct change *change = first; change <= last; change++)
        new_count += count_lines(part(diff->new, change->new_at, change->new_end)) -
                     count_lines(part(diff->old, change->old_at, change->old_end));
    buf_append_text(diff->out, "@@ ");
    write_range(diff->out, '-', diff->lines, old_count);
    buf_append_char(diff->out, ' ');
    write_range(diff->out, '+', diff->lines + diff->shift, new_count);
    buf_append_text(diff->out, " @@\n");

    size_t done = begin;
    for (const struct change *change = first; change <= last; change++) {
        write_lines(diff, ' ', part(diff->old, done, change->old_at));
        write_lines(diff, '-', part(diff->old, change->old_at, change->old_end));
        write_lines(diff, '+', part(diff->new, change->new_at, change->new_end));
        done = change->old_end;
    }
    write_lines(diff, ' ', part(diff->old, done, end));
    diff->lines += old_count;
    diff->shift += new_count - old_count;
    diff->counted = end;
}

void unified_diff_write(struct span old, struct span new, const struct text_edits *edits,
                        size_t budget, struct buf *out)
{
    CLEANUP(finish) struct diff diff = {.old = old, .new = new, .budget = budget, .out = out};
    gather(&diff, edits);
    trim_all(&diff);
    for (size_t i = 0; i < diff.count;) {
        if (out->len >= budget) {
            diff.more = true;
            break;
        }
        size_t last = i;
        while (last + 1 < diff.count &&
               forth(old, forth(old, diff.changes[last].old_end)) >= diff.changes[last + 1].old_at)
            last++;
        write_hunk(&diff, &diff.changes[i], &diff.changes[last]);
        i = last + 1;
    }
    if (diff.more)
        buf_append_text(out, "[more changes are not shown]\n");
}
