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
#include "codec/telegram_parse.h"

enum {
    TICKS_MAX = 32,
    EMPHASES = 3,         // bold, italic, strike-through
    LOOK_BACK_MAX = 64,   // open runs that a closing one is compared with
    LINK_TEXT_MAX = 1024, // bytes; so that a line of brackets is not read over and over
    LINK_URL_MAX = 2048,  // bytes
};

enum kind { TOKEN_TEXT, TOKEN_CODE, TOKEN_RUN, TOKEN_LINK, TOKEN_LINK_END };

struct token {
    enum kind kind;
    bool can_open, can_close;
    bool is_link;     // link: Telegram opens such addresses
    bool shows_url;   // link: its text does not
    struct span text; // link: the address
    size_t length;    // run: characters as written
    size_t left;      // run: characters not paired
    unsigned opens[EMPHASES], closes[EMPHASES];
};

struct reader {
    struct buf tokens;
    bool in_link;
    const char *no_ticks[TICKS_MAX + 1]; // from here on no run of so many closes
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static void token_add(struct reader *r, struct token token)
{
    buf_append(&r->tokens, &token, sizeof token);
}

static void token_add_text(struct reader *r, struct span text)
{
    if (text.len)
        token_add(r, (struct token){.kind = TOKEN_TEXT, .text = text});
}

static struct token *tokens_of(const struct reader *r)
{
    return (struct token *)(void *)r->tokens.data;
}

static size_t token_count(const struct reader *r)
{
    return r->tokens.len / sizeof(struct token);
}

/* Code */

// Bytes of the code that begins at `at`, ticks included; 0 when it does not end.
static size_t code_length(struct reader *r, struct span text, size_t at)
{
    size_t ticks = telegram_run(span_skip(text, at), text.data[at]);
    if (ticks > TICKS_MAX || (r->no_ticks[ticks] && text.data + at >= r->no_ticks[ticks]))
        return 0;
    for (size_t i = at + ticks; i < text.len;) {
        const char *next = memchr(text.data + i, '`', text.len - i);
        if (!next)
            break;
        i = (size_t)(next - text.data);
        size_t run = telegram_run(span_skip(text, i), '`');
        if (run == ticks)
            return i + run - at;
        i += run;
    }
    if (!r->in_link) // the text of a link says nothing about what is behind it
        r->no_ticks[ticks] = text.data + at;
    return 0;
}

// Reads what begins at `at` and returns its bytes; without its end, the mark is text.
static size_t take_code(struct reader *r, struct span text, size_t at)
{
    size_t length = code_length(r, text, at),
           ticks = telegram_run(span_skip(text, at), text.data[at]);
    if (length == 0) {
        token_add_text(r, (struct span){text.data + at, ticks});
        return ticks;
    }
    struct span code = {text.data + at + ticks, length - 2 * ticks};
    // One blank on either side lets code begin with a `.
    if (code.len > 2 && code.data[0] == ' ' && code.data[code.len - 1] == ' ')
        code = (struct span){code.data + 1, code.len - 2};
    token_add(r, (struct token){.kind = TOKEN_CODE, .text = code});
    return length;
}

/* Links */

struct link {
    struct span text, url;
    size_t length; // bytes of it all
};

// Offset of the bracket that closes the one at `at`, 0 when there is none within reach.
static size_t bracket_end(struct reader *r, struct span text, size_t at)
{
    struct span reach = {text.data + at, text.len - at};
    if (reach.len > LINK_TEXT_MAX)
        reach.len = LINK_TEXT_MAX;
    if (!memchr(reach.data, ']', reach.len))
        return 0;
    size_t depth = 0;
    for (size_t i = at; i < at + reach.len; i++) {
        char c = text.data[i];
        if (c == '\\') {
            i++;
        } else if (c == '`') {
            size_t code = code_length(r, text, i);
            i += (code ? code : telegram_run(span_skip(text, i), '`')) - 1;
        } else if (c == '[') {
            depth++;
        } else if (c == ']' && --depth == 0) {
            return i;
        }
    }
    return 0;
}

static size_t skip_white(struct span text, size_t at)
{
    while (at < text.len && telegram_is_white(text.data[at]))
        at++;
    return at;
}

// The address from `at`; returns the offset behind it.
static size_t read_url(struct span text, size_t at, struct span *ret_url)
{
    bool angles = at < text.len && text.data[at] == '<';
    size_t begin = at + angles, depth = 0, i = begin;
    for (; i < text.len && i - begin <= LINK_URL_MAX; i++) {
        char c = text.data[i];
        if ((unsigned char)c <= ' ' || (angles && c == '>'))
            break;
        if (!angles && c == ')' && depth-- == 0)
            break;
        depth += !angles && c == '(';
    }
    *ret_url = (struct span){text.data + begin, i - begin};
    return i + (angles && i < text.len && text.data[i] == '>');
}

// "title", 'title' or nothing; returns the offset behind it and the white space around it.
static size_t skip_title(struct span text, size_t at)
{
    size_t open = skip_white(text, at);
    if (open == at || open == text.len || (text.data[open] != '"' && text.data[open] != '\''))
        return open;
    size_t close = open + 1;
    while (close < text.len && close - open <= LINK_TEXT_MAX && text.data[close] != text.data[open])
        close++;
    return skip_white(text, close < text.len ? close + 1 : close);
}

// The link whose [ is at `at`; false when it has no end.
static bool find_link(struct reader *r, struct span text, size_t at, struct link *ret_link)
{
    size_t end = bracket_end(r, text, at);
    if (end == 0 || end + 1 >= text.len || text.data[end + 1] != '(')
        return false;
    struct span url;
    size_t close = read_url(text, skip_white(text, end + 2), &url);
    close = skip_title(text, close);
    if (close >= text.len || text.data[close] != ')')
        return false;
    *ret_link = (struct link){{text.data + at + 1, end - at - 1}, url, close + 1 - at};
    return true;
}

static bool has_scheme(struct span url, const char *scheme)
{
    size_t n = strlen(scheme);
    for (size_t i = 0; i < n; i++) {
        char c = i < url.len ? url.data[i] : 0;
        if ((isalpha((unsigned char)c) ? c | 0x20 : c) != scheme[i])
            return false;
    }
    return url.len > n;
}

// An address that Telegram opens.
static bool is_url(struct span url)
{
    return has_scheme(url, "http://") || has_scheme(url, "https://") || has_scheme(url, "tg://") ||
           has_scheme(url, "mailto:");
}

// <https://…> and <name@host>, likewise.
static size_t take_angle(struct reader *r, struct span text, size_t at)
{
    size_t end = at + 1;
    bool mail = false;
    while (end < text.len && end - at <= LINK_URL_MAX && (unsigned char)text.data[end] > ' ' &&
           text.data[end] != '>' && text.data[end] != '<')
        mail |= text.data[end++] == '@';
    struct span inside = {text.data + at + 1, end - at - 1};
    bool closed = end < text.len && text.data[end] == '>';
    if (closed && (is_url(inside) || (mail && is_word(inside.data[0])))) {
        token_add_text(r, inside);
        return end + 1 - at;
    }
    token_add_text(r, (struct span){text.data + at, 1});
    return 1;
}

// An address in running text is not looked into for emphasis; 0 when none begins here.
static size_t bare_url(struct span text, size_t at)
{
    struct span rest = span_skip(text, at);
    if ((at && is_word(text.data[at - 1])) ||
        (!has_scheme(rest, "http://") && !has_scheme(rest, "https://")))
        return 0;
    size_t len = 0;
    while (len < rest.len && (unsigned char)rest.data[len] > ' ' &&
           !memchr("<>`|*\"\\", rest.data[len], 7))
        len++;
    while (len && !is_word(rest.data[len - 1]) && rest.data[len - 1] != '/')
        len--; // the full stop belongs to the sentence
    return len;
}

/* Emphasis */

static size_t take_run(struct reader *r, struct span text, size_t at)
{
    size_t length = telegram_run(span_skip(text, at), text.data[at]), end = at + length;
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
static void pair_runs(struct reader *r, size_t begin)
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

static void read_line(struct reader *r, struct span text);

// Or an image. Without its end, the mark is text.
static size_t take_link(struct reader *r, struct span text, size_t at)
{
    struct link link;
    size_t image = text.data[at] == '!';
    if ((r->in_link && !image) || !find_link(r, text, at + image, &link)) {
        token_add_text(r, (struct span){text.data + at, 1 + image});
        return 1 + image;
    }
    if (r->in_link) { // the image on a linked badge
        read_line(r, link.text);
        return image + link.length;
    }
    struct span shown = span_trim(link.text);
    struct token token = {.kind = TOKEN_LINK, .text = link.url, .is_link = is_url(link.url)};
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

static size_t take_mark(struct reader *r, struct span text, size_t at)
{
    char c = text.data[at];
    char next = at + 1 < text.len ? text.data[at + 1] : 0;
    if (c == '`')
        return take_code(r, text, at);
    if (c == '[' || (c == '!' && next == '['))
        return take_link(r, text, at);
    if (c == '<')
        return take_angle(r, text, at);
    if (c == '*' || c == '_' || c == '~')
        return take_run(r, text, at);
    bool escaped = c == '\\' && telegram_is_mark(next);
    size_t length = escaped ? 2 : 1;
    if ((c | 0x20) == 'h')
        length = bare_url(text, at);
    token_add_text(r, (struct span){text.data + at + escaped, length - escaped});
    return length;
}

static bool is_mark(struct span text, size_t at)
{
    char c = text.data[at];
    return memchr("`[!<*_~\\", c, 8) || ((c | 0x20) == 'h' && bare_url(text, at));
}

static void read_line(struct reader *r, struct span text)
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

static void reader_init(struct reader *r, struct span text)
{
    *r = (struct reader){.tokens = BUF_INIT(2 * TELEGRAM_LINE_BYTES_MAX * sizeof(struct token))};
    if (text.len <= TELEGRAM_LINE_BYTES_MAX)
        read_line(r, text);
    else
        token_add_text(r, text);
}

/* Writing */

struct walk {
    unsigned depth[EMPHASES];
    const struct token *link;
};

static unsigned style_of(const struct walk *walk)
{
    static const unsigned styles[EMPHASES] = {TELEGRAM_BOLD, TELEGRAM_ITALIC, TELEGRAM_STRIKE};
    unsigned style = walk->link && walk->link->is_link ? TELEGRAM_LINK : 0;
    for (size_t i = 0; i < EMPHASES; i++)
        style |= walk->depth[i] ? styles[i] : 0;
    return style;
}

static void write_run(struct telegram_writer *w, struct walk *walk, const struct token *t,
                      unsigned style)
{
    struct span url = walk->link ? walk->link->text : SPAN_ABSENT;
    for (size_t i = 0; i < EMPHASES; i++)
        walk->depth[i] -= t->closes[i];
    telegram_write(w, (struct span){t->text.data, t->left}, style | style_of(walk), url);
    for (size_t i = 0; i < EMPHASES; i++)
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
    struct reader r;
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
    struct reader r;
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
        for (size_t e = 0; e < EMPHASES; e++)
            walk.depth[e] += t->opens[e] - t->closes[e];
        if (t->kind == TOKEN_LINK)
            walk.link = t;
        else if (t->kind == TOKEN_LINK_END)
            walk.link = NULL;
    }
    buf_finish(&r.tokens);
}
