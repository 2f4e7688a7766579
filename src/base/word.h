#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * Eight bytes at a time, in the order of the machine. A mark is a word whose high bits tell which
 * of the bytes have a property; marks are joined with `|`. A byte above one that has the property
 * may be marked wrongly, so that they answer "does any?" and not "which?".
 */

#define WORD_ONES UINT64_C(0x0101010101010101)
#define WORD_HIGHS UINT64_C(0x8080808080808080)

static inline uint64_t word_load(const void *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

// Bytes below `limit`, which is 0x80 at most.
static inline uint64_t word_below(uint64_t word, unsigned char limit)
{
    return (word - WORD_ONES * limit) & ~word;
}

static inline uint64_t word_equal(uint64_t word, unsigned char byte)
{
    return word_below(word ^ (WORD_ONES * byte), 1);
}

// Bytes above 0x7f mark themselves.
static inline bool word_any(uint64_t marks)
{
    return (marks & WORD_HIGHS) != 0;
}
