#include "codec/visible.h"

#include <string.h>

#include "codec/entries.h"
#include "codec/utf8.h"

void visible_write(struct span text, const char *blanks, char instead, struct buf *out)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t rune;
        size_t len = utf8_decode(span_skip(text, at), &rune);
        struct span one = {text.data + at, len};
        if (strchr(blanks, *one.data))
            buf_append_char(out, instead);
        else if (!entries_find_hidden(one, &rune))
            buf_append_span(out, one);
        else if (rune < 0x10000)
            buf_printf(out, "\\u%04x", (unsigned)rune);
        else
            buf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (rune >> 10)),
                       (unsigned)(0xdc00 + (rune & 0x3ff)));
        at += len;
    }
}
