// Entropy is getrandom(2) and nothing else. mbedTLS' own choice depends on the C library: under
// musl it would open /dev/urandom by name, which a container or a sandbox need not have.
#include <errno.h>
#include <sys/random.h>

#include "mbedtls/entropy.h"

int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *olen)
{
    size_t have = 0;

    (void)data;
    while (have < len) {
        ssize_t n = getrandom(output + have, len - have, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
        have += (size_t)n;
    }
    *olen = have;
    return 0;
}
