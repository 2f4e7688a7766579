#include "codec/url.h"
#include "fuzz.h"

// What comes out is a URL, and leads to itself.
static void check(struct span base, struct span reference)
{
    BUF_AUTO out = BUF_INIT(4 * URL_BYTES_MAX);
    BUF_AUTO again = BUF_INIT(4 * URL_BYTES_MAX);
    struct url url;
    buf_append_text(&out, "x");
    if (!url_resolve(base, reference, &out)) {
        REQUIRE(span_is(buf_span(&out), "x"));
        return;
    }
    struct span made = span_skip(buf_span(&out), 1);
    REQUIRE(url_parse(made, &url, NULL) == 0);
    REQUIRE(url.path.len > 0);
    struct span rest = url.path;
    while (rest.len) {
        struct span segment = span_cut(&rest, '/');
        REQUIRE(!span_is(segment, ".") && !span_is(segment, ".."));
    }
    REQUIRE(url_resolve(SPAN_ABSENT, made, &again) && span_equal(buf_span(&again), made));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_make(data, size), base = span_cut(&rest, '\n');
    check(SPAN_LITERAL("https://example.org/a/b/c?d=e#f"), span_make(data, size));
    check(base, rest);
    return 0;
}
