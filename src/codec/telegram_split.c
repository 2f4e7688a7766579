/*
 * A part is found by trying. The room that a beginning of the text needs as a message is known
 * only when it has been turned into MarkdownV2, so the cut is searched for among the line ends: the
 * last one up to which the text still fits, and from there back to a better one, if
 * that does not leave the part half empty. Each try is a draft: what has to be written again at
 * the top of the part (an opening fence, the header of a table), then the text, then what has to
 * be closed. Because markup never crosses a line end, such a part reads like the whole text does.
 *
 * Escaped characters count here although Telegram shows them without the backslash: so a part
 * fits, whoever counts.
 *
 * A line that does not fit into a part by itself is cut as well. Code is cut anywhere, a space
 * preferred. Other text is cut at a space that stands outside all markup, so that both pieces read
 * as they would in the whole; when there is no such space, because a single bold passage or link is
 * longer than a part, the line goes out as its plain form, escaped. Then nothing of it is lost but
 * the looks.
 */
#include "codec/telegram_parse.h"
#include "codec/telegram_text.h"
#include "codec/utf8.h"

enum {
    WINDOW_UNITS = TELEGRAM_UNITS_MAX * 3 / 2, // more text, for what vanishes as markup
    WINDOW_BYTES_MAX = WINDOW_UNITS * UTF8_BYTES_MAX + 4 * TELEGRAM_TABLE_LINE_MAX,
    PREFIX_BYTES_MAX = 4096, // of what is written again
    PRE_UNITS = 64,          // "```language" and the rest around a block of code
    CLUSTER_RUNES = 16,      // looked back for the beginning of what is drawn as one character
    ZERO_WIDTH_JOINER = 0x200D,
    SKIN_TONE_FIRST = 0x1F3FB,
    SKIN_TONE_LAST = 0x1F3FF,
};

/* Drafts */

/*
 * A part that is being tried: what is written again at its top, then text. Of the source, `skip`
 * bytes stand in the prefix, escaped.
 */
struct draft {
    struct buf text;
    size_t prefix;
    size_t skip;
};

static bool fits_as(struct span markdown, void (*form)(struct span, struct buf *))
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    form(markdown, &text);
    return !buf_is_full(&text) && telegram_units(buf_span(&text)) <= TELEGRAM_UNITS_MAX;
}

// In one message, in both forms.
static bool fits_one(struct span markdown)
{
    return fits_as(markdown, telegram_markdown) && fits_as(markdown, telegram_plain);
}

// The escape that makes the rest of a cut line be read as text, and not as the heading or item that
// it could begin like: a backslash before each character of the mark. Returns the source bytes in
// it.
static size_t escape_mark(struct span line, struct buf *out)
{
    struct telegram_block b;
    telegram_classify(line, &b);
    if (b.kind == TELEGRAM_TEXT || b.kind == TELEGRAM_BLANK)
        return 0;
    size_t at = b.indent, end;
    while (line.data[at] >= '0' && line.data[at] <= '9')
        at++;
    buf_append(out, line.data, at);
    for (end = at; end < line.len && line.data[end] == line.data[at]; end++) {
        buf_append_char(out, '\\');
        buf_append_char(out, line.data[end]);
    }
    return end;
}

static void draft_init(struct draft *d, const struct telegram_split *state, struct span rest,
                       size_t bytes)
{
    struct span after = rest;
    // Three times: escaping may double the beginning.
    *d = (struct draft){.text = BUF_INIT(3 * bytes + PREFIX_BYTES_MAX)};
    if (state->in_code) {
        telegram_pad(&d->text, state->fence_indent, ' ');
        telegram_pad(&d->text, state->fence_length, state->fence);
        buf_printf(&d->text, "%s\n", state->language);
    } else if (state->mid_line) {
        buf_append_text(&d->text, state->mid_quote ? "> " : "");
        d->skip = escape_mark(telegram_cut_line(&after), &d->text);
    } else if (state->table.data) {
        buf_append_span(&d->text, state->table);
    }
    d->prefix = d->text.len;
    buf_append(&d->text, rest.data + d->skip, bytes > d->skip ? bytes - d->skip : 0);
}

static void draft_finish(struct draft *d)
{
    buf_finish(&d->text);
}

