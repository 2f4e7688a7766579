/*
 * Markup within one line. It never crosses a line end: models hardly ever write that, and so a cut
 * at a line end tears nothing.
 *
 * First the line becomes tokens; code, links and addresses are recognised then, because nothing in
 * them is emphasis. Then runs of * _ ~ are paired by CommonMark's rules: each closing run looks
 * back for the nearest run that can open. A pair only counts up in its two tokens what begins and
 * what ends there, so writing is one walk with three depths, and every character comes out with
 * the set of its styles. A mark without a partner is text. Only ASCII punctuation counts as such
 * for these rules, or a bold word that ends in a full-width bracket would not close before the
 * next.
 */
#include "codec/telegram_token.h"

enum {
    LOOK_BACK_MAX = 64, // open runs that a closing one is compared with
    TOKEN_BYTES_MAX = 2 * TELEGRAM_LINE_BYTES_MAX * sizeof(struct token),
};

static struct token *tokens_of(const struct token_reader *r)
{
    return (struct token *)(void *)r->tokens.data;
}

static size_t token_count(const struct token_reader *r)
{
    return r->tokens.len / sizeof(struct token);
}

/* Emphasis */

static size_t take_run(struct token_reader *r, struct span text, size_t at)
{
    size_t length = token_run_at(text, at), end = at + length;
    char before = at ? text.data[at - 1] : ' ', after = end < text.len ? text.data[end] : ' ';
    bool left = !telegram_is_white(after) &&
                (!telegram_is_mark(after) || telegram_is_white(before) || telegram_is_mark(before));
    bool right = !telegram_is_white(before) &&
                 (!telegram_is_mark(before) || telegram_is_white(after) || telegram_is_mark(after));
    bool in_word = text.data[at] == '_'; // snake_case stays
    struct token run = {.kind = TOKEN_RUN, .text = {text.data + at, length}};
    run.length = run.left = length;
    run.can_open = left && (!in_word || !right || telegram_is_mark(before));
    run.can_close = right && (!in_word || !left || telegram_is_mark(after));
    bool product = text.data[at] == '*' && length == 1 && isalnum((unsigned char)before) &&
                   isalnum((unsigned char)after); // 2*3*4
    if (product || (text.data[at] == '~' && length != 2))
        run.can_open = run.can_close = false;
    token_add(r, run);
    return length;
}

// CommonMark's "rule of three": in *a**b* the inner run closes nothing.
static bool do_pair(const struct token *opener, const struct token *closer)
{
    if (!opener->can_open || !opener->left || opener->text.data[0] != closer->text.data[0])
        return false;
    bool both = opener->can_close || closer->can_open;
    return !both || (opener->length + closer->length) % 3 != 0 ||
           (opener->length % 3 == 0 && closer->length % 3 == 0);
}

static struct token *find_opener(struct token *first, struct token *closer)
{
    unsigned seen = 0;
    for (struct token *t = closer; t > first && seen < LOOK_BACK_MAX;) {
        t--;
        if (t->kind != TOKEN_RUN || !t->can_open)
            continue;
        if (do_pair(t, closer))
            return t;
        seen++;
    }
    return NULL;
}

static void pair(struct token *opener, struct token *closer)
{
    size_t used = opener->left >= 2 && closer->left >= 2 ? 2 : 1;
    unsigned emphasis = opener->text.data[0] == '~' ? 2 : used == 2 ? 0 : 1;
    opener->opens[emphasis]++;
    closer->closes[emphasis]++;
    opener->left -= used;
    closer->left -= used;
    if (!opener->left)
        opener->can_open = false;
    for (struct token *t = opener + 1; t < closer; t++) {
        if (t->kind == TOKEN_RUN)
            t->can_open = false; // pairs do not overlap
    }
}

// Pairs the runs of the tokens from `begin` on and leaves none of them open for what follows.
static void pair_runs(struct token_reader *r, size_t begin)
{
    if (token_count(r) == begin)
        return;
    struct token *first = tokens_of(r) + begin, *end = tokens_of(r) + token_count(r);
    for (struct token *closer = first; closer < end; closer++) {
        struct token *opener;
        if (closer->kind != TOKEN_RUN || !closer->can_close)
            continue;
        while (closer->left && (opener = find_opener(first, closer)))
            pair(opener, closer);
        if (!closer->left)
            closer->can_open = false;
    }
    for (struct token *t = first; t < end; t++)
        t->can_open = t->can_close = false;
}

/* A line */

static void read_line(struct token_reader *r, struct span text);

// Or an image. Without its end, the mark is text.
static size_t take_link(struct token_reader *r, struct span text, size_t at)
{
    struct token_link link;
    size_t image = text.data[at] == '!';
    if ((r->in_link && !image) || !token_find_link(r, text, at + image, &link)) {
        token_add_text(r, (struct span){text.data + at, 1 + image});
        return 1 + image;
    }
    if (r->in_link) { // the image on a linked badge
        read_line(r, link.text);
        return image + link.length;
    }
    struct span shown = span_trim(link.text);
    struct token token = {.kind = TOKEN_LINK, .text = link.url, .is_link = token_is_url(link.url)};
    token.shows_url = link.url.len && shown.len && !span_equal(shown, link.url);
    token_add(r, token);
    r->in_link = true;
    if (shown.len)
        read_line(r, link.text);
    else
        token_add_text(r, link.url);
    r->in_link = false;
    token.kind = TOKEN_LINK_END;
    token_add(r, token);
    return image + link.length;
}

