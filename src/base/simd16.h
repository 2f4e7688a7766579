#pragma once

#include <stdint.h>
#include <string.h>

/*
 * Sixteen bytes at a time, in GNU C's vectors. Comparing them gives a mask with 0xFF in every byte
 * that was hit; to find out which bytes these are takes what each machine has for it.
 */
typedef uint8_t simd16 __attribute__((vector_size(16)));

enum { SIMD16_BYTES = sizeof(simd16) };

static inline simd16 simd16_load(const char *at)
{
    simd16 value;
    memcpy(&value, at, sizeof value);
    return value;
}

/*
 * One bit set for each hit, in order, SIMD16_STEP apart: the first is at byte simd16_first(), and
 * bits & (bits - 1) are the others. 0: none.
 */
#if defined(__SSE2__)

enum { SIMD16_STEP = 1 };

static inline uint64_t simd16_bits(simd16 mask)
{
    typedef char bytes __attribute__((vector_size(16)));
    return (uint32_t)__builtin_ia32_pmovmskb128((bytes)mask);
}

#elif defined(__aarch64__)

enum { SIMD16_STEP = 4 };

static inline uint64_t simd16_bits(simd16 mask)
{
    // Becomes one shrn: of each pair of bytes the middle eight bits, half of either.
    typedef uint16_t pairs __attribute__((vector_size(16)));
    typedef uint8_t middles __attribute__((vector_size(8)));
    middles halves = __builtin_convertvector((pairs)mask >> 4, middles);
    uint64_t bits;
    memcpy(&bits, &halves, sizeof bits);
    return bits & 0x1111111111111111u;
}

#else

enum { SIMD16_STEP = 1 };

static inline uint64_t simd16_bits(simd16 mask)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < SIMD16_BYTES; i++)
        bits |= (uint64_t)(mask[i] & 1) << i;
    return bits;
}

#endif

static inline unsigned simd16_first(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits) / SIMD16_STEP;
}
