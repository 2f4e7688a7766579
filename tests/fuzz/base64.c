#include "codec/base64.h"

#include "fuzz.h"

enum { BYTES_MAX = 1 << 20 };

// Bytes come back as they were; a text that is taken holds as many bytes as its digits say, and
// what is refused leaves nothing behind.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span given = span_make(data, size);
    BUF_AUTO text = BUF_INIT(2 * BYTES_MAX);
    BUF_AUTO back = BUF_INIT(BYTES_MAX);
    BUF_AUTO bytes = BUF_INIT(BYTES_MAX);
    BUF_AUTO again = BUF_INIT(2 * BYTES_MAX);
    if (size > BYTES_MAX / 2)
        return 0;
    REQUIRE(base64_encode(given, &text) && base64_decode(buf_span(&text), &back));
    REQUIRE(span_equal(buf_span(&back), given));
    if (!base64_decode(given, &bytes)) {
        REQUIRE(bytes.len == 0);
        return 0;
    }
    size_t breaks = 0;
    for (size_t i = 0; i < size; i++)
        breaks += data[i] == '\n' || data[i] == '\r';
    REQUIRE(base64_encode(buf_span(&bytes), &again) && again.len == size - breaks);
    return 0;
}