// Bytes of the source up to `at` of the draft.
static size_t draft_source(const struct draft *d, size_t at)
{
    return at - d->prefix + d->skip;
}

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
    size_t at = telegram_prefix(rest, WINDOW_UNITS);
    for (int i = 0; i < 2 && at < rest.len; i++) {
        struct span after = span_skip(rest, at), line = telegram_cut_line(&after);
        if (line.len > TELEGRAM_TABLE_LINE_MAX)
            break;
        at += line.len;
    }
    return at;
}

/* Where to cut */

static void add_cut(struct buf *cuts, const struct draft *d, struct cut cut)
{
    if (cut.at > d->prefix)
        buf_append(cuts, &cut, sizeof cut);
}

static void add_line_cuts(struct buf *cuts, const struct draft *d, const struct telegram_block *b,
                          struct cut cut)
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

static void find_cuts(const struct draft *d, struct buf *cuts)
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

static struct telegram_block block_at(const struct draft *d, size_t at)
{
    struct telegram_block b;
    struct span rest = span_skip(buf_span(&d->text), at);
    telegram_next_block(&rest, &b);
    return b;
}

static void write_part(const struct draft *d, const struct cut *cut, struct buf *out)
{
    buf_append(out, d->text.data, cut->at);
    if (cut->in_code) {
        struct telegram_block b = block_at(d, cut->block);
        telegram_pad(out, b.fence_length, b.fence);
        buf_append_char(out, '\n');
    }
}

static bool cut_fits(const struct draft *d, const struct cut *cut)
{
    BUF_AUTO part = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    write_part(d, cut, &part);
    return fits_one(buf_span(&part));
}

// How many cuts from the first on fit.
static size_t count_fitting(const struct draft *d, const struct cut *cuts, size_t count)
{
    size_t fits = 0, end = count;
    while (fits < end) {
        size_t middle = (fits + end) / 2;
        if (cut_fits(d, &cuts[middle]))
            fits = middle + 1;
        else
            end = middle;
    }
    return fits;
}

static const struct cut *choose(const struct draft *d, const struct cut *cuts, size_t count)
{
    size_t fits = count_fitting(d, cuts, count);
    if (fits == 0)
        return NULL;
    const struct cut *last = &cuts[fits - 1];
    for (enum quality wanted = PARAGRAPH; wanted > last->quality; wanted--) {
        for (size_t i = fits; i-- > 0;) {
            if (cuts[i].at - d->prefix < (last->at - d->prefix) / 2)
                break;
            if (cuts[i].quality >= wanted && cut_fits(d, &cuts[i]))
                return &cuts[i];
        }
    }
    return last;
}

/* The part that stays open */

static void keep_code(struct telegram_split *state, const struct telegram_block *b)
{
    size_t len =
        b->language.len < sizeof state->language ? b->language.len : sizeof state->language - 1;
    len -= utf8_incomplete_tail((struct span){b->language.data, len});
    memset(state->language, 0, sizeof state->language);
    memcpy(state->language, b->language.data, len);
    state->in_code = true;
    state->fence = b->fence;
    state->fence_length = b->fence_length;
    state->fence_indent = b->indent;
}

// `rest` was being cut, up to `source`.
static void keep_table(struct telegram_split *state, const struct draft *d,
                       const struct telegram_block *b, struct span rest, size_t source)
{
    struct span after = span_skip(rest, source);
    size_t head = (size_t)(b->head.data - d->text.data);
    struct span table = state->table;
    if (head >= d->prefix)
        table = (struct span){rest.data + draft_source(d, head), b->head.len};
    bool goes_on = after.len && telegram_is_row(telegram_cut_line(&after));
    state->table = goes_on ? table : SPAN_ABSENT;
}

static void advance(struct telegram_split *state, const struct draft *d, const struct cut *cut,
                    struct span *rest)
{
    size_t source = draft_source(d, cut->at);
    struct telegram_block b = block_at(d, cut->block);
    state->mid_line = state->in_code = false;
    if (cut->in_code)
        keep_code(state, &b);
    if (b.kind == TELEGRAM_TABLE)
        keep_table(state, d, &b, *rest, source);
    else
        state->table = SPAN_ABSENT;
    *rest = span_skip(*rest, source);
}

