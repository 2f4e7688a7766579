#include "codec/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <strings.h>

static bool is_unreserved(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("-._~", c));
}

/* Parsing */

// Square brackets are not allowed by the RFC outside the host, but Prometheus' match[] needs them.
static int check_characters(struct span text, struct error *err)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if ((unsigned char)c >= 0x80)
            return error_set(err, -EINVAL, "a URL may hold only ASCII, not byte %zu", i);
        if (c == '%' && !(text.len - i > 2 && isxdigit((unsigned char)text.data[i + 1]) &&
                          isxdigit((unsigned char)text.data[i + 2])))
            return error_set(err, -EINVAL, "a %% in a URL needs two hexadecimal digits (byte %zu)",
                             i);
        if (!is_unreserved(c) && (!c || !strchr("%:/?#[]@!$&'()*+,;=", c)))
            return error_set(err, -EINVAL, "a URL may not hold the character 0x%02x (byte %zu)",
                             (unsigned char)c, i);
    }
    return 0;
}

static bool is_address(int family, struct span text)
{
    unsigned char address[16];
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, address) == 1;
}

// 127.1, 0x7f000001 and 2130706433 are addresses to some resolvers and names to others.
static bool looks_numeric(struct span host)
{
    struct span rest = host, label = host;
    while (rest.len)
        label = span_cut(&rest, '.');
    size_t digits = 0;
    while (digits < label.len && isdigit((unsigned char)label.data[digits]))
        digits++;
    return (digits && digits == label.len) ||
           (label.len > 1 && label.data[0] == '0' && (label.data[1] | 32) == 'x');
}

static int check_name(struct span host, struct error *err)
{
    enum { HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63 }; // RFC 1035, section 2.3.4
    if (host.len == 0)
        return error_set(err, -EINVAL, "the URL names no host");
    if (host.len > HOST_BYTES_MAX)
        return error_set(err, -EINVAL, "the URL's host is longer than %d bytes", HOST_BYTES_MAX);
    for (size_t i = 0; i < host.len; i++)
        if (!isalnum((unsigned char)host.data[i]) && !strchr("-._", host.data[i]))
            return error_set(err, -EINVAL,
                             "a host may hold letters, digits, dots and hyphens, not '%c'",
                             host.data[i]);
    struct span rest = host;
    while (rest.len) {
        struct span label = span_cut(&rest, '.');
        if (label.len == 0 || label.len > LABEL_BYTES_MAX)
            return error_set(err, -EINVAL,
                             "the URL's host has a label that is empty or longer than %d bytes",
                             LABEL_BYTES_MAX);
    }
    if (looks_numeric(host) && !is_address(AF_INET, host))
        return error_set(err, -EINVAL, "the URL's host is not an IPv4 address of four numbers");
    return 0;
}

static int parse_port(struct url *url, struct span port, struct error *err)
{
    uint64_t value;
    if (!span_to_u64(port, &value) || value == 0 || value > UINT16_MAX)
        return error_set(err, -EINVAL, "the port of a URL must be a number from 1 to 65535");
    url->port = (uint16_t)value;
    url->has_port = true;
    return 0;
}

static int parse_authority(struct url *url, struct error *err)
{
    struct span rest = url->authority;
    if (rest.len && memchr(rest.data, '@', rest.len))
        return error_set(err, -EINVAL,
                         "a URL may not hold a user name or password; set the key by itself");
    url->ipv6 = rest.len && rest.data[0] == '[';
    if (url->ipv6) {
        rest = span_skip(rest, 1);
        url->host = span_cut(&rest, ']');
        if (!is_address(AF_INET6, url->host) || url->host.len + 1 >= url->authority.len)
            return error_set(err, -EINVAL, "the URL has no IPv6 address between [ and ]");
        if (rest.len && rest.data[0] != ':')
            return error_set(err, -EINVAL, "only a port may follow the ] of a URL's host");
        return rest.len ? parse_port(url, span_skip(rest, 1), err) : 0;
    }
    url->host = span_cut(&rest, ':');
    int r = check_name(url->host, err);
    if (r < 0 || url->host.len == url->authority.len)
        return r;
    return parse_port(url, rest, err);
}

static int parse_scheme(struct url *url, struct span *rest, struct error *err)
{
    static const struct span http = {"http://", 7}, https = {"https://", 8};
    bool secure = rest->len >= https.len && strncasecmp(rest->data, https.data, https.len) == 0;
    bool plain = rest->len >= http.len && strncasecmp(rest->data, http.data, http.len) == 0;
    if (!secure && !plain)
        return error_set(err, -EINVAL, "a URL must begin with http:// or https://");
    url->secure = secure;
    url->port = secure ? 443 : 80;
    url->scheme = (struct span){rest->data, secure ? 5 : 4};
    *rest = span_skip(*rest, secure ? https.len : http.len);
    return 0;
}

// The text up to the first of `stops`, cut off *rest, which then begins with that character.
static struct span cut_before(struct span *rest, const char *stops)
{
    size_t len = 0;
    while (len < rest->len && !strchr(stops, rest->data[len]))
        len++;
    struct span head = {rest->data, len};
    *rest = span_skip(*rest, len);
    return head;
}

int url_parse(struct span text, struct url *ret_url, struct error *err)
{
    struct url url = {.text = text};
    struct span rest = text;
    if (text.len > URL_BYTES_MAX)
        return error_set(err, -EINVAL, "a URL may have at most %d bytes", URL_BYTES_MAX);
    int r = check_characters(text, err);
    if (r == 0)
        r = parse_scheme(&url, &rest, err);
    if (r < 0)
        return r;
    url.authority = cut_before(&rest, "/?#");
    url.path = cut_before(&rest, "?#");
    if (rest.len && rest.data[0] == '?') {
        rest = span_skip(rest, 1);
        url.query = cut_before(&rest, "#");
    }
    if (rest.len)
        url.fragment = span_skip(rest, 1);
    if (url.path.len && memchr(url.path.data, '[', url.path.len))
        return error_set(err, -EINVAL, "a [ in the path of a URL must be written as %%5B");
    r = parse_authority(&url, err);
    if (r == 0)
        *ret_url = url;
    return r;
}

/* Making */

bool url_join_path(struct span base, struct span path, struct buf *out)
{
    struct url url;
    if (url_parse(base, &url, NULL) < 0)
        return false;
    size_t before = out->len;
    struct span root = url.path, query = path, more = span_cut(&query, '?');
    while (root.len && root.data[root.len - 1] == '/')
        root.len--;
    while (span_starts_with(more, "/"))
        more = span_skip(more, 1);
    bool any = query.len || url.query.len, both = query.len && url.query.len;

    bool fits = buf_append_span(out, url.scheme) && buf_append_text(out, "://") &&
                buf_append_span(out, url.authority) && buf_append_span(out, root) &&
                buf_append_char(out, '/') && buf_append_span(out, more) &&
                (!any || buf_append_char(out, '?')) && buf_append_span(out, url.query) &&
                (!both || buf_append_char(out, '&')) && buf_append_span(out, query);
    if (!fits)
        buf_truncate(out, before);
    return fits;
}

bool url_encode(struct span component, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t before = out->len;
    for (size_t i = 0; i < component.len; i++) {
        unsigned char c = (unsigned char)component.data[i];
        char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool plain = is_unreserved((char)c);
        if (!buf_append(out, plain ? component.data + i : escaped, plain ? 1 : sizeof escaped)) {
            buf_truncate(out, before);
            return false;
        }
    }
    return true;
}
