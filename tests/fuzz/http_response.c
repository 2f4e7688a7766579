#include "net/http_response.h"

#include <errno.h>

#include "base/buf.h"
#include "fuzz.h"

enum {
    BYTES_MAX = 4096, // feeding byte by byte is slow, and more bytes show nothing new
    RECORD_BYTES_MAX = 1 << 20,
};

struct reader {
    struct http_response response;
    struct buf raw, record; // what is not looked at yet, and what came of the rest
    bool head_told;
    int end; // as http_response_body() says
};

static void take_head(struct reader *reader)
{
    struct span lines, bytes = buf_span(&reader->raw);
    struct error err = ERROR_INIT;
    size_t len = 0;
    int r = http_response_head(&reader->response, bytes, &len, &lines, &err);
    reader->end = r < 0 ? r : 0;
    REQUIRE(r >= 0 || (r == -EBADMSG && err.code == r && memcmp(err.text, "it ", 3) == 0));
    if (r <= 0)
        return;
    int status = reader->response.status;
    REQUIRE(len > 0 && len <= bytes.len && status >= 100 && status <= 999 && status != 101);
    REQUIRE(lines.data > bytes.data && lines.data + lines.len == bytes.data + len);
    reader->head_told = status >= 200;
    buf_printf(&reader->record, "\n%d %d %d:", status, reader->response.framing,
               reader->response.keep);
    buf_append_span(&reader->record, lines);
    buf_consume(&reader->raw, len);
    if (!reader->head_told)
        take_head(reader);
}

static void take_body(struct reader *reader)
{
    size_t used = 0, decoded = 0, len = reader->raw.len;
    reader->end = http_response_body(&reader->response, reader->raw.data, len, &used, &decoded);
    REQUIRE(used <= len && decoded <= used);
    REQUIRE(reader->end == -EBADMSG || reader->end == 1 || (reader->end == 0 && used == len));
    buf_append(&reader->record, reader->raw.data, decoded);
    buf_consume(&reader->raw, used);
}

// Feeds it in pieces of `step` bytes. What follows a complete answer is left.
static void run(struct span bytes, size_t step, struct reader *reader)
{
    *reader = (struct reader){.raw = BUF_INIT(BYTES_MAX), .record = BUF_INIT(RECORD_BYTES_MAX)};
    reader->response = (struct http_response){.to_head = bytes.len % 7 == 6};
    size_t left = bytes.len;
    while (left && reader->end == 0) {
        size_t len = left < step ? left : step;
        buf_append(&reader->raw, bytes.data + bytes.len - left, len);
        left -= len;
        if (!reader->head_told)
            take_head(reader);
        if (reader->head_told && reader->end == 0)
            take_body(reader);
    }
    if (reader->end < 0)
        reader->response.keep = false;
    buf_printf(&reader->record, "\n%d %zu", reader->end,
               reader->end > 0 ? left + reader->raw.len : 0);
}

static void reader_finish(struct reader *reader)
{
    buf_finish(&reader->raw);
    buf_finish(&reader->record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(reader_finish) struct reader whole;
    if (size > BYTES_MAX)
        return 0;
    run(span_make(data, size), size + 1, &whole);
    const size_t steps[] = {1, 3, 64};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        CLEANUP(reader_finish) struct reader pieces;
        run(span_make(data, size), steps[i], &pieces);
        REQUIRE(span_equal(buf_span(&whole.record), buf_span(&pieces.record)));
    }
    return 0;
}
