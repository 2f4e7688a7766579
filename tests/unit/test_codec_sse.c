#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "codec/sse.h"

// Writes what comes in as text, one line per event, so that a test is a comparison.
static int record(void *ctx, const struct sse_event *event)
{
    struct buf *out = ctx;
    buf_printf(out, "%.*s|", (int)event->type.len, event->type.data);
    buf_append_span(out, event->data);
    buf_append_text(out, event->unfinished ? "|unfinished\n" : "\n");
    return 0;
}

// Feeds `head`, then `tail`, each in a block of its own, so that the sanitizer sees an over-read.
static void feed_copy(struct sse_parser *p, struct span piece, struct buf *out)
{
    char *copy = malloc(piece.len ? piece.len : 1);
    if (piece.len)
        memcpy(copy, piece.data, piece.len);
    struct error err = ERROR_INIT;
    assert_int_equal(sse_feed(p, span_make(copy, piece.len), record, out, &err), 0);
    memset(copy, 'X', piece.len); // nothing may still point there
    free(copy);
}

static void gives(struct span stream, const char *wanted)
{
    for (size_t cut = 0; cut <= stream.len + 1; cut++) { // the last round feeds byte by byte
        SSE_AUTO p;
        BUF_AUTO out = BUF_INIT(1 << 16);
        sse_init(&p, 4096);
        if (cut <= stream.len) {
            feed_copy(&p, span_make(stream.data, cut), &out);
            feed_copy(&p, span_skip(stream, cut), &out);
        } else {
            for (size_t i = 0; i < stream.len; i++)
                feed_copy(&p, span_make(stream.data + i, 1), &out);
        }
        assert_int_equal(sse_end(&p, record, &out, NULL), 0);
        if (strcmp(buf_text(&out), wanted) != 0)
            fail_msg("cut at %zu:\n%swanted:\n%s", cut, buf_text(&out), wanted);
    }
}

static void test_fields(void **state)
{
    (void)state;
    gives(SPAN_LITERAL("data: a\n\n"), "message|a\n");
    gives(SPAN_LITERAL("data:a\n\n"), "message|a\n");
    gives(SPAN_LITERAL("data:  a \n\n"), "message| a \n");
    gives(SPAN_LITERAL("data: a\ndata: b\ndata\n\n"), "message|a\nb\n\n");
    gives(SPAN_LITERAL("data\n\n"), "message|\n");
    gives(SPAN_LITERAL("data\ndata\n\n"), "message|\n\n");
    gives(SPAN_LITERAL("data\ndata: x\n\n"), "message|\nx\n");
    gives(SPAN_LITERAL("event: ping\ndata: a: b\n\ndata: c\n\n"), "ping|a: b\nmessage|c\n");
    gives(SPAN_LITERAL("event: lost\n\n\n\ndata: c\n\n"), "message|c\n");
    gives(SPAN_LITERAL("Data: a\n data: b\nfoo: c\ndata : d\ndata: e\n\n"), "message|e\n");
    gives(SPAN_LITERAL("data: a\0b\n\n"), ""
                                          "message|a\0b\n");
}

// What a stream that was cut anywhere leaves behind for the next one.
static void leaves(struct span stream, const char *id, int64_t retry_ms)
{
    for (size_t cut = 0; cut <= stream.len; cut++) {
        SSE_AUTO p;
        BUF_AUTO out = BUF_INIT(1 << 16);
        sse_init(&p, 4096);
        feed_copy(&p, span_make(stream.data, cut), &out);
        feed_copy(&p, span_skip(stream, cut), &out);
        assert_int_equal(sse_end(&p, record, &out, NULL), 0);
        sse_reset(&p);
        assert_string_equal(buf_text(&p.id), id);
        assert_int_equal(p.retry_ms, retry_ms);
    }
}