static size_t rune_before(struct span text, size_t at, uint32_t *ret_rune)
{
    size_t begin = at - 1;
    while (begin > 0 && at - begin < UTF8_BYTES_MAX && (text.data[begin] & 0xC0) == 0x80)
        begin--;
    utf8_decode((struct span){text.data + begin, at - begin}, ret_rune);
    return begin;
}

// Moves `at` back to where nothing that is drawn as one character is torn, if that is near.
static size_t cluster_begin(struct span text, size_t at)
{
    size_t place = at;
    for (int i = 0; i < CLUSTER_RUNES && place > 0 && place < text.len; i++) {
        uint32_t before = 0, after = 0;
        size_t previous = rune_before(text, place, &before);
        utf8_decode(span_skip(text, place), &after);
        bool tone = after >= SKIN_TONE_FIRST && after <= SKIN_TONE_LAST;
        if (before != ZERO_WIDTH_JOINER && utf8_rune_width(after) > 0 && !tone)
            return place;
        place = previous;
    }
    return place == text.len ? place : at;
}

// The most of `text` that stays within `units` when the characters in `special`, or with none
// given all punctuation, get a backslash. Cut behind a space if there is one in its second half.
static size_t longest_piece(struct span text, size_t units, const char *special)
{
    size_t at = 0, space = 0;
    uint32_t rune = 0;
    for (size_t len; (len = utf8_decode(span_skip(text, at), &rune)) > 0; at += len) {
        char c = text.data[at];
        bool escaped = special ? rune < 0x80 && c && strchr(special, c) : telegram_is_mark(c);
        size_t needs = 1 + (rune >= 0x10000) + escaped;
        if (needs > units)
            break;
        units -= needs;
        if (c == ' ' || c == '\t')
            space = at + len;
    }
    if (at == text.len)
        return at;
    return space > at / 2 ? space : cluster_begin(text, at);
}

/* A line of code that does not fit */

// A piece of nothing but the fence's character would end the block. So would such a rest; that is
// remembered, as it is no line by itself and must come here again.
static void cut_code(struct telegram_split *state, const struct draft *d, struct span *rest,
                     struct buf *part)
{
    struct span after = *rest, line = telegram_cut_line(&after);
    struct span piece = {line.data, longest_piece(line, TELEGRAM_UNITS_MAX - PRE_UNITS, "`\\")};
    size_t length = state->fence_length;
    char fence = state->fence;
    if (telegram_is_fence_end(piece, fence, length)) {
        fence = fence == '~' ? '`' : '~';
        telegram_pad(part, length, fence);
        buf_append_char(part, '\n');
    } else {
        buf_append(part, d->text.data, d->prefix);
    }
    buf_append_span(part, piece);
    if (piece.data[piece.len - 1] != '\n')
        buf_append_char(part, '\n');
    telegram_pad(part, length, fence);
    buf_append_char(part, '\n');
    *rest = span_skip(*rest, piece.len);
    state->mid_line = telegram_is_fence_end(span_skip(line, piece.len), state->fence, length);
}

/* A line of text that does not fit */

// The kinds that one line is read as, and, for a quote, the text in it.
static unsigned kinds_of(struct span line, struct span *ret_text)
{
    struct telegram_block b, inside = {.kind = TELEGRAM_BLANK};
    telegram_classify(line, &b);
    *ret_text = b.text;
    if (b.kind == TELEGRAM_QUOTE) {
        telegram_classify(b.text, &inside);
        *ret_text = inside.text;
    }
    return b.kind << 8 | inside.kind;
}

// False when there is no space to cut at.
static bool cut_text(struct telegram_split *state, const struct draft *d, struct span *rest,
                     struct buf *part)
{
    struct span text, piece_text, whole = buf_span(&d->text);
    unsigned kinds = kinds_of(whole, &text);
    bool quote = kinds >> 8 == TELEGRAM_QUOTE;
    unsigned kind = quote ? kinds & 0xFF : kinds >> 8;
    if ((kind != TELEGRAM_TEXT && kind != TELEGRAM_ITEM) || text.len > TELEGRAM_LINE_BYTES_MAX)
        return false;
    BUF_AUTO offsets = BUF_INIT(TELEGRAM_LINE_BYTES_MAX * sizeof(size_t));
    telegram_inline_cuts(text, &offsets);
    const size_t *cuts = (const size_t *)(const void *)offsets.data;
    size_t begin = (size_t)(text.data - whole.data), fits = 0, end = offsets.len / sizeof *cuts;
    while (fits < end) {
        size_t middle = fits + (end - fits) / 2;
        if (fits_one((struct span){whole.data, begin + cuts[middle]}))
            fits = middle + 1;
        else
            end = middle;
    }
    struct span piece = {whole.data, fits ? begin + cuts[fits - 1] : 0};
    if (piece.len <= d->prefix || piece.len > TELEGRAM_PART_BYTES_MAX ||
        kinds_of(piece, &piece_text) != kinds)
        return false;
    buf_append_span(part, piece);
    *rest = span_skip(*rest, draft_source(d, piece.len));
    state->mid_line = true;
    state->mid_quote = quote;
    return true;
}

