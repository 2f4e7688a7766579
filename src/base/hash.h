#pragma once

#include <stdint.h>

#include "base/span.h"

/*
 * FNV-1a, 64 bits: tells texts apart, and finds them a place in a table. Not against somebody who
 * chooses the texts: he can have any two hashes be the same. For that there is codec/sha256.h.
 */
#define HASH_INIT UINT64_C(14695981039346656037)

// What was hashed so far, and then this. Two texts one after the other are as one.
static inline uint64_t hash_add(uint64_t hash, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * UINT64_C(1099511628211);
    return hash;
}

static inline uint64_t hash_of(struct span text)
{
    return hash_add(HASH_INIT, text);
}
