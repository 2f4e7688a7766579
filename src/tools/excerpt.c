#include "tools/excerpt.h"

static bool continues(char c) // a character of UTF-8
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t count(struct span text)
{
    size_t sum = 0;
    for (size_t i = 0; i < text.len; i++)
        sum += !continues(text.data[i]);
    return sum;
}

// Bytes of its first characters.
static size_t head_of(struct span text, size_t characters, size_t bytes)
{
    size_t len = 0, end = 0;
    while (len < text.len && len <= bytes) {
        if (!continues(text.data[len])) {
            end = len;
            if (characters-- == 0)
                break;
        }
        len++;
    }
    return end;
}

static size_t tail_of(struct span text, size_t characters, size_t bytes)
{
    size_t begin = text.len, at = text.len;
    while (characters && at > 0 && text.len - at < bytes) {
        if (!continues(text.data[--at])) {
            begin = at;
            characters--;
        }
    }
    return text.len - begin;
}

bool excerpt_append(struct span text, size_t characters, size_t bytes, struct buf *out)
{
    size_t all = count(text);
    if (all <= characters && text.len <= bytes) {
        buf_append_span(out, text);
        return false;
    }
    size_t head = head_of(text, characters / 4 * 3, bytes / 4 * 3);
    size_t tail = tail_of(text, characters / 4, bytes / 4);
    struct span left_out = span_make(text.data + head, text.len - head - tail);
    buf_append(out, text.data, head);
    buf_printf(out, "\n\n[%zu of %zu characters are left out here]\n\n", count(left_out), all);
    buf_append(out, text.data + text.len - tail, tail);
    return true;
}