static void test_what_is_left_for_the_next_stream(void **state)
{
    (void)state;
    leaves(SPAN_LITERAL("data: a\n\n"), "", -1);
    leaves(SPAN_LITERAL("id: 7\nretry: 250\ndata: a\n\ndata: b\n\n"), "7", 250);
    leaves(SPAN_LITERAL("id: 7\n\n"), "7", -1);                         // without data
    leaves(SPAN_LITERAL("id: 7\ndata: \n\nid: 8\ndata: x\n"), "7", -1); // 8 has not come
    leaves(SPAN_LITERAL("id: 7\ndata: \n\nid: 8\0x\ndata: x\n\n"), "7", -1);
    leaves(SPAN_LITERAL("id: 7\ndata: x\n\nid\ndata: x\n\n"), "", -1);
    leaves(SPAN_LITERAL("retry: 10\nretry: -1\nretry: 5s\nretry:\n"), "", 10);
    leaves(SPAN_LITERAL("retry: 9999999999\n"), "", 24 * 60 * 60 * 1000);
    BUF_AUTO stream = BUF_INIT(1 << 16);
    buf_append_text(&stream, "id: 7\ndata: x\n\nid: ");
    for (int i = 0; i < 2000; i++)
        buf_append_char(&stream, '8');
    buf_append_text(&stream, "\ndata: x\n\n");
    leaves(buf_span(&stream), "", -1);
}

static void test_fields_that_nobody_asks_for(void **state)
{
    (void)state;
    gives(SPAN_LITERAL("id: 7\nretry: 250\ndata: a\n\ndata: b\n\nid\ndata: c\nid: 8\0\n\n"),
          "message|a\nmessage|b\nmessage|c\n");
    gives(SPAN_LITERAL("id: 3\n\nretry: 99999999999999999999\n\n"), "");
}

static void test_line_ends(void **state)
{
    (void)state;
    gives(SPAN_LITERAL("data: a\r\n\r\ndata: b\r\n\r\n"), "message|a\nmessage|b\n");
    gives(SPAN_LITERAL("data: a\r\rdata: b\r\r"), "message|a\nmessage|b\n");
    gives(SPAN_LITERAL("data: a\rdata: b\ndata: c\r\n\ndata: d\n\r\n\r"),
          "message|a\nb\nc\nmessage|d\n");
    gives(SPAN_LITERAL("\r\n\r\n\n\ndata: a\n\r"), "message|a\n");
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    gives(SPAN_LITERAL("\xEF\xBB\xBF"
                       "data: a\n\n"),
          "message|a\n");
    gives(SPAN_LITERAL("\xEF\xBB\xBF\xEF\xBB\xBF"
                       "data: a\n\ndata: b\n\n"),
          "message|b\n");
    gives(SPAN_LITERAL("\xEF\xBB"
                       "data: a\ndata: b\n\n"),
          "message|b\n");
    gives(SPAN_LITERAL("\xEF\ndata: b\n\n"), "message|b\n");
    gives(SPAN_LITERAL("data: \xEF\xBB\xBF\n\n"), "message|\xEF\xBB\xBF\n");
    gives(SPAN_LITERAL("\xEF\xBB"), "");
    gives(SPAN_LITERAL("\xEF\xBB\xBF"), "");
}

static void test_comments(void **state)
{
    (void)state;
    gives(SPAN_LITERAL(": OPENROUTER PROCESSING\n\n:\n:x\ndata: a\n: mid\ndata: b\n\n"),
          "message|a\nb\n");
}

static void test_a_stream_that_is_cut(void **state)
{
    (void)state;
    gives(SPAN_LITERAL("data: a\n\ndata: [DONE]"), "message|a\nmessage|[DONE]|unfinished\n");
    gives(SPAN_LITERAL("data: a\n\ndata: [DONE]\n"), "message|a\nmessage|[DONE]|unfinished\n");
    gives(SPAN_LITERAL("data: a\n\nevent: x\nid: 9\n"), "message|a\n");
    gives(SPAN_LITERAL("data: a\n\n: bye"), "message|a\n");
    gives(SPAN_LITERAL(""), "");
}

static void test_another_stream_begins_anew(void **state)
{
    (void)state;
    SSE_AUTO p;
    BUF_AUTO out = BUF_INIT(4096);
    sse_init(&p, 4096);
    feed_copy(&p, SPAN_LITERAL("data: a\n\nevent: x\ndata: b\ndat"), &out);
    sse_reset(&p);
    feed_copy(&p,
              SPAN_LITERAL("\xEF\xBB\xBF"
                           "data: c\n\n"),
              &out);
    assert_string_equal(buf_text(&out), "message|a\nmessage|c\n");
}

