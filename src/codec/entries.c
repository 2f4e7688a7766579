#include "codec/entries.h"

#include <stdio.h>

#include "base/mem.h"
#include "codec/utf8.h"

#define SEPARATOR "\xc2\xa7"

enum { SEPARATOR_CHARACTERS = 3 }; // between two entries: line feed, section sign, line feed

// White space around it is let pass, and with it the carriage return of another system's editor.
static bool is_separator(struct span line)
{
    return span_is(span_trim(line), SEPARATOR);
}

static bool add(struct entries *entries, struct span text)
{
    struct span item = span_trim(text);
    if (item.len == 0)
        return true;
    if (entries->count == ENTRIES_MAX)
        return false;
    entries->items[entries->count++] = item;
    return true;
}

bool entries_parse(struct span text, struct entries *ret_entries)
{
    ret_entries->count = 0;
    if (text.len == 0)
        return true;
    if (span_starts_with(text, "\xef\xbb\xbf")) // a byte order mark, as Notepad leaves it
        text = span_skip(text, 3);
    struct span rest = text;
    const char *begin = text.data;
    while (rest.len) {
        struct span line = span_cut(&rest, '\n');
        if (!is_separator(line))
            continue;
        if (!add(ret_entries, span_make(begin, (size_t)(line.data - begin))))
            return false;
        begin = line.data + line.len;
    }
    return add(ret_entries, span_make(begin, text.len - (size_t)(begin - text.data)));
}

void entries_write(const struct entries *entries, struct buf *out)
{
    for (size_t i = 0; i < entries->count; i++) {
        if (i)
            buf_append_text(out, SEPARATOR "\n");
        buf_append_span(out, entries->items[i]);
        buf_append_char(out, '\n');
    }
}

size_t entries_count(struct span text)
{
    size_t count = 0, at = 0;
    uint32_t rune;
    for (; at < text.len; count++)
        at += utf8_decode(span_skip(text, at), &rune);
    return count;
}

size_t entries_cut(struct span text, size_t characters)
{
    size_t at = 0;
    uint32_t rune;
    while (characters-- && at < text.len)
        at += utf8_decode(span_skip(text, at), &rune);
    return at;
}

size_t entries_characters(const struct entries *entries)
{
    size_t sum = entries->count ? SEPARATOR_CHARACTERS * (entries->count - 1) : 0;
    for (size_t i = 0; i < entries->count; i++)
        sum += entries_count(entries->items[i]);
    return sum;
}

bool entries_would_split(struct span text)
{
    while (text.len)
        if (is_separator(span_cut(&text, '\n')))
            return true;
    return false;
}

/*
 * A model reads these and a person who looks at the file does not, so an entry that holds them can
 * say something else than it seems to. Variation selectors belong to emoji and stay, but for those
 * of plane 14, which nothing needs that is written here.
 */
static bool is_hidden(uint32_t rune)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00, 0x08},     {0x0b, 0x0c},     {0x0e, 0x1f},       {0x7f, 0x9f},     {0xad, 0xad},
        {0x34f, 0x34f},   {0x61c, 0x61c},   {0x115f, 0x1160},   {0x17b4, 0x17b5}, {0x180b, 0x180f},
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},   {0x3164, 0x3164}, {0xfeff, 0xfeff},
        {0xffa0, 0xffa0}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (rune >= hidden[i].first && rune <= hidden[i].last)
            return true;
    return false;
}

bool entries_find_hidden(struct span text, uint32_t *ret_rune)
{
    uint32_t rune;
    for (size_t at = 0; at < text.len;) {
        at += utf8_decode(span_skip(text, at), &rune);
        if (is_hidden(rune)) {
            *ret_rune = rune;
            return true;
        }
    }
    return false;
}

void entries_write_number(uint64_t number, struct buf *out)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            buf_append_char(out, ',');
        buf_append_char(out, digits[i]);
    }
}
