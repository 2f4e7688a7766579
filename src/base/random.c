#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_bytes(void *data, size_t len)
{
    char *at = data;
    while (len) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno != EINTR)
            abort();
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

void random_from_pool(struct random_pool *pool, void *data, size_t len)
{
    if (pool->left < len) {
        random_bytes(pool->bytes, sizeof pool->bytes);
        pool->left = sizeof pool->bytes;
    }
    memcpy(data, pool->bytes + sizeof pool->bytes - pool->left, len);
    pool->left -= len;
}

void random_hex(char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        unsigned char byte;
        random_bytes(&byte, 1);
        text[i] = "0123456789abcdef"[byte & 15];
    }
    if (len)
        text[len - 1] = '\0';
}
