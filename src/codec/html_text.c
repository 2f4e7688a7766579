#include "codec/html_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/html_token.h"
#include "codec/html_writer.h"
#include "codec/url.h"

enum {
    META_MAX = 2048,       // bytes of a page in which it says what its bytes mean
    LINK_TEXT_MAX = 1024,  // bytes; what goes on for longer is no link
    IMAGE_TEXT_MAX = 256,  // bytes
    ITEMS_MAX = 1000000,   // of one list, that are counted
    LINKED_MAX = 16 << 20, // bytes of URLs that a page's links are put together from
};

enum what {
    NOTHING,
    BASE,
    BLOCK,
    BREAK,
    CELL,
    CODE,
    CONTAINER, // a block that may be hidden
    HEADING,
    IMAGE,
    INLINE, // that may be hidden
    ITEM,
    LINK,
    LIST,
    ORDERED,
    PARAGRAPH,
    PRE,
    QUOTE,
    ROW,
    RULE,
    SKIP, // with all that is in it, if it ends
    TABLE,
    TEXT, // its inside is one text that nobody reads
    TITLE,
};

static const struct element {
    char name[12];
    unsigned char what;
} elements[] = {
    {"a", LINK},         {"address", BLOCK},    {"article", PARAGRAPH}, {"aside", SKIP},
    {"audio", SKIP},     {"base", BASE},        {"blockquote", QUOTE},  {"body", BLOCK},
    {"br", BREAK},       {"button", SKIP},      {"canvas", SKIP},       {"caption", BLOCK},
    {"code", CODE},      {"datalist", SKIP},    {"dd", BLOCK},          {"details", BLOCK},
    {"dialog", SKIP},    {"div", CONTAINER},    {"dl", PARAGRAPH},      {"dt", BLOCK},
    {"fieldset", BLOCK}, {"figcaption", BLOCK}, {"figure", PARAGRAPH},  {"footer", SKIP},
    {"form", CONTAINER}, {"h1", HEADING},       {"h2", HEADING},        {"h3", HEADING},
    {"h4", HEADING},     {"h5", HEADING},       {"h6", HEADING},        {"header", BLOCK},
    {"hr", RULE},        {"iframe", TEXT},      {"img", IMAGE},         {"li", ITEM},
    {"main", PARAGRAPH}, {"menu", LIST},        {"nav", SKIP},          {"noembed", TEXT},
    {"noframes", TEXT},  {"noscript", TEXT},    {"object", SKIP},       {"ol", ORDERED},
    {"p", PARAGRAPH},    {"pre", PRE},          {"script", TEXT},       {"section", CONTAINER},
    {"select", SKIP},    {"span", INLINE},      {"style", TEXT},        {"summary", BLOCK},
    {"svg", SKIP},       {"table", TABLE},      {"td", CELL},           {"template", SKIP},
    {"textarea", TEXT},  {"th", CELL},          {"title", TITLE},       {"tr", ROW},
    {"ul", LIST},        {"video", SKIP},       {"xmp", PRE},
};

struct reader {
    const struct html_page *page;
    struct html_tokens tokens;
    struct html_writer w;
    struct buf base, link;          // URLs
    bool based;                     // the page has said its base
    size_t linked;                  // bytes, see LINKED_MAX
    size_t link_begin;              // of `out`
    uint32_t items[HTML_LISTS_MAX]; // that were counted; of a list without numbers 0
    bool in_text, in_title, in_code;
    char skipped[HTML_NAME_MAX]; // "": nothing
    unsigned depth;              // of elements with that name
    struct html_tokens resume;   // behind the first of them
    bool skips_no_more;          // one did not end
};

static int compare(const void *key, const void *member)
{
    return strcmp(key, ((const struct element *)member)->name);
}

static enum what what_is(const char *name)
{
    const struct element *found =
        bsearch(name, elements, ARRAY_LEN(elements), sizeof *elements, compare);
    return found ? (enum what)found->what : NOTHING;
}

/* What is left out */

