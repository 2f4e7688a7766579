#include "codec/sha1.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK = 64, LENGTH = 8 }; // bytes; of the number of bits at the end

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static void digest_block(uint32_t *state, const unsigned char *block)
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t words[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 16; i++, block += 4)
        words[i] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
                   block[3];
    for (int i = 16; i < 80; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20              ? (b & c) | (~b & d)
                     : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d)
                                         : b ^ c ^ d;
        uint32_t next = rotate(a, 5) + f + e + constants[i / 20] + words[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1(struct span data, unsigned char *digest)
{
    uint32_t state[SHA1_SIZE / 4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char last[2 * BLOCK] = {0};
    uint64_t bits = (uint64_t)data.len * 8;
    for (; data.len >= BLOCK; data = span_skip(data, BLOCK))
        digest_block(state, (const unsigned char *)data.data);
    size_t end = data.len + 1 + LENGTH <= BLOCK ? BLOCK : 2 * BLOCK;
    if (data.len)
        memcpy(last, data.data, data.len);
    last[data.len] = 0x80;
    for (size_t i = 0; i < LENGTH; i++)
        last[end - 1 - i] = (unsigned char)(bits >> (8 * i));
    for (size_t at = 0; at < end; at += BLOCK)
        digest_block(state, last + at);
    for (int i = 0; i < SHA1_SIZE; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
}
