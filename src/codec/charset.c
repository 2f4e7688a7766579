#include "codec/charset.h"

#include <strings.h>

#include "base/mem.h"
#include "codec/utf8.h"

bool charset_find(struct span name, enum charset *ret_charset)
{
    static const struct {
        const char *name;
        enum charset charset;
    } known[] = {
        {"utf-8", CHARSET_UTF8},
        {"utf8", CHARSET_UTF8},
        {"iso-8859-1", CHARSET_WINDOWS_1252},
        {"iso8859-1", CHARSET_WINDOWS_1252},
        {"latin1", CHARSET_WINDOWS_1252},
        {"latin-1", CHARSET_WINDOWS_1252},
        {"windows-1252", CHARSET_WINDOWS_1252},
        {"cp1252", CHARSET_WINDOWS_1252},
        {"utf-16", CHARSET_UTF16},
        {"utf-16le", CHARSET_UTF16},
        {"utf-16be", CHARSET_UTF16},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (name.len != strlen(known[i].name) ||
            strncasecmp(name.data, known[i].name, name.len) != 0)
            continue;
        *ret_charset = known[i].charset;
        return true;
    }
    return false;
}

struct span charset_parameter(struct span text)
{
    static const struct span name = {"charset", 7};
    for (; text.len > name.len; text = span_skip(text, 1)) {
        if (strncasecmp(text.data, name.data, name.len) != 0)
            continue;
        struct span rest = span_trim(span_skip(text, name.len));
        if (!span_starts_with(rest, "="))
            continue;
        rest = span_trim(span_skip(rest, 1));
        while (rest.len && memchr("\"'", *rest.data, 2))
            rest = span_skip(rest, 1);
        size_t len = 0;
        while (len < rest.len && !memchr(" \t\r\n;,\"'/>", rest.data[len], 10))
            len++;
        return span_make(rest.data, len);
    }
    return SPAN_ABSENT;
}

uint32_t charset_windows_1252(unsigned char byte)
{
    static const uint16_t runes[32] = {
        0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178};
    return byte >= 0x80 && byte < 0xa0 ? runes[byte - 0x80] : byte;
}

size_t charset_decode(enum charset charset, struct span text, uint32_t *ret_rune)
{
    if (charset == CHARSET_UTF8 || text.len == 0)
        return utf8_decode(text, ret_rune);
    *ret_rune = charset_windows_1252((unsigned char)*text.data);
    return 1;
}

static bool is_unseen(uint32_t rune)
{
    bool plain = rune == '\n' || rune == '\t';
    return (!plain && rune_is_unsafe(rune)) || rune == 0xad || (rune >= 0x200b && rune <= 0x200d) ||
           (rune >= 0x2060 && rune <= 0x2064) || rune == 0xfeff ||
           (rune >= 0xe0000 && rune <= 0xe0fff);
}

bool charset_append(uint32_t rune, struct buf *out)
{
    char bytes[UTF8_BYTES_MAX];
    return is_unseen(rune) || buf_append(out, bytes, utf8_encode(rune, bytes));
}
