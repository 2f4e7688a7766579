#include "base/bytes.h"

#include <stdint.h>
#include <string.h>

#include "base/simd16.h"

// Sanitizers would have a word about what lies behind the end.
#define UNCHECKED __attribute__((no_sanitize("address")))

typedef simd16 lanes __attribute__((may_alias));

// The sixteen bytes that lie around `at`, and how many of them lie before it.
static inline const lanes *around(const void *at, unsigned *ret_before)
{
    *ret_before = (uintptr_t)at % SIMD16_BYTES;
    return (const lanes *)(const void *)((const char *)at - *ret_before);
}

// `len` may be more than there is memory, as strnlen() and others say it.
UNCHECKED void *bytes_find(const void *bytes, int wanted, size_t len)
{
    if (len == 0)
        return NULL;
    unsigned before;
    const lanes *here = around(bytes, &before);
    uint64_t hits = simd16_bits(*here == (uint8_t)wanted) >> before * SIMD16_STEP;
    size_t at = 0; // of what the hits are of
    for (size_t next = SIMD16_BYTES - before; !hits && next < len; next += SIMD16_BYTES) {
        at = next;
        hits = simd16_bits(*++here == (uint8_t)wanted);
    }
    if (!hits)
        return NULL;
    at += simd16_first(hits);
    return at < len ? (char *)bytes + at : NULL;
}

UNCHECKED size_t bytes_length(const char *text)
{
    unsigned before;
    const lanes *here = around(text, &before);
    uint64_t ends = simd16_bits(*here == 0) >> before * SIMD16_STEP;
    if (ends)
        return simd16_first(ends);
    do
        ends = simd16_bits(*++here == 0);
    while (!ends);
    return (size_t)((const char *)here - text) + simd16_first(ends);
}

static inline uint64_t word_at(const unsigned char *bytes)
{
    uint64_t word;
    __builtin_memcpy(&word, bytes, sizeof word);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(word) : word;
}

int bytes_compare(const void *left, const void *right, size_t len)
{
    const unsigned char *l = left, *r = right;
    for (; len >= sizeof(uint64_t);
         len -= sizeof(uint64_t), l += sizeof(uint64_t), r += sizeof(uint64_t)) {
        uint64_t a = word_at(l), b = word_at(r);
        if (a != b)
            return a < b ? -1 : 1;
    }
    for (; len; len--, l++, r++)
        if (*l != *r)
            return *l - *r;
    return 0;
}

#ifndef __GLIBC__
void *memchr(const void *bytes, int wanted, size_t len) __attribute__((alias("bytes_find")));
int memcmp(const void *left, const void *right, size_t len) __attribute__((alias("bytes_compare")));
size_t strlen(const char *text) __attribute__((alias("bytes_length")));
#endif
