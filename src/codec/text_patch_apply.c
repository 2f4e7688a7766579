#include "codec/text_patch_apply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "codec/line_match.h"
#include "codec/line_nearest.h"
#include "codec/text_line.h"

struct finder {
    const struct text_patch *patch;
    struct span text;
    struct text_edits *edits;
    struct buf *remarks, *help;
    struct error *err;
    struct span *old_lines; // owned; of one hunk
    size_t done;            // bytes of the text up to the end of the hunk before
    int64_t done_line;      // the number of the line that begins there
    int64_t drift;          // how many lines further down than it said the hunk before was
    size_t anchor;          // where the "@@" lines of the hunk before end; 0: nowhere
    const struct text_patch_hunk *hunk;
    size_t number; // of the hunk, from 1
};

static void finish(struct finder *finder)
{
    free(finder->old_lines);
}

static const struct text_patch_line *line_of(const struct finder *finder, size_t i)
{
    return &finder->patch->lines[finder->hunk->first + i];
}

static int refuse(const struct finder *finder, const char *what)
{
    return error_set(finder->err, -EINVAL, "hunk %zu (line %zu of the patch) %s", finder->number,
                     finder->hunk->patch_line, what);
}

static bool is_anchor(struct span line, struct span anchor, bool whole)
{
    line = text_line_core(line);
    return whole
               ? span_equal(line, anchor)
               : line.len >= anchor.len && span_equal((struct span){line.data, anchor.len}, anchor);
}

// The end of the first line that is the anchor; *ret_count of them.
static size_t find_line(struct span text, size_t from, struct span anchor, bool whole,
                        size_t *ret_count)
{
    struct span rest = span_skip(text, from);
    struct text_line line;
    size_t end = 0;
    *ret_count = 0;
    while (text_line_next(&rest, &line))
        if (is_anchor(line.text, anchor, whole) && (*ret_count)++ == 0)
            end = text.len - rest.len;
    return end;
}

// The end of the line behind which the hunk is: the one that is like its first "@@" line, then the
// next one that is like the second. 0: they tell no single place.
static size_t find_anchor(const struct finder *finder, bool *ret_has)
{
    size_t end = 0, count;
    *ret_has = false;
    for (size_t i = 0; i < finder->hunk->count && line_of(finder, i)->kind == '@'; i++) {
        struct span anchor = text_line_core(line_of(finder, i)->text);
        size_t found = find_line(finder->text, end, anchor, true, &count);
        if (count == 0)
            found = find_line(finder->text, end, anchor, false, &count);
        if (count == 0 || (count > 1 && !*ret_has)) {
            *ret_has = true;
            return 0;
        }
        *ret_has = true;
        end = found;
    }
    return end;
}

static int refuse_places(const struct finder *finder, const struct line_matches *found)
{
    BUF_AUTO places = BUF_INIT(256);
    line_matches_list(found, &places);
    return error_set(finder->err, -EINVAL,
                     "hunk %zu (line %zu of the patch) fits at %s; give it more lines of what is "
                     "around it",
                     finder->number, finder->hunk->patch_line, buf_text(&places));
}

static int choose(const struct finder *finder, const struct line_matches *found, size_t anchor,
                  const struct line_match **ret)
{
    *ret = &found->first[0];
    if (anchor && !found->after.line)
        return refuse(finder, "is in the file only in front of the line that its \"@@\" names");
    if (found->count == 1)
        return 0;
    if (found->fit != LINE_FIT_EXACT)
        return refuse_places(finder, found);
    if (found->after.line)
        *ret = &found->after;
    else if (found->at_hint.line)
        *ret = &found->at_hint;
    else if (finder->hunk->at_end && found->last.end == finder->text.len)
        *ret = &found->last;
    else
        return refuse_places(finder, found);
    return 0;
}

