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
