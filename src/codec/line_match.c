/*
 * Knuth, Morris and Pratt's search with lines for letters, so that a text of nothing but equal
 * lines takes no longer than any other. It needs an equality that is transitive. To be indented by
 * the same blanks is a matter of all lines together; so there the search looks for lines that are
 * equal but for their indentation, and each place is looked at.
 */
#include "codec/line_match.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/text_line.h"

static bool is_same(struct span a, struct span b, enum line_fit fit)
{
    switch (fit) {
    case LINE_FIT_EXACT:
        return span_equal(a, b);
    case LINE_FIT_TRAILING:
        return span_equal(text_line_without_trailing(a), text_line_without_trailing(b));
    default:
        return span_equal(text_line_core(a), text_line_core(b));
    }
}

// For each line: how many before it, and it, are the first ones as well, but not all of them.
static uint32_t *borders(const struct line_search *search, enum line_fit fit)
{
    uint32_t *border = mem_alloc(search->count * sizeof *border);
    uint32_t len = 0;
    border[0] = 0;
    for (size_t i = 1; i < search->count; i++) {
        while (len && !is_same(search->lines[i], search->lines[len], fit))
            len = border[len - 1];
        len += is_same(search->lines[i], search->lines[len], fit);
        border[i] = len;
    }
    return border;
}

static bool shift_of(struct span text, struct span line, struct line_shift *ret)
{
    struct span there = text_line_indent(text), here = text_line_indent(line);
    ret->less = there.len < here.len;
    struct span longer = ret->less ? here : there, shorter = ret->less ? there : here;
    ret->blanks = (struct span){longer.data, longer.len - shorter.len};
    return span_equal(span_skip(longer, ret->blanks.len), shorter);
}

// Are the lines from `text` on indented by the same blanks more or less?
static bool find_shift(const struct line_search *search, struct span text, struct line_shift *ret)
{
    struct line_shift first = {0}, shift;
    bool known = false;
    struct text_line line;
    for (size_t i = 0; i < search->count && text_line_next(&text, &line); i++) {
        if (text_line_core(line.text).len == 0)
            continue;
        if (!shift_of(line.text, search->lines[i], &shift))
            return false;
        if (!known)
            first = shift;
        known = true;
        if (shift.less != first.less || !span_equal(shift.blanks, first.blanks))
            return false;
    }
    *ret = first;
    return true;
}

static void keep(const struct line_search *search, struct line_match *match,
                 struct line_matches *found)
{
    if (found->fit == LINE_FIT_INDENT &&
        !find_shift(search, span_skip(search->text, match->at), &match->shift))
        return;
    if (found->count < LINE_MATCHES_KEPT)
        found->first[found->count] = *match;
    found->count++;
    found->last = *match;
    if (match->line == search->hint)
        found->at_hint = *match;
    if (search->after && match->at >= search->after && found->after.line == 0)
        found->after = *match;
}

// The beginning of what was matched goes `lines` on.
static void advance(struct span *begin, int64_t *number, uint32_t lines)
{
    struct text_line line;
    for (; lines; lines--, ++*number)
        text_line_next(begin, &line);
}

static void find(const struct line_search *search, struct line_matches *found)
{
    CLEANUP(mem_cleanup) uint32_t *border = borders(search, found->fit);
    struct span rest = span_skip(search->text, search->from), begin = rest;
    int64_t number = search->from_line;
    uint32_t len = 0;
    size_t looked_at = 0;
    struct text_line line;
    while (looked_at < LINE_MATCHES_MAX && text_line_next(&rest, &line)) {
        while (len && !is_same(line.text, search->lines[len], found->fit)) {
            advance(&begin, &number, len - border[len - 1]);
            len = border[len - 1];
        }
        if (!is_same(line.text, search->lines[len], found->fit)) {
            advance(&begin, &number, 1);
            continue;
        }
        if (++len < search->count)
            continue;
        struct line_match match = {.at = (size_t)(begin.data - search->text.data),
                                   .end = (size_t)(rest.data - search->text.data),
                                   .line = number};
        looked_at++;
        keep(search, &match, found);
        advance(&begin, &number, len - border[len - 1]);
        len = border[len - 1];
    }
    // Nobody knows what the rest would have held.
    if (looked_at == LINE_MATCHES_MAX && rest.len && found->count)
        found->count = LINE_MATCHES_MAX;
}

void line_match_find(const struct line_search *search, struct line_matches *ret)
{
    *ret = (struct line_matches){0};
    bool blank = true;
    for (size_t i = 0; i < search->count; i++)
        blank = blank && text_line_core(search->lines[i]).len == 0;
    if (search->count == 0)
        return;
    for (int fit = LINE_FIT_EXACT; fit <= (blank ? LINE_FIT_EXACT : LINE_FIT_INDENT); fit++) {
        ret->fit = fit;
        find(search, ret);
        if (ret->count)
            return;
    }
}

bool line_shift_append(const struct line_shift *shift, struct span line, struct buf *out)
{
    size_t len = shift->blanks.len;
    if (text_line_core(line).len == 0)
        return buf_append_span(out, line);
    if (!shift->less)
        return buf_append_span(out, shift->blanks) && buf_append_span(out, line);
    return line.len >= len && span_equal((struct span){line.data, len}, shift->blanks) &&
           buf_append_span(out, span_skip(line, len));
}

void line_matches_list(const struct line_matches *matches, struct buf *out)
{
    for (size_t i = 0; i < matches->count && i < LINE_MATCHES_KEPT; i++)
        buf_printf(out, "%s%" PRId64,
                   i == 0                   ? "lines "
                   : i + 1 < matches->count ? ", "
                                            : " and ",
                   matches->first[i].line);
    if (matches->count > LINE_MATCHES_KEPT)
        buf_append_text(out, " and more");
}

const char *line_fit_remark(enum line_fit fit)
{
    return fit == LINE_FIT_EXACT      ? ""
           : fit == LINE_FIT_TRAILING ? "other blanks at the ends of lines"
                                      : "another indentation, which the new lines got as well";
}