static size_t take_mark(struct token_reader *r, struct span text, size_t at)
{
    char c = text.data[at];
    char next = at + 1 < text.len ? text.data[at + 1] : 0;
    if (c == '`')
        return token_take_code(r, text, at);
    if (c == '[' || (c == '!' && next == '['))
        return take_link(r, text, at);
    if (c == '<')
        return token_take_angle(r, text, at);
    if (c == '*' || c == '_' || c == '~')
        return take_run(r, text, at);
    bool escaped = c == '\\' && telegram_is_mark(next);
    size_t length = escaped ? 2 : 1;
    if ((c | 0x20) == 'h')
        length = token_bare_url(text, at);
    token_add_text(r, (struct span){text.data + at + escaped, length - escaped});
    return length;
}

static bool is_mark(struct span text, size_t at)
{
    char c = text.data[at];
    return memchr("`[!<*_~\\", c, 8) || ((c | 0x20) == 'h' && token_bare_url(text, at));
}

static void read_line(struct token_reader *r, struct span text)
{
    size_t begin = token_count(r);
    for (size_t at = 0; at < text.len;) {
        size_t end = at;
        while (end < text.len && !is_mark(text, end))
            end++;
        token_add_text(r, (struct span){text.data + at, end - at});
        at = end < text.len ? end + take_mark(r, text, end) : end;
    }
    pair_runs(r, begin);
}

static void reader_init(struct token_reader *r, struct span text)
{
    *r = (struct token_reader){.tokens = BUF_INIT(TOKEN_BYTES_MAX)};
    if (text.len <= TELEGRAM_LINE_BYTES_MAX)
        read_line(r, text);
    else
        token_add_text(r, text);
}

/* Writing */

struct walk {
    unsigned depth[TELEGRAM_EMPHASES];
    const struct token *link;
};

static unsigned style_of(const struct walk *walk)
{
    static const unsigned styles[TELEGRAM_EMPHASES] = {TELEGRAM_BOLD, TELEGRAM_ITALIC,
                                                       TELEGRAM_STRIKE};
    unsigned style = walk->link && walk->link->is_link ? TELEGRAM_LINK : 0;
    for (size_t i = 0; i < TELEGRAM_EMPHASES; i++)
        style |= walk->depth[i] ? styles[i] : 0;
    return style;
}

static void write_run(struct telegram_writer *w, struct walk *walk, const struct token *t,
                      unsigned style)
{
    struct span url = walk->link ? walk->link->text : SPAN_ABSENT;
    for (size_t i = 0; i < TELEGRAM_EMPHASES; i++)
        walk->depth[i] -= t->closes[i];
    telegram_write(w, (struct span){t->text.data, t->left}, style | style_of(walk), url);
    for (size_t i = 0; i < TELEGRAM_EMPHASES; i++)
        walk->depth[i] += t->opens[i];
}

static void write_link_end(struct telegram_writer *w, struct walk *walk, unsigned style)
{
    const struct token *link = walk->link;
    walk->link = NULL;
    if (!link->shows_url || (link->is_link && !w->plain))
        return;
    style |= style_of(walk);
    telegram_write(w, SPAN_LITERAL(" ("), style, SPAN_ABSENT);
    telegram_write(w, link->text, style, SPAN_ABSENT);
    telegram_write(w, SPAN_LITERAL(")"), style, SPAN_ABSENT);
}

void telegram_inline(struct telegram_writer *w, struct span text, unsigned style)
{
    struct token_reader r;
    struct walk walk = {0};
    reader_init(&r, text);
    for (size_t i = 0; i < token_count(&r); i++) {
        const struct token *t = &tokens_of(&r)[i];
        struct span url = walk.link ? walk.link->text : SPAN_ABSENT;
        if (t->kind == TOKEN_TEXT)
            telegram_write(w, t->text, style | style_of(&walk), url);
        else if (t->kind == TOKEN_CODE)
            telegram_write(w, t->text, style | style_of(&walk) | TELEGRAM_CODE, url);
        else if (t->kind == TOKEN_RUN)
            write_run(w, &walk, t, style);
        else if (t->kind == TOKEN_LINK)
            walk.link = t;
        else
            write_link_end(w, &walk, style);
    }
    telegram_write_end(w);
    buf_finish(&r.tokens);
}

void telegram_inline_cuts(struct span text, struct buf *ret_offsets)
{
    struct token_reader r;
    struct walk walk = {0};
    reader_init(&r, text);
    for (size_t i = 0; i < token_count(&r); i++) {
        const struct token *t = &tokens_of(&r)[i];
        bool outside = t->kind == TOKEN_TEXT && !walk.link && !style_of(&walk);
        for (size_t k = 0; outside && k < t->text.len; k++) {
            size_t at = (size_t)(t->text.data + k - text.data);
            if (at > 0 && telegram_is_white(text.data[at]))
                buf_append(ret_offsets, &at, sizeof at);
        }
        for (size_t e = 0; e < TELEGRAM_EMPHASES; e++)
            walk.depth[e] += t->opens[e] - t->closes[e];
        if (t->kind == TOKEN_LINK)
            walk.link = t;
        else if (t->kind == TOKEN_LINK_END)
            walk.link = NULL;
    }
    buf_finish(&r.tokens);
}
