#include "net/http_response.h"

#include <errno.h>

#include "net/http_field.h"

struct fields {     // of one head, those that frame it
    int64_t length; // -1: not said
    bool chunked, close, keep_alive;
};

// The bytes up to and with the empty line that ends a head; 0 when it has not come. An empty line
// right at the beginning is no end.
static size_t head_length(struct http_response *response, struct span bytes)
{
    size_t line = response->scanned; // where a line begins
    const char *end;
    while (line < bytes.len && (end = memchr(bytes.data + line, '\n', bytes.len - line))) {
        size_t next = (size_t)(end - bytes.data) + 1;
        size_t len = next - 1 - line;
        if (line > 0 && (len == 0 || (len == 1 && bytes.data[line] == '\r')))
            return next;
        line = next;
    }
    response->scanned = line;
    return 0;
}

static struct span cut_line(struct span *rest)
{
    struct span line = span_cut(rest, '\n');
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool begins_like_http(struct span bytes)
{
    static const char begin[] = "HTTP/1.";
    size_t len = bytes.len < sizeof begin - 1 ? bytes.len : sizeof begin - 1;
    return memcmp(bytes.data, begin, len) == 0;
}

// "HTTP/1.1 200 OK"; the reason, and the blank before it, may be missing.
static int read_status(struct span line, int *ret_minor, int *ret_status)
{
    enum { STATUS_AT = 9, STATUS_LEN = 3, REASON_AT = 12 };
    const char *text = line.data;
    uint64_t status;
    if (line.len < REASON_AT || !begins_like_http(line) || text[7] < '0' || text[7] > '9' ||
        text[8] != ' ' || !span_to_u64(span_make(text + STATUS_AT, STATUS_LEN), &status) ||
        status < 100 || (line.len > REASON_AT && text[REASON_AT] != ' ') ||
        !http_is_field_value(line))
        return -EBADMSG;
    *ret_minor = text[7] - '0';
    *ret_status = (int)status;
    return 0;
}

static int take_field(struct fields *fields, struct span line, struct error *err)
{
    struct span name, value;
    int64_t length;
    if (!http_field_split(line, &name, &value))
        return error_set(err, -EBADMSG, "it sent a header line that is not HTTP");
    if (http_same_name(name, SPAN_LITERAL("Content-Length"))) {
        if (!http_content_length(value, &length))
            return error_set(err, -EBADMSG, "it sent a Content-Length that is not a number");
        if (fields->length >= 0 && fields->length != length)
            return error_set(err, -EBADMSG, "it sent two different Content-Lengths");
        fields->length = length;
    } else if (http_same_name(name, SPAN_LITERAL("Transfer-Encoding"))) {
        if (fields->chunked || !http_same(value, "chunked"))
            return error_set(err, -EBADMSG, "it used an unknown transfer coding");
        fields->chunked = true;
    } else if (http_same_name(name, SPAN_LITERAL("Connection"))) {
        fields->close |= http_list_has(value, "close");
        fields->keep_alive |= http_list_has(value, "keep-alive");
    }
    return 0;
}

static void frame(struct http_response *response, const struct fields *fields, int minor)
{
    int status = response->status;
    response->keep = !fields->close && (minor >= 1 || fields->keep_alive);
    if (response->to_head || status < 200 || status == 204 || status == 304) {
        response->framing = HTTP_BODY_LENGTH;
        response->left = 0;
    } else if (fields->chunked) {
        response->framing = HTTP_BODY_CHUNKED;
        response->keep &= minor >= 1 && fields->length < 0;
    } else if (fields->length >= 0) {
        response->framing = HTTP_BODY_LENGTH;
        response->left = fields->length;
    } else {
        response->framing = HTTP_BODY_UNTIL_CLOSE;
        response->keep = false;
    }
}

int http_response_head(struct http_response *response, struct span bytes, size_t *ret_len,
                       struct span *ret_lines, struct error *err)
{
    if (bytes.len && !begins_like_http(bytes))
        return error_set(err, -EBADMSG, "it did not reply in HTTP");
    size_t len = head_length(response, bytes);
    if (len == 0)
        return 0;
    response->scanned = 0;

    struct fields fields = {.length = -1};
    struct span rest = span_make(bytes.data, len);
    int minor, r = read_status(cut_line(&rest), &minor, &response->status);
    if (r < 0)
        return error_set(err, r, "it did not reply in HTTP");
    if (response->status == 101)
        return error_set(err, -EBADMSG, "it switched to a protocol other than HTTP");
    struct span lines = rest;
    for (struct span line = cut_line(&rest); r == 0 && line.len; line = cut_line(&rest))
        r = take_field(&fields, line, err);
    if (r < 0)
        return r;
    frame(response, &fields, minor);
    *ret_len = len;
    *ret_lines = lines;
    return 1;
}

int http_response_body(struct http_response *response, char *data, size_t len, size_t *ret_used,
                       size_t *ret_decoded)
{
    if (response->framing == HTTP_BODY_CHUNKED)
        return http_chunked_decode(&response->chunked, data, len, ret_used, ret_decoded);
    if (response->framing == HTTP_BODY_LENGTH && response->left < (int64_t)len)
        len = (size_t)response->left;
    *ret_used = *ret_decoded = len;
    if (response->framing == HTTP_BODY_UNTIL_CLOSE)
        return 0;
    response->left -= (int64_t)len;
    return response->left == 0;
}
