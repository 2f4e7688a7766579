#include "codec/sse.h"

#include <errno.h>

#include "fuzz.h"

enum {
    EVENT_BYTES_MAX = 512,   // small, so that the limit is met
    STREAM_BYTES_MAX = 2048, // feeding byte by byte is slow, and more bytes show nothing new
    RECORD_BYTES_MAX = 64 << 20,
};

static void append(struct buf *out, const char *name, struct span text)
{
    buf_printf(out, "%s %zu:", name, text.len);
    buf_append_span(out, text);
}

static int record(void *ctx, const struct sse_event *event)
{
    struct buf *out = ctx;
    REQUIRE(event->data.len <= EVENT_BYTES_MAX && event->type.len > 0);
    buf_printf(out, "\n%d ", event->unfinished);
    append(out, "type", event->type);
    append(out, "data", event->data);
    return 0;
}

// Feeds the stream in pieces of `step` bytes, each in memory of its own that is gone afterwards.
static int run(struct span stream, size_t step, struct buf *out)
{
    SSE_AUTO p;
    sse_init(&p, EVENT_BYTES_MAX);
    int r = 0;
    while (stream.len && r == 0) {
        size_t len = stream.len < step ? stream.len : step;
        char *piece = malloc(len);
        REQUIRE(piece);
        memcpy(piece, stream.data, len);
        r = sse_feed(&p, span_make(piece, len), record, out, NULL);
        free(piece);
        stream = span_skip(stream, len);
    }
    if (r == 0)
        r = sse_end(&p, record, out, NULL);
    buf_printf(out, "\n%lld ", (long long)p.retry_ms);
    append(out, "id", buf_span(&p.id));
    REQUIRE(r == 0 || r == -EMSGSIZE);
    return r;
}

static int compare_data(void *ctx, const struct sse_event *event)
{
    REQUIRE(!event->unfinished && span_is(event->type, "message"));
    REQUIRE(span_equal(event->data, buf_span(ctx)));
    return 17;
}

// What is written is read back, but for line ends, which all become LF.
static void round_trip(struct span text)
{
    BUF_AUTO wanted = BUF_INIT(RECORD_BYTES_MAX), stream = BUF_INIT(RECORD_BYTES_MAX);
    for (size_t i = 0; i < text.len; i++) {
        bool crlf = text.data[i] == '\r' && i + 1 < text.len && text.data[i + 1] == '\n';
        if (!crlf)
            buf_append_char(&wanted, text.data[i] == '\r' ? '\n' : text.data[i]);
    }
    REQUIRE(sse_write_event(&stream, SPAN_ABSENT, text));
    SSE_AUTO p;
    sse_init(&p, stream.len);
    REQUIRE(sse_feed(&p, buf_span(&stream), compare_data, &wanted, NULL) == 17);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span stream = span_make(data, size);
    if (size > STREAM_BYTES_MAX)
        return 0;
    BUF_AUTO whole = BUF_INIT(RECORD_BYTES_MAX);
    int r = run(stream, size, &whole);
    const size_t steps[] = {1, 3, 64};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        BUF_AUTO pieces = BUF_INIT(RECORD_BYTES_MAX);
        REQUIRE(run(stream, steps[i], &pieces) == r);
        REQUIRE(span_equal(buf_span(&pieces), buf_span(&whole)));
    }
    round_trip(stream);
    return 0;
}
