#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/attempt.h"

// Private to store/: the fields of an attempt in the order of its record and of its columns. New
// ones are put at the end: records of the same version may have fewer.
enum {
    ATTEMPT_TEXTS = 15,
    ATTEMPT_NUMBERS = 17,
    ATTEMPT_NAME_NUMBERS = 3, // the first ones: attempt, wall_ms, day
};

extern const size_t attempt_texts[ATTEMPT_TEXTS];
extern const size_t attempt_numbers[ATTEMPT_NUMBERS];

static inline struct span *attempt_text(const struct store_attempt *attempt, size_t index)
{
    return (struct span *)((char *)attempt + attempt_texts[index]);
}

static inline int64_t *attempt_number(const struct store_attempt *attempt, size_t index)
{
    return (int64_t *)((char *)attempt + attempt_numbers[index]);
}

// The charges alone, as a row of bound or unknown cost keeps them.
bool store_charges_encode(const struct store_attempt *attempt, struct buf *out);
bool store_charges_decode(struct span bytes, struct store_charge *charges, size_t *ret_count);

extern const char *const store_cost_words[STORE_COST_SOURCES];
