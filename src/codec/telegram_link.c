// Code, links and addresses within a line: what is recognised before emphasis is looked for.
#include "codec/telegram_token.h"

enum {
    LINK_TEXT_MAX = 1024, // bytes; so that a line of brackets is not read over and over
    LINK_URL_MAX = 2048,  // bytes
};

/* Code */

// Bytes of the code that begins at `at`, ticks included; 0 when it does not end.
static size_t code_length(struct token_reader *r, struct span text, size_t at)
{
    size_t ticks = token_run_at(text, at);
    if (ticks > TELEGRAM_TICKS_MAX || (r->no_ticks[ticks] && text.data + at >= r->no_ticks[ticks]))
        return 0;
    for (size_t i = at + ticks; i < text.len;) {
        const char *next = memchr(text.data + i, '`', text.len - i);
        if (!next)
            break;
        i = (size_t)(next - text.data);
        size_t run = token_run_at(text, i);
        if (run == ticks)
            return i + run - at;
        i += run;
    }
    if (!r->in_link) // the text of a link says nothing about what is behind it
        r->no_ticks[ticks] = text.data + at;
    return 0;
}

size_t token_take_code(struct token_reader *r, struct span text, size_t at)
{
    size_t length = code_length(r, text, at), ticks = token_run_at(text, at);
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

// Offset of the bracket that closes the one at `at`, 0 when there is none within reach.
static size_t bracket_end(struct token_reader *r, struct span text, size_t at)
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
            i += (code ? code : token_run_at(text, i)) - 1;
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

bool token_find_link(struct token_reader *r, struct span text, size_t at,
                     struct token_link *ret_link)
{
    size_t end = bracket_end(r, text, at);
    if (end == 0 || end + 1 >= text.len || text.data[end + 1] != '(')
        return false;
    struct span url;
    size_t close = read_url(text, skip_white(text, end + 2), &url);
    close = skip_title(text, close);
    if (close >= text.len || text.data[close] != ')')
        return false;
    *ret_link = (struct token_link){{text.data + at + 1, end - at - 1}, url, close + 1 - at};
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

bool token_is_url(struct span url)
{
    return has_scheme(url, "http://") || has_scheme(url, "https://") || has_scheme(url, "tg://") ||
           has_scheme(url, "mailto:");
}

// <https://…> and <name@host>.
size_t token_take_angle(struct token_reader *r, struct span text, size_t at)
{
    size_t end = at + 1;
    bool mail = false;
    while (end < text.len && end - at <= LINK_URL_MAX && (unsigned char)text.data[end] > ' ' &&
           text.data[end] != '>' && text.data[end] != '<')
        mail |= text.data[end++] == '@';
    struct span inside = {text.data + at + 1, end - at - 1};
    bool closed = end < text.len && text.data[end] == '>';
    if (closed && (token_is_url(inside) || (mail && token_is_word(inside.data[0])))) {
        token_add_text(r, inside);
        return end + 1 - at;
    }
    token_add_text(r, (struct span){text.data + at, 1});
    return 1;
}

size_t token_bare_url(struct span text, size_t at)
{
    struct span rest = span_skip(text, at);
    if ((at && token_is_word(text.data[at - 1])) ||
        (!has_scheme(rest, "http://") && !has_scheme(rest, "https://")))
        return 0;
    size_t len = 0;
    while (len < rest.len && (unsigned char)rest.data[len] > ' ' &&
           !memchr("<>`|*\"\\", rest.data[len], 7))
        len++;
    while (len && !token_is_word(rest.data[len - 1]) && rest.data[len - 1] != '/')
        len--; // the full stop belongs to the sentence
    return len;
}
