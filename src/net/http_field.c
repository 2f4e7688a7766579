#include "net/http_field.h"

// The characters of a token (RFC 9110 §5.6.2), one bit each.
static const uint64_t token_bits[2] = {0x03ff6cfa00000000, 0x57ffffffc7fffffe};

bool http_is_token(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x80 || !(token_bits[c >> 6] >> (c & 63) & 1))
            return false;
    }
    return text.len > 0;
}

bool http_is_field_value(struct span text)
{
    for (size_t i = span_printable(text); i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static struct span trim_blanks(struct span text)
{
    while (text.len && (*text.data == ' ' || *text.data == '\t'))
        text = span_skip(text, 1);
    while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

bool http_field_split(struct span line, struct span *ret_name, struct span *ret_value)
{
    const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
    if (!colon)
        return false;
    struct span name = {line.data, (size_t)(colon - line.data)};
    struct span value = trim_blanks(span_skip(line, name.len + 1));
    if (!http_is_token(name) || !http_is_field_value(value))
        return false;
    *ret_name = name;
    *ret_value = value;
    return true;
}

bool http_same(struct span text, const char *word)
{
    return http_same_name(text, span_of(word));
}

bool http_list_next(struct span *rest, struct span *ret_member)
{
    while (rest->len) {
        struct span member = trim_blanks(span_cut(rest, ','));
        if (member.len) {
            *ret_member = member;
            return true;
        }
    }
    return false;
}

bool http_list_has(struct span list, const char *word)
{
    struct span member;
    while (http_list_next(&list, &member))
        if (http_same(member, word))
            return true;
    return false;
}

bool http_content_length(struct span value, int64_t *ret_bytes)
{
    uint64_t bytes;
    if (!span_to_u64(value, &bytes) || bytes > INT64_MAX)
        return false;
    *ret_bytes = (int64_t)bytes;
    return true;
}
