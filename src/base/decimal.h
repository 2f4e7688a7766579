#pragma once

#include <stdint.h>

// Integers as decimal text, for what is written too often to go through printf().
enum { DECIMAL_SIZE = 21 }; // bytes: sign or twentieth digit, nineteen digits, NUL

// The shortest decimal, NUL-terminated, at the end of `room`; returns where it begins.
char *decimal_of_uint(uint64_t value, char room[DECIMAL_SIZE]);
char *decimal_of_int(int64_t value, char room[DECIMAL_SIZE]);
