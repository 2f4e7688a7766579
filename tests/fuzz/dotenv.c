#include "codec/dotenv.h"

#include "base/buf.h"
#include "fuzz.h"

enum { RECORD_BYTES_MAX = 8 << 20 };

struct reading {
    struct buf pairs;  // key, value and the length of each
    struct buf quoted; // the same pairs written with quotes
    unsigned line, lines;
};

static int record(void *ctx, struct span key, struct span value, unsigned line)
{
    struct reading *reading = ctx;
    REQUIRE(key.len > 0 && line > reading->line && line <= reading->lines);
    reading->line = line;
    buf_printf(&reading->pairs, "%zu,%zu ", key.len, value.len);
    buf_append_span(&reading->pairs, key);
    buf_append_span(&reading->pairs, value);
    buf_append_span(&reading->quoted, key);
    buf_append_text(&reading->quoted, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\')
            buf_append_char(&reading->quoted, '\\');
        buf_append_char(&reading->quoted, value.data[i]);
    }
    buf_append_text(&reading->quoted, "\"\n");
    return 0;
}

static int read_all(struct span text, struct reading *reading, struct error *err)
{
    buf_init(&reading->pairs, RECORD_BYTES_MAX);
    buf_init(&reading->quoted, RECORD_BYTES_MAX);
    reading->line = 0;
    reading->lines = 1;
    for (size_t i = 0; i < text.len; i++)
        reading->lines += text.data[i] == '\n' || text.data[i] == '\r';
    return dotenv_parse(text, record, reading, err);
}

static void finish(struct reading *reading)
{
    buf_finish(&reading->pairs);
    buf_finish(&reading->quoted);
}

// Whatever was read is read again when it is written with quotes.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading first, second = {0};
    struct error err = ERROR_INIT;
    int r = read_all(span_make(data, size), &first, &err);
    if (r < 0)
        REQUIRE(strncmp(err.text, "line ", 5) == 0);
    if (r == 0 && !buf_is_full(&first.quoted) && first.quoted.len <= DOTENV_BYTES_MAX) {
        REQUIRE(read_all(buf_span(&first.quoted), &second, &err) == 0);
        REQUIRE(span_equal(buf_span(&first.pairs), buf_span(&second.pairs)));
    }
    finish(&first);
    finish(&second);
    return 0;
}
