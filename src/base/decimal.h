#pragma once

#include <stdint.h>

// Decimal text for what printf() is too slow for, or knows no format for.
enum {
    DECIMAL_SIZE = 21,       // bytes: sign or twentieth digit, nineteen digits, NUL
    DECIMAL_FIXED_SIZE = 43, // bytes of a fixed decimal: twenty more digits and the point
    DECIMAL_DIGITS_MAX = 20, // behind the point
};

// The shortest decimal, NUL-terminated, at the end of `room`; returns where it begins.
char *decimal_of_uint(uint64_t value, char room[DECIMAL_SIZE]);
char *decimal_of_int(int64_t value, char room[DECIMAL_SIZE]);

// The same of `units` of 10^-digits, without trailing zeros but for the first `least` digits behind
// the point; 20 digits at most. (1500, 6, 0) is 0.0015, (3, 0, 1) is 3.0.
char *decimal_of_fixed(int64_t units, unsigned digits, unsigned least,
                       char room[DECIMAL_FIXED_SIZE]);
char *decimal_of_fixed_uint(uint64_t units, unsigned digits, unsigned least,
                            char room[DECIMAL_FIXED_SIZE]);