// What says where it is may be anywhere. What does not is behind the hunk before; else what fits
// exactly goes before what does not, and that in one place of all.
static void find_places(const struct finder *finder, struct line_search *search, bool says,
                        size_t anchor, struct line_matches *ret)
{
    if (!says) {
        search->from = finder->done;
        search->from_line = finder->done_line;
    }
    // Hunks behind the same line are in their order.
    search->after =
        anchor && anchor == finder->anchor && finder->done > anchor ? finder->done : anchor;
    line_match_find(search, ret);
    bool again = !says && finder->done && (ret->count == 0 || ret->fit != LINE_FIT_EXACT);
    if (!again && (ret->after.line || search->after == anchor))
        return;
    search->from = 0;
    search->from_line = 1;
    search->after = anchor;
    line_match_find(search, ret);
}

static void remark(const struct finder *finder, enum line_fit fit, int64_t line, int64_t hint,
                   bool lost)
{
    if (fit != LINE_FIT_EXACT)
        buf_printf(finder->remarks, "hunk %zu: line %" PRId64 " has %s\n", finder->number, line,
                   line_fit_remark(fit));
    if (hint > 0 && line != hint)
        buf_printf(finder->remarks, "hunk %zu: it is at line %" PRId64 ", not at %" PRId64 "\n",
                   finder->number, line, hint);
    if (lost)
        buf_printf(finder->remarks,
                   "hunk %zu: its \"@@\" line is not in the file just once; it is at line "
                   "%" PRId64 "\n",
                   finder->number, line);
}

static int find_lines(struct finder *finder, size_t count, struct line_match *ret)
{
    const struct text_patch_hunk *hunk = finder->hunk;
    struct line_matches found;
    bool has_anchor;
    size_t anchor = find_anchor(finder, &has_anchor);
    struct line_search search = {
        .text = finder->text,
        .from_line = 1,
        .lines = finder->old_lines,
        .count = count,
        .hint = hunk->has_range ? hunk->old_line + finder->drift : 0,
    };
    find_places(finder, &search, hunk->has_range || has_anchor, anchor, &found);
    if (found.count == 0) {
        bool near = line_nearest_show(finder->text, finder->old_lines, count, finder->help);
        return refuse(finder, near ? "is not in the file. What is most like it there:"
                                   : "is not in the file, nor anything like it");
    }
    const struct line_match *chosen;
    int r = choose(finder, &found, anchor, &chosen);
    if (r < 0)
        return r;
    remark(finder, found.fit, chosen->line, search.hint, has_anchor && !anchor);
    finder->anchor = anchor;
    *ret = *chosen;
    return 0;
}

// A hunk that only adds lines, and shows none of those around them.
static int find_gap(struct finder *finder, struct line_match *ret)
{
    bool has_anchor;
    size_t anchor = find_anchor(finder, &has_anchor);
    if (finder->hunk->has_old) // where it belongs nobody could check
        return refuse(finder, "shows none of the lines of the file that its first line announces; "
                              "write those around what is added, or a count of 0");
    if (has_anchor && !anchor)
        return refuse(finder, "only adds lines, and its \"@@\" line is not in the file just once");
    int64_t wanted = INT64_MAX, number = 1;
    if (finder->hunk->has_range && !has_anchor)
        wanted = finder->hunk->old_line + finder->drift + 1;
    struct span rest = finder->text;
    struct text_line line;
    while (number < wanted && (!anchor || finder->text.len - rest.len < anchor) &&
           text_line_next(&rest, &line))
        number++;
    if (wanted != INT64_MAX && number != wanted)
        return refuse(finder, "only adds lines, behind one that the file does not have");
    size_t at = finder->text.len - rest.len;
    *ret = (struct line_match){.at = at, .end = at, .line = number};
    return 0;
}

// The last lines keep a missing line break, unless the hunk says otherwise.
static bool wants_last_break(const struct finder *finder)
{
    bool said = false, without = false;
    for (size_t i = 0; i < finder->hunk->count; i++) {
        const struct text_patch_line *line = line_of(finder, i);
        said = said || line->no_newline;
        without = without || (line->no_newline && line->kind != '-');
    }
    return said ? !without : finder->text.len == 0 || span_ends_with(finder->text, "\n");
}

static void end_edit(struct finder *finder, struct span ending)
{
    struct text_edits *edits = finder->edits;
    const struct text_edit *edit = &edits->edits[edits->count - 1];
    if (edit->at + edit->len == finder->text.len && edits->texts.len > edit->text &&
        !wants_last_break(finder))
        buf_truncate(&edits->texts, edits->texts.len - ending.len);
    text_edits_end(edits);
}

