#pragma once

#include <stddef.h>

// Cryptographic randomness from the kernel (getrandom(2)); aborts if there is none.
void random_bytes(void *data, size_t len);

// Fills `text` with `len` - 1 lower-case hex digits and a NUL.
void random_hex(char *text, size_t len);
