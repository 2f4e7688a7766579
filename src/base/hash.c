#include "base/hash.h"

static const uint64_t prime = 1099511628211u;

uint64_t hash_add(uint64_t hash, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * prime;
    return hash;
}