static bool begins(struct span text, const char *word)
{
    return text.len >= strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

static bool style_hides(struct span style)
{
    while (style.len) {
        struct span value = span_cut(&style, ';'), name = span_trim(span_cut(&value, ':'));
        value = span_trim(value);
        if ((begins(name, "display") && begins(value, "none")) ||
            (begins(name, "visibility") && begins(value, "hidden")) ||
            (begins(name, "font-size") && begins(value, "0") && !begins(value, "0.")))
            return true;
    }
    return false;
}

static bool is_hidden(struct span attributes)
{
    return attributes.len && (html_attribute(attributes, "hidden").data ||
                              span_is(html_attribute(attributes, "aria-hidden"), "true") ||
                              span_is(html_attribute(attributes, "role"), "navigation") ||
                              style_hides(html_attribute(attributes, "style")));
}

static bool begins_skip(struct reader *reader, const struct html_token *tag, enum what what)
{
    bool may_hide = what == CONTAINER || what == INLINE || what == LINK || what == LIST ||
                    what == ORDERED || what == TABLE;
    if (reader->skips_no_more || !(what == SKIP || (may_hide && is_hidden(tag->attributes))) ||
        span_ends_with(tag->attributes, "/"))
        return false;
    memcpy(reader->skipped, tag->name, sizeof reader->skipped);
    reader->depth = 1;
    reader->resume = reader->tokens;
    if (what != INLINE && what != LINK)
        html_write_break(&reader->w, 1);
    return true;
}

static void skip_token(struct reader *reader, const struct html_token *token)
{
    if (token->kind == HTML_TEXT || strcmp(token->name, reader->skipped) != 0)
        return;
    if (token->kind == HTML_START && !span_ends_with(token->attributes, "/"))
        reader->depth++;
    if (token->kind == HTML_END && --reader->depth == 0)
        *reader->skipped = '\0';
}

/* Links */

static void end_link(struct reader *reader)
{
    html_write_link_end(&reader->w, buf_text(&reader->link));
    buf_clear(&reader->link);
}

static void begin_link(struct reader *reader, struct span attributes)
{
    end_link(reader);
    struct span href = html_attribute(attributes, "href");
    BUF_AUTO value = BUF_INIT(URL_BYTES_MAX);
    html_append_value(href, reader->w.charset, &value);
    if (value.len == 0 || *value.data == '#' || buf_is_full(&value))
        return;
    buf_clear(&reader->link);
    // A base of 8 KiB before each of a page's 400,000 links would take a minute.
    reader->linked += reader->base.len + value.len;
    if (reader->linked > LINKED_MAX ||
        !url_resolve(buf_span(&reader->base), buf_span(&value), &reader->link))
        return;
    reader->link_begin = reader->w.out->len;
    html_write_link(&reader->w);
}

// The first counts, as in a browser.
static void set_base(struct reader *reader, struct span attributes)
{
    BUF_AUTO value = BUF_INIT(URL_BYTES_MAX);
    BUF_AUTO base = BUF_INIT(URL_BYTES_MAX);
    struct span href = html_attribute(attributes, "href");
    if (reader->based || !href.data)
        return;
    reader->based = true;
    html_append_value(href, reader->w.charset, &value);
    if (!url_resolve(buf_span(&reader->base), buf_span(&value), &base))
        return;
    buf_clear(&reader->base);
    buf_append_span(&reader->base, buf_span(&base));
}

/* Elements */

static void show_image(struct reader *reader, struct span attributes)
{
    BUF_AUTO text = BUF_INIT(IMAGE_TEXT_MAX);
    html_append_value(html_attribute(attributes, "alt"), reader->w.charset, &text);
    if (span_trim(buf_span(&text)).len == 0)
        return;
    html_write_words(&reader->w, "(image: ");
    BUF_AUTO plain = BUF_INIT(2 * IMAGE_TEXT_MAX);
    buf_append_span(&plain, span_trim(buf_span(&text)));
    for (size_t i = 0; i < plain.len; i++)
        plain.data[i] = plain.data[i] == '\n' ? ' ' : plain.data[i];
    buf_append_char(&plain, ')');
    buf_append_span(reader->w.out, buf_span(&plain));
}

static void begin_list(struct reader *reader, bool ordered)
{
    html_write_break(&reader->w, reader->w.lists ? 1 : 2);
    if (reader->w.lists < HTML_LISTS_MAX)
        reader->items[reader->w.lists] = ordered;
    reader->w.lists++;
}

static void begin_item(struct reader *reader)
{
    char mark[HTML_MARK_SIZE] = "- ";
    unsigned lists = reader->w.lists;
    html_write_break(&reader->w, 1);
    if (lists > 0 && lists <= HTML_LISTS_MAX && reader->items[lists - 1]) {
        uint32_t *number = &reader->items[lists - 1];
        snprintf(mark, sizeof mark, "%u. ", *number);
        *number += *number < ITEMS_MAX;
    }
    html_write_mark(&reader->w, mark);
}

static void begin_code(struct reader *reader)
{
    if (!reader->w.verbatim && !reader->in_code)
        html_write_words(&reader->w, "`");
    reader->in_code = true;
}

static void begin_quote(struct html_writer *w)
{
    html_write_break(w, 2);
    w->quotes++;
}

static void show_rule(struct html_writer *w)
{
    html_write_break(w, 2);
    html_write_words(w, "---");
    html_write_break(w, 2);
}

static void begin_heading(struct html_writer *w, char level)
{
    html_write_break(w, 2);
    html_write_mark(w, &"###### "['6' - level]);
}

static bool ends_link(const struct reader *reader, enum what what)
{
    if (what == HEADING || what == ITEM || what == ROW || what == CELL)
        return true;
    return what != LINK && what != INLINE && what != NOTHING && what != CODE &&
           reader->w.out->len - reader->link_begin > LINK_TEXT_MAX;
}

static void begin_element(struct reader *reader, const struct html_token *tag, enum what what)
{
    struct html_writer *w = &reader->w;
    if (ends_link(reader, what))
        end_link(reader);
    if (what == BASE)
        set_base(reader, tag->attributes);
    else if (what == CODE)
        begin_code(reader);
    else if (what == HEADING)
        begin_heading(w, tag->name[1]);
    else if (what == IMAGE)
        show_image(reader, tag->attributes);
    else if (what == LINK)
        begin_link(reader, tag->attributes);
    else if (what == LIST || what == ORDERED)
        begin_list(reader, what == ORDERED);
    else if (what == ITEM)
        begin_item(reader);
    else if (what == PRE)
        html_write_pre(w, true);
    else if (what == QUOTE)
        begin_quote(w);
    else if (what == ROW)
        html_write_row(w);
    else if (what == CELL)
        html_write_cell(w);
    else if (what == RULE)
        show_rule(w);
    else if (what == TEXT || what == TITLE)
        reader->in_text = true, reader->in_title = what == TITLE && w->out->len == 0;
    else if (what == BREAK && w->verbatim)
        buf_append_char(w->out, '\n');
    else if (what != NOTHING && what != INLINE)
        html_write_break(w, what == PARAGRAPH || what == TABLE ? 2 : 1);
}

static void end_element(struct reader *reader, enum what what)
{
    struct html_writer *w = &reader->w;
    if (what != INLINE && what != NOTHING && what != CODE && what != CONTAINER && what != HEADING)
        end_link(reader);
    switch (what) {
    case CODE:
        if (!w->verbatim && reader->in_code)
            buf_append_char(w->out, '`');
        reader->in_code = false;
        break;
    case HEADING:
        *w->mark = '\0';
        html_write_break(w, 2);
        break;
    case LIST:
    case ORDERED:
        w->lists -= w->lists > 0;
        *w->mark = '\0';
        html_write_break(w, w->lists ? 1 : 2);
        break;
    case ITEM:
        *w->mark = '\0';
        html_write_break(w, 1);
        break;
    case PRE:
        html_write_pre(w, false);
        break;
    case QUOTE:
        w->quotes -= w->quotes > 0;
        html_write_break(w, 2);
        break;
    case TABLE:
        html_write_row(w);
        html_write_break(w, 2);
        break;
    case PARAGRAPH:
        html_write_break(w, 2);
        break;
    case BLOCK:
    case CONTAINER:
    case ROW:
        html_write_break(w, 1);
        break;
    default:
        break;
    }
}

static void show_text(struct reader *reader, struct span text)
{
    if (reader->in_title) {
        html_write_mark(&reader->w, "Title: ");
        html_write_text(&reader->w, text);
        html_write_break(&reader->w, 2);
    } else if (!reader->in_text) {
        html_write_text(&reader->w, text);
    }
}

static void take(struct reader *reader, const struct html_token *token)
{
    if (*reader->skipped) {
        skip_token(reader, token);
        return;
    }
    if (token->kind == HTML_TEXT) {
        show_text(reader, token->text);
        return;
    }
    enum what what = what_is(token->name);
    reader->in_text = reader->in_title = false;
    if (token->kind == HTML_END)
        end_element(reader, what);
    else if (!begins_skip(reader, token, what))
        begin_element(reader, token, what);
}

static bool next_token(struct reader *reader, struct html_token *ret)
{
    if (html_tokens_next(&reader->tokens, ret))
        return true;
    if (!*reader->skipped)
        return false;
    *reader->skipped = '\0';
    reader->skips_no_more = true;
    reader->tokens = reader->resume;
    return html_tokens_next(&reader->tokens, ret);
}

bool html_text(const struct html_page *page, struct buf *out)
{
    struct html_token token;
    struct reader reader = {.page = page, .w = {.out = out, .charset = page->charset}};
    buf_init(&reader.base, URL_BYTES_MAX);
    buf_init(&reader.link, URL_BYTES_MAX);
    buf_append_span(&reader.base, page->url);
    html_tokens_init(&reader.tokens, page->bytes);
    while (!buf_is_full(out) && next_token(&reader, &token))
        take(&reader, &token);
    end_link(&reader);
    html_write_pre(&reader.w, false);
    buf_finish(&reader.base);
    buf_finish(&reader.link);
    return !buf_is_full(out);
}

enum charset html_charset(struct span page, struct span content_type)
{
    enum charset found = CHARSET_UTF8;
    if (span_starts_with(page, "\xef\xbb\xbf"))
        return CHARSET_UTF8;
    if (span_starts_with(page, "\xff\xfe") || span_starts_with(page, "\xfe\xff"))
        return CHARSET_UTF16;
    struct span name = charset_parameter(content_type);
    if (name.len == 0) {
        name = charset_parameter(span_make(page.data, page.len < META_MAX ? page.len : META_MAX));
        charset_find(name, &found);
        return found == CHARSET_UTF16 ? CHARSET_UTF8 : found; // it could be read, so it is not
    }
    charset_find(name, &found);
    return found;
}
