#include "base/decimal.h"

#include <assert.h>

char *decimal_of_uint(uint64_t value, char room[DECIMAL_SIZE])
{
    char *at = room + DECIMAL_SIZE - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return at;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

char *decimal_of_int(int64_t value, char room[DECIMAL_SIZE])
{
    char *at = decimal_of_uint(magnitude(value), room);
    if (value < 0)
        *--at = '-';
    return at;
}

char *decimal_of_fixed_uint(uint64_t units, unsigned digits, unsigned least,
                            char room[DECIMAL_FIXED_SIZE])
{
    char *at = room + DECIMAL_FIXED_SIZE - 1;
    assert(digits <= DECIMAL_DIGITS_MAX && least <= DECIMAL_DIGITS_MAX);
    *at = '\0';
    for (unsigned i = least; i > digits; i--)
        *--at = '0';
    for (unsigned i = digits; i > 0; i--, units /= 10)
        if (units % 10 || *at || i <= least)
            *--at = (char)('0' + units % 10);
    if (*at)
        *--at = '.';
    do {
        *--at = (char)('0' + units % 10);
        units /= 10;
    } while (units);
    return at;
}

char *decimal_of_fixed(int64_t units, unsigned digits, unsigned least,
                       char room[DECIMAL_FIXED_SIZE])
{
    char *at = decimal_of_fixed_uint(magnitude(units), digits, least, room);
    if (units < 0)
        *--at = '-';
    return at;
}
