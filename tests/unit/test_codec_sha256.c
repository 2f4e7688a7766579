#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "codec/sha256.h"

static void digests(struct span data, const char *wanted)
{
    for (size_t piece = 1; piece <= data.len + 1; piece += 1 + data.len / 3) {
        struct sha256 hash;
        char text[SHA256_HEX_SIZE];
        sha256_init(&hash);
        for (size_t at = 0; at < data.len; at += piece) {
            size_t left = data.len - at;
            sha256_add(&hash, span_make(data.data + at, left < piece ? left : piece));
        }
        sha256_end_hex(&hash, text);
        assert_string_equal(text, wanted);
    }
}

// The first three are the standard's own examples, the others are what coreutils says.
static void known_digests(void **state)
{
    static char bytes[128];
    memset(bytes, 'a', sizeof bytes);
    digests(SPAN_LITERAL("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digests(SPAN_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    digests(SPAN_LITERAL(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digests(span_make(bytes, 55),
            "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
    digests(span_make(bytes, 56),
            "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
    digests(span_make(bytes, 64),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
    digests(span_make(bytes, 128),
            "6836cf13bac400e9105071cd6af47084dfacad4e5e302c94bfed24e013afb73e");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_digests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
