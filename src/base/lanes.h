#pragma once

#include <stdint.h>
#include <string.h>

/*
 * Sixteen bytes at a time, in GNU C's vectors. Comparing them gives a mask with 0xFF in every byte
 * that was hit; to find out which bytes these are takes what each machine has for it.
 */
typedef uint8_t lanes __attribute__((vector_size(16)));

enum { LANES = sizeof(lanes) };

static inline lanes lanes_load(const char *at)
{
    lanes value;
    memcpy(&value, at, sizeof value);
    return value;
}

/*
 * One bit set for each hit, in order, LANES_STEP apart: the first is at byte lanes_first(), and
 * bits & (bits - 1) are the others. 0: none.
 */
#if defined(__SSE2__)

enum { LANES_STEP = 1 };

static inline uint64_t lanes_bits(lanes mask)
{
    typedef char bytes __attribute__((vector_size(16)));
    return (uint32_t)__builtin_ia32_pmovmskb128((bytes)mask);
}

#elif defined(__aarch64__)

enum { LANES_STEP = 4 };

static inline uint64_t lanes_bits(lanes mask)
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

enum { LANES_STEP = 1 };

static inline uint64_t lanes_bits(lanes mask)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < LANES; i++)
        bits |= (uint64_t)(mask[i] & 1) << i;
    return bits;
}

#endif

static inline unsigned lanes_first(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits) / LANES_STEP;
}
