#include "tools/web_endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/mem.h"
#include "codec/url.h"
#include "config/substitute.h"

const char web_endpoint_places[] = "*.name, *.url, *.help, *.methods.*, *.headers.*";

/* Settings */

// The part of a pair's name behind "<place>.<member>", where it is one of those; NULL.
static const char *behind(const char *name, size_t place, const char *member)
{
    char prefix[64];
    int len = snprintf(prefix, sizeof prefix, "%zu.%s", place, member);
    return strncmp(name, prefix, (size_t)len) == 0 ? name + len : NULL;
}

static const char *member_of(const struct option_map *settings, size_t place, const char *member)
{
    for (size_t i = 0; i < settings->count; i++) {
        const char *rest = behind(settings->pairs[i].name, place, member);
        if (rest && !*rest)
            return settings->pairs[i].value;
    }
    return NULL;
}

bool web_endpoint_at(const struct option_map *settings, size_t place, struct web_endpoint *ret)
{
    bool there = false;
    for (size_t i = 0; i < settings->count && !there; i++)
        there = behind(settings->pairs[i].name, place, "") != NULL;
    *ret = (struct web_endpoint){
        .settings = settings,
        .place = place,
        .name = member_of(settings, place, "name"),
        .url = member_of(settings, place, "url"),
        .help = member_of(settings, place, "help"),
    };
    return there && place < WEB_ENDPOINTS_MAX;
}

bool web_endpoint_find(const struct option_map *settings, const char *name,
                       struct web_endpoint *ret)
{
    for (size_t place = 0; web_endpoint_at(settings, place, ret); place++)
        if (ret->name && ret->url && strcmp(ret->name, name) == 0)
            return true;
    return false;
}

// The next method off its list, looked for from *pair on.
static bool next_method(const struct web_endpoint *endpoint, size_t *pair, struct span *ret_method)
{
    for (; *pair < endpoint->settings->count; ++*pair) {
        const struct option_pair *at = &endpoint->settings->pairs[*pair];
        if (!behind(at->name, endpoint->place, "methods."))
            continue;
        *ret_method = span_of(at->value);
        ++*pair;
        return true;
    }
    return false;
}

void web_endpoint_list_methods(const struct web_endpoint *endpoint, struct buf *out)
{
    size_t pair = 0, before = out->len;
    struct span method;
    while (next_method(endpoint, &pair, &method)) {
        buf_append_text(out, out->len > before ? ", " : "");
        buf_append_span(out, method);
    }
    if (out->len == before)
        buf_append_text(out, "GET");
}

bool web_endpoint_allows(const struct web_endpoint *endpoint, const char *method)
{
    size_t pair = 0;
    struct span allowed;
    bool any = false;
    for (; next_method(endpoint, &pair, &allowed); any = true)
        if (span_is(allowed, method))
            return true;
    return !any && strcmp(method, "GET") == 0;
}

