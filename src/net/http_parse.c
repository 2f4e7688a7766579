#include "net/http_parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const bool token_chars[256] = {
    ['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

bool http_parse_is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!token_chars[(unsigned char)text.data[i]])
            return false;
    return text.len > 0;
}

static bool is_control(char c)
{
    return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

bool http_parse_is_value(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_control(text.data[i]))
            return false;
    return true;
}

bool http_parse_same_name(struct span a, struct span b)
{
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

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
    if (!http_parse_is_token(method))
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

// RFC 9112 §6.3: one length, of digits only. Two equal ones are refused as well.
static int take_length(struct http_parse *parse, struct span value)
{
    if (parse->has_length || !span_to_u64(value, &parse->content_length) ||
        parse->content_length > INT64_MAX)
        return refuse(parse, 400);
    parse->has_length = true;
    return 0;
}

// RFC 9112 §6.1: of the codings only "chunked" is known here.
static int take_coding(struct http_parse *parse, struct span value)
{
    if (parse->is_chunked || parse->is_1_0 || !value.len)
        return refuse(parse, 400);
    if (!http_parse_same_name(value, SPAN_LITERAL("chunked")))
        return refuse(parse, 501);
    parse->is_chunked = true;
    return 0;
}

// Anything but blanks and what ends an authority or begins another.
static bool is_host_char(char c)
{
    static const bool others[256] = {
        ['/'] = true, ['\\'] = true, ['?'] = true, ['#'] = true, ['@'] = true,
        [','] = true, ['"'] = true,  ['<'] = true, ['>'] = true,
    };
    return (unsigned char)c > ' ' && c != 0x7f && !others[(unsigned char)c];
}

// RFC 9112 §3.2: exactly one. What could not stand between "//" and "/" is no host.
static int take_host(struct http_parse *parse, struct span value)
{
    if (parse->has_host)
        return refuse(parse, 400);
    for (size_t i = 0; i < value.len; i++)
        if (!is_host_char(value.data[i]))
            return refuse(parse, 400);
    parse->has_host = true;
    return 0;
}

static int take_connection(struct http_parse *parse, struct span value)
{
    while (value.len) {
        struct span option = span_trim(span_cut(&value, ','));
        if (http_parse_same_name(option, SPAN_LITERAL("close")))
            parse->says_close = true;
        else if (http_parse_same_name(option, SPAN_LITERAL("keep-alive")))
            parse->says_keep_alive = true;
    }
    return 0;
}

static int take_expectation(struct http_parse *parse, struct span value)
{
    if (http_parse_same_name(value, SPAN_LITERAL("100-continue")))
        parse->expects_continue = true;
    else
        parse->expects_more = true;
    return 0;
}

static const struct {
    struct span name;
    int (*take)(struct http_parse *parse, struct span value);
} known_fields[] = {
    {{"Host", 4}, take_host},
    {{"Expect", 6}, take_expectation},
    {{"Connection", 10}, take_connection},
    {{"Content-Length", 14}, take_length},
    {{"Transfer-Encoding", 17}, take_coding},
};

// RFC 9112 §5: a name, a colon right after it, and a value of which blanks at the ends are no part.
static int parse_field_line(struct http_parse *parse, struct span line)
{
    struct span value = line;
    struct span name = span_cut(&value, ':');
    if (name.len == line.len || !http_parse_is_token(name) || !http_parse_is_value(value))
        return refuse(parse, 400);
    for (size_t i = 0; i < sizeof known_fields / sizeof known_fields[0]; i++)
        if (http_parse_same_name(name, known_fields[i].name))
            return known_fields[i].take(parse, span_trim(value));
    return 0;
}

static int finish(struct http_parse *parse)
{
    if ((parse->is_chunked && parse->has_length) || (!parse->has_host && !parse->is_1_0))
        return refuse(parse, 400);
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
        int r = is_end ? finish(parse) : parse_line(parse, (struct span){line, len}, head.data);
        if (r < 0)
            return r;
        if (is_end)
            return (ssize_t)parse->at;
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

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// RFC 3986 §2.1.
size_t http_parse_decode(struct span text, bool form, char *out, bool *ret_broken)
{
    char *begin = out;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = text.len - i > 2 ? hex_digit(text.data[i + 1]) : -1;
            int low = text.len - i > 2 ? hex_digit(text.data[i + 2]) : -1;
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

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_LINE, // at the beginning of a trailer, or of the last line
    CHUNK_TRAILER,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_END,
};

static int step_size(struct http_parse_chunks *chunks, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0 && chunks->digits < HTTP_PARSE_CHUNK_DIGITS_MAX) {
        chunks->left = chunks->left << 4 | (unsigned)digit;
        chunks->digits++;
        return 0;
    }
    if (!chunks->digits || (c != ';' && c != '\r'))
        return -EBADMSG;
    chunks->digits = 0;
    chunks->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
    return 0;
}

// A text of no interest that ends with a carriage return, and none of them may be long.
static int step_text(struct http_parse_chunks *chunks, char c, enum chunk_state then)
{
    if (c == '\r')
        chunks->state = then;
    else if (is_control(c) || ++chunks->rest > HTTP_PARSE_CHUNK_REST_MAX)
        return -EBADMSG;
    return 0;
}

static int step_line(struct http_parse_chunks *chunks, char c)
{
    if (c == ' ' || c == '\t')
        return -EBADMSG;
    chunks->state = CHUNK_TRAILER;
    return step_text(chunks, c, CHUNK_END_LF);
}

static int step_expected(struct http_parse_chunks *chunks, char c, char wanted,
                         enum chunk_state then)
{
    chunks->state = then;
    return c == wanted ? 0 : -EBADMSG;
}

// RFC 9112 §7.1, a byte that is not data.
static int step(struct http_parse_chunks *chunks, char c)
{
    switch ((enum chunk_state)chunks->state) {
    case CHUNK_SIZE:
        return step_size(chunks, c);
    case CHUNK_EXTENSION:
        return step_text(chunks, c, CHUNK_SIZE_LF);
    case CHUNK_SIZE_LF:
        return step_expected(chunks, c, '\n', chunks->left ? CHUNK_DATA : CHUNK_LINE);
    case CHUNK_DATA_CR:
        return step_expected(chunks, c, '\r', CHUNK_DATA_LF);
    case CHUNK_DATA_LF:
        return step_expected(chunks, c, '\n', CHUNK_SIZE);
    case CHUNK_LINE:
        return step_line(chunks, c);
    case CHUNK_TRAILER:
        return step_text(chunks, c, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER_LF:
        return step_expected(chunks, c, '\n', CHUNK_LINE);
    case CHUNK_END_LF:
        return step_expected(chunks, c, '\n', CHUNK_END);
    case CHUNK_DATA:
    case CHUNK_END:
        break;
    }
    return -EBADMSG;
}

static void take_data(struct http_parse_chunks *chunks, struct span *input, struct span *ret_data)
{
    size_t len = input->len < chunks->left ? input->len : (size_t)chunks->left;
    *ret_data = (struct span){input->data, len};
    *input = span_skip(*input, len);
    chunks->left -= len;
    if (!chunks->left)
        chunks->state = CHUNK_DATA_CR;
}

int http_parse_chunk(struct http_parse_chunks *chunks, struct span *input, struct span *ret_data)
{
    while (input->len && chunks->state != CHUNK_END) {
        if (chunks->state == CHUNK_DATA) {
            take_data(chunks, input, ret_data);
            return HTTP_PARSE_DATA;
        }
        int r = step(chunks, input->data[0]);
        if (r < 0)
            return r;
        *input = span_skip(*input, 1);
    }
    return chunks->state == CHUNK_END ? HTTP_PARSE_END : HTTP_PARSE_MORE;
}
