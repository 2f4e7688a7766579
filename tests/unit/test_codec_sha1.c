#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "codec/sha1.h"

static void digests(struct span data, const char *wanted)
{
    unsigned char digest[SHA1_SIZE];
    char text[2 * SHA1_SIZE + 1];
    sha1(data, digest);
    for (int i = 0; i < SHA1_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, wanted);
}

// The first two are the standard's own examples, the others are what coreutils says.
static void known_digests(void **state)
{
    static char bytes[1000];
    (void)state;
    memset(bytes, 'a', sizeof bytes);
    digests(SPAN_LITERAL("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    digests(SPAN_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    digests(SPAN_LITERAL(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    digests(span_make(bytes, 55), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    digests(span_make(bytes, 56), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    digests(span_make(bytes, 63), "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
    digests(span_make(bytes, 64), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    digests(span_make(bytes, 119), "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56");
    digests(span_make(bytes, 120), "f34c1488385346a55709ba056ddd08280dd4c6d6");
    digests(span_make(bytes, 128), "ad5b3fdbcb526778c2839d2f151ea753995e26a0");
    digests(span_make(bytes, 1000), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_digests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
