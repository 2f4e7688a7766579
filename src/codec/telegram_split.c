/*
 * A part is found by trying. The room that a beginning of the text needs as a message is known
 * only when it has been turned into MarkdownV2, so the cut is searched for among the line ends: the
 * last one up to which the text still fits, and from there back to a better one, if
 * that does not leave the part half empty. Each try is a draft: what has to be written again at
 * the top of the part (an opening fence, the header of a table), then the text, then what has to
 * be closed. Because markup never crosses a line end, such a part reads like the whole text does.
 *
 * Escaped characters count here although Telegram shows them without the backslash: so a part
 * fits, whoever counts. telegram_line.c cuts the line that does not fit by itself.
 */
#include "codec/telegram_split.h"

#include "codec/utf8.h"

enum {
    GUESSES = 6,
    WINDOW_UNITS = TELEGRAM_UNITS_MAX * 3 / 2, // more text, for what vanishes as markup
    WINDOW_BYTES_MAX = WINDOW_UNITS * UTF8_BYTES_MAX + 4 * TELEGRAM_TABLE_LINE_MAX,
};

enum quality { INSIDE, LINE, PARAGRAPH }; // a place to cut at

struct cut {
    size_t at;    // bytes of the draft
    size_t block; // where the block begins that is being cut
    enum quality quality;
    bool in_code;
};

// As much of `rest` as can matter, up to a line end where there is one near: the two lines behind
// the window tell whether a table begins at its end.
static size_t window_of(struct span rest)
{
    size_t units = 0, at = 0;
    uint32_t rune;
    for (size_t len; units < WINDOW_UNITS && (len = utf8_decode(span_skip(rest, at), &rune)) > 0;) {
        at += len;
        units += rune >= 0x10000 ? 2 : 1;
    }
    for (int i = 0; i < 2 && at < rest.len; i++) {
        struct span after = span_skip(rest, at), line = telegram_cut_line(&after);
        if (line.len > TELEGRAM_TABLE_LINE_MAX)
            break;
        at += line.len;
    }
    return at;
}

/* Where to cut */

static void add_cut(struct buf *cuts, const struct telegram_draft *d, struct cut cut)
{
    if (cut.at > d->prefix)
        buf_append(cuts, &cut, sizeof cut);
}

static void add_line_cuts(struct buf *cuts, const struct telegram_draft *d,
                          const struct telegram_block *b, struct cut cut)
{
    for (struct span rest = b->text; rest.len;) {
        struct span line = telegram_cut_line(&rest);
        cut.at = (size_t)(line.data + line.len - d->text.data);
        cut.quality = span_trim(line).len ? INSIDE : LINE;
        if (rest.len)
            add_cut(cuts, d, cut);
    }
}

static enum quality quality_after(enum telegram_kind kind, enum telegram_kind before)
{
    if (kind == TELEGRAM_HEADING || (kind == TELEGRAM_BLANK && before == TELEGRAM_HEADING))
        return INSIDE; // a heading stays with what it heads
    return kind == TELEGRAM_BLANK ? PARAGRAPH : LINE;
}

static void find_cuts(const struct telegram_draft *d, struct buf *cuts)
{
    struct telegram_block b;
    enum telegram_kind before = TELEGRAM_BLANK;
    for (struct span rest = buf_span(&d->text); telegram_next_block(&rest, &b);) {
        struct cut cut = {.block = (size_t)(b.raw.data - d->text.data)};
        cut.in_code = b.kind == TELEGRAM_PRE;
        if (b.kind == TELEGRAM_PRE || b.kind == TELEGRAM_TABLE)
            add_line_cuts(cuts, d, &b, cut);
        cut.in_code = b.kind == TELEGRAM_PRE && !b.closed;
        cut.at = cut.block + b.raw.len;
        cut.quality = cut.in_code ? INSIDE : quality_after(b.kind, before);
        if (d->text.data[cut.at - 1] == '\n')
            add_cut(cuts, d, cut);
        if (b.kind != TELEGRAM_BLANK)
            before = b.kind;
    }
}

static struct telegram_block block_at(const struct telegram_draft *d, size_t at)
{
    struct telegram_block b;
    struct span rest = span_skip(buf_span(&d->text), at);
    telegram_next_block(&rest, &b);
    return b;
}

static void write_part(const struct telegram_draft *d, const struct cut *cut, struct buf *out)
{
    buf_append(out, d->text.data, cut->at);
    if (cut->in_code) {
        struct telegram_block b = block_at(d, cut->block);
        telegram_append_fence(out, b.fence, b.fence_length);
        buf_append_char(out, '\n');
    }
}

static size_t cut_size(const struct telegram_draft *d, const struct cut *cut)
{
    BUF_AUTO part = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    write_part(d, cut, &part);
    return telegram_size(buf_span(&part));
}

// The last of cuts[begin] to cuts[end - 1] that is not beyond `at`, else the first.
static size_t cut_near(const struct cut *cuts, size_t begin, size_t end, size_t at)
{
    while (end - begin > 1 && cuts[end - 1].at > at)
        end--;
    return end - 1;
}

