#include "base/decimal.h"

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

char *decimal_of_int(int64_t value, char room[DECIMAL_SIZE])
{
    char *at = decimal_of_uint(value < 0 ? -(uint64_t)value : (uint64_t)value, room);
    if (value < 0)
        *--at = '-';
    return at;
}
