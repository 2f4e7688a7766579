/*
 * A line that does not fit into a part by itself. Code is cut anywhere, a space preferred. Other
 * text is cut at a space that stands outside all markup, so that both pieces read as they would in
 * the whole; when there is no such space, because a single bold passage or link is longer than a
 * part, the line goes out as its plain form, escaped. Then nothing of it is lost but the looks.
 */
#include "codec/telegram_split.h"
#include "codec/utf8.h"

enum {
    PRE_UNITS = 64,     // "```language" and the rest around a block of code
    CLUSTER_RUNES = 16, // looked back for the beginning of what is drawn as one character
    ZERO_WIDTH_JOINER = 0x200D,
    SKIN_TONE_FIRST = 0x1F3FB,
    SKIN_TONE_LAST = 0x1F3FF,
};

static bool is_punctuation(char c)
{
    return c > ' ' && c < 0x7F && (c < '0' || c > '9') && ((c | 0x20) < 'a' || (c | 0x20) > 'z');
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
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
        bool escaped = special ? rune < 0x80 && c && strchr(special, c) : is_punctuation(c);
        size_t needs = 1 + (rune >= 0x10000) + escaped;
        if (needs > units)
            break;
        units -= needs;
        if (is_space(c))
            space = at + len;
    }
    if (at == text.len)
        return at;
    return space > at / 2 ? space : cluster_begin(text, at);
}

/* Code */

void telegram_keep_code(struct telegram_split *state, const struct telegram_block *b)
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

// A piece of nothing but the fence's character would end the block. So would such a rest; that is
// remembered, as it is no line by itself and must come here again.
static void cut_code(struct telegram_split *state, const struct telegram_draft *d,
                     struct span *rest, struct buf *part)
{
    struct span after = *rest, line = telegram_cut_line(&after);
    struct span piece = {line.data, longest_piece(line, TELEGRAM_UNITS_MAX - PRE_UNITS, "`\\")};
    size_t length = state->fence_length;
    char fence = state->fence;
    if (telegram_is_fence_end(piece, fence, length)) {
        fence = fence == '~' ? '`' : '~';
        telegram_append_fence(part, fence, length);
        buf_append_char(part, '\n');
    } else {
        buf_append(part, d->text.data, d->prefix);
    }
    buf_append_span(part, piece);
    if (piece.data[piece.len - 1] != '\n')
        buf_append_char(part, '\n');
    telegram_append_fence(part, fence, length);
    buf_append_char(part, '\n');
    *rest = span_skip(*rest, piece.len);
    state->mid_line = telegram_is_fence_end(span_skip(line, piece.len), state->fence, length);
}

/* Text */

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

static bool is_running_text(unsigned kinds)
{
    unsigned kind = kinds >> 8 == TELEGRAM_QUOTE ? kinds & 0xFF : kinds >> 8;
    return kind == TELEGRAM_TEXT || kind == TELEGRAM_ITEM;
}

// False when there is no space to cut at.
static bool cut_text(struct telegram_split *state, const struct telegram_draft *d,
                     struct span *rest, struct buf *part)
{
    struct span text, piece_text, whole = buf_span(&d->text);
    unsigned kinds = kinds_of(whole, &text);
    if (!is_running_text(kinds) || text.len > TELEGRAM_LINE_BYTES_MAX)
        return false;
    BUF_AUTO offsets = BUF_INIT(TELEGRAM_LINE_BYTES_MAX * sizeof(size_t));
    telegram_inline_cuts(text, &offsets);
    const size_t *cuts = (const size_t *)(const void *)offsets.data;
    size_t begin = (size_t)(text.data - whole.data), fits = 0, end = offsets.len / sizeof *cuts;
    while (fits < end) {
        size_t middle = fits + (end - fits) / 2;
        if (telegram_fits((struct span){whole.data, begin + cuts[middle]}))
            fits = middle + 1;
        else
            end = middle;
    }
    struct span piece = {whole.data, fits ? begin + cuts[fits - 1] : 0};
    if (piece.len <= d->prefix || piece.len > TELEGRAM_PART_BYTES_MAX ||
        kinds_of(piece, &piece_text) != kinds)
        return false;
    buf_append_span(part, piece);
    *rest = span_skip(*rest, telegram_draft_source(d, piece.len));
    state->mid_line = true;
    state->mid_quote = kinds >> 8 == TELEGRAM_QUOTE;
    return true;
}

static void cut_plain(struct telegram_split *state, const struct telegram_draft *d,
                      struct span *rest, struct buf *part)
{
    BUF_AUTO plain = BUF_INIT(2 * d->text.len + TELEGRAM_PREFIX_BYTES_MAX);
    struct telegram_writer w = {.out = &plain, .plain = true};
    struct telegram_block b;
    telegram_classify(buf_span(&d->text), &b);
    telegram_write_block(&w, &b);

    struct span text = span_skip(buf_span(&plain), state->line_done);
    size_t at = longest_piece(text, TELEGRAM_UNITS_MAX, NULL);
    for (size_t i = 0; i < at; i++) {
        if (is_punctuation(text.data[i]))
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

void telegram_cut_long_line(struct telegram_split *state, struct span *rest, struct buf *part)
{
    CLEANUP(telegram_draft_finish) struct telegram_draft d;
    struct span after = *rest, line = telegram_cut_line(&after);
    struct telegram_block b;
    state->table = SPAN_ABSENT;
    telegram_draft_init(&d, state, *rest, line.len);
    telegram_classify(line, &b);
    if (state->in_code) {
        cut_code(state, &d, rest, part);
    } else if (b.kind == TELEGRAM_FENCE && !state->mid_line) {
        telegram_keep_code(state, &b); // the part begins with the fence, and it is the next
        *rest = after;
    } else if (state->line_done || !cut_text(state, &d, rest, part)) {
        cut_plain(state, &d, rest, part);
    }
}
