#include "codec/html_token.h"

#include <strings.h>

#include "base/mem.h"
#include "codec/html_entity.h"

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool has_raw_inside(const char *name)
{
    static const char *const names[] = {"script", "style",   "textarea", "title",   "xmp",
                                        "iframe", "noembed", "noframes", "noscript"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

void html_tokens_init(struct html_tokens *tokens, struct span page)
{
    *tokens = (struct html_tokens){.rest = page};
}

/* Tags */

static size_t read_name(struct span text, char name[HTML_NAME_MAX])
{
    size_t len = 0;
    for (; len < text.len && !is_blank(text.data[len]) && !memchr("/>", text.data[len], 2); len++) {
        char c = text.data[len];
        if (len < HTML_NAME_MAX - 1)
            name[len] = c >= 'A' && c <= 'Z' ? (char)(c | 32) : c;
    }
    name[len < HTML_NAME_MAX ? len : HTML_NAME_MAX - 1] = '\0';
    return len;
}

static struct span skip_blanks(struct span text)
{
    while (text.len && (is_blank(*text.data) || *text.data == '/'))
        text = span_skip(text, 1);
    return text;
}

// The next attribute off the front; false at the end of the tag.
static bool next_attribute(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    struct span text = skip_blanks(*rest);
    size_t len = 0;
    if (text.len == 0 || *text.data == '>') {
        *rest = text;
        return false;
    }
    while (len < text.len && !is_blank(text.data[len]) &&
           (len == 0 || !memchr("/>=", text.data[len], 3)))
        len++;
    *ret_name = span_make(text.data, len);
    *ret_value = SPAN_LITERAL("");
    text = span_skip(text, len);
    struct span behind = text;
    while (behind.len && is_blank(*behind.data))
        behind = span_skip(behind, 1);
    if (!span_starts_with(behind, "=")) {
        *rest = text;
        return true;
    }
    text = span_skip(behind, 1);
    while (text.len && is_blank(*text.data))
        text = span_skip(text, 1);
    if (text.len && (*text.data == '"' || *text.data == '\'')) {
        char quote = *text.data;
        text = span_skip(text, 1);
        *ret_value = span_cut(&text, quote);
    } else {
        for (len = 0; len < text.len && !is_blank(text.data[len]) && text.data[len] != '>';)
            len++;
        *ret_value = span_make(text.data, len);
        text = span_skip(text, len);
    }
    *rest = text;
    return true;
}

static void read_tag(struct html_tokens *tokens, bool is_end, struct html_token *ret)
{
    struct span rest = span_skip(tokens->rest, is_end ? 2 : 1), name, value;
    ret->kind = is_end ? HTML_END : HTML_START;
    rest = span_skip(rest, read_name(rest, ret->name));
    struct span begin = rest;
    while (next_attribute(&rest, &name, &value))
        continue;
    ret->attributes = span_make(begin.data, begin.len - rest.len);
    tokens->rest = span_skip(rest, 1); // the ">", where there is one
    if (!is_end && has_raw_inside(ret->name))
        memcpy(tokens->raw, ret->name, sizeof tokens->raw);
}

// A comment or declaration at the front.
static struct span skip_declaration(struct span text)
{
    if (!span_starts_with(text, "<!--")) {
        span_cut(&text, '>');
        return text;
    }
    text = span_skip(text, 4);
    if (span_starts_with(text, ">") || span_starts_with(text, "->"))
        return span_skip(text, *text.data == '>' ? 1 : 2);
    ptrdiff_t end = span_find(text, SPAN_LITERAL("-->"));
    return span_skip(text, end < 0 ? text.len : (size_t)end + 3);
}

/* Texts */

// Where "</name" stands, or the end.
static size_t find_end_tag(struct span text, const char *name)
{
    size_t len = strlen(name);
    const char *at = text.data, *end = text.data + text.len;
    while (at < end && (at = memchr(at, '<', (size_t)(end - at)))) {
        if ((size_t)(end - at) >= len + 2 && at[1] == '/' && strncasecmp(at + 2, name, len) == 0)
            return (size_t)(at - text.data);
        at++;
    }
    return text.len;
}

static bool is_markup(struct span text)
{
    if (text.len < 2 || *text.data != '<')
        return false;
    char c = text.data[1];
    return is_letter(c) || c == '!' || c == '?' ||
           (c == '/' && text.len > 2 && text.data[2] != '>');
}

static size_t text_length(struct span text)
{
    const char *at = text.data, *end = text.data + text.len;
    while (at < end && (at = memchr(at, '<', (size_t)(end - at)))) {
        if (is_markup(span_make(at, (size_t)(end - at))))
            return (size_t)(at - text.data);
        at++;
    }
    return text.len;
}

static bool take_text(struct html_tokens *tokens, size_t len, struct html_token *ret)
{
    ret->kind = HTML_TEXT;
    ret->text = span_make(tokens->rest.data, len);
    tokens->rest = span_skip(tokens->rest, len);
    return true;
}

bool html_tokens_next(struct html_tokens *tokens, struct html_token *ret)
{
    *ret = (struct html_token){.kind = HTML_TEXT};
    if (*tokens->raw) {
        size_t len = find_end_tag(tokens->rest, tokens->raw);
        *tokens->raw = '\0';
        if (len)
            return take_text(tokens, len, ret);
    }
    while (tokens->rest.len) {
        if (!is_markup(tokens->rest))
            return take_text(tokens, text_length(tokens->rest), ret);
        char c = tokens->rest.data[1];
        if (is_letter(c) || (c == '/' && is_letter(tokens->rest.data[2]))) {
            read_tag(tokens, c == '/', ret);
            return true;
        }
        tokens->rest = skip_declaration(tokens->rest);
    }
    return false;
}

/* Attributes */

struct span html_attribute(struct span attributes, const char *name)
{
    struct span found, value;
    size_t len = strlen(name);
    while (next_attribute(&attributes, &found, &value))
        if (found.len == len && strncasecmp(found.data, name, len) == 0)
            return value;
    return SPAN_ABSENT;
}

void html_append_value(struct span value, enum charset charset, struct buf *out)
{
    while (value.len) {
        uint32_t rune;
        size_t len = html_entity(value, true, &rune);
        if (len == 0)
            len = charset_decode(charset, value, &rune);
        if (!charset_append(rune, out))
            return;
        value = span_skip(value, len);
    }
}
