// What a link in a page, or a Location field, leads to (RFC 3986 §5.2).
#include <strings.h>

#include "codec/url.h"

// Browsers drop line ends and tabs within a URL, and blanks around it.
static bool clean(struct span reference, struct buf *out)
{
    reference = span_trim(reference);
    for (size_t i = 0; i < reference.len; i++)
        if (!memchr("\t\r\n", reference.data[i], 3))
            buf_append_char(out, reference.data[i]);
    return !buf_is_full(out);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

// People and pages write what a URL may not hold: blanks, letters of their language.
static void append_tidy(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool encodes =
            c == '%' && text.len - i > 2 && is_hex(text.data[i + 1]) && is_hex(text.data[i + 2]);
        if (encodes || (c > ' ' && c < 0x7f && !strchr("%\"<>\\^`{|}[]", c)))
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static void drop_segment(struct buf *out, size_t begin)
{
    while (out->len > begin && out->data[out->len - 1] != '/')
        buf_truncate(out, out->len - 1);
    if (out->len > begin)
        buf_truncate(out, out->len - 1);
}

// RFC 3986 §5.2.4: `path` is behind its first "/".
static void append_path(struct span path, struct buf *out)
{
    size_t begin = out->len;
    for (bool more = true; more;) {
        size_t before = path.len;
        struct span segment = span_cut(&path, '/');
        bool up = span_is(segment, ".."), stays = span_is(segment, ".");
        more = segment.len < before;
        if (up)
            drop_segment(out, begin);
        if ((!up && !stays) || !more)
            buf_append_char(out, '/');
        if (!up && !stays)
            append_tidy(segment, out);
    }
}

static bool has_scheme(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i], lower = (char)(c | 32);
        if (c == ':')
            return i > 0;
        if (!(lower >= 'a' && lower <= 'z') && (i == 0 || !c || !strchr("0123456789+-.", c)))
            return false;
    }
    return false;
}

// Behind the authority: "/path?query#fragment", or less.
static void append_rest(struct span base_path, struct span rest, struct buf *out)
{
    struct span fragment = rest, query = span_cut(&fragment, '#'), all = query;
    struct span path = span_cut(&query, '?');
    BUF_AUTO merged = BUF_INIT(2 * URL_BYTES_MAX);
    if (!span_starts_with(path, "/")) {
        size_t keep = base_path.len;
        while (keep && base_path.data[keep - 1] != '/')
            keep--;
        if (path.len == 0)
            keep = base_path.len;
        buf_append_span(&merged, span_make(base_path.data, keep));
        if (merged.len == 0)
            buf_append_char(&merged, '/');
    }
    buf_append_span(&merged, path);
    append_path(span_skip(buf_span(&merged), 1), out);
    if (path.len < all.len) {
        buf_append_char(out, '?');
        append_tidy(query, out);
    }
    if (all.len < rest.len) {
        buf_append_char(out, '#');
        append_tidy(fragment, out);
    }
}

static bool is_absolute(struct span text, size_t *ret_authority)
{
    static const struct span http = {"http://", 7}, https = {"https://", 8};
    bool plain = text.len >= http.len && strncasecmp(text.data, http.data, http.len) == 0;
    bool secure = text.len >= https.len && strncasecmp(text.data, https.data, https.len) == 0;
    *ret_authority = plain ? http.len : https.len;
    return plain || secure;
}

static size_t until_rest(struct span text, size_t from)
{
    while (from < text.len && !memchr("/?#\\", text.data[from], 4))
        from++;
    return from;
}

bool url_resolve(struct span base, struct span reference, struct buf *out)
{
    struct url url = {.path = SPAN_ABSENT};
    struct url check;
    size_t before = out->len, at;
    BUF_AUTO text = BUF_INIT(URL_BYTES_MAX);
    if (!clean(reference, &text))
        return false;
    struct span link = buf_span(&text);
    bool based = base.data && url_parse(base, &url, NULL) == 0;
    if (is_absolute(link, &at)) {
        size_t end = until_rest(link, at);
        buf_append(out, link.data, end);
        append_rest(SPAN_ABSENT, span_skip(link, end), out);
    } else if (!based || has_scheme(link)) {
        return false;
    } else if (span_starts_with(link, "//")) {
        size_t end = until_rest(link, 2);
        buf_append_span(out, url.scheme);
        buf_append_char(out, ':');
        buf_append(out, link.data, end);
        append_rest(SPAN_ABSENT, span_skip(link, end), out);
    } else {
        buf_append_span(out, url.scheme);
        buf_append_text(out, "://");
        buf_append_span(out, url.authority);
        bool keeps_query = (link.len == 0 || *link.data == '#') && url.query.data;
        BUF_AUTO rest = BUF_INIT(2 * URL_BYTES_MAX);
        if (keeps_query) {
            buf_append_char(&rest, '?');
            buf_append_span(&rest, url.query);
        }
        buf_append_span(&rest, link);
        append_rest(url.path, buf_span(&rest), out);
    }
    struct span made = span_make(out->data + before, out->len - before);
    if (!buf_is_full(out) && url_parse(made, &check, NULL) == 0)
        return true;
    buf_truncate(out, before);
    return false;
}