static void cut_plain(struct telegram_split *state, const struct draft *d, struct span *rest,
                      struct buf *part)
{
    BUF_AUTO plain = BUF_INIT(2 * d->text.len + PREFIX_BYTES_MAX);
    struct telegram_writer w = {.out = &plain, .plain = true};
    struct telegram_block b;
    telegram_classify(buf_span(&d->text), &b);
    telegram_write_block(&w, &b);

    struct span text = span_skip(buf_span(&plain), state->line_done);
    size_t at = longest_piece(text, TELEGRAM_UNITS_MAX, NULL);
    for (size_t i = 0; i < at; i++) {
        if (telegram_is_mark(text.data[i]))
            buf_append_char(part, '\\');
        buf_append_char(part, text.data[i]);
    }
    state->line_done += at;
    if (at < text.len)
        return;
    state->line_done = 0;
    state->mid_line = false;
    telegram_cut_line(rest);
}

// Takes a part of the first line of *rest, which does not fit.
static void cut_long_line(struct telegram_split *state, struct span *rest, struct buf *part)
{
    CLEANUP(draft_finish) struct draft d;
    struct span after = *rest, line = telegram_cut_line(&after);
    struct telegram_block b;
    state->table = SPAN_ABSENT;
    draft_init(&d, state, *rest, line.len);
    telegram_classify(line, &b);
    if (state->in_code) {
        cut_code(state, &d, rest, part);
    } else if (b.kind == TELEGRAM_FENCE && !state->mid_line) {
        keep_code(state, &b); // the part begins with the fence, and it is the next
        *rest = after;
    } else if (state->line_done || !cut_text(state, &d, rest, part)) {
        cut_plain(state, &d, rest, part);
    }
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

static void cut_lines(struct telegram_split *state, struct span *rest, struct buf *part)
{
    size_t window = window_of(*rest);
    BUF_AUTO cuts = BUF_INIT(WINDOW_BYTES_MAX * sizeof(struct cut));
    CLEANUP(draft_finish) struct draft d;
    draft_init(&d, state, *rest, window);
    if (state->mid_line && d.text.len && block_at(&d, 0).kind == TELEGRAM_TABLE) {
        // The tail of a cut line begins no table, though its next line may look like one's.
        struct span after = *rest;
        window = telegram_cut_line(&after).len;
        draft_finish(&d);
        draft_init(&d, state, *rest, window);
    }
    if (window == rest->len && fits_one(buf_span(&d.text))) {
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
        cut_long_line(state, rest, part);
        return;
    }
    write_part(&d, cut, part);
    advance(state, &d, cut, rest);
}

bool telegram_next_part(struct telegram_split *state, struct span *rest, struct buf *part)
{
    BUF_AUTO text = BUF_INIT(TELEGRAM_PART_BYTES_MAX), plain = BUF_INIT(TELEGRAM_PART_BYTES_MAX);
    for (skip_white(state, rest); rest->len; skip_white(state, rest)) {
        buf_clear(&text);
        if (state->line_done || (state->in_code && state->mid_line))
            cut_long_line(state, rest, &text);
        else
            cut_lines(state, rest, &text);
        while (text.len && memchr(" \t\r\n", text.data[text.len - 1], 4))
            buf_truncate(&text, text.len - 1);
        buf_clear(&plain);
        telegram_plain(buf_span(&text), &plain);
        if (span_trim(buf_span(&plain)).len) // else there is nothing to be seen
            return buf_append_span(part, buf_span(&text)), true;
    }
    return false;
}
