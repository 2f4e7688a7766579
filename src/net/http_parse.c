#include "net/http_parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "net/http_field.h"

static int refuse(struct http_parse *parse, unsigned status)
{
    parse->refusal = status;
    return -EBADMSG;
}

// RFC 9112 §2.3. 2 to 9 are spoken to as HTTP/1.1.
static int parse_version(struct http_parse *parse, struct span version)
{
    const char *text = version.data;
    bool well_formed = version.len == 8 && memcmp(text, "HTTP/", 5) == 0 && text[5] >= '0' &&
                       text[5] <= '9' && text[6] == '.' && text[7] >= '0' && text[7] <= '9';
    if (!well_formed)
        return refuse(parse, 400);
    if (text[5] != '1')
        return refuse(parse, 505);
    parse->is_1_0 = text[7] == '0';
    return 0;
}

// Where the authority of an absolute-form target begins, or 0. It is not empty (RFC 9110 §4.2.1).
static size_t authority_at(struct span target)
{
    size_t at = 0;
    if (target.len > 7 && strncasecmp(target.data, "http://", 7) == 0)
        at = 7;
    else if (target.len > 8 && strncasecmp(target.data, "https://", 8) == 0)
        at = 8;
    return at && !memchr("/?", target.data[at], 2) ? at : 0;
}

static bool is_target(struct span target, struct span method)
{
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.data[i] <= ' ' || target.data[i] == 0x7f)
            return false;
    if (target.len && target.data[0] == '/')
        return true;
    return authority_at(target) || (span_is(target, "*") && span_is(method, "OPTIONS"));
}

// RFC 9112 §3: exactly one blank between the three.
static int parse_request_line(struct http_parse *parse, struct span line, const char *head)
{
    struct span rest = line;
    struct span method = span_cut(&rest, ' ');
    struct span target = span_cut(&rest, ' ');
    if (!http_is_token(method))
        return refuse(parse, 400);
    int r = parse_version(parse, rest);
    if (r < 0)
        return r;
    if (span_is(method, "CONNECT"))
        return refuse(parse, 501); // its target is no path
    if (!is_target(target, method))
        return refuse(parse, 400);
    parse->method_at = (size_t)(method.data - head);
    parse->method_len = method.len;
    parse->target_at = (size_t)(target.data - head);
    parse->target_len = target.len;
    parse->line_seen = true;
    return 0;
}

// Nothing that could not stand between "//" and "/", or ends an authority or begins another.
static bool is_host(struct span value)
{
    static const bool forbidden[256] = {
        ['/'] = true,  ['\\'] = true, ['?'] = true, ['#'] = true, ['@'] = true,
        [0x7f] = true, [','] = true,  ['"'] = true, ['<'] = true, ['>'] = true,
    };
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.data[i] <= ' ' || forbidden[(unsigned char)value.data[i]])
            return false;
    return true;
}

// RFC 9112 §5: a name, a colon right after it, and a value of which blanks at the ends are no part.
static int parse_field_line(struct http_parse *parse, struct span line)
{
    struct span name, value;
    int64_t length;
    if (!http_field_split(line, &name, &value))
        return refuse(parse, 400);
    if (http_same_name(name, SPAN_LITERAL("Host"))) { // §3.2: exactly one
        if (parse->has_host || !is_host(value))
            return refuse(parse, 400);
        parse->has_host = true;
    } else if (http_same_name(name, SPAN_LITERAL("Content-Length"))) {
        // §6.3: one, of digits only. Two equal ones are refused as well.
        if (parse->has_length || !http_content_length(value, &length))
            return refuse(parse, 400);
        parse->content_length = (uint64_t)length;
        parse->has_length = true;
    } else if (http_same_name(name, SPAN_LITERAL("Transfer-Encoding"))) {
        // §6.1: of the codings only "chunked" is known here.
        if (parse->is_chunked || parse->is_1_0 || !value.len)
            return refuse(parse, 400);
        if (!http_same(value, "chunked"))
            return refuse(parse, 501);
        parse->is_chunked = true;
    } else if (http_same_name(name, SPAN_LITERAL("Connection"))) {
        parse->says_close |= http_list_has(value, "close");
        parse->says_keep_alive |= http_list_has(value, "keep-alive");
    } else if (http_same_name(name, SPAN_LITERAL("Expect"))) {
        bool known = http_same(value, "100-continue");
        parse->expects_continue |= known;
        parse->expects_more |= !known;
    }
    return 0;
}

static int parse_line(struct http_parse *parse, struct span line, const char *head)
{
    if (parse->line_seen)
        return parse_field_line(parse, line);
    if (line.len) {
        int r = parse_request_line(parse, line, head);
        parse->fields_at = parse->at;
        return r;
    }
    if (parse->blank_seen)
        return refuse(parse, 400);
    parse->blank_seen = true;
    return 0;
}

ssize_t http_parse_head(struct http_parse *parse, struct span head)
{
    while (parse->searched < head.len) {
        const char *line = head.data + parse->at;
        const char *end = memchr(head.data + parse->searched, '\n', head.len - parse->searched);
        if (!end) {
            parse->searched = head.len;
            return 0;
        }
        if (end == line || end[-1] != '\r')
            return refuse(parse, 400);
        size_t len = (size_t)(end - line) - 1;
        parse->at = parse->searched = (size_t)(end - head.data) + 1;
        bool is_end = len == 0 && parse->line_seen;
        if (is_end &&
            ((parse->is_chunked && parse->has_length) || (!parse->has_host && !parse->is_1_0)))
            return refuse(parse, 400);
        if (is_end)
            return (ssize_t)parse->at;
        int r = parse_line(parse, (struct span){line, len}, head.data);
        if (r < 0)
            return r;
    }
    return 0;
}

bool http_parse_field(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    if (rest->len < 3) // the empty line
        return false;
    struct span line = span_cut(rest, '\n');
    *ret_name = span_cut(&line, ':');
    *ret_value = span_trim(line); // its carriage return, too
    return true;
}

// RFC 3986 §2.1.
size_t http_parse_decode(struct span text, bool form, char *out, bool *ret_broken)
{
    char *begin = out;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = text.len - i > 2 ? http_hex_digit(text.data[i + 1]) : -1;
            int low = text.len - i > 2 ? http_hex_digit(text.data[i + 2]) : -1;
            bool is_escape = high >= 0 && low >= 0;
            *ret_broken = *ret_broken || !is_escape || high + low == 0;
            c = is_escape ? (char)(high << 4 | low) : c;
            i += is_escape ? 2 : 0;
        } else if (c == '+' && form) {
            c = ' ';
        }
        *out++ = c;
    }
    return (size_t)(out - begin);
}

// RFC 9112 §3.2: besides "/path?query" a server must accept "http://host/path?query".
struct span http_parse_path(struct span target)
{
    struct span path = span_cut(&target, '?');
    size_t authority = authority_at(path);
    if (!authority)
        return path;
    path = span_skip(path, authority);
    const char *slash = memchr(path.data, '/', path.len);
    return slash ? span_skip(path, (size_t)(slash - path.data)) : SPAN_LITERAL("/");
}

struct span http_parse_query(struct span target)
{
    const char *mark = memchr(target.data, '?', target.len);
    return mark ? span_skip(target, (size_t)(mark - target.data) + 1) : SPAN_ABSENT;
}