static bool is_header_name(const char *name)
{
    static const char *const ours[] = {"host", "content-length", "transfer-encoding", "connection"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (strcasecmp(ours[i], name) == 0)
            return false;
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-_") == strlen(name);
}

int web_endpoint_headers(const struct web_endpoint *endpoint, char **lines, size_t *ret_count,
                         struct error *err)
{
    char variable[SUBSTITUTE_NAME_MAX + 1];
    *ret_count = 0;
    for (size_t i = 0; i < endpoint->settings->count; i++) {
        const struct option_pair *pair = &endpoint->settings->pairs[i];
        const char *name = behind(pair->name, endpoint->place, "headers.");
        if (!name)
            continue;
        if (config_unset_variable(pair->value, variable))
            return error_set(err, -ENOENT, "its owner has not set the variable %s", variable);
        if (*ret_count == WEB_ENDPOINT_HEADERS_MAX)
            return error_set(err, -E2BIG, "it has more than %d headers", WEB_ENDPOINT_HEADERS_MAX);
        lines[(*ret_count)++] = mem_printf("%s: %s", name, pair->value);
    }
    return 0;
}

static int check_methods(const struct web_endpoint *endpoint, struct error *err)
{
    static const char known[] = "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS";
    size_t pair = 0;
    struct span method;
    while (next_method(endpoint, &pair, &method))
        if (!option_words_have(known, method))
            return error_set(err, -EINVAL, "\"%.*s\" is not one of the methods %s",
                             method.len < 32 ? (int)method.len : 32, method.data, known);
    return 0;
}

static int check_one(const struct web_endpoint *endpoint, struct error *err)
{
    struct url url;
    struct web_endpoint first;
    size_t headers = 0;
    if (!endpoint->name || !*endpoint->name)
        return error_set(err, -EINVAL, "it has no name");
    if (!endpoint->url)
        return error_set(err, -EINVAL, "it has no url");
    if (web_endpoint_find(endpoint->settings, endpoint->name, &first) &&
        first.place != endpoint->place)
        return error_set(err, -EINVAL, "there are two of this name");
    if (url_parse(span_of(endpoint->url), &url, err) < 0)
        return err->code;
    for (size_t i = 0; i < endpoint->settings->count; i++) {
        const char *name = behind(endpoint->settings->pairs[i].name, endpoint->place, "headers.");
        if (name && !is_header_name(name))
            return error_set(err, -EINVAL, "\"%.64s\" is not a header that can be set", name);
        if (name && ++headers > WEB_ENDPOINT_HEADERS_MAX)
            return error_set(err, -EINVAL, "it has more than %d headers", WEB_ENDPOINT_HEADERS_MAX);
    }
    return check_methods(endpoint, err);
}

int web_endpoints_check(const struct option_map *settings, struct error *err)
{
    struct web_endpoint endpoint;
    size_t place = 0;
    struct error why = ERROR_INIT;
    for (; web_endpoint_at(settings, place, &endpoint); place++)
        if (check_one(&endpoint, &why) < 0)
            return error_set(err, -EINVAL, "number %zu (%.64s): %s", place + 1,
                             endpoint.name ? endpoint.name : "no name", why.text);
    return place == WEB_ENDPOINTS_MAX
               ? error_set(err, -E2BIG, "more than %d", WEB_ENDPOINTS_MAX - 1)
               : 0;
}

/* URLs */

static bool is_plain(char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"<>\\^`{|}[]#?", c);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

// One character of a path, or three; what a server could take for a step elsewhere is refused.
static int append_path_character(struct span rest, size_t *ret_len, struct buf *out,
                                 struct error *err)
{
    unsigned char c = (unsigned char)*rest.data;
    *ret_len = 1;
    if (c == '\\' || c < ' ' || c == 0x7f)
        return error_set(err, -EINVAL, "a path may hold no backslash and no control character");
    if (c != '%') {
        if (is_plain((char)c))
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
        return 0;
    }
    int high = rest.len > 2 ? hex_value(rest.data[1]) : -1;
    int low = rest.len > 2 ? hex_value(rest.data[2]) : -1;
    int byte = high < 0 || low < 0 ? -1 : high << 4 | low;
    if (byte < ' ' || byte == 0x7f || strchr("/\\.%;", byte))
        return error_set(
            err, -EINVAL,
            "a path may hold no encoded slash, dot, percent sign or control character");
    *ret_len = 3;
    buf_append(out, rest.data, 3);
    return 0;
}

static int append_path(struct span path, struct buf *out, struct error *err)
{
    struct span rest = path;
    while (rest.len) {
        struct span segment = span_cut(&rest, '/'), parameters = segment;
        struct span name = span_cut(&parameters, ';');
        if (segment.len == 0 || span_is(name, ".") || span_is(name, ".."))
            return error_set(err, -EINVAL,
                             "a path may hold no \"//\", \".\" or \"..\": it stays beneath the "
                             "endpoint's URL");
        while (segment.len) {
            size_t len;
            int r = append_path_character(segment, &len, out, err);
            if (r < 0)
                return r;
            segment = span_skip(segment, len);
        }
        if (rest.len || span_ends_with(path, "/"))
            buf_append_char(out, '/');
    }
    return 0;
}

static int append_query(struct span query, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < query.len; i++) {
        unsigned char c = (unsigned char)query.data[i];
        if (c < ' ' || c == 0x7f || c == '#')
            return error_set(err, -EINVAL, "a query may hold no \"#\" and no control character");
        if (is_plain((char)c) || c == '?')
            buf_append_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
    return 0;
}

// Whatever was overlooked above: the same server, and a path that begins as the endpoint's does.
static bool is_beneath(struct span made, struct span prefix)
{
    struct url url, base;
    return url_parse(made, &url, NULL) == 0 && url_parse(prefix, &base, NULL) == 0 &&
           span_equal(url.authority, base.authority) && url.secure == base.secure &&
           url.path.len >= base.path.len &&
           memcmp(url.path.data, base.path.data, base.path.len) == 0 &&
           (base.path.len == 0 || url.path.len == base.path.len ||
            base.path.data[base.path.len - 1] == '/' || url.path.data[base.path.len] == '/');
}

int web_endpoint_url(const struct web_endpoint *endpoint, struct span path, struct span query,
                     struct buf *out, struct error *err)
{
    BUF_AUTO beneath = BUF_INIT(URL_BYTES_MAX);
    struct span own = path;
    path = span_cut(&own, '?');
    if (span_starts_with(path, "/"))
        path = span_skip(path, 1);
    int r = append_path(path, &beneath, err);
    if (r == 0 && (own.len || query.len))
        buf_append_char(&beneath, '?');
    if (r == 0)
        r = append_query(own, &beneath, err);
    if (r == 0 && own.len && query.len)
        buf_append_char(&beneath, '&');
    if (r == 0)
        r = append_query(query, &beneath, err);
    if (r < 0)
        return r;
    bool made = beneath.len == 0 ? buf_append_text(out, endpoint->url)
                                 : url_join_path(span_of(endpoint->url), buf_span(&beneath), out);
    if (buf_is_full(&beneath) || !made || !is_beneath(buf_span(out), span_of(endpoint->url)))
        return error_set(err, -EINVAL, "this path makes no URL beneath the endpoint's");
    return 0;
}