static int stop_at_b(void *ctx, const struct sse_event *event)
{
    ++*(int *)ctx;
    return span_is(event->data, "b") ? 42 : 0;
}

static void test_the_callback_may_stop(void **state)
{
    (void)state;
    SSE_AUTO p;
    int calls = 0;
    sse_init(&p, 4096);
    struct span stream = SPAN_LITERAL("data: a\n\ndata: b\n\ndata: c\n\n");
    assert_int_equal(sse_feed(&p, stream, stop_at_b, &calls, NULL), 42);
    assert_int_equal(calls, 2);
}

static int refused(size_t max, struct span stream, size_t step, struct error *err)
{
    SSE_AUTO p;
    BUF_AUTO out = BUF_INIT(1 << 16);
    sse_init(&p, max);
    int r = 0;
    for (size_t at = 0; at < stream.len && r == 0; at += step) {
        size_t rest = stream.len - at;
        r = sse_feed(&p, span_make(stream.data + at, rest < step ? rest : step), record, &out, err);
    }
    return r;
}

static void test_limits(void **state)
{
    (void)state;
    for (size_t step = 1; step < 64; step++) {
        struct error err = ERROR_INIT;
        assert_int_equal(refused(16, SPAN_LITERAL("data: 67890123456\n\n"), step, &err), -EMSGSIZE);
        assert_string_equal(err.text, "the stream sent an event of more than 16 bytes");
        assert_int_equal(refused(16, SPAN_LITERAL("data: 6789012345\n\n"), step, &err), 0);
        assert_int_equal(refused(16, SPAN_LITERAL("data: 45678\ndata: 1234567890\n\n"), step, &err),
                         0);
        assert_int_equal(
            refused(16, SPAN_LITERAL("data: 456789\ndata: 1234567890\n\n"), step, &err), -EMSGSIZE);
        assert_int_equal(refused(16, SPAN_LITERAL(": 34567890123456789"), step, &err), -EMSGSIZE);
    }
    char type[2048];
    memset(type, 'x', sizeof type);
    memcpy(type, "event:", 6);
    type[sizeof type - 1] = '\n';
    struct error err = ERROR_INIT;
    assert_int_equal(refused(4096, span_make(type, sizeof type), 100, &err), -EMSGSIZE);
    assert_non_null(strstr(err.text, "type of more than 1024 bytes"));
}

static void test_a_million_deltas(void **state)
{
    (void)state;
    static const char one[] = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    SSE_AUTO p;
    int calls = 0;
    sse_init(&p, 4096);
    for (int i = 0; i < 1000000; i++)
        assert_int_equal(sse_feed(&p, span_make(one, sizeof one - 1), stop_at_b, &calls, NULL), 0);
    assert_int_equal(calls, 1000000);
    assert_null(p.data.data); // nothing was copied
    assert_null(p.line.data);
}

static void test_writing(void **state)
{
    (void)state;
    BUF_AUTO out = BUF_INIT(4096);
    assert_true(sse_write_event(&out, SPAN_ABSENT, SPAN_LITERAL("{}")));
    assert_true(sse_write_event(&out, SPAN_LITERAL("x"), SPAN_LITERAL(" a\nb\r\nc\r")));
    assert_true(sse_write_event(&out, SPAN_LITERAL("y"), SPAN_ABSENT));
    assert_false(sse_write_event(&out, SPAN_LITERAL("x\ny"), SPAN_LITERAL("a")));
    assert_string_equal(buf_text(&out),
                        "data: {}\n\nevent: x\ndata:  a\ndata: b\ndata: c\ndata: \n\n"
                        "event: y\ndata: \n\n");
    gives(buf_span(&out), "message|{}\nx| a\nb\nc\n\ny|\n");

    BUF_AUTO small = BUF_INIT(16);
    assert_true(buf_append_text(&small, "ab"));
    assert_false(sse_write_event(&small, SPAN_LITERAL("x"), SPAN_LITERAL("aaaaaaaaaaaaaa")));
    assert_string_equal(buf_text(&small), "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_what_is_left_for_the_next_stream),
        cmocka_unit_test(test_fields_that_nobody_asks_for),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_a_stream_that_is_cut),
        cmocka_unit_test(test_another_stream_begins_anew),
        cmocka_unit_test(test_the_callback_may_stop),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_million_deltas),
        cmocka_unit_test(test_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
