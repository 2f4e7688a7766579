#include "codec/base64.h"

#include <stdint.h>

bool base64_encode(struct span data, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = (data.len + 2) / 3 * 4;
    char *to = buf_reserve(out, len);
    if (!to)
        return false;
    for (size_t i = 0; i < data.len; i += 3, to += 4) {
        const unsigned char *from = (const unsigned char *)data.data + i;
        size_t left = data.len - i;
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)(left > 1 ? from[1] : 0) << 8 |
                        (left > 2 ? from[2] : 0);
        for (size_t j = 0; j < 4; j++)
            to[j] = j <= left ? digits[bits >> (18 - 6 * j) & 63] : '=';
    }
    buf_grow_by(out, len);
    return true;
}

// -1: none. What stands for 62 and 63 differs in RFC 4648's second alphabet, which is not taken.
static int value_of(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool base64_decode(struct span text, struct buf *out)
{
    char *to = buf_reserve(out, text.len / 4 * 3 + 3);
    size_t len = 0, digits = 0, padding = 0;
    uint32_t bits = 0;
    if (!to)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n' || text.data[i] == '\r')
            continue;
        int value = text.data[i] == '=' ? 0 : value_of(text.data[i]);
        padding += text.data[i] == '=';
        if (value < 0 || (padding && text.data[i] != '='))
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (++digits % 4)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8)
            to[len++] = (char)(bits >> shift);
    }
    if (digits % 4 || padding > 2 || padding > digits)
        return false;
    buf_grow_by(out, len - padding);
    return true;
}