// How many cuts from the first on fit. A size tells where the next try is best made, because text
// grows evenly; where it does not, halves are sure to end.
static size_t count_fitting(const struct telegram_draft *d, const struct cut *cuts, size_t count)
{
    size_t fits = 0, end = count, guess = TELEGRAM_UNITS_MAX;
    for (int tries = 0; fits < end; tries++) {
        size_t middle = tries < GUESSES ? cut_near(cuts, fits, end, guess) : (fits + end) / 2;
        size_t size = cut_size(d, &cuts[middle]);
        if (size <= TELEGRAM_UNITS_MAX)
            fits = middle + 1;
        else
            end = middle;
        guess = cuts[middle].at * TELEGRAM_UNITS_MAX / (size ? size : 1);
    }
    return fits;
}

static const struct cut *choose(const struct telegram_draft *d, const struct cut *cuts,
                                size_t count)
{
    size_t fits = count_fitting(d, cuts, count);
    if (fits == 0)
        return NULL;
    const struct cut *last = &cuts[fits - 1];
    for (enum quality wanted = PARAGRAPH; wanted > last->quality; wanted--) {
        for (size_t i = fits; i-- > 0;) {
            if (cuts[i].at - d->prefix < (last->at - d->prefix) / 2)
                break;
            if (cuts[i].quality >= wanted && cut_size(d, &cuts[i]) <= TELEGRAM_UNITS_MAX)
                return &cuts[i];
        }
    }
    return last;
}

/* The part that stays open */

// `rest` was being cut, up to `source`.
static void keep_table(struct telegram_split *state, const struct telegram_draft *d,
                       const struct telegram_block *b, struct span rest, size_t source)
{
    struct span after = span_skip(rest, source);
    size_t head = (size_t)(b->head.data - d->text.data);
    struct span table = state->table;
    if (head >= d->prefix)
        table = (struct span){rest.data + telegram_draft_source(d, head), b->head.len};
    bool goes_on = after.len && telegram_is_row(telegram_cut_line(&after));
    state->table = goes_on ? table : SPAN_ABSENT;
}

static void advance(struct telegram_split *state, const struct telegram_draft *d,
                    const struct cut *cut, struct span *rest)
{
    size_t source = telegram_draft_source(d, cut->at);
    struct telegram_block b = block_at(d, cut->block);
    state->mid_line = state->in_code = false;
    if (cut->in_code)
        telegram_keep_code(state, &b);
    if (b.kind == TELEGRAM_TABLE)
        keep_table(state, d, &b, *rest, source);
    else
        state->table = SPAN_ABSENT;
    *rest = span_skip(*rest, source);
}

/* Parts */

// Blank lines between two parts; in a line that was cut, the white space at the cut.
static void skip_white(struct telegram_split *state, struct span *rest)
{
    if (state->line_done || state->in_code)
        return;
    if (state->mid_line) {
        while (rest->len && (rest->data[0] == ' ' || rest->data[0] == '\t'))
            *rest = span_skip(*rest, 1);
        state->mid_line = rest->len && rest->data[0] != '\n' && rest->data[0] != '\r';
    }
    while (!state->mid_line && rest->len) {
        struct span after = *rest;
        if (span_trim(telegram_cut_line(&after)).len)
            break;
        *rest = after;
    }
}

// The tail of a cut line begins no table, though its next line may look like one's.
static bool is_false_table(const struct telegram_split *state, const struct telegram_draft *d)
{
    return state->mid_line && d->text.len && block_at(d, 0).kind == TELEGRAM_TABLE;
}

static void cut_lines(struct telegram_split *state, struct span *rest, struct buf *part)
{
    size_t window = window_of(*rest);
    BUF_AUTO cuts = BUF_INIT(WINDOW_BYTES_MAX * sizeof(struct cut));
    CLEANUP(telegram_draft_finish) struct telegram_draft d;
    telegram_draft_init(&d, state, *rest, window);
    if (is_false_table(state, &d)) {
        struct span after = *rest;
        window = telegram_cut_line(&after).len;
        telegram_draft_finish(&d);
        telegram_draft_init(&d, state, *rest, window);
    }
    if (window == rest->len && telegram_fits(buf_span(&d.text))) {
        buf_append_span(part, buf_span(&d.text));
        *rest = span_skip(*rest, window);
        return;
    }
    find_cuts(&d, &cuts);
    const struct cut *all = (const struct cut *)(void *)cuts.data, *cut = NULL;
    size_t count = cuts.len / sizeof *all;
    if (count > 1 && window < rest->len && all[count - 1].at == d.text.len)
        count--; // what follows is not seen: the line may head a table
    if (count)
        cut = choose(&d, all, count);
    if (!cut) {
        telegram_cut_long_line(state, rest, part);
        return;
    }
    write_part(&d, cut, part);
    advance(state, &d, cut, rest);
}

static bool shows_nothing(struct span markdown)
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    telegram_plain(markdown, &text);
    return span_trim(buf_span(&text)).len == 0;
}

bool telegram_next_part(struct telegram_split *state, struct span *rest, struct buf *part)
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    for (skip_white(state, rest); rest->len; skip_white(state, rest)) {
        buf_clear(&text);
        if (state->line_done || (state->in_code && state->mid_line))
            telegram_cut_long_line(state, rest, &text);
        else
            cut_lines(state, rest, &text);
        while (text.len && memchr(" \t\r\n", text.data[text.len - 1], 4))
            buf_truncate(&text, text.len - 1);
        if (!shows_nothing(buf_span(&text)))
            return buf_append_span(part, buf_span(&text)), true;
    }
    return false;
}
