#include "codec/utf8.h"

#include "fuzz.h"

// Decoding character by character, which sanitizing must agree with.
static void decode_all(struct span text, struct buf *out)
{
    while (text.len) {
        uint32_t rune = UINT32_MAX;
        char bytes[UTF8_BYTES_MAX];
        size_t len = utf8_decode(text, &rune);
        REQUIRE(len > 0 && len <= text.len && rune <= UTF8_RUNE_MAX);
        REQUIRE(utf8_rune_width(rune) <= 2);
        REQUIRE(buf_append(out, bytes, utf8_encode(rune, bytes)));
        text = span_skip(text, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_make(data, size);
    BUF_AUTO clean = BUF_INIT(3 * size + 1), decoded = BUF_INIT(3 * size + 1);
    REQUIRE(utf8_sanitize(text, &clean) && utf8_valid(buf_span(&clean)));
    decode_all(text, &decoded);
    REQUIRE(span_equal(buf_span(&clean), buf_span(&decoded)));
    REQUIRE(utf8_valid(text) == span_equal(text, buf_span(&clean)));
    REQUIRE(utf8_width(text) == utf8_width(buf_span(&clean)));

    // Held-back tails never change what a stream shows, wherever it is cut.
    for (size_t cut = 0; cut <= size && size <= 64; cut++) {
        size_t shown = cut - utf8_incomplete_tail(span_make(data, cut));
        BUF_AUTO parts = BUF_INIT(3 * size + 1);
        REQUIRE(utf8_sanitize(span_make(data, shown), &parts));
        REQUIRE(utf8_sanitize(span_skip(text, shown), &parts));
        REQUIRE(span_equal(buf_span(&parts), buf_span(&clean)));
    }
    return 0;
}
