#pragma once

#include <stddef.h>

// Cryptographic randomness from the kernel (getrandom(2)); aborts if there is none.
void random_bytes(void *data, size_t len);

// For names that are made often: bytes from a pool of them, each handed out once. Zeroed, it is
// empty.
struct random_pool {
    unsigned char bytes[256];
    size_t left; // at the end of `bytes`
};
void random_from_pool(struct random_pool *pool, void *data, size_t len); // at most a pool's

// Fills `text` with `len` - 1 lower-case hex digits and a NUL.
void random_hex(char *text, size_t len);
