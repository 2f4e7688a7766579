#pragma once

#include <stdint.h>

/*
 * A generator for choosing among equals, seeded by the caller so that a test can repeat a run.
 * Anybody can foretell them: nothing secret hangs on them.
 */

// splitmix64 (Steele, Lea and Flood, 2014).
static inline uint64_t router_prng(uint64_t *prng)
{
    uint64_t z = (*prng += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// From 0 to bound - 1; the slight lean of the remainder does not matter below 2^40.
static inline uint64_t router_prng_below(uint64_t *prng, uint64_t bound)
{
    return router_prng(prng) % bound;
}
