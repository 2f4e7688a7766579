#pragma once

#include "base/span.h"

/*
 * SHA-1 (FIPS 180-4), for the one place where a protocol demands it and nothing depends on its
 * strength: a WebSocket's handshake (RFC 6455 §4.2.2). mbedTLS has one, too; compiled in, it would
 * serve TLS as well, which is not to know of SHA-1. Never for a digest that somebody relies on.
 */
enum { SHA1_SIZE = 20 }; // bytes

void sha1(struct span data, unsigned char *digest);