static bool begin_edit(struct finder *finder, size_t at, struct span ending)
{
    if (!text_edits_begin(finder->edits, at, 0))
        return false;
    if (at == finder->text.len && at > 0 && !span_ends_with(finder->text, "\n"))
        buf_append_span(&finder->edits->texts, ending);
    return true;
}

static int put_down(struct finder *finder, const struct line_match *match)
{
    struct text_edits *edits = finder->edits;
    struct span ending = text_ending_at(finder->text, match->at);
    struct span rest = span_skip(finder->text, match->at);
    struct text_line line;
    bool open = false;
    for (size_t i = 0; i < finder->hunk->count; i++) {
        const struct text_patch_line *changed = line_of(finder, i);
        size_t at = finder->text.len - rest.len;
        if (changed->kind == '@')
            continue;
        if (changed->kind != ' ' && !open && !begin_edit(finder, at, ending))
            return refuse(finder, "makes more changes than one patch may");
        if (changed->kind == ' ' && open)
            end_edit(finder, ending);
        open = changed->kind != ' ';
        if (changed->kind == '+') {
            if (!line_shift_append(&match->shift, changed->text, &edits->texts) ||
                !buf_append_span(&edits->texts, ending))
                return refuse(finder, buf_is_full(&edits->texts)
                                          ? "makes the file too large"
                                          : "fits only with another indentation, which a line "
                                            "that it adds cannot have");
            continue;
        }
        text_line_next(&rest, &line);
        if (open)
            edits->edits[edits->count - 1].len += line.text.len + line.ending.len;
    }
    if (open)
        end_edit(finder, ending);
    return 0;
}

static int find_hunk(struct finder *finder)
{
    const struct text_patch_hunk *hunk = finder->hunk;
    struct line_match match;
    size_t count = 0;
    for (size_t i = 0; i < hunk->count; i++)
        if (line_of(finder, i)->kind == ' ' || line_of(finder, i)->kind == '-')
            finder->old_lines[count++] = line_of(finder, i)->text;
    int r = count ? find_lines(finder, count, &match) : find_gap(finder, &match);
    if (r == 0)
        r = put_down(finder, &match);
    if (r < 0)
        return r;
    if (hunk->has_range)
        finder->drift = match.line - hunk->old_line - (count == 0);
    finder->done = match.end;
    finder->done_line = match.line + (int64_t)count;
    return 0;
}

int text_patch_find(const struct text_patch *patch, const struct text_patch_file *file,
                    struct span text, struct text_edits *edits, struct buf *remarks,
                    struct buf *help, struct error *err)
{
    CLEANUP(finish)
    struct finder finder = {
        .patch = patch,
        .text = text,
        .edits = edits,
        .remarks = remarks,
        .help = help,
        .err = err,
        .old_lines = mem_alloc((patch->line_count + 1) * sizeof *finder.old_lines),
        .done_line = 1,
    };
    for (size_t i = 0; i < file->count; i++) {
        finder.hunk = &patch->hunks[file->first + i];
        finder.number = i + 1;
        int r = find_hunk(&finder);
        if (r < 0)
            return r;
    }
    if (!text_edits_sort(edits))
        return error_set(err, -EINVAL, "two hunks change the same lines");
    if (file->kind == TEXT_PATCH_DELETE && file->count && text_edits_size(edits, text) > 0)
        return error_set(err, -EINVAL, "the patch deletes the file, but not all of its lines");
    return 0;
}

bool text_patch_new_text(const struct text_patch *patch, const struct text_patch_file *file,
                         struct buf *out)
{
    const struct text_patch_hunk *hunk = file->count ? &patch->hunks[file->first] : NULL;
    for (size_t i = 0; hunk && i < hunk->count; i++) {
        const struct text_patch_line *line = &patch->lines[hunk->first + i];
        buf_append_span(out, line->text);
        if (!line->no_newline)
            buf_append_char(out, '\n');
    }
    return !buf_is_full(out);
}
