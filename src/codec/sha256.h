#pragma once

#include <stdint.h>

#include "base/span.h"

/*
 * SHA-256 (FIPS 180-4), for digests that stand in files. Data comes in pieces of any size. All
 * of it is short; a bulk would be for a library.
 */
enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 2 * SHA256_SIZE + 1 }; // bytes; with the NUL

struct sha256 {
    uint32_t state[8];
    uint64_t length; // bytes
    unsigned char block[64];
};

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, struct span data);
void sha256_end(struct sha256 *hash, unsigned char digest[SHA256_SIZE]);
void sha256_end_hex(struct sha256 *hash, char *text); // SHA256_HEX_SIZE bytes, lower case
